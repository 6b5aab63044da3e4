"""Robust and regularised MDPs: worst cases over models, offline and exact."""

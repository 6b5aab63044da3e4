"""Tabular families with exact models: each gives a FiniteMDP; `env.make` runs any of them."""

"""Bandits whose arms remember: last-switch dependence, planned and learnt."""

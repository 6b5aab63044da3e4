"""Rewards fitted to answers: ensembles, trees, users, successor features."""

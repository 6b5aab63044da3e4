"""Rewards and preferences: distances, identifiability, games, and online learning to play them."""

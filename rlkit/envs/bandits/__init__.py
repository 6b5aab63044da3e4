"""Bandit simulators: armed, memory, dueling and linear environments, and the random streams."""

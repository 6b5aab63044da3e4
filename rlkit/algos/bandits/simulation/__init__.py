"""Compiled simulation of context-free, linear, dueling and memory bandits: `simulate`."""

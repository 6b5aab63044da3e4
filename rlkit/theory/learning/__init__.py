"""Tabular learners: temporal differences, Q-learning, optimism, average reward, latent problems."""

"""Datasets in files: Minari's, D4RL's HDF5, remotes, and what their metadata say."""

"""Policies of finished runs: evaluated, exported, recorded into datasets."""

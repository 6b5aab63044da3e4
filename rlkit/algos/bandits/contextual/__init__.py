"""Batched contextual bandits: linear, over regression oracles, and neural."""

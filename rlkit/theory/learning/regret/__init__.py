"""Learners with regret bounds: optimism and sampling, in episodes and for average reward."""

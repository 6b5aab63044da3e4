"""Nets of sequences: recurrent layers, a causal transformer, and what is made of them."""

"""Learning claims, one module a family; `benchmarks/learning.py` trains and records them."""

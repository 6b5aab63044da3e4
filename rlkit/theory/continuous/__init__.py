"""Continuous time: policy evaluation by martingales, diffusions, mean-variance portfolios."""

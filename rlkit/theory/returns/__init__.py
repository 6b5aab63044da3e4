"""Laws of returns: distributional evaluation and control, risk, stock augmentation."""

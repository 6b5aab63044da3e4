"""What is said of long windows before an update reads them."""

from __future__ import annotations


def long_windows(batch: int, steps: int, usual: int, tokens: int, longest: int) -> str:
    """What an update reads of a dataset whose longest episode has `longest` steps: `batch` windows
    of `steps` steps, of `tokens` tokens each that attend to one another; "" up to `usual` steps."""
    if steps <= usual:
        return ""
    padded = f"; the longest episode has {longest:,}: the rest is padding"
    return (
        f"an update reads {batch} windows of {steps:,} steps, each {tokens * steps:,} tokens that "
        f"attend to one another: {(steps / usual) ** 2:,.0f} times the work of {usual} "
        f"steps{padded if longest < steps else ''}"
    )

"""Environments of ours, and wrappers that make them of any other: `find` knows their ids."""

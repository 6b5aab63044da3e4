"""The compiled loops: one run after another, or many in step, a file a kind of environment."""

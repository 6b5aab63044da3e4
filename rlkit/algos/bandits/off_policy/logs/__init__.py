"""Decision logs: what they hold, where they are read from, and what they cover."""

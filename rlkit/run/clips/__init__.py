"""Moving pictures of policies: episodes played again, drawn side by side, written to a file."""

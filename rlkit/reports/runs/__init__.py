"""Pages of single runs, alone or side by side, from their folders alone."""

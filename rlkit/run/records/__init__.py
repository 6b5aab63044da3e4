"""What a training leaves: events, the run folder, versions, and what it tells."""

"""What a training leaves: events, the run folder, versions, TensorBoard, and what it tells."""

"""Where a training tells its numbers besides the run folder: TensorBoard, W&B, MLflow, own ones."""

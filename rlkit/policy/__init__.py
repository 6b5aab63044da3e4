"""Exported policies: one file that acts with numpy alone, ONNX, and stable-baselines3 both ways."""

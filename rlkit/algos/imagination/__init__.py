"""What model-based algorithms share: fitting a dynamics ensemble, rollouts with hooks, buffers."""

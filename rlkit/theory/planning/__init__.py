"""Planners of finite MDPs: `solve` and its methods, average and total reward, finite horizons."""

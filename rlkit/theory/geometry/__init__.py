"""Metrics and features of finite MDPs: bisimulation, Lipschitz constants, transport, successors."""

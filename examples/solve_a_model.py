"""From a table of transitions to a certified plan: how often should a machine be serviced?

python examples/solve_a_model.py
"""

import numpy as np

import rlkit
from rlkit.theory import evaluate_policy

WEAR, RUN, SERVICE = 5, 0, 1  # states 0 (new) to 4 (broken); two actions
P = np.zeros((WEAR, 2, WEAR))
R = np.zeros((WEAR, 2))
for state in range(WEAR):
    worse = min(state + 1, WEAR - 1)
    P[state, RUN, state] += 0.6
    P[state, RUN, worse] += 0.4
    P[state, SERVICE, 0] = 1.0
    R[state, RUN] = [10, 9, 7, 4, 0][state]  # what a day's output is worth
    R[state, SERVICE] = -6

model = rlkit.FiniteMDP.from_dense(P, R)
plan = rlkit.solve(model, 0.95, eps=1e-8)
print("service in states", np.flatnonzero(plan.policy == SERVICE))
print("worth of a new machine", plan.value[0].round(3), "within", (plan.upper - plan.lower).max())

never = evaluate_policy(model, np.zeros(WEAR, int), 0.95)
print("without any service", never[0].round(3))

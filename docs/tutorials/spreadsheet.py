"""From a spreadsheet to a certified plan: python docs/tutorials/spreadsheet.py"""

# %% [markdown]
# # From a spreadsheet to a certified plan
#
# A workshop keeps a sheet: each week, the state of a pump, what was done, its state a week later, and what
# the week earned. When should the pump be serviced, and how much is that worth? The sheet becomes counts,
# the counts a model, the model a plan with bounds that hold; then we ask how much the counts themselves
# leave open.
#
# ## The sheet
#
# As CSV. (Here it is made up, by a pump that we know; you have yours.)

# %%
import csv
from pathlib import Path

import numpy as np

STATES = ["new", "good", "worn", "bad", "broken"]
ACTIONS = ["run", "service"]
EARNS = {"new": 10, "good": 9, "worn": 6, "bad": 3, "broken": -5}

rng = np.random.default_rng(0)
with Path("pump.csv").open("w", newline="") as file:
    writer = csv.writer(file)
    writer.writerow(["week", "state", "action", "next", "earned"])
    now = 0
    for week in range(3_000):
        serviced = rng.random() < 0.15 + 0.2 * (now >= 3)
        then = 0 if serviced else min(now + int(rng.random() < 0.3 + 0.05 * now), 4)
        earned = (-6 if serviced else EARNS[STATES[now]]) + rng.normal()
        writer.writerow([week, STATES[now], ACTIONS[serviced], STATES[then], round(earned, 2)])
        now = then
print(Path("pump.csv").read_text()[:140])

# %% [markdown]
# ## A model
#
# Counts of what followed what, and the mean of what was earned.

# %%
import rlkit

with Path("pump.csv").open() as file:
    rows = list(csv.DictReader(file))
counts = np.zeros((5, 2, 5))
total = np.zeros((5, 2))
for row in rows:
    s, a, then = (
        STATES.index(row["state"]),
        ACTIONS.index(row["action"]),
        STATES.index(row["next"]),
    )
    counts[s, a, then] += 1
    total[s, a] += float(row["earned"])
seen = counts.sum(-1)
print("weeks seen of each state and action:\n", seen.astype(int))
P, R = counts / seen[..., None], total / seen
model = rlkit.FiniteMDP.from_dense(P, R)
print(model)

# %% [markdown]
# ## The plan
#
# A week's money is worth 0.99 of the week's before. The bounds hold whatever the method did on its way.

# %%
GAMMA = 0.99
plan = rlkit.solve(model, GAMMA, eps=1e-8)
for state, action in enumerate(plan.policy):
    print(f"{STATES[state]:7} {ACTIONS[action]:8} worth {plan.value[state]:.2f}")
print("bounds at most", f"{plan.gap:.1e}", "apart")

# %% [markdown]
# What does it gain over never servicing, and over what the workshop did?

# %%
from rlkit.theory import evaluate_policy

did = seen / seen.sum(1, keepdims=True)  # a policy that draws
print("plan         ", plan.value[0].round(1))
print("the workshop ", evaluate_policy(model, did, GAMMA)[0].round(1))
print("never service", evaluate_policy(model, np.zeros(5, int), GAMMA)[0].round(1))

# %% [markdown]
# ## How sure are the counts?
#
# The bounds are about the *model*. The model is from 3,000 weeks. Draw models that the counts allow
# (Dirichlet, a flat prior), solve each, and see whether the plan changes.

# %%
policies, worth = [], []
for _ in range(50):
    drawn = np.stack([[rng.dirichlet(counts[s, a] + 0.2) for a in range(2)] for s in range(5)])
    one = rlkit.solve(rlkit.FiniteMDP.from_dense(drawn, R), GAMMA)
    policies.append(tuple(int(a) for a in one.policy))
    worth.append(one.value[0])
ours = tuple(int(a) for a in plan.policy)
print("plan", ours, "is best in", policies.count(ours), "of 50")
print("worth of a new pump: 90 % within", np.percentile(worth, [5, 95]).round(1))

# %% [markdown]
# ## What to remember
#
# - A certified bound is certain about the model, and only about it.
# - A state and action that was never seen has no row: give it one, or leave the action out (`R = -inf`).
# - For plans that are good whatever the counts allow, see robust planning in the
#   [reference](../reference/rlkit-theory-robust.md).

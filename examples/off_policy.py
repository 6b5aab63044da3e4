"""What would another policy have earned? Estimates from logged decisions, before anyone tries it.

python examples/off_policy.py
"""

import numpy as np
from sklearn.linear_model import Ridge

from rlkit.algos.bandits.off_policy import evaluate, from_table

rng = np.random.default_rng(0)
N, ITEMS = 20_000, 3
age = rng.uniform(20, 60, N)
young = (age < 40).astype(int)
logged = np.where(young[:, None], [0.5, 0.3, 0.2], [0.2, 0.3, 0.5])  # what the old policy did
item = np.array([rng.choice(ITEMS, p=p) for p in logged])
chance = np.where(young[:, None], [0.02, 0.05, 0.10], [0.08, 0.05, 0.03])  # of a click; unknown
click = (rng.random(N) < chance[np.arange(N), item]).astype(float)

table = {
    "item": item,
    "click": click,
    "propensity": logged[np.arange(N), item],
    "age": age,
}
log = from_table(table, action="item", reward="click", prob="propensity", context=["age"])
print(log)  # how much was logged, and how well it covers

new = np.where(young[:, None], [0.0, 0.0, 1.0], [1.0, 0.0, 0.0])  # what we would do instead
print(evaluate(log, new, "ips"))
print(evaluate(log, new, "snips"))
print(evaluate(log, new, "dr", q=Ridge, by_arm=True))  # its model is fitted on other folds
print(f"truth {(new * chance).sum(1).mean():.4f}, the old policy {click.mean():.4f}")

"""A bandit for a shop, evaluated before it acts: python docs/tutorials/shop.py"""

# %% [markdown]
# # A bandit for a shop
#
# A shop shows each visitor one of three banners. An old rule has been choosing, with some chance, and every
# choice was logged with its probability. Three questions, in this order: what would another rule earn? Can
# one be learnt from the log? How should it go on learning when it acts?
#
# ## The log
#
# The world below is only there to make a log and to check the answers; in life you have the log.

# %%
import numpy as np

rng = np.random.default_rng(0)
PULL = np.array([[1.2, -0.6], [0.1, 0.8], [-1.0, 0.3]])  # how banners please; unknown in life


def chance(x):
    """Of a click on each banner `[n, 3]` by visitors `[n, 2]`."""
    return 0.25 / (1 + np.exp(-x @ PULL.T))


def visitors(n):
    return rng.normal(size=(n, 2))


def old_rule(x):
    """Banner 1 for most; the others now and then."""
    return np.tile([0.2, 0.6, 0.2], (len(x), 1))


n = 12_000
x = visitors(n)
p = old_rule(x)
banner = np.array([rng.choice(3, p=row) for row in p])
click = (rng.random(n) < chance(x)[np.arange(n), banner]).astype(float)
table = {
    "banner": banner,
    "click": click,
    "p": p[np.arange(n), banner],
    "age": x[:, 0],
    "visits": x[:, 1],
}
print("clicks of the old rule:", click.mean().round(4))

# %% [markdown]
# ## What would another rule earn?
#
# First see what the log covers; then estimate. The half that a rule is learnt on must not evaluate it, so
# the log is cut in two.

# %%
from sklearn.linear_model import LogisticRegression, Ridge

from rlkit.algos.bandits.off_policy import evaluate, from_table

log = from_table(table, action="banner", reward="click", prob="p", context=["age", "visits"])
print(log)
half = np.arange(n) < n // 2
fit, held = log.rows(half), log.rows(~half)

always_first = np.tile([1.0, 0.0, 0.0], (len(held), 1))
for name in ("ips", "snips"):
    print("always banner 0:", evaluate(held, always_first, name))

# %% [markdown]
# ## Learn one from the log
#
# A model of clicks for each banner, fitted on the first half; show the banner it thinks best. Evaluated on
# the second half, with the truth beside it (which only a tutorial has).

# %%
models = []
for arm in range(3):
    rows = fit.table.action == arm
    models.append(LogisticRegression().fit(fit.table.context[rows], fit.table.reward[rows]))


def best(context):
    """The learnt rule as probabilities `[n, 3]`."""
    score = np.stack([m.predict_proba(context)[:, 1] for m in models], 1)
    return np.eye(3)[score.argmax(1)]


target = best(held.table.context)
for name, options in (("snips", {}), ("dr", {"q": Ridge, "by_arm": True})):
    print(evaluate(held, target, name, **options))
print(
    "truth", (target * chance(x[~half])).sum(1).mean().round(4), "old rule", click.mean().round(4)
)

# %% [markdown]
# The interval lies above the old rule's clicks: worth trying. (If it did not, you would know before any
# visitor did.)
#
# ## Let it act, and go on learning
#
# Thompson sampling on a linear model of each banner explores where it is not sure. It decides for forty
# visitors at a time, and their clicks come back in the next round only.

# %%
from rlkit.algos.bandits import Feedback
from rlkit.algos.bandits.contextual import LinearPolicy
from rlkit.algos.bandits.contextual.linear import Config
from rlkit.envs.bandits.observation import Observation

policy = LinearPolicy(3, 2, Config(rule="lints", disjoint=True, v=0.2))
policy.learn(Feedback(log.table.action, log.table.reward, log.table.context))  # what is known
waiting, earned, possible = None, [], []
for _ in range(150):
    now = visitors(40)
    decision = policy.act(Observation(now, None, 40), rng)
    paid = chance(now)
    clicked = (rng.random(40) < paid[np.arange(40), decision.action]).astype(float)
    if waiting is not None:
        policy.learn(waiting)
    waiting = Feedback(decision.action, clicked, now)
    earned.append(paid[np.arange(40), decision.action].mean())
    possible.append(paid.max(1).mean())
print("earned", np.mean(earned).round(4), "of", np.mean(possible).round(4), "possible")

# %% [markdown]
# ## What to remember
#
# - Log the probability of every decision, when it is made.
# - Evaluate on rows that nothing was learnt from.
# - An estimate without an interval, or a log without coverage, is no evidence.

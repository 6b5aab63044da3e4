"""Payment processing as a bandit: which tweaks to apply to a transaction so that it is accepted.

A transaction has 16 features: 8 standard normal numbers and 4 two-valued categories, one-hot. An
action is a setting of four tweaks, three with two settings and one with three: 24 actions, action 0
changing nothing. Action 0 is always available, every other one with a chance of 0.7 in the mean
that depends on the categories. The transaction is accepted (reward 1) with probability
  sigmoid(u(x) + sum_k v_k(x) + kappa sum_{j<k} w_jk(x)),  j, k the tweaks of the action
with u, v, w affine in x. Rates of acceptance are 0.85 in the mean; actions move them by about 0.03,
and by about 0.15 in the tenth of transactions whose first category is the rarer one. Models that
are additive in the tweaks can be right at kappa = 0 only. An answer comes back after an exponential
time whose mean is given in generations (`rlkit.algos.bandits.contextual.policy_generations`).

In the manner of the study of contextual bandits at Adyen (van den Akker et al. 2024, "Contextual
Bandits in Payment Processing"), of which the abstract was seen: all numbers here are ours.
"""

from dataclasses import dataclass, field
from itertools import product

import numpy as np

from rlkit.envs.bandits.counts import check_at_least
from rlkit.envs.bandits.observation import Observation

NUMBERS, CATEGORIES = 8, 4
FEATURES = NUMBERS + 2 * CATEGORIES
SETTINGS = (2, 2, 2, 3)  # of each tweak, 0 being to leave it alone
BASE_RATE, RARE = 0.85, 0.1
LIFT, RARE_LIFT = 0.03, 0.15  # typical change of the rate by a tweak, and in the rare category
OFFERED, OFFERED_SPREAD = 0.7, 0.15


def tweak_matrix() -> np.ndarray:
    """[24, 5]: which tweak settings (other than 0) every action applies."""
    actions = list(product(*(range(n) for n in SETTINGS)))
    columns = [(k, s) for k, n in enumerate(SETTINGS) for s in range(1, n)]
    return np.array([[float(action[k] == s) for k, s in columns] for action in actions])


@dataclass(frozen=True, eq=False)
class PaymentRouting:
    """A payment processor drawn from `seed`; `kappa` is the strength of what no tweak has alone."""

    kappa: float = 1.0
    delay: float = 0.3  # mean time to an answer, in generations
    seed: int = 0
    coefficients: np.ndarray = field(init=False)  # of the logits [1 + FEATURES, 24]
    tilt: np.ndarray = field(init=False)  # of the availability by category [2 CATEGORIES, 24]

    def __post_init__(self) -> None:
        check_at_least(self, "kappa", "delay")
        rng = np.random.default_rng(self.seed)
        tweaks = tweak_matrix()
        pairs = [
            (i, j)
            for i in range(tweaks.shape[1])
            for j in range(i + 1, tweaks.shape[1])
            if (tweaks[:, i] * tweaks[:, j]).any()
        ]
        both = np.stack([tweaks[:, i] * tweaks[:, j] for i, j in pairs], axis=1)
        slope = BASE_RATE * (1 - BASE_RATE)  # of the sigmoid at the base rate

        def effects(count: int) -> np.ndarray:
            """Coefficients [1 + FEATURES, count] of logits, by what an action does to the rate."""
            b = rng.standard_normal((1 + FEATURES, count)) * LIFT / slope / np.sqrt(len(SETTINGS))
            b[0] *= 0.5
            b[1 : 1 + NUMBERS] *= 0.5 / np.sqrt(NUMBERS)
            b[1 + NUMBERS :] *= 0.5 / np.sqrt(CATEGORIES)
            b[1 + NUMBERS + 1] *= 2.0 * np.sqrt(CATEGORIES) * RARE_LIFT / LIFT
            return b

        own = rng.standard_normal(1 + FEATURES) * 0.3 / np.sqrt(FEATURES)
        own[0] = np.log(BASE_RATE / (1 - BASE_RATE))
        logit = effects(tweaks.shape[1]) @ tweaks.T + self.kappa * effects(len(pairs)) @ both.T
        object.__setattr__(self, "coefficients", own[:, None] + logit)
        tilt = rng.standard_normal((2 * CATEGORIES, len(tweaks)))
        object.__setattr__(self, "tilt", OFFERED_SPREAD * np.sign(tilt) / np.sqrt(CATEGORIES))

    @property
    def arms(self) -> int:
        return 24

    def means(self, context: np.ndarray) -> np.ndarray:
        """Acceptance rates [B, 24] of transactions [B, 16]."""
        logit = self.coefficients[0] + context @ self.coefficients[1:]
        return 1.0 / (1.0 + np.exp(-logit))

    def draw(self, t: int, size: int, rng: np.random.Generator) -> tuple[Observation, np.ndarray]:
        chance = np.full(CATEGORIES, 0.5)
        chance[0] = RARE
        level = rng.random((size, CATEGORIES)) < chance
        one_hot = np.stack([~level, level], axis=2).reshape(size, -1)
        context = np.concatenate([rng.standard_normal((size, NUMBERS)), one_hot], axis=1)
        mask = rng.random((size, self.arms)) < OFFERED + one_hot @ self.tilt
        mask[:, 0] = True
        return Observation(context, mask), self.means(context)

    def sample(self, means: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return (rng.random(means.shape) < means).astype(np.float64)

    def waiting(self, size: int, rng: np.random.Generator) -> np.ndarray:
        """Times [size] until answers come back, in generations."""
        return rng.exponential(self.delay, size) if self.delay else np.zeros(size)

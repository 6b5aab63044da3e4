"""Self-Play Preference Optimisation, Swamy, Dann, Kidambi, Wu & Agarwal 2024, "A Minimaximalist
Approach to Reinforcement Learning from Human Feedback" (arXiv 2401.04056): no reward model.

    (1)  max_π min_π' E P(ξ preferred to ξ'),  ξ ~ π, ξ' ~ π':  the minimax winner, which exists
         whatever the preferences: in circles, noisy, of more than single steps
    (2)  the game is symmetric, so that playing against oneself is enough: an episode ξ earns
         w(ξ) = mean over Q of P(ξ preferred to q),  Q the `queue` last episodes of one's own
    (3)  r(s_h, a_h) = worth · w(ξ) / H on each of its H steps, and the updates of `agent`, another
         algorithm

Preferences that come from returns rank episodes as returns do, and the winner is the best policy.
Where they go in circles no reward explains them; the policies over the training, taken together,
are then what approaches the winner, as (2) is learning without regret, and the last one only where
the winner is a single policy or the agent keeps its entropy.

A comparison is asked once, when an episode ends, of the `teacher` (`preference.teachers.judges`):
win rates in the replay are those of their time, so that an agent that learns from all of it answers
the mean of its past, as regret asks for; a smaller --capacity forgets sooner. In an environment
without terminations win rates are discounted on as any reward is.

Differs from the paper: its authors' code is not public and the length of their queue stands in no
text we could read; here it is a setting. They take SAC for control and PPO elsewhere, here `agent`
is SAC, TD3 or DQN (n_step=1). `pay` may put all on the last step.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from rlkit.algos.behind.agents import Behind, Named
from rlkit.algos.preference.relabelling import REWARD
from rlkit.algos.preference.self_play import SelfPlay
from rlkit.algos.preference.teachers.judges import Panel
from rlkit.core.errors import UsageError
from rlkit.core.spec import Spec
from rlkit.core.words.ranges import Count, Positive, checked
from rlkit.data.stock import Stock

RUN = {"warmup": 1000}

FITS = ("online", "continuous", "discrete")
LEARNS_REWARD = True  # rewards of the replay reach no loss of the agent


@checked()
@dataclass(frozen=True)
class Config(Named):
    teacher: str = "rational"  # who compares: rational, noisy:1, ..., or package.module:judge
    queue: Count = 10  # |Q| of (2), last episodes that a new one is compared with
    worth: Positive = 1.0  # reward in all of an episode that wins against all of Q
    pay: Literal["spread", "end"] = "spread"  # (3), or all of it on the last step
    agent: str = "sac"  # algorithm that learns from the win rates
    given: str = ""  # fields of its Config, as "alpha=0.1 hidden=256,256"; the rest by default


def check_task(c: Config, spec: Spec) -> None:
    """Raises UsageError for a teacher that names nothing."""
    Panel(c.teacher)


def Agent(spec: Spec, c: Config) -> Behind:
    """The agent named by the config, with the column that its rewards are read from. Raises
    UsageError for one that cannot learn the task from changing rewards."""
    c.check_learns(spec, "online")
    return Behind(spec, c, (REWARD,))


def source(stock: Stock, agent: Behind, c: Config) -> SelfPlay:
    """Compare what has ended with what ended before, feed the agent.

    Raises UsageError for a teacher that names nothing, and for a dataset.
    """
    if stock.replay is None or stock.data is not None:
        raise UsageError("spo compares its own episodes: give an env and no dataset")
    return SelfPlay(stock, getattr(c.own, "batch_size", 256), c)

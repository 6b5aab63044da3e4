"""Environments that tell how much has been collected: the stock c' = (c + r) / γ, and two tasks.

With it as part of the state, a policy can pursue the law of c + G, the first stock and the
discounted return: see `rlkit.algos.stock_dqn` and, for exact answers, `rlkit.theory.returns`.

    rlkit/BetTwice-v1       two rounds, each a sure +1 (action 0) or +3 with probability .8 and -2
                            with .2 (action 1); the first stock is drawn from -4, -3, ..., 4
    rlkit/StopOrGo-v1       +1 a step (action 1) for at most eight, or the end (action 0); the first
                            stock is drawn from -6, ..., -1

Both count without discount. An environment of one's own states that it carries a stock by an
attribute `stock`, the present one, which is the last number of its observation; see `check_env`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import gymnasium
import numpy as np
from gymnasium.utils import RecordConstructorArgs

from rlkit.core.errors import UsageError

if TYPE_CHECKING:  # at run time where a model is made: solvers bring numba along
    from rlkit.theory.returns.laws import Outcomes

ROUNDS, LONGEST = 2, 8
_STEPS = 20  # in which an environment is looked at
_SLACK = 1e-4  # of the numbers themselves: room for float32
_ROUNDING = 1e-6  # of what they are the sum of


class Stocked(gymnasium.Wrapper, RecordConstructorArgs):
    """`env` with the stock as the last number of its observation, a vector.

    `stocks` are what the first one is drawn from; `reset(options={"stock": c})` sets it.
    """

    def __init__(self, env: gymnasium.Env, gamma: float, stocks: Sequence[float] = (0.0,)) -> None:
        """Raises ValueError for observations that are no vectors, a γ outside (0, 1], no stocks."""
        RecordConstructorArgs.__init__(self, gamma=gamma, stocks=tuple(stocks))
        gymnasium.Wrapper.__init__(self, env)
        space = env.observation_space
        if not isinstance(space, gymnasium.spaces.Box) or len(space.shape) != 1:
            raise ValueError(f"observations {space} are no vectors: a stock cannot be appended")
        if not 0.0 < gamma <= 1.0:
            raise ValueError(f"gamma is {gamma}; the stock (c + r) / gamma needs one in (0, 1]")
        if not len(stocks) or not np.isfinite(np.asarray(stocks, np.float64)).all():
            raise ValueError(f"stocks are {stocks}; give at least one finite number")
        self.gamma, self.stocks, self.stock = gamma, tuple(stocks), 0.0
        dtype = np.result_type(space.dtype, np.float32)
        self.observation_space = gymnasium.spaces.Box(
            np.append(space.low, -np.inf).astype(dtype),
            np.append(space.high, np.inf).astype(dtype),
            dtype=dtype.type,
        )

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        observation, info = self.env.reset(seed=seed, options=options)
        self.stock = float(self.stocks[int(self.unwrapped.np_random.integers(len(self.stocks)))])
        if options and "stock" in options:
            self.stock = float(options["stock"])
        return self._joined(observation), info

    def step(self, action: Any) -> tuple[np.ndarray, Any, bool, bool, dict[str, Any]]:
        observation, reward, terminated, truncated, info = self.env.step(action)
        self.stock = (self.stock + float(reward)) / self.gamma
        return self._joined(observation), reward, terminated, truncated, info

    def _joined(self, observation: Any) -> np.ndarray:
        return np.append(observation, self.stock).astype(self.observation_space.dtype)


def check_env(env: gymnasium.Env, gamma: float, name: str) -> None:
    """Whether the last number of an observation is a stock that counts with `gamma`, in some steps
    with random actions; `env` is stepped.

    Raises UsageError, which begins with `name`, where nothing states that it has one, or what it
    states is not what it does.
    """
    env.action_space.seed(0)
    seen, _ = env.reset(seed=0)
    if not env.has_wrapper_attr("stock"):
        raise UsageError(
            f"{name} does not tell what has been collected so far, the stock: append it with "
            "rlkit.envs.Stocked(env, gamma), or take one of "
            f"{', '.join(IDS)}; an environment that has it as the last number of its observation "
            "says so by an attribute `stock`, the present one"
        )
    rows = []
    for _ in range(_STEPS):
        told = float(env.get_wrapper_attr("stock"))
        if not np.isclose(np.ravel(seen)[-1], told, rtol=_SLACK, atol=_SLACK):
            raise UsageError(
                f"{name} has an attribute `stock` of {told:g}, and {np.ravel(seen)[-1]:g} as the "
                "last number of its observation: they must be one"
            )
        ahead, reward, terminated, truncated, _ = env.step(env.action_space.sample())
        rows.append((np.ravel(seen)[-1], float(reward), np.ravel(ahead)[-1]))
        seen = env.reset()[0] if terminated or truncated else ahead
    stock, paid, later = np.array(rows, np.float64).T
    if paid.any() or (later != stock).any():  # else rewards are rare: its attribute is its word
        check_rows(stock, paid, later, gamma, name)


def check_rows(
    stock: np.ndarray, reward: np.ndarray, later: np.ndarray, gamma: float, name: str
) -> None:
    """Raises UsageError, which begins with `name`, unless the numbers `later [N]` are the stocks
    (c + r) / γ that follow `stock [N]` and `reward [N]`, and any of them moved."""
    stock, reward, later = (x.astype(np.float64) for x in (stock, reward, later))
    due = (stock + reward) / gamma
    cancelled = _ROUNDING * (np.abs(stock) + np.abs(reward)) / gamma  # of a sum that is near 0
    wrong = np.abs(later - due) > _SLACK * (1 + np.abs(due)) + cancelled
    if not wrong.any():
        if (later == stock).all() and not reward.any():
            raise UsageError(f"{name}: no reward is paid, and the last number never moves")
        return
    row = int(wrong.argmax())
    told = (later != 0) & (np.abs(later) > _SLACK)
    other = float(np.median((stock + reward)[told] / later[told])) if told.any() else 0.0
    says = ""
    if 0 < other <= 1 + _SLACK and np.allclose(later * other, stock + reward, _SLACK, _SLACK):
        says = f"; it counts with --config.gamma {min(float(f'{other:.4g}'), 1.0):g}"
    raise UsageError(
        f"{name}: after the stock {stock[row]:g} and the reward {reward[row]:g} there must be "
        f"(c + r) / gamma = {due[row]:g} with gamma {gamma:g}, and there is {later[row]:g}"
        + (says or "; the last number of an observation must be the stock, in the unit of rewards")
    )


class Paying(gymnasium.Env):
    """A finite model of which every outcome has its own reward; observations are one-hot states."""

    def __init__(self, model: Outcomes) -> None:
        self.model, self.state = model, 0
        self.table, n = model.mdp.row_table(), model.mdp.num_states
        self.observation_space = gymnasium.spaces.Box(0.0, 1.0, (n,), np.float32)
        self.action_space = gymnasium.spaces.Discrete(model.mdp.num_actions)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        law = self.model.mdp.initial_law()
        self.state = int(self.np_random.choice(len(law), p=law))
        return self._seen(), {}

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Raises ValueError for an action that the state does not have."""
        row = self.table[self.state, int(action)]
        if row < 0:
            raise ValueError(f"state {self.state} has no action {action}")
        mine = np.flatnonzero(self.model.row == row)
        k = mine[self.np_random.choice(len(mine), p=self.model.p[mine])]
        ended = bool(self.model.s2[k] < 0)
        self.state = self.state if ended else int(self.model.s2[k])
        return self._seen(), float(self.model.r[k]), ended, False, {}

    def _seen(self) -> np.ndarray:
        seen = np.zeros(self.model.mdp.num_states, np.float32)
        seen[self.state] = 1.0
        return seen


def bet_twice() -> Outcomes:
    """The exact model of rlkit/BetTwice-v1: its state is the round."""
    from rlkit.theory.returns.laws import outcomes_from_coo

    s = np.repeat(np.arange(ROUNDS), 3)
    ahead = np.where(s == ROUNDS - 1, -1, s + 1)
    a, p, r = [0, 1, 1] * ROUNDS, [1.0, 0.8, 0.2] * ROUNDS, [1.0, 3.0, -2.0] * ROUNDS
    return outcomes_from_coo(s, a, ahead, p, r, ROUNDS, np.eye(ROUNDS)[0])


def stop_or_go() -> Outcomes:
    """The exact model of rlkit/StopOrGo-v1: its state is how often it went on."""
    from rlkit.theory.returns.laws import outcomes_from_coo

    s, a = np.divmod(np.arange(2 * LONGEST), 2)
    ahead = np.where((a == 0) | (s == LONGEST - 1), -1, s + 1)
    start = np.eye(LONGEST)[0]
    return outcomes_from_coo(s, a, ahead, np.ones(len(s)), a.astype(float), LONGEST, start)


# our id -> its model, first stocks
IDS = {
    "rlkit/BetTwice-v1": (bet_twice, tuple(float(c) for c in range(-4, 5))),
    "rlkit/StopOrGo-v1": (stop_or_go, tuple(float(c) for c in range(-6, 0))),
}


def stocked(name: str, stocks: Sequence[float] | None = None) -> gymnasium.Env:
    """The environment behind one of our `IDS`; `stocks` in place of its first ones."""
    model, usual = IDS[name]
    return Stocked(Paying(model()), 1.0, usual if stocks is None else stocks)


def register() -> None:
    """Makes the ids known to gymnasium; a second call changes nothing."""
    for env_id in IDS:
        if env_id not in gymnasium.registry:
            gymnasium.register(
                env_id, entry_point="rlkit.envs.tasks.stocked:stocked", kwargs={"name": env_id}
            )

"""Stocks in observations, and the two tasks against their models."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import pytest

import rlkit
from rlkit.core.errors import UsageError
from rlkit.envs.tasks.stocked import IDS, Stocked, check_env, check_rows


def test_the_stock_is_what_was_collected() -> None:
    env = Stocked(gymnasium.make("CartPole-v1"), 0.9, stocks=[2.0])
    seen, _ = env.reset(seed=1)
    expected, whole = 2.0, 0.0
    assert seen[-1] == 2.0
    for t in range(8):
        seen, r, *_ = env.step(t % 2)
        expected, whole = (expected + r) / 0.9, whole + 0.9**t * r
        assert seen[-1] == pytest.approx(expected, rel=1e-6)
        # c + G = γ^t (c_t + rest): what was collected in units of the start
        assert 0.9 ** (t + 1) * seen[-1] == pytest.approx(2.0 + whole, rel=1e-6)
        assert env.observation_space.contains(seen)


def test_the_first_stock_is_drawn_or_given() -> None:
    env = rlkit.make("rlkit/BetTwice-v1")
    drawn = {float(env.reset(seed=k)[0][-1]) for k in range(200)}
    assert drawn == set(IDS["rlkit/BetTwice-v1"][1])
    assert env.reset(seed=3)[0].tolist() == env.reset(seed=3)[0].tolist()
    assert env.reset(seed=3, options={"stock": 7.5})[0][-1] == 7.5


@pytest.mark.parametrize("name", IDS)
def test_outcomes_have_the_models_probabilities(name: str) -> None:
    env, model = rlkit.make(name), IDS[name][0]()
    rng, paid = np.random.default_rng(0), {}
    for k in range(400):
        seen, _ = env.reset(seed=k)
        ended = False
        while not ended:
            state, action = int(seen[:-1].argmax()), int(rng.integers(2))
            seen, r, ended, truncated, _ = env.step(action)
            assert not truncated
            paid.setdefault(model.mdp.row_table()[state, action], []).append(r)
    for row in np.unique(model.row):
        mine = model.row == row
        mean = model.p[mine] @ model.r[mine]
        spread = np.sqrt(model.p[mine] @ (model.r[mine] - mean) ** 2)
        if row in paid:
            error = 4 * spread / len(paid[row]) ** 0.5
            assert np.mean(paid[row]) == pytest.approx(mean, abs=error + 1e-12)
            assert set(paid[row]) <= set(model.r[mine])


def test_what_cannot_have_a_stock_is_refused() -> None:
    with pytest.raises(ValueError, match="no vectors"):
        Stocked(gymnasium.make("FrozenLake-v1"), 1.0)
    env = gymnasium.make("CartPole-v1")
    for gamma in (0.0, 1.1):
        with pytest.raises(ValueError, match="gamma is"):
            Stocked(env, gamma)
    for stocks in ([], [np.nan]):
        with pytest.raises(ValueError, match="stocks are"):
            Stocked(env, 1.0, stocks)


# --- who says that there is a stock ---------------------------------------------------------------


class Own(gymnasium.ObservationWrapper):
    """An environment of one's own that has a stock in its observations and says so, or wrongly."""

    def __init__(self, env: gymnasium.Env, off: float = 0.0) -> None:
        super().__init__(env)
        self.off = off
        self.observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (5,), np.float32)

    def reset(self, **given: Any) -> Any:
        self.stock = 0.0
        return super().reset(**given)

    def step(self, action: Any) -> Any:
        seen, r, *rest = self.env.step(action)
        self.stock += r
        return self.observation(seen), r, *rest

    def observation(self, observation: Any) -> Any:
        return np.append(observation, self.stock + self.off).astype(np.float32)


def test_a_stock_that_is_stated_is_looked_at() -> None:
    cart = gymnasium.make("CartPole-v1")
    for env, gamma in (
        (Stocked(cart, 0.9), 0.9),
        (Own(cart), 1.0),
        (rlkit.make("rlkit/BetTwice-v1"), 1.0),
    ):
        check_env(env, gamma, "mine")
    stacked = gymnasium.wrappers.FrameStackObservation(Stocked(cart, 0.9), 3)
    check_env(gymnasium.wrappers.FlattenObservation(stacked), 0.9, "mine")


@pytest.mark.parametrize(
    ("wrap", "gamma", "said"),
    [
        (lambda cart: cart, 1.0, r"mine does not tell .*Stocked\(env, gamma\).*StopOrGo"),
        (lambda cart: Stocked(cart, 0.9), 0.99, r"counts with --config.gamma 0\.9$"),
        (lambda cart: Own(cart, off=1.0), 1.0, "stock` of 0, and 1 as the last"),
        (
            lambda cart: gymnasium.wrappers.TransformReward(Stocked(cart, 1.0), lambda r: 2 * r),
            1.0,
            "after the stock 0 and the reward 2 there must be",
        ),
        (
            lambda cart: gymnasium.wrappers.TransformReward(Stocked(cart, 1.0), lambda r: 0 * r),
            1.0,
            "after the stock 0 and the reward 0 there must be",
        ),
    ],
)
def test_what_carries_no_stock_is_refused(wrap: Any, gamma: float, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        check_env(wrap(gymnasium.make("CartPole-v1")), gamma, "mine")


def test_rows_have_to_follow_from_each_other() -> None:
    c = np.array([0.0, 1.0, 3.0], np.float32)
    check_rows(c[:2], np.array([1.0, 2.0]), c[1:], 1.0, "rows")
    with pytest.raises(UsageError, match=r"counts with --config.gamma 0\.5"):
        check_rows(c[:2], np.array([0.5, 0.5]), c[1:], 1.0, "rows")
    with pytest.raises(UsageError, match="never moves"):
        check_rows(np.zeros(4), np.zeros(4), np.zeros(4), 1.0, "rows")
    with pytest.raises(UsageError, match="must be the stock"):
        check_rows(np.zeros(2), np.array([1.0, 2.0]), np.array([5.0, 1.0]), 1.0, "rows")


def test_rewards_may_be_rare() -> None:
    lake = gymnasium.wrappers.FlattenObservation(gymnasium.make("FrozenLake-v1"))
    check_env(Stocked(lake, 0.99), 0.99, "mine")


def test_sums_that_cancel_are_as_exact_as_float32_has_them() -> None:
    c, r = np.full(1, 1234567.89, np.float32), np.array([-1234567.0])
    later = ((np.array([1234567.89]) + r) / 0.99).astype(np.float32)
    assert abs(float(c[0] + r[0]) / 0.99 - later[0]) > 1e-3
    check_rows(c, r, later, 0.99, "rows")
    with pytest.raises(UsageError, match="there must be"):
        check_rows(c, r, later + 10, 0.99, "rows")

"""Stocks in observations, and the two tasks against their models."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest

import rlkit
from rlkit.envs.tasks.stocked import IDS, Stocked


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

"""Relabelling: every row, new rows only, wrapped rings, and what must stay as it is."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from rlkit.algos.preference.relabelling import COLUMNS, REWARD, VERSION, Relabelled
from rlkit.core.spec import Spec
from rlkit.core.streams import Streams
from rlkit.data.replay import Replay


def recorded(capacity: int, envs: int = 1) -> Replay:
    return Replay(Spec(1, 1, (0, 1), dtype=torch.float64), capacity, envs=envs, columns=COLUMNS)


def add(replay: Replay, t: int) -> None:
    lead = (2, replay.envs)
    s = np.arange(2 * replay.envs).reshape(*lead, 1) + 100.0 * t
    ended = np.full(lead, t % 5 == 4)
    replay.add(s, np.zeros((*lead, 1)), s[..., 0] / 10, ended, ~ended, s + 1)


def model(replay: Replay, sign: float):
    return lambda rows: sign * replay.rows("s")[:, rows, 0]


@pytest.mark.parametrize("envs", [1, 3])
@pytest.mark.parametrize("steps", [4, 10, 23])  # part filled, full, wrapped
def test_every_row_has_the_models_reward_after_every_step(envs: int, steps: int) -> None:
    replay = recorded(10 * envs, envs)
    rows = Relabelled(replay, 4, Streams((0, 1)))
    version, sign, labelled = 0, 1.0, 0
    for t in range(steps):
        add(replay, t)
        if t % 4 == 2:  # now and then everything, under a new model
            version, sign = version + 1, -sign
            rows.relabel(model(replay, sign)(slice(0, replay.size)))
        elif version:
            calls = []
            rows.label_new(lambda at: calls.append(at) or model(replay, sign)(at))  # noqa: B023
            labelled += sum(at.stop - at.start for at in calls)
            assert sum(at.stop - at.start for at in calls) == envs  # nothing twice
        if version:
            assert torch.equal(replay.rows(REWARD), sign * replay.rows("s")[..., 0])
            assert (replay.rows(VERSION) == version).all()
    assert labelled > 0
    torch.testing.assert_close(replay.rows("r"), replay.rows("s")[..., 0] / 10)


def test_true_rewards_and_flags_stay() -> None:
    replay = recorded(8)
    for t in range(13):
        add(replay, t)
    before = {name: replay.rows(name).clone() for name in ("s", "a", "r", "cont", "last", "s2")}
    rows = Relabelled(replay, 4, Streams((0, 1)))
    rows.relabel(torch.full((2, 8), 7.0))
    for name, x in before.items():
        assert torch.equal(replay.rows(name), x), name


def test_minibatches_carry_the_learnt_reward() -> None:
    replay = recorded(8)
    for t in range(6):
        add(replay, t)
    rows = Relabelled(replay, 16, Streams((0, 1)))
    rows.relabel(-replay.rows("s")[..., 0])
    index = rows.indices(3, 1)[0]
    batch = rows.batch(index)
    assert torch.equal(batch.r, -batch.s[..., 0])
    assert torch.equal(index, Relabelled(replay, 16, Streams((0, 1))).indices(3, 1)[0])


def test_state_continues_where_it_was() -> None:
    replay = recorded(6)
    first, second = (Relabelled(replay, 4, Streams((0, 1))) for _ in range(2))
    for t in range(4):
        add(replay, t)
    first.relabel(torch.zeros(2, 4))
    second.load_state_dict(first.state_dict())
    for t in range(4, 9):
        add(replay, t)
    second.label_new(lambda at: torch.ones(2, at.stop - at.start))
    assert replay.rows(REWARD)[0].tolist() == [1, 1, 1, 0, 1, 1]  # rows 4 5 0 1 2 were new
    assert (replay.rows(VERSION) == 1).all()

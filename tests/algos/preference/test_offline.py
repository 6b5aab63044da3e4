"""Labelled pairs for learners from a dataset: asked or read, saved and restored, refused early."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from rlkit.algos.cpl import Config
from rlkit.algos.preference.feedback import pair_dataset
from rlkit.algos.preference.offline import Feedback
from rlkit.algos.preference.teachers import advantages
from rlkit.core.errors import UsageError
from rlkit.core.spec import Discrete, Spec
from rlkit.core.streams import Streams
from rlkit.data.replay import Replay
from rlkit.data.stock import Stock
from rlkit.data.transforms import Transforms
from rlkit.envs.tabular.garnet import garnet


@pytest.fixture(scope="module")
def store(walk):
    return walk(garnet(5, 2, 2, seed=3), 400, 40)


def stock_of(store, seeds=(0, 3)) -> Stock:
    spec = Spec(5, Discrete(2), seeds, torch.float64)
    return Stock(spec, Streams(seeds), Transforms(), Replay.from_store(store, spec, Transforms()))


def feedback(store, seeds=(0, 3), **config) -> Feedback:
    asked = {} if "preferences" in config else {"pairs": 30, "length": 4, "teacher": "rational"}
    c = Config(**asked | config)
    return Feedback(stock_of(store, seeds), c, "cpl")


def test_lanes_have_their_own_pairs(store) -> None:
    together, alone = feedback(store).gather(), feedback(store, (3,)).gather()
    assert together.s.shape == (2, 30, 2, 4, 5)
    for both, own in zip(together, alone, strict=True):
        assert torch.equal(both[1:], own)
    assert not torch.equal(together.s[0], together.s[1])


@pytest.mark.parametrize("teacher", ["rational", "noisy+mistaken:0.3", "skipping:0.9"])
def test_answers_are_restored_bit_for_bit(store, teacher: str) -> None:
    first = feedback(store, teacher=teacher)
    assert first.state_dict() == {}  # nothing is known before anything is asked
    pairs = first.gather()
    second = feedback(store, teacher=teacher)
    second.load_state_dict({name: x.clone() for name, x in first.state_dict().items()})
    for ours, theirs in zip(pairs, second.preferences, strict=True):
        assert torch.equal(ours, theirs)


def test_a_file_stands_in_for_the_teacher(store, tmp_path) -> None:
    """One set of pairs for all lanes, the same that the lane of its seed would have."""
    path = str(tmp_path / "pairs.npz")
    pair_dataset(store, 30, 4, "rational", seed=3).save(path)
    first = feedback(store, preferences=path)
    read, asked = first.gather(), feedback(store, (3,)).gather()
    assert "pairs.npz" in first.beginning
    for ours, theirs in zip(read, asked, strict=True):
        torch.testing.assert_close(ours, theirs.to(ours))
    second = feedback(store, preferences=path)
    second.load_state_dict(first.state_dict())
    assert torch.equal(second.preferences.y, read.y)
    pair_dataset(store, 30, 4, "rational", seed=4).save(path)
    with pytest.raises(ValueError, match=r"pairs.npz has changed since this run began"):
        feedback(store, preferences=path).load_state_dict(first.state_dict())


def test_regret_by_given_advantages(store, tmp_path) -> None:
    gain = np.random.default_rng(0).normal(size=len(store))
    path = str(tmp_path / "a.npy")
    np.save(path, gain)
    asked = feedback(store, (3,), teacher="regret", advantages=path)
    assert "fitting" not in asked.beginning
    expected = pair_dataset(store, 30, 4, "regret", seed=3, gain=gain)
    np.testing.assert_array_equal(asked.gather().y[0], expected.y)


def test_regret_by_estimate(store, monkeypatch) -> None:
    """Without a file every lane's own estimate is asked for, and summed over its segments."""
    values = torch.from_numpy(np.random.default_rng(1).normal(size=(2, len(store))))
    monkeypatch.setattr(advantages, "estimate", lambda stock: values)
    asked = feedback(store, teacher="regret")
    assert "fitting the teacher's values" in asked.beginning
    pairs = asked.gather()
    for lane, seed in enumerate((0, 3)):
        expected = pair_dataset(store, 30, 4, "regret", seed=seed, gain=values[lane].numpy())
        np.testing.assert_array_equal(pairs.y[lane], expected.y)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"teacher": "oracel"}, "unknown teacher"),
        ({"pairs": 0}, "pairs is 0"),
        ({"length": 999}, "hold 0 segments of 999 steps"),
        ({"preferences": "nowhere.npz"}, "there is no nowhere.npz"),
        ({"teacher": "regret", "advantages": "nowhere.npy"}, "there is no nowhere.npy"),
        ({"teacher": "noisy:1", "advantages": "nowhere.npy"}, "teacher 'noisy:1' compares rewards"),
    ],
)
def test_what_cannot_be_asked_is_refused_before_anything_begins(store, config, message) -> None:
    with pytest.raises(ValueError, match=message):
        feedback(store, **config)


def test_it_needs_a_dataset_and_nothing_else(store) -> None:
    stock = stock_of(store)
    c = Config(teacher="rational")
    for wrong in (
        stock._replace(data=None),
        stock._replace(replay=Replay(stock.spec, 10)),
    ):
        with pytest.raises(UsageError, match="p_iql learns from a dataset alone"):
            Feedback(wrong, c, "p_iql")


def test_teachers_that_cannot_answer_say_so(store) -> None:
    with pytest.raises(ValueError, match="skipped all 30 pairs of seed 0"):
        feedback(store, teacher="skipping:50").gather()
    poor = replace(store, reward=store.reward - 10)
    with pytest.raises(UsageError, match="needs a task with positive returns"):
        feedback(poor, teacher="skipping").gather()

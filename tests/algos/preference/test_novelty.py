"""State entropy as a reward."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from rlkit.algos.preference.novelty import Novelty, neighbour_distance
from rlkit.core.spec import Spec
from rlkit.data.replay import Replay


def filled(points: np.ndarray, seeds=(0,), scale: float = 1.0) -> Replay:
    """A replay of states `[n, 2]`, the same in all lanes."""
    replay = Replay(Spec(2, 1, seeds, dtype=torch.float64), len(points))
    lead = (len(seeds), 1)
    for point in points * scale:
        s = np.broadcast_to(point, (*lead, 2))
        no = np.zeros(lead, bool)
        replay.add(s, np.zeros((*lead, 1)), np.zeros(lead), no, no, s)
    return replay


def test_distance_to_the_kth_neighbour_by_hand() -> None:
    line = torch.tensor([[[0.0], [1.0], [3.0], [7.0]]])
    itself = torch.eye(4, dtype=torch.bool).unsqueeze(0)
    assert neighbour_distance(line, line, 1, itself).tolist() == [[1, 1, 2, 4]]
    assert neighbour_distance(line, line, 2, itself).tolist() == [[3, 2, 3, 6]]
    assert neighbour_distance(line, line, 9, itself).tolist() == [[7, 6, 4, 7]]  # only three others
    assert neighbour_distance(line, line, 1).tolist() == [[0, 0, 0, 0]]
    assert neighbour_distance(line[:, :1], line[:, :1], 1, itself[:, :1, :1]).tolist() == [[0]]


def test_an_isolated_state_is_the_newest() -> None:
    rng = np.random.default_rng(0)
    clusters = rng.normal(size=(2, 30, 2)) * 0.1 + np.array([[[0, 0]], [[5, 5]]])
    points = np.concatenate((clusters.reshape(-1, 2), [[0.0, 9.0]]))
    for log in (False, True):
        reward = Novelty(filled(points), 5, 1000, log).look(0)
        assert int(reward.argmax()) == 60
    reward = Novelty(filled(points), 5, 1000, False).look(0)
    assert float(reward[0, 60]) > 3 * float(reward[0, :60].max())


def test_units_of_the_observations_do_not_matter() -> None:
    points = np.random.default_rng(1).normal(size=(80, 2))
    small, large = (Novelty(filled(points, scale=c), 3, 1000, False) for c in (1.0, 40.0))
    first, second = small.look(0), large.look(0)
    torch.testing.assert_close(first, second)
    torch.testing.assert_close(large.std, 40 * small.std)
    raw = neighbour_distance(
        *(torch.from_numpy(points)[None] * c for c in (1.0, 1.0)), 4
    )  # the fourth neighbour with itself is the third without
    torch.testing.assert_close(first * small.std, raw)


def test_all_alike_is_no_news_and_no_division_by_zero() -> None:
    reward = Novelty(filled(np.ones((10, 2))), 3, 1000, False).look(0)
    assert torch.equal(reward, torch.zeros(1, 10, dtype=torch.float64))
    assert Novelty(filled(np.ones((10, 2))), 3, 1000, True).look(0).isfinite().all()


def test_neighbours_are_a_sample_that_follows_from_seed_and_step() -> None:
    points = np.random.default_rng(2).normal(size=(300, 2))
    novelty = Novelty(filled(points, (3, 0)), 3, 50, False)
    novelty.look(7)
    together = novelty.places
    assert together.shape == (2, 50)
    assert [len(set(lane)) for lane in together.tolist()] == [50, 50]
    alone = Novelty(filled(points, (0,)), 3, 50, False)
    reward = alone.look(7)
    assert torch.equal(alone.places[0], together[1])
    torch.testing.assert_close(alone.reward(slice(20, 30)), reward[:, 20:30])
    alone.look(8)
    assert not torch.equal(alone.places[0], together[1])


def test_state_continues_bitwise() -> None:
    replay = filled(np.random.default_rng(3).normal(size=(60, 2)), (1, 2))
    first, second = (Novelty(replay, 3, 20, True) for _ in range(2))
    first.look(4)
    second.load_state_dict({name: x.clone() for name, x in first.state_dict().items()})
    assert torch.equal(first.reward(slice(0, 60)), second.reward(slice(0, 60)))


@pytest.mark.parametrize("log", [False, True])
def test_the_logarithm_is_of_the_distance(log: bool) -> None:
    points = np.random.default_rng(4).normal(size=(40, 2))
    plain, ours = Novelty(filled(points), 2, 99, False), Novelty(filled(points), 2, 99, log)
    distance = plain.look(0) * plain.std
    expected = distance.log() if log else distance
    torch.testing.assert_close(ours.look(0) * ours.std, expected)

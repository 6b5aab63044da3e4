"""What a teacher by regret knows: read, or estimated and held against exact values."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from rlkit.algos import iql
from rlkit.algos.preference.teachers import advantages
from rlkit.core.spec import Discrete, Spec
from rlkit.core.streams import Streams
from rlkit.data.replay import Replay
from rlkit.data.stock import Stock
from rlkit.data.transforms import Transforms
from rlkit.envs.tabular.garnet import garnet
from rlkit.theory.planning.solvers import solve

GAMMA = 0.8
CONFIG = iql.Config(gamma=GAMMA, tau=0.9, hidden=(32,), lr=3e-3, polyak=0.05, batch_size=64)


@pytest.fixture(scope="module")
def task(walk):
    mdp = garnet(5, 2, 2, seed=3)
    store = walk(mdp, 2000, 40)
    q = mdp.q_table(solve(mdp, GAMMA).value, GAMMA)
    exact = (q - q.max(1, keepdims=True))[store.extra["state"], store.action]
    return store, exact


def stock_of(store, seeds=(0,), transforms=None) -> Stock:
    spec = Spec(5, Discrete(2), seeds)
    transforms = Transforms() if transforms is None else transforms
    return Stock(spec, Streams(seeds), transforms, Replay.from_store(store, spec, transforms))


def test_estimates_order_actions_as_exact_values_do(task) -> None:
    store, exact = task
    found = advantages.estimate(stock_of(store), 500, CONFIG)[0].numpy()
    assert found.shape == (len(store),)
    assert np.corrcoef(found, exact)[0, 1] > 0.95


def test_estimates_belong_to_the_lane_and_to_the_true_reward(task) -> None:
    """The same in any company, and whatever scaling the agent sees."""
    store, _ = task
    scaled = Transforms(reward_scale=100.0, reward_bias=5.0)
    one = advantages.estimate(stock_of(store, (7,)), 20, CONFIG)
    two = advantages.estimate(stock_of(store, (1, 7), scaled), 20, CONFIG)
    torch.testing.assert_close(two[1:], one, rtol=1e-3, atol=1e-4)
    assert not torch.allclose(two[0], two[1])


def test_advantages_of_values_by_hand() -> None:
    r, cont, v, v2 = torch.tensor([[1.0, 2.0], [1.0, 0.0], [5.0, 5.0], [4.0, 4.0]])
    assert advantages.of_values(r, cont, v, v2, 0.5).tolist() == [1 + 2 - 5, 2 - 5]


def test_files_are_read_and_refused(tmp_path) -> None:
    path = tmp_path / "a.npy"
    np.save(path, np.arange(4.0))
    assert advantages.read(path, 4).tolist() == [0, 1, 2, 3]
    with pytest.raises(ValueError, match=r"holds float64 \(4,\); floats \(5,\)"):
        advantages.read(path, 5)
    np.save(path, np.array([0.0, np.nan]))
    with pytest.raises(ValueError, match="row 1 is not finite"):
        advantages.read(path, 2)
    path.write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"is not an \.npy file"):
        advantages.read(path, 2)
    with pytest.raises(ValueError, match=r"there is no .*none\.npy"):
        advantages.read(tmp_path / "none.npy", 2)

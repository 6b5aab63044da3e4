"""Running statistics of observations against those of all that was added."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from rlkit.algos import sac
from rlkit.core import state
from rlkit.core.normaliser import BOUND, FLOOR, Normaliser
from rlkit.core.spec import Spec


def some(rng: np.random.Generator, *lead: int) -> np.ndarray:
    return rng.normal([5.0, -100.0, 0.0], [0.1, 30.0, 1e-6], (*lead, 3))


def test_statistics_are_those_of_everything_added_lane_by_lane() -> None:
    rng = np.random.default_rng(0)
    seen, parts = Normaliser((3,), 2, torch.float64), [some(rng, 2, n) for n in (1, 4, 1, 7)]
    for part in parts:
        seen.add(part)
    whole = np.concatenate(parts, 1)
    assert seen.count.tolist() == [13, 13]
    np.testing.assert_allclose(seen.mean, whole.mean(1), rtol=1e-12)
    np.testing.assert_allclose(seen.scale, whole.std(1) + FLOOR, rtol=1e-9)
    s = torch.from_numpy(some(rng, 2, 6))
    expected = (s.numpy() - whole.mean(1)[:, None]) / (whole.std(1)[:, None] + FLOOR)
    np.testing.assert_allclose(seen(s), expected.clip(-BOUND, BOUND), atol=1e-9)
    alone = Normaliser((3,), 1, torch.float64)
    for part in parts:
        alone.add(part[1:])
    assert torch.equal(alone.mean[0], seen.mean[1])


def test_nothing_is_changed_before_the_first_and_what_never_moved_is_bounded() -> None:
    seen = Normaliser((3,), 1)
    s = torch.tensor([[[1.0, 2.0, 3.0]]])
    assert torch.equal(seen(s), s)
    seen.add(s.numpy())
    assert torch.equal(seen(s), torch.zeros_like(s))
    assert seen(s + 1).tolist() == [[[BOUND] * 3]]


def test_other_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="observations have shape"):
        Normaliser((3,), 2).add(np.zeros((1, 4, 3)))
    with pytest.raises(ValueError, match="a normaliser of"):
        Spec(4, 1, (0, 1), normaliser=Normaliser((3,), 2))
    own = Spec(3, 1, critic=lambda: torch.nn.Bilinear(3, 1, 1), normaliser=Normaliser((3,), 1))
    with pytest.raises(ValueError, match="a critic of one's own"):
        sac.Agent(own, sac.Config(hidden=(4,)))


def test_nets_and_targets_look_through_it_and_a_copied_agent_through_its_own() -> None:
    seen = Normaliser((3,), 1, torch.float64)
    spec = Spec(3, 2, dtype=torch.float64, normaliser=seen)
    agent = sac.Agent(spec, sac.Config(hidden=(8,)))
    plain = sac.Agent(Spec(3, 2, dtype=torch.float64), sac.Config(hidden=(8,)))
    assert [n for n in state.parts(agent) if n not in state.parts(plain)] == ["normaliser"]
    seen.add(some(np.random.default_rng(1), 1, 50))
    s = torch.from_numpy(some(np.random.default_rng(2), 1, 5))
    a = agent.act(s)
    assert torch.equal(a, plain.act(seen(s)))
    for net in ("q", "q_bar"):
        assert torch.equal(getattr(agent, net)(s, a), getattr(plain, net)(seen(s), a))
    twin = copy.deepcopy(agent)
    seen.add(1000 + s.numpy())
    assert torch.equal(twin.act(s), a)
    assert not torch.equal(agent.act(s), a)

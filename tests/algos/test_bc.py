"""Behaviour cloning against linear data and its two ways to keep the best part of the data."""

import numpy as np
import pytest
import torch

from rlkit.algos import bc
from rlkit.core.batch import Batch
from rlkit.core.spec import Spec
from rlkit.data.store import EpisodeStore


@pytest.mark.parametrize("policy", ["deterministic", "gaussian"])
def test_recovers_a_linear_policy(policy: str) -> None:
    """a = tanh(W s) is recovered to 1e-2 by a net without hidden layers."""
    spec = Spec(3, 2, (0, 1), torch.float64)
    config = bc.Config(policy=policy, hidden=(), lr=1e-2)
    agent = bc.Agent(spec, config)
    rng = torch.Generator().manual_seed(0)
    w = torch.tensor([[0.5, -0.2], [0.1, 0.3], [-0.4, 0.2]], dtype=torch.float64)
    for _ in range(1500):
        s = torch.randn(2, 64, 3, generator=rng, dtype=torch.float64)
        a = (s @ w).tanh()
        agent.update(Batch(s, a, a[..., 0], a[..., 0], s), config)
    learnt = agent.pi.mlp.last.weight.detach()
    torch.testing.assert_close(learnt, w.expand(2, 3, 2), atol=1e-2, rtol=0)


def episodes() -> EpisodeStore:
    """Returns 0, 1, 2, 3 from episodes of 4, 1, 2 and 3 steps."""
    made = []
    for value, steps in enumerate((4, 1, 2, 3)):
        made.append(
            {
                "obs": np.full((steps + 1, 1), value, np.float32),
                "action": np.full((steps, 1), value / 3, np.float32),
                "reward": np.r_[np.zeros(steps - 1), value].astype(np.float32),
                "terminated": np.r_[np.zeros(steps - 1), 1].astype(bool),
                "truncated": np.zeros(steps, bool),
            }
        )
    return EpisodeStore.from_episodes(made)


def test_fraction_one_keeps_the_data_as_it_is() -> None:
    store = episodes()
    assert bc.select(store, bc.Config()) is store


def test_fraction_of_steps_and_of_episodes_differ_on_mixed_lengths() -> None:
    best_episodes = bc.select(episodes(), bc.Config(fraction=0.5, fraction_of="episodes"))
    assert set(best_episodes.returns().tolist()) == {2.0, 3.0}
    best_steps = bc.select(episodes(), bc.Config(fraction=0.3, fraction_of="steps"))
    assert set(best_steps.returns().tolist()) == {3.0}


def test_unknown_policy_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown policy 'linear'"):
        bc.Agent(Spec(3, 2), bc.Config(policy="linear"))  # type: ignore[arg-type]

"""Scores of candidates, and what is chosen."""

from __future__ import annotations

import math

import pytest
import torch

from rlkit.algos.preference.selectors import disagreement, entropy, select


def test_scores_by_hand() -> None:
    p = torch.tensor([[[0.2, 0.5, 1.0], [0.4, 0.5, 0.0]]], dtype=torch.float64)  # [S, n, m]
    torch.testing.assert_close(disagreement(p), torch.tensor([[0.1, 0.0, 0.5]]).double())

    def h(x: float) -> float:
        return -(x * math.log(x) + (1 - x) * math.log(1 - x)) if 0 < x < 1 else 0.0

    expected = [(h(0.2) + h(0.4)) / 2, h(0.5), 0.0]
    torch.testing.assert_close(entropy(p), torch.tensor([expected]).double())


def test_the_highest_scores_are_chosen_lane_by_lane() -> None:
    p = torch.tensor([[[0.1, 0.5, 0.92, 0.4]], [[0.5, 0.95, 0.1, 0.02]]]).double()
    assert select("entropy", p, 2).tolist() == [[1, 3], [0, 2]]
    p = torch.cat((p, torch.full_like(p, 0.5)), 1)
    assert select("disagreement", p, 2).tolist() == [[2, 0], [3, 1]]


def test_members_of_one_mind_choose_as_chance_does() -> None:
    """Identical members never disagree, to the bit, so the order of drawing decides."""
    one = torch.rand(2, 1, 50, generator=torch.Generator().manual_seed(0))
    p = one.expand(2, 3, 50)
    assert torch.equal(disagreement(p), torch.zeros(2, 50))
    assert torch.equal(select("disagreement", p, 7), select("uniform", p, 7))


def test_unknown_selectors_are_refused() -> None:
    with pytest.raises(ValueError, match="selector 'best' is unknown"):
        select("best", torch.rand(1, 2, 4), 2)  # type: ignore[arg-type]

"""Transductive games and twenty questions: closed forms, symmetry, what is learnt."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
import torch

from rlkit.algos.bandits.identification.active_games import BestArm, Transductive, questions
from rlkit.algos.bandits.identification.active_learning import (
    Adversary,
    Config,
    learn,
    worst_case,
)
from rlkit.algos.bandits.identification.active_policy import losses, roll_out, uniform_rule
from rlkit.algos.bandits.identification.transductive_policy import estimates
from rlkit.core.streams import Streams


@pytest.mark.parametrize("arms", [2, 3, 5, 10])
def test_the_complexity_of_equal_gaps_in_closed_form(arms: int) -> None:
    # the best arm has the share sqrt(K - 1) / (1 + sqrt(K - 1)) of the queries
    game = Transductive(np.eye(arms), np.eye(arms))
    theta = torch.zeros(2, arms)
    theta[0, 0], theta[1, -1] = 0.5, 2.0
    exact = (1 + math.sqrt(arms - 1)) ** 2 / torch.tensor([0.25, 4.0])
    torch.testing.assert_close(game.complexity(theta), exact, rtol=1e-4, atol=0)


def test_one_direction_is_asked_by_its_entries() -> None:
    # two hypotheses a = z1 - z2 apart: min_w sum_x a_x² / w_x = (sum |a_x|)²
    apart = np.array([1.0, -0.5, 0.0, 2.0])
    game = Transductive(np.eye(4), np.stack([apart, np.zeros(4)]))
    theta = torch.tensor([[0.2, 0.4, -3.0, 0.5]])
    gap = 0.2 - 0.2 + 1.0
    expected = torch.tensor([3.5**2 / gap**2])
    torch.testing.assert_close(game.complexity(theta), expected, rtol=2e-3, atol=0)


def test_classes_hold_and_scale_and_the_design_is_nearly_the_best() -> None:
    rng = np.random.default_rng(0)
    game = Transductive(rng.standard_normal((9, 3)), rng.standard_normal((6, 3)))
    theta = torch.from_numpy(rng.standard_normal((40, 3)))
    c = game.complexity(theta)
    torch.testing.assert_close(game.complexity(3 * theta), c / 9, rtol=1e-6, atol=0)
    inside = game.into_class(theta, torch.tensor(5.0))
    assert (game.complexity(inside) <= 5.001).all()
    assert torch.equal(game.values(inside).argmax(-1), game.values(theta).argmax(-1))
    # no design of many random ones is better by more than a tenth
    designs = torch.from_numpy(rng.dirichlet(np.full(9, 0.4), 4000))
    a = torch.linalg.inv(torch.einsum("nq,qi,qj->nij", designs, game.x, game.x))
    for one, value in zip(theta[:8], c[:8], strict=True):
        values = game.values(one)
        apart = (game.z[values.argmax()] - game.z) / (values.max() - values).clamp(min=1e-9)[
            :, None
        ]
        apart[values.argmax()] = 0
        found = torch.einsum("mi,nij,mj->nm", apart, a, apart).amax(-1).min()
        assert value <= 1.1 * found


def test_queries_that_span_less_than_the_space_do_as_well() -> None:
    x = np.array([[1.0, 1.0, 0.0], [1.0, -1.0, 0.0]])
    z = np.array([[1.0, 0.0, 5.0], [0.0, 1.0, 5.0]])  # apart where the queries see
    game = Transductive(x, z)
    assert game.size == 2
    theta = torch.from_numpy(np.random.default_rng(1).standard_normal((7, 2)))
    told = estimates(
        torch.full((7, 2), 1e6).double(), 1e6 * game.means(theta), game.x, game.z, 1e-3
    )
    torch.testing.assert_close(told.theta, theta, rtol=1e-5, atol=1e-6)
    with pytest.raises(ValueError, match="do not span"):
        Transductive(x, np.array([[1.0, 0.0, 5.0], [0.0, 1.0, 0.0]]))


def test_the_policy_is_symmetric_in_queries_and_hypotheses() -> None:
    rng = np.random.default_rng(2)
    x, z = rng.standard_normal((5, 3)), rng.standard_normal((4, 3))
    asked, named = [4, 2, 0, 3, 1], [0, 3, 1, 2]  # the first stays: values are less its own
    plain = Transductive(x, z).policy(8, 8, (0, 5))
    moved = Transductive(x[asked], z[named]).policy(8, 8, (0, 5))
    pulls = torch.from_numpy(rng.integers(0, 3, (2, 6, 5))).float()
    sums = torch.from_numpy(rng.standard_normal((2, 6, 5))).float() * pulls
    first, second = plain(pulls, sums, 3), moved(pulls[..., asked], sums[..., asked], 3)
    torch.testing.assert_close(second[0], first[0][..., asked], atol=1e-4, rtol=1e-3)
    torch.testing.assert_close(second[1], first[1][..., named], atol=1e-4, rtol=1e-3)


def test_log_probabilities_are_the_sum_over_rounds() -> None:
    rng = np.random.default_rng(3)
    game = Transductive(rng.standard_normal((4, 2)), rng.standard_normal((3, 2)))
    policy = game.policy(5, 8, (0, 1))
    theta = torch.from_numpy(rng.standard_normal((2, 6, 2))).float()
    games = roll_out(policy, game.means(theta), 5, Streams((0, 1)), 0)
    assert games.recommend.shape == (2, 6, 3)
    before, held, actions = games.past
    total = torch.zeros(2, 6)
    for t in range(5):
        logits = policy(before[t], held[t], t)[0].log_softmax(-1)
        total += logits.gather(-1, actions[t][..., None])[..., 0].detach()
    torch.testing.assert_close(policy.log_probabilities(games).detach(), total)


def test_on_arms_the_static_rule_is_uniform_sampling() -> None:
    c = Config(arms=2, budget=8, classes=(1.0, 4.0))
    game = Transductive(np.eye(2), np.eye(2))
    # C of two arms is 4 / gap² here and 1 / gap² there
    ours = worst_case(game.static_rule(), Config(budget=8, classes=(4.0, 16.0)), game, steps=10,
                      problems=16)  # fmt: skip
    theirs = worst_case(uniform_rule, c, steps=10, problems=16)
    exact = [0.5 * math.erfc(gap) for gap in (1.0, 0.5)]  # P(Z > gap sqrt(2))
    for found in (ours, theirs):
        np.testing.assert_allclose(found.loss, exact, atol=4 * found.error.max())


@pytest.mark.parametrize("kind", ["error", "regret"])
def test_the_adversary_climbs_along_theta(kind: str) -> None:
    # one direction is told apart, the other is not: loss depends on theta[0] alone
    game = Transductive([[1.0, 0.0], [0.0, 1.0]], [[1.0, 0.0], [-1.0, 0.0]])
    c = Config(budget=8, classes=(4.0, 100.0), loss=kind)  # C = 1 / theta_0²
    adversary, streams = Adversary(c, 8, 0, game), Streams((3,))
    adversary.theta = torch.tensor([0.6, 0.0]).expand(2, 8, 2).clone()
    rule = game.static_rule([0.5, 0.5])
    for step in range(40):
        rows = adversary.theta[:, :, None].expand(2, 8, 256, 2).reshape(1, -1, 2)
        games = roll_out(rule, game.means(rows), 8, streams, step)
        loss = losses(games.recommend, game.values(rows), kind).reshape(2, 8, 256)
        adversary.climb(loss, games, step)
    size = adversary.theta[..., 0].abs().mean(-1)
    assert size[0] == pytest.approx(0.5, abs=0.05)  # the edge of its class
    # 2 gap P(Z > 2 theta_0) is largest at theta_0 = .38: x = 2 theta_0 solves P(Z > x) = x density
    assert size[1] == pytest.approx(0.1 if kind == "error" else 0.376, abs=0.12)


def test_twenty_questions_are_asked_where_answers_tell() -> None:
    answers = np.array(list(product([-1.0, 1.0], repeat=2)))  # four things, two questions
    answers = np.concatenate([answers, np.zeros((4, 2))], 1)  # and two that tell nothing
    game = questions(answers)
    c = Config(budget=6, classes=(8.0,), problems=4, rollouts=8, hidden=8, iterations=30)
    learned = learn(c, game)
    options = {"steps": 4, "problems": 16}
    rules = (learned.policy, game.static_rule(), game.policy(6, 8, (0,)))
    robust, uniform, untrained = (worst_case(rule, c, game, **options) for rule in rules)
    error = np.hypot(robust.error, uniform.error)
    assert (robust.loss < uniform.loss - 2 * error).all()
    assert (robust.loss < untrained.loss + 2 * error).all()
    theta = torch.from_numpy(robust.theta).expand(1, 500, game.size)
    games = roll_out(learned.policy, game.means(theta), 6, Streams((1,)), 0)
    assert games.pulls[..., :2].sum() > 0.9 * games.pulls.sum()


@pytest.mark.parametrize(
    ("x", "z", "message"),
    [
        (np.eye(2), np.eye(3), "must be"),
        (np.eye(2), np.ones((2, 2)), "two hypotheses are the same"),
        (np.full((2, 2), np.inf), np.eye(2), "finite"),
    ],
)
def test_games_that_are_none_are_refused(x: np.ndarray, z: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Transductive(x, z)


def test_answers_beyond_one_are_refused() -> None:
    with pytest.raises(ValueError, match=r"in \[-1, 1\]"):
        questions([[2.0, 0.0]])
    assert BestArm(5, 4.0).least == 0.25

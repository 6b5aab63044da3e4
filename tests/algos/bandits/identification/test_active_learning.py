"""The learned explorer: classes, symmetry, gradients' ingredients, worst cases in closed form."""

import math

import numpy as np
import pytest
import torch

from rlkit.algos.bandits.identification.active_games import complexity, into_class
from rlkit.algos.bandits.identification.active_learning import (
    Adversary,
    Config,
    learn,
    worst_case,
)
from rlkit.algos.bandits.identification.active_policy import (
    ActivePolicy,
    losses,
    lucb_rule,
    roll_out,
    uniform_rule,
)
from rlkit.core.streams import Streams


def test_complexity_and_classes_by_hand():
    theta = torch.tensor([[0.5, 0.0, 0.25], [0.0, 2.0, 1.0]])
    torch.testing.assert_close(complexity(theta), torch.tensor([4.0 + 16.0, 0.25 + 1.0]))
    inside = into_class(theta, torch.tensor([5.0, 5.0]), span=4.0)
    # The first needs its gaps doubled; the second is in its class and only moves its best to 0.
    torch.testing.assert_close(inside, torch.tensor([[0.0, -1.0, -0.5], [-2.0, 0.0, -1.0]]))
    rng = np.random.default_rng(0)
    many = torch.from_numpy(rng.standard_normal((500, 6)) * rng.random((500, 6)) ** 4).float()
    most = torch.from_numpy(10 ** rng.uniform(0.0, 2.0, 500)).float()
    inside = into_class(many, most, span=4.0)
    assert (complexity(inside) <= most * 1.001).all()
    assert inside.min() >= -4.0
    assert torch.equal(inside.argmax(-1), many.argmax(-1))
    assert (inside.sort(-1).indices == many.sort(-1).indices).float().mean() > 0.9  # but for ties


def test_the_policy_is_symmetric_in_the_arms_and_blind_to_a_shift():
    policy, rng = ActivePolicy(4, 10, 8, (0, 5)), np.random.default_rng(1)
    pulls = torch.from_numpy(rng.integers(0, 4, (2, 6, 4))).float()
    sums = torch.from_numpy(rng.standard_normal((2, 6, 4))).float() * pulls
    order = [2, 0, 3, 1]
    for plain, moved in zip(
        policy(pulls, sums, 5), policy(pulls[..., order], sums[..., order], 5), strict=True
    ):
        torch.testing.assert_close(plain[..., order], moved)
    for plain, moved in zip(
        policy(pulls, sums, 5), policy(pulls, sums + 3.0 * pulls, 5), strict=True
    ):
        torch.testing.assert_close(plain, moved, atol=1e-5, rtol=1e-5)
    other = policy(pulls, sums, 5)[0]
    assert not torch.allclose(other[0], policy(pulls.flip(0), sums.flip(0), 5)[0][1])


def test_games_spend_the_budget_and_their_log_probability_is_the_sum_over_rounds():
    policy = ActivePolicy(3, 7, 8, (0, 1))
    theta = torch.tensor([0.0, -1.0, 0.5]).expand(2, 5, 3)
    games = roll_out(policy, theta, 7, Streams((0, 1)), 0)
    assert (games.pulls.sum(-1) == 7).all()
    torch.testing.assert_close(games.recommend.sum(-1), torch.ones(2, 5))
    before, held, actions = games.past
    total = torch.zeros(2, 5)
    for t in range(7):
        logits = policy(before[t], held[t], t)[0].log_softmax(-1)
        total += logits.gather(-1, actions[t][..., None])[..., 0].detach()
    torch.testing.assert_close(policy.log_probabilities(games).detach(), total)
    # Pulls follow the probabilities: the first round of many games is one categorical draw.
    many = roll_out(policy, torch.zeros(2, 4000, 3), 1, Streams((0, 1)), 3)
    empty = torch.zeros(2, 1, 3)
    torch.testing.assert_close(
        many.pulls.mean(1), policy(empty, empty, 0)[0].softmax(-1)[:, 0], atol=0.03, rtol=0
    )


def test_losses_by_hand():
    recommend = torch.tensor([[0.2, 0.5, 0.3]])
    theta = torch.tensor([[1.0, 3.0, -1.0]])
    torch.testing.assert_close(losses(recommend, theta, "error"), torch.tensor([0.5]))
    torch.testing.assert_close(losses(recommend, theta, "regret"), torch.tensor([3.0 - 1.4]))


@pytest.mark.parametrize("kind", ["error", "regret"])
def test_the_adversary_climbs_to_the_harder_problems(kind):
    # Uniform sampling of two arms: the loss depends on the gap alone, in closed form.
    c = Config(arms=2, budget=8, classes=(1.0, 4.0), loss=kind)
    adversary, streams = Adversary(c, 8, 0), Streams((3,))
    adversary.theta = -torch.tensor([0.0, 1.5]).expand(2, 8, 2).clone()
    for step in range(40):
        rows = adversary.theta[:, :, None].expand(2, 8, 256, 2).reshape(1, -1, 2)
        games = roll_out(uniform_rule, rows, 8, streams, step)
        adversary.climb(losses(games.recommend, rows, kind).reshape(2, 8, 256), games, step)
    gaps = (adversary.theta.max(-1).values - adversary.theta.min(-1).values).mean(-1)
    # A wrong arm is likeliest at the smallest gap of the class. gap · P(wrong) is largest at the
    # gap .53, where x = gap sqrt(2) solves P(Z > x) = x density(x); class 1 allows gaps from 1 on.
    assert gaps[0] == pytest.approx(1.0, abs=0.05)
    assert gaps[1] == pytest.approx(0.5 if kind == "error" else 0.53, abs=0.12)


def test_worst_cases_of_uniform_sampling_in_closed_form():
    c = Config(arms=2, budget=8, classes=(1.0, 4.0))
    found = worst_case(uniform_rule, c, steps=10, problems=16)
    gaps = np.array([1.0, 0.5])  # C = 1 / gap²
    np.testing.assert_allclose(-found.theta.min(-1), gaps, rtol=0.02)
    exact = [0.5 * math.erfc(gap * math.sqrt(4.0 / 2.0) / math.sqrt(2.0)) for gap in gaps]
    np.testing.assert_allclose(found.loss, exact, atol=4 * found.error.max())
    # With two arms a leader and its challenger are both arms in turn.
    other = worst_case(lucb_rule, c, steps=10, problems=16)
    np.testing.assert_allclose(other.loss, exact, atol=4 * found.error.max())


def test_a_trained_policy_is_as_good_as_uniform_on_its_class_and_better_than_untrained():
    c = Config(
        arms=3, budget=6, classes=(1.0, 8.0), problems=8, rollouts=16, hidden=16, iterations=100
    )
    learned = learn(c)
    options = {"steps": 15, "problems": 16}
    robust, uniform = (worst_case(r, c, **options) for r in (learned.policy, uniform_rule))
    untrained = worst_case(ActivePolicy(3, 6, 16, (0,)), c, **options)
    error = np.hypot(robust.error, uniform.error)
    assert (robust.loss < uniform.loss + 2 * error + 0.02).all()
    assert (robust.loss < untrained.loss - 0.1).all()
    assert (learned.specialist_loss < untrained.loss - 0.1).all()
    # The excess over the specialists is what the robust policy keeps small.
    assert (robust.loss - learned.specialist_loss).max() < 0.1


def test_training_is_reproducible():
    c = Config(arms=2, budget=4, classes=(2.0,), problems=2, rollouts=4, hidden=4, iterations=5)
    first, second = learn(c), learn(c)
    for a, b in zip(first.policy.parameters(), second.policy.parameters(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"loss": "risk"}, "unknown loss 'risk'"),
        ({"arms": 1}, "arms is 1"),
        ({"budget": 3}, "arms is 5; it must not exceed budget, which is 3"),
        ({"classes": (0.1,)}, "must exceed 0.25"),
        ({"temperature": 0.0}, "temperature"),
    ],
)
def test_bad_requests_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        learn(Config(**options))

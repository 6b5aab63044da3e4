import itertools

import numpy as np
import pytest

from rlkit.envs.tabular.garnet import garnet
from rlkit.theory import FiniteMDP, solve
from rlkit.theory.evaluation import occupancy
from rlkit.theory.objectives.occupancy import (
    chebyshev,
    constrained,
    convex_front,
    frank_wolfe,
    lexicographic,
    markov_expressivity,
    maximum_entropy,
    policy_of,
)
from rlkit.theory.objectives.separations import two_switches
from rlkit.theory.planning.linear_program import flow_matrix

MODEL = garnet(4, 3, 2, seed=7)
R = np.random.default_rng(1).random((2, 12))
POLICIES = [np.array(p) for p in itertools.product(range(3), repeat=4)]
POINTS = np.array([R @ occupancy(MODEL, p, 0.9) for p in POLICIES])


def test_policies_reproduce_their_occupancy():
    law = np.random.default_rng(0).dirichlet(np.ones(3), 4)
    d = occupancy(MODEL, law, 0.9)
    np.testing.assert_allclose(policy_of(MODEL, d), law)


def test_front_holds_every_extreme_point_of_all_policies():
    front = convex_front(MODEL, 0.9, R)
    for w in np.linspace(0.001, 0.999, 60):
        weight = np.array([w, 1 - w])
        assert (front.points @ weight).max() == pytest.approx((POINTS @ weight).max(), abs=1e-9)
    assert (np.diff(front.points[:, 0]) > 0).all()
    assert (np.diff(front.points[:, 1]) < 0).all()
    for point, policy in zip(front.points, front.policies, strict=True):
        np.testing.assert_allclose(R @ occupancy(MODEL, policy, 0.9), point)


def test_front_in_three_objectives():
    rewards = np.random.default_rng(2).random((3, 12))
    points = np.array([rewards @ occupancy(MODEL, p, 0.9) for p in POLICIES])
    front = convex_front(MODEL, 0.9, rewards)
    for weight in np.random.default_rng(3).dirichlet(np.ones(3), 40):
        assert (front.points @ weight).max() == pytest.approx((points @ weight).max(), abs=1e-9)


def test_maximin_beats_every_deterministic_policy():
    plan = chebyshev(MODEL, 0.9, R)
    np.testing.assert_allclose(R @ occupancy(MODEL, plan.policy, 0.9), plan.objectives, atol=1e-8)
    assert plan.objectives.min() == pytest.approx(plan.value)
    assert plan.value >= POINTS.min(1).max() - 1e-9
    far = chebyshev(MODEL, 0.9, R, target=np.array([1.0, 0.6]), weights=np.array([1.0, 3.0]))
    gaps = np.array([1.0, 3.0]) * (far.objectives - np.array([1.0, 0.6]))
    assert gaps.min() == pytest.approx(far.value)


def test_constraints_bind():
    limit = np.quantile(POINTS[:, 1], 0.3)
    free = solve(MODEL.with_rewards(R[0]), 0.9, "pi").value @ MODEL.initial_law() * 0.1
    plan = constrained(MODEL, 0.9, R[0], R[1:], np.array([limit]))
    assert plan.objectives[1] <= limit + 1e-9
    assert plan.objectives[0] == pytest.approx(plan.value)
    allowed = POINTS[POINTS[:, 1] <= limit, 0].max()
    assert allowed - 1e-9 <= plan.value <= free + 1e-9
    with pytest.raises(ValueError, match="no policy"):
        constrained(MODEL, 0.9, R[0], R[1:], np.array([-1.0]))


def test_lexicographic_order_spends_ties_on_the_second_reward():
    first = np.zeros(12)
    first[:3] = [1, 1, 0]  # in state 0 the actions 0 and 1 tie, elsewhere everything does
    plan = lexicographic(MODEL, 0.9, np.array([first, R[1]]))
    values = np.array([np.array([first, R[1]]) @ occupancy(MODEL, p, 0.9) for p in POLICIES])
    top = values[:, 0].max()
    second = values[values[:, 0] >= top - 1e-9, 1].max()
    np.testing.assert_allclose(plan.objectives, [top, second], atol=1e-6)


def test_frank_wolfe_solves_a_linear_objective_in_one_step_and_tracks_an_occupancy():
    plan, gap = frank_wolfe(MODEL, 0.9, lambda d: float(d @ R[0]), lambda d: R[0])
    assert plan.value == pytest.approx(POINTS[:, 0].max())
    assert gap <= 1e-4
    wish = occupancy(MODEL, np.random.default_rng(0).dirichlet(np.ones(3), 4), 0.9)
    plan, _ = frank_wolfe(
        MODEL, 0.9, lambda d: -float(((d - wish) ** 2).sum()), lambda d: -2 * (d - wish), 1e-3
    )
    assert np.abs(plan.occupancy - wish).max() < 0.05


def test_most_even_occupancy_of_a_free_walk_is_uniform():
    p = np.zeros((3, 3, 3))
    p[:, np.arange(3), np.arange(3)] = 1.0  # action a leads to state a
    plan, gap = maximum_entropy(FiniteMDP.from_dense(p, np.zeros((3, 3))), 0.9)
    assert plan.value == pytest.approx(np.log(3), abs=1e-3)
    assert gap <= 1e-4


def test_reward_separates_a_single_policy_but_not_an_exclusive_or():
    mdp = two_switches()
    assert markov_expressivity(mdp, 0.9, [np.array([1, 1])]).margin == pytest.approx(1.0)
    found = markov_expressivity(mdp, 0.9, [np.array([0, 1])])
    d = [
        found.reward @ occupancy(mdp, np.array(p), 0.9) for p in itertools.product((0, 1), repeat=2)
    ]
    assert d[1] >= max(d[0], d[2], d[3]) + found.margin - 1e-9
    xor = markov_expressivity(mdp, 0.9, [np.array([0, 1]), np.array([1, 0])])
    assert xor.margin == pytest.approx(0, abs=1e-9)


def test_errors():
    with pytest.raises(ValueError, match="rewards must be"):
        chebyshev(MODEL, 0.9, R[:, :3])
    with pytest.raises(ValueError, match="two objectives"):
        convex_front(MODEL, 0.9, R[:1])
    with pytest.raises(ValueError, match="gamma < 1"):
        chebyshev(MODEL, 1.0, R)
    with pytest.raises(ValueError, match="accepted"):
        markov_expressivity(MODEL, 0.9, [])


@pytest.mark.parametrize("gamma", [0.5, 0.9, 0.99])
def test_the_most_even_occupancy_is_found_on_random_models(gamma):
    for seed in range(20):
        rng = np.random.default_rng(seed)
        p = rng.dirichlet(np.full(5, [0.1, 0.3, 1.0][seed % 3]), (5, 3))
        mdp = FiniteMDP.from_dense(p, np.zeros((5, 3)), np.eye(5)[0])
        plan, gap = maximum_entropy(mdp, gamma)
        assert gap <= 1e-4
        d = plan.occupancy
        start = (1 - gamma) * np.eye(5)[0]
        np.testing.assert_allclose(flow_matrix(mdp, gamma).T @ d, start, atol=1e-9)
        # No policy gains more to first order; a concave function has no more to give.
        slope = np.repeat(-np.log(np.add.reduceat(d, mdp.sa_ptr[:-1])), 3)
        best = (1 - gamma) * solve(mdp.with_rewards(slope), gamma, "pi").value[0]
        assert best - slope @ d <= 1.1e-4


def test_a_fine_tolerance_takes_few_models():
    p = np.random.default_rng(0).dirichlet(np.full(5, 0.1), (5, 3))
    mdp = FiniteMDP.from_dense(p, np.zeros((5, 3)), np.eye(5)[0])
    assert maximum_entropy(mdp, 0.9, 1e-9, max_steps=30)[1] <= 1e-9

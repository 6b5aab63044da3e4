import itertools

import numpy as np
import pytest

from rlkit.envs.tabular.latent import probe, random_latent
from rlkit.theory import FiniteMDP
from rlkit.theory.learning.latent import (
    BeliefPlanner,
    LatentMDP,
    evaluate_plan,
    informed_value,
    optimal_value,
)
from rlkit.theory.planning.finite_horizon import backward_induction


def brute_force_probe(model):
    """Best deterministic history policy of the two-stage probe, by enumeration."""
    best = 0.0
    for first in (0, 1):
        for guesses in itertools.product((0, 1), repeat=4):
            value = 0.0
            for m in (0, 1):
                for s in range(4):
                    value += 0.5 * model.P[m, 0, first, s] * model.R[m, s, guesses[s]]
            best = max(best, value)
    return best


@pytest.mark.parametrize("accuracy", [0.5, 0.9, 0.97])
def test_probe_values(accuracy):
    model = probe(accuracy)
    assert optimal_value(model) == pytest.approx(accuracy)
    assert optimal_value(model) == pytest.approx(brute_force_probe(model))
    assert informed_value(model) == pytest.approx(1.0)
    assert model.largest_return() == 1.0
    blind = LatentMDP(np.delete(model.P, 0, 2), np.delete(model.R, 0, 2), model.w, model.nu, 2)
    assert optimal_value(blind) <= 0.5


def test_one_context_is_backward_induction():
    model = random_latent(1, 4, 2, 5, seed=1)
    plan = backward_induction(FiniteMDP.from_dense(model.P[0], model.R[0]), 5)
    assert optimal_value(model) == pytest.approx(plan.value[0, 0])
    assert informed_value(model) == pytest.approx(plan.value[0, 0])


def test_identical_contexts_are_one_mdp():
    one = random_latent(1, 3, 2, 4, seed=2)
    two = LatentMDP(
        np.repeat(one.P, 2, 0), np.repeat(one.R, 2, 0), [0.3, 0.7], np.repeat(one.nu, 2, 0), 4
    )
    assert optimal_value(two) == pytest.approx(optimal_value(one))


def test_ordering_and_plan_evaluation():
    model = random_latent(2, 3, 2, 4, seed=3)
    best = optimal_value(model)
    assert best <= informed_value(model) + 1e-12
    assert evaluate_plan(model, BeliefPlanner(model)) == pytest.approx(best)
    wrong = BeliefPlanner(random_latent(2, 3, 2, 4, seed=4))
    assert evaluate_plan(model, wrong) < best


def test_rewards_reveal_the_context():
    # Both actions stay put; action 0 pays .1 or .2 by context, then guessing is easy.
    p = np.zeros((2, 1, 3, 1))
    p[..., 0] = 1.0
    r = np.array([[[0.1, 0.7, 0.0]], [[0.2, 0.0, 0.7]]])
    model = LatentMDP(p, r, [0.5, 0.5], np.ones((2, 1)), 2)
    told = 0.5 * (0.1 + 0.7) + 0.5 * (0.2 + 0.7)
    lucky = 0.35 + 0.7  # a first guess pays .35 on average and tells as much
    assert optimal_value(model) == pytest.approx(max(told, lucky))


def test_impossible_observations_do_not_collapse_the_belief():
    planner = BeliefPlanner(random_latent(2, 3, 2, 3, seed=5, deterministic=True))
    belief = np.array([0.4, 0.6])
    never = int(np.argmin(planner.model.P[:, 0, 0].sum(0)))
    np.testing.assert_allclose(planner.update(belief, 0, 0, 9.9, never), belief)


def test_bad_models_are_named():
    model = probe()
    p = model.P.copy()
    p[1, 2, 0] = 0.3
    with pytest.raises(ValueError, match="context 1, state 2, action 0: not a probability"):
        LatentMDP(p, model.R, model.w, model.nu, 2)
    with pytest.raises(ValueError, match="reward outside"):
        LatentMDP(model.P, model.R * 2, model.w, model.nu, 2)
    with pytest.raises(ValueError, match="w must hold"):
        LatentMDP(model.P, model.R, [0.5, 0.6], model.nu, 2)

import numpy as np
import pytest

from rlkit.envs.tabular.latent import probe, random_latent
from rlkit.theory.learning.latent import BeliefPlanner, LatentMDP, evaluate_plan, optimal_value
from rlkit.theory.learning.latent_learning import _optimism, learn_latent, value_bonus


def test_bonus_keeps_the_operator_monotone():
    rng = np.random.default_rng(0)
    for _ in range(20_000):
        p = rng.dirichlet(np.ones(3))
        low, high = np.sort(rng.random((2, 3)), axis=0)
        n, iota = rng.uniform(1, 500), rng.uniform(0.1, 20)
        before = p @ low + value_bonus(p, low, n, iota, 3)
        assert before <= p @ high + value_bonus(p, high, n, iota, 3) + 1e-12


@pytest.mark.parametrize("method", ["value", "model"])
def test_theory_constants_are_optimistic(method):
    for seed in range(2):
        truth = random_latent(2, 3, 2, 3, seed=seed)
        run = learn_latent(truth, 12, method, seed=seed)
        assert (run.planned >= run.optimal - 1e-9).all()


@pytest.mark.parametrize("method", ["value", "model"])
def test_probe_is_learnt(method):
    run = learn_latent(probe(), 900, method, scale=0.003)
    assert run.regret[-1] - run.regret[-300] < 0.02 * 300
    assert run.plans < 200


def test_no_bonus_is_certainty_equivalence():
    model = random_latent(2, 3, 2, 3, seed=1)
    totals = np.full((2, 3, 2), 50.0)
    for method in ("value", "model"):
        planner = BeliefPlanner(model, _optimism(method, model, totals, 0.0, 3), 1.0)
        assert planner.value() == pytest.approx(optimal_value(model))
        assert evaluate_plan(model, planner) == pytest.approx(optimal_value(model))


def test_single_context_plan_is_mvp_backward_induction():
    model = random_latent(1, 3, 2, 4, seed=2)
    totals, iota = np.full((1, 3, 2), 400.0), 0.4
    planner = BeliefPlanner(model, _optimism("value", model, totals, iota, 3), 1.0)
    v = np.zeros(3)
    for _ in range(4):
        q = np.empty((3, 2))
        for s in range(3):
            for a in range(2):
                p = model.P[0, s, a]
                spread = p @ v**2 - (p @ v) ** 2
                bonus = max(4 * np.sqrt(3 * spread * iota / 400), 16 * 3 * iota / 400)
                q[s, a] = min(1.0, model.R[0, s, a] + p @ v + bonus)
        v = q.max(1)
    assert planner.value() == pytest.approx(v[0])


def test_regret_slows_down_and_deterministic_contexts_cost_little():
    truth = random_latent(2, 3, 2, 3, seed=3)
    regret = np.mean([learn_latent(truth, 800, scale=2e-4, seed=k).regret for k in range(2)], 0)
    assert regret[-1] - regret[399] < 0.7 * regret[399]
    still = random_latent(2, 3, 2, 3, seed=3, deterministic=True)
    flat = learn_latent(still, 800, scale=2e-4).regret
    assert flat[-1] - flat[399] < 0.02 * 400 * optimal_value(still)


def test_bad_requests():
    model = probe()
    rich = LatentMDP(model.P, np.maximum(model.R, 0.6), model.w, model.nu, 2)
    with pytest.raises(ValueError, match=r"may pay 1.6"):
        learn_latent(rich, 5)
    with pytest.raises(ValueError, match="method must be"):
        learn_latent(model, 5, "policy")

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from rlkit.envs.tabular.garnet import garnet
from rlkit.theory import FiniteMDP
from rlkit.theory.planning.finite_horizon import backward_induction, evaluate_stages
from rlkit.theory.robust.r2pvi import METHODS, OfflineData, _chi2_best, _kl_best, _tv_best, fit
from rlkit.theory.robust.rectangular import robust_backward_induction

STATES, ACTIONS, HORIZON = 4, 2, 4


def model(seed=1):
    """Rows with probabilities in twentieths, so that 20 transitions reproduce them exactly."""
    mdp = garnet(STATES, ACTIONS, 3, seed=seed)
    parts = np.maximum(np.round(mdp.val.reshape(-1, 3) * 20), 1)
    parts[:, 0] += 20 - parts.sum(1)
    parts.sort(1)
    p = np.zeros((8, STATES))
    p[np.repeat(np.arange(8), 3), mdp.col] = parts.ravel() / 20
    # The last state fails: worth 0 for ever, as the constrained baseline assumes.
    p = p.reshape(STATES, ACTIONS, STATES)
    r = mdp.r.reshape(STATES, ACTIONS).copy()
    p[-1], r[-1] = np.eye(STATES)[-1], 0.0
    return FiniteMDP.from_dense(p, r)


def exact_data(mdp, copies=20):
    """Every row `copies` times a stage, next states in the model's exact proportions."""
    p, r = mdp.dense()
    one_hot = np.eye(STATES * ACTIONS)
    rows, following = [], []
    for i in range(STATES * ACTIONS):
        counts = np.round(p.reshape(-1, STATES)[i] * copies).astype(int)
        assert counts.sum() == copies
        rows += [i] * copies
        following += list(np.repeat(np.arange(STATES), counts))
    phi = np.tile(one_hot[rows], (HORIZON, 1, 1))
    following_rows = np.array(following)[:, None] * ACTIONS + np.arange(ACTIONS)
    ahead = np.tile(one_hot[following_rows], (HORIZON, 1, 1, 1))
    return OfflineData(phi, np.tile(r.ravel()[rows], (HORIZON, 1)), ahead)


def values(plan):
    one_hot = np.eye(STATES * ACTIONS).reshape(STATES, ACTIONS, -1)
    return np.array([plan.q(h, one_hot).max(1) for h in range(HORIZON)])


@pytest.mark.parametrize(
    ("method", "kind", "how"),
    [
        ("r2pvi-tv", "tv", {"weight": 0.6}),
        ("r2pvi-kl", "kl", {"weight": 0.6}),
        ("r2pvi-chi2", "chi2", {"weight": 0.6}),
        ("drpvi-tv", "tv", {"radius": 0.2}),
        ("drvi-kl", "kl", {"radius": 0.2}),
    ],
)
def test_one_hot_with_exact_counts_is_the_tabular_robust_solution(method, kind, how):
    mdp = model()
    exact, _ = robust_backward_induction(mdp, HORIZON, kind, **how)
    plan = fit(exact_data(mdp), method, next(iter(how.values())), beta=0.0, ridge=1e-9)
    np.testing.assert_allclose(values(plan), exact[:-1], atol=1e-6)


def test_pevi_without_penalty_is_dynamic_programming():
    mdp = model()
    plan = fit(exact_data(mdp), "pevi", beta=0.0, ridge=1e-9)
    np.testing.assert_allclose(values(plan), backward_induction(mdp, HORIZON).value[:-1], atol=1e-6)


@pytest.mark.parametrize("method", ["r2pvi-tv", "r2pvi-kl", "r2pvi-chi2"])
def test_stiff_regulariser_is_the_nominal_estimate(method):
    data = exact_data(model())
    # KL reads the ridge's shrinkage of E[1] as a gain of weight * ridge / n: keep that small.
    nominal = fit(data, "pevi", beta=0.3, penalty="l1", ridge=1e-6)
    weight = HORIZON if method == "r2pvi-tv" else 1e4
    stiff = fit(data, method, weight, beta=0.3, ridge=1e-6)
    np.testing.assert_allclose(stiff.weights, nominal.weights, atol=2e-3)


def test_reward_shift_moves_values_by_the_stages_left():
    mdp = model()
    data = exact_data(mdp)
    theta = np.tile(0.5 * mdp.r, (HORIZON, 1))
    for method in ("r2pvi-tv", "r2pvi-kl", "r2pvi-chi2"):
        one = values(fit(data, method, 0.5, beta=0.0, ridge=1e-9, theta=theta))
        two = values(fit(data, method, 0.5, beta=0.0, ridge=1e-9, theta=theta + 0.2))
        shift = 0.2 * (HORIZON - np.arange(HORIZON))[:, None]
        np.testing.assert_allclose(two - one, np.broadcast_to(shift, one.shape), atol=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_pessimism_lowers_and_never_goes_below_zero(method):
    data = exact_data(model())
    before = np.inf
    for beta in (0.0, 0.3, 3.0):
        now = values(fit(data, method, 0.3, beta=beta))
        assert (now <= before + 1e-9).all()
        assert (now >= 0).all()
        before = now
    l1, l2 = (fit(data, method, 0.3, beta=0.5, penalty=k) for k in ("l1", "l2"))
    np.testing.assert_allclose(values(l1), values(l2))  # one-hot features: the forms agree
    mixed = np.full(8, 1 / 8)
    assert l1.q(0, mixed) < l2.q(0, mixed)


def test_penalised_estimate_stays_below_the_true_robust_value():
    mdp = model(3)
    p, _ = mdp.dense()
    exact, _ = robust_backward_induction(mdp, HORIZON, "tv", weight=0.5)
    rng, one_hot = np.random.default_rng(0), np.eye(8)
    low = 0
    for _ in range(40):
        rows = rng.integers(8, size=(HORIZON, 60))
        following = np.array(
            [[rng.choice(STATES, p=p.reshape(8, -1)[i]) for i in stage] for stage in rows]
        )
        ahead = one_hot[following[..., None] * ACTIONS + np.arange(ACTIONS)]
        data = OfflineData(one_hot[rows], mdp.r[rows], ahead)
        plan = fit(data, "r2pvi-tv", 0.5, beta=2.0, v_min=0.0)
        low += (values(plan) <= exact[:-1] + 1e-9).all()
    assert low >= 38


def test_robust_policy_holds_up_better_when_the_world_turns():
    # A risky arm is best nominally; under the perturbed model it fails.
    p, r = np.zeros((3, 2, 3)), np.zeros((3, 2))
    p[0, 0], p[0, 1] = [0.0, 0.9, 0.1], [0.0, 0.95, 0.05]
    p[1, :, 1] = p[2, :, 2] = 1.0
    r[0] = [0.3, 0.2]
    r[1] = 1.0
    nominal = FiniteMDP.from_dense(p, r)
    one_hot = np.eye(6)
    rows = np.repeat(np.arange(6), 20)
    counts = np.round(p.reshape(6, 3) * 20).astype(int)
    following = np.concatenate([np.repeat(np.arange(3), c) for c in counts])
    data = OfflineData(
        np.tile(one_hot[rows], (3, 1, 1)), np.tile(nominal.r[rows], (3, 1)),
        np.tile(one_hot[following[:, None] * 2 + np.arange(2)], (3, 1, 1, 1)),
    )  # fmt: skip
    features = one_hot.reshape(3, 2, 6)
    policies = {
        m: np.array([fit(data, m, s, beta=0.0, ridge=1e-6).q(h, features).argmax(1)
                     for h in range(3)])
        for m, s in (("pevi", 1.0), ("r2pvi-kl", 0.05))
    }  # fmt: skip
    turned = p.copy()
    turned[0, 0] = [0.0, 0.4, 0.6]
    world = FiniteMDP.from_dense(turned, r)
    worst = {m: evaluate_stages(world, policy)[0, 0] for m, policy in policies.items()}
    assert worst["r2pvi-kl"] >= worst["pevi"]


def test_inner_problems_are_solved_globally_for_signed_weights():
    rng = np.random.default_rng(1)
    alphas = np.linspace(0, 5, 20_001)
    for _ in range(10):
        v, w = rng.uniform(0, 5, 12), rng.normal(0.1, 0.3, 12)

        def best(solve, weights, strength, v=v):
            return solve(weights[None], v, np.array([strength]), 5.0)[0]

        x = np.minimum(v, alphas[:, None])
        m = x @ w
        grid = (m + m**2 / 1.2 - x**2 @ w / 1.2).max()
        found = best(_chi2_best, w, 0.3)
        assert grid <= found + 1e-12
        assert found <= grid + 1e-4
        grid = (m - 0.2 * alphas).max()
        assert best(_tv_best, w, 0.2) == pytest.approx(grid, abs=1e-3)
        law = rng.dirichlet(np.ones(12))
        found = minimize_scalar(
            lambda u, v=v, law=law: u * (np.log(law @ np.exp(-v / u)) + 0.2),
            bounds=(0.01, 100), method="bounded", options={"xatol": 1e-9},
        )  # fmt: skip
        assert best(_kl_best, law, 0.2) == pytest.approx(-found.fun, abs=1e-6)


def test_bad_requests():
    data = exact_data(model())
    with pytest.raises(ValueError, match="method must be one of"):
        fit(data, "r2pvi")
    with pytest.raises(ValueError, match="strength must be"):
        fit(data, "r2pvi-kl", 0.0)
    with pytest.raises(ValueError, match="penalty must be"):
        fit(data, "pevi", penalty="max")

import itertools

import numpy as np
import pytest

from rlkit.envs.tabular.garnet import garnet
from rlkit.theory import FiniteMDP, solve
from rlkit.theory.planning.finite_horizon import backward_induction
from rlkit.theory.returns.laws import Categorical, Quantile, cvar, outcomes_from_coo
from rlkit.theory.returns.stock import (
    EXPECTATION,
    HOMEOSTASIS,
    QUADRATIC,
    SHORTFALL,
    best_cvar,
    evaluate_stock_policy,
    exponential,
    optimal_cvar,
    solve_stock,
)


def bets(rounds=2):
    """Each round: a sure +1, or +3 with probability .8 and -2 with .2."""
    s = np.repeat(np.arange(rounds), 3)
    s2 = np.where(s + 1 < rounds, s + 1, -1)
    return outcomes_from_coo(
        s, np.tile([0, 1, 1], rounds), s2, np.tile([1, 0.8, 0.2], rounds),
        np.tile([1.0, 3.0, -2.0], rounds), rounds, np.eye(rounds)[0],
    )  # fmt: skip


STOCK = np.arange(-10.0, 11)
GRID = Categorical(np.arange(-6.0, 9))


def all_policies(blind):
    """Laws of the two-round bet under every policy, by hand: round two may look at round one."""
    first = {0: [(1, 1.0)], 1: [(3, 0.8), (-2, 0.2)]}
    for a, after in itertools.product((0, 1), itertools.product((0, 1), repeat=3)):
        reply = dict(zip((1, 3, -2), after, strict=True))
        if blind and len({reply[x] for x, _ in first[a]}) > 1:
            continue
        pairs = [(x + y, p * q) for x, p in first[a] for y, q in first[reply[x]]]
        yield np.array([v for v, _ in pairs]), np.array([w for _, w in pairs])


@pytest.mark.parametrize("horizon", [None, 2])
@pytest.mark.parametrize("method", ["vi", "pi"])
@pytest.mark.parametrize("law", [GRID, Quantile(100)])
def test_two_round_bet(horizon, method, law):
    plan = solve_stock(bets(), 1.0, SHORTFALL, STOCK, law, horizon, method)
    expected = {0.1: 2.0, 0.25: 2.0, 0.5: 2.4, 1.0: 4.0}
    for tau, value in expected.items():
        best, c = best_cvar(plan, tau)
        assert best == pytest.approx(value, abs=1e-9)
        assert best == pytest.approx(max(cvar(v, w, tau) for v, w in all_policies(False)))
        assert cvar(*plan.best_law(0, c), tau) == pytest.approx(value, abs=1e-9)
    blind = max(cvar(v, w, 0.5) for v, w in all_policies(True))
    assert blind == pytest.approx(2.0)
    if horizon:
        inside = np.abs(STOCK) <= 4  # stocks that stay on the grid
        assert plan.error[0, inside].max() < (1e-9 if isinstance(law, Categorical) else 0.2)


def test_whole_law_as_risk_is_the_ordinary_optimum():
    """tau = 1: CVaR is the mean, so the plan is value iteration's."""
    mdp = garnet(5, 2, 2, seed=1)
    law = Categorical(np.linspace(0, 5.2, 53))
    best, _, plan = optimal_cvar(mdp, 0.8, 1.0, np.linspace(-6, 6, 49), law, tolerance=1e-5)
    exact = mdp.initial_law() @ solve(mdp, 0.8, "pi").value
    assert plan.converged
    assert best == pytest.approx(exact, abs=0.02)
    mean = solve_stock(mdp, 0.8, EXPECTATION, np.zeros(1), law, horizon=40)
    value = backward_induction(mdp, 40, gamma=0.8).value[0]
    np.testing.assert_allclose(law.mean(mean.laws)[:, 0], value, atol=1e-9)


@pytest.mark.parametrize("method", ["vi", "pi"])
@pytest.mark.parametrize("utility", [SHORTFALL, HOMEOSTASIS])
def test_error_bounds_hold_against_a_finer_plan(method, utility):
    """gamma = .5, short laws: scalar dynamic programming on a very fine stock is the truth."""
    mdp = garnet(4, 2, 2, seed=3)
    stock, fine = np.linspace(-4, 4, 81), np.linspace(-4, 4, 4001)
    plan = solve_stock(
        mdp, 0.5, utility, stock, Categorical(np.linspace(-0.1, 2.1, 111)), method=method
    )
    truth = utility.f(fine)[None].repeat(4, 0)
    p, r = mdp.dense()
    for _ in range(40):
        ahead = np.empty((4, 2, fine.size))
        for s, a in np.ndindex(4, 2):
            after = (fine + r[s, a]) / 0.5
            # beyond the grid the utility is linear on either side
            beyond = utility.f(after) - utility.f(np.clip(after, -4, 4))
            inside = [np.interp(after, fine, truth[x]) for x in range(4)]
            ahead[s, a] = 0.5 * (p[s, a] @ np.array(inside) + beyond)
        truth = ahead.max(1)
    gap = np.abs(plan.value - truth[:, ::50])
    middle = np.abs(stock) <= 1.0
    assert (gap[:, middle] <= plan.error[:, middle] + 5e-3).all()
    assert gap[:, middle].max() < 0.03
    assert np.isfinite(plan.error).all()


def test_value_and_policy_iteration_agree_and_the_policy_earns_its_value():
    mdp = garnet(4, 3, 2, seed=5)
    stock, law = np.linspace(-4, 2, 61), Categorical(np.linspace(0, 2.2, 45))
    one = solve_stock(mdp, 0.5, SHORTFALL, stock, law, tolerance=1e-9)
    two = solve_stock(mdp, 0.5, SHORTFALL, stock, law, method="pi", tolerance=1e-9)
    # near-ties may be decided otherwise, by no more than the projections cost
    gap = np.abs(one.value - two.value)
    assert gap.max() < 2e-3
    assert (gap <= np.minimum(one.error, two.error)).all()
    laws = evaluate_stock_policy(mdp, 0.5, two.policy, stock, law, sweeps=60)
    np.testing.assert_allclose(law.expect(laws, SHORTFALL.f, stock), two.value, atol=1e-6)


def walk(n=5):
    """Line of cells: action 0 steps left for -1, 1 right for +1, 2 rests for 0."""
    s, a = np.divmod(np.arange(3 * n), 3)
    step = np.array([-1, 1, 0])[a]
    s2 = np.clip(s + step, 0, n - 1)
    return FiniteMDP.from_coo(s, a, s2, np.ones(3 * n), (s2 - s).astype(float), n)


@pytest.mark.parametrize("utility", [HOMEOSTASIS, QUADRATIC])
def test_homeostasis_collects_what_the_stock_lacks(utility):
    """c_0 = k: the greedy plan ends with a total of -k wherever the line is long enough."""
    plan = solve_stock(walk(), 1.0, utility, np.arange(-6.0, 7), Categorical(np.arange(-5.0, 6)), 5)
    for s, k in itertools.product(range(5), range(-4, 5)):
        reachable = -s <= -k <= 4 - s
        values, weights = plan.best_law(s, k)
        if reachable:
            assert weights[values == -k] == pytest.approx(1)
        assert plan.value[s, k + 6] == pytest.approx(utility.f(np.float64(
            min(max(-k, -s), 4 - s) + k)))  # fmt: skip


def test_entropic_utility_by_horizon_equals_its_scalar_recursion():
    model, risk = bets(3), 0.4
    plan = solve_stock(model, 1.0, exponential(risk), np.arange(-8.0, 10), GRID, horizon=3)
    # the exponential factorises, so each round maximises on its own
    round_value = max(-np.exp(-risk), -(0.8 * np.exp(-3 * risk) + 0.2 * np.exp(2 * risk)))
    exact = -((-round_value) ** 3)
    assert plan.value[0, 8] == pytest.approx(exact)
    assert np.isinf(plan.error[0, 8])


def test_discounted_horizon_keeps_the_stock_in_units_of_the_start():
    model = bets(2)
    plan = solve_stock(
        model, 0.5, SHORTFALL, np.linspace(-6, 6, 49), Categorical(np.linspace(-4, 5, 37)), 2
    )
    laws = [(v, w) for v, w in discounted_policies()]
    for c in (-1.0, -2.0, -3.0):
        best = max(w @ np.minimum(v + c, 0) for v, w in laws)
        assert plan.value[0, int((c + 6) * 4)] == pytest.approx(best)


def discounted_policies():
    first = {0: [(1, 1.0)], 1: [(3, 0.8), (-2, 0.2)]}
    for a, after in itertools.product((0, 1), itertools.product((0, 1), repeat=3)):
        reply = dict(zip((1, 3, -2), after, strict=True))
        pairs = [(x + 0.5 * y, p * q) for x, p in first[a] for y, q in first[reply[x]]]
        yield np.array([v for v, _ in pairs]), np.array([w for _, w in pairs])


def test_errors_and_warnings():
    with pytest.raises(ValueError, match="horizon for this utility"):
        solve_stock(bets(), 0.9, exponential(1.0), STOCK, GRID)
    with pytest.raises(ValueError, match="increasing"):
        solve_stock(bets(), 0.9, SHORTFALL, STOCK[::-1], GRID)
    with pytest.raises(ValueError, match="method"):
        solve_stock(bets(), 0.9, SHORTFALL, STOCK, GRID, method="lp")
    with pytest.raises(ValueError, match="tau"):
        optimal_cvar(bets(), 0.9, 1.5, STOCK, GRID)
    with pytest.warns(RuntimeWarning, match="before it settled"):
        solve_stock(garnet(3, 2, 2), 0.9, SHORTFALL, STOCK, GRID, max_sweeps=2)
    with pytest.raises(ValueError, match="policy has shape"):
        evaluate_stock_policy(bets(), 1.0, np.zeros((2, 2)), STOCK, GRID)

"""Stock-augmented distributional dynamic programming: CVaR, expected utility, homeostasis.

The state is (s, c) with a stock c that collects the rewards so far, c' = (c + r) / gamma, so that
c + G = gamma (c' + G'). The objective is E f(c + G) of the law of c + G (Pires et al. 2025,
"Optimizing return distributions with distributional dynamic programming").

Stationary planning needs f(gamma x) = gamma^k f(x), so that the objective looks the same one step
later. A finite horizon takes any f: there the stock is kept in units of the start, b' = b +
gamma^t r, which never grows.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from rlkit.keywords import named
from rlkit.theory.brief import brief
from rlkit.theory.geometry.transport import sweep_limit
from rlkit.theory.mdp import Array, FiniteMDP
from rlkit.theory.returns.distributional import as_outcomes
from rlkit.theory.returns.laws import Categorical, Outcomes, Plan, Quantile, make_plan
from rlkit.theory.validate import check_between, check_count, check_gamma, check_positive, settings

UNKNOWN = 1e200  # an error bound that nothing is known about; finite, so that 0 times it is 0


class Utility(NamedTuple):
    """f of c + G; `degree` k with f(g x) = g^k f(x), or None; `lipschitz` constant, or None."""

    f: Callable[[Array], Array]
    degree: int | None
    lipschitz: float | None


EXPECTATION = Utility(lambda x: x, 1, 1.0)
SHORTFALL = Utility(lambda x: np.minimum(x, 0.0), 1, 1.0)  # gives CVaR
HOMEOSTASIS = Utility(lambda x: -np.abs(x), 1, 1.0)  # wants the final stock at 0
QUADRATIC = Utility(lambda x: -(x**2), 2, None)


def exponential(risk: float) -> Utility:
    """-exp(-risk x): entropic risk, finite horizons only."""
    risk = check_positive("risk", risk)
    return Utility(lambda x: -np.exp(-risk * x), None, None)


class StockSolution(NamedTuple):
    """Optimal plan on states x stock grid.

    value [S, C] is E f(c + G) of the law found, `error` [S, C] how far it can be from the true
    optimum (inf without a Lipschitz constant); laws [S, C, m] of G; policy [S, C] of action ids,
    or [H, S, C] by time. With a horizon, stocks and laws are those of time 0.
    """

    value: Array
    error: Array
    policy: Array
    laws: Array
    stock: Array
    law: Categorical | Quantile
    sweeps: int
    converged: bool
    model: Outcomes

    def __repr__(self) -> str:
        return brief(self)

    def at_start(self) -> Array:
        """value averaged over the initial law, [C]."""
        return self.model.mdp.initial_law() @ self.value

    def best_law(self, state: int, c: float) -> tuple[Array, Array]:
        """Atoms and probabilities of G from `state` at the grid stock nearest to c."""
        return self.law.atoms(self.laws[state, int(np.abs(self.stock - c).argmin())])


@named
def solve_stock(
    model: Outcomes | FiniteMDP, gamma: float, utility: Utility, stock: Array,
    law: Categorical | Quantile, horizon: int | None = None, method: str = "vi",
    tolerance: float = 1e-6, max_sweeps: int = 10_000,
) -> StockSolution:  # fmt: skip
    """The policy that maximises E f(c + G) from every state and stock on the grid.

    `horizon` plans backwards in time, for any f. Without one: distributional value iteration
    ("vi") or policy iteration ("pi") from a sure return of 0, until a sweep moves no value by
    more than `tolerance` or the discounted rest is below it; gamma = 1 then needs termination.
    Stocks between grid points are split to both neighbours in proportion, those outside are
    clipped; both count in `error`. Warns (RuntimeWarning) when it did not settle.
    """
    check_positive("tolerance", tolerance)
    max_sweeps = check_count("max_sweeps", max_sweeps)
    gamma, model = check_gamma(gamma), as_outcomes(model)
    stock = np.asarray(stock, np.float64)
    if stock.ndim != 1 or stock.size == 0 or not (np.diff(stock) > 0).all():
        raise ValueError("stock must be an increasing grid [C]")
    if method not in ("vi", "pi"):
        raise ValueError(f"method must be 'vi' or 'pi', got {method!r}")
    if horizon is not None:
        return _backwards(model, gamma, utility, stock, law, check_count("horizon", horizon))
    if gamma < 1.0 and utility.degree is None:
        raise ValueError(
            "a stationary plan needs f(gamma x) = gamma^k f(x); give a horizon for this utility"
        )
    if gamma == 0.0:
        raise ValueError("the stock c' = (c + r) / gamma needs gamma > 0")
    run = _policy_iteration if method == "pi" else _value_iteration
    return run(model, gamma, utility, stock, law, tolerance, max_sweeps)


@named
def optimal_cvar(
    model: Outcomes | FiniteMDP, gamma: float, tau: float, stock: Array,
    law: Categorical | Quantile, horizon: int | None = None, **options: float,
) -> tuple[float, float, StockSolution]:  # fmt: skip
    """Largest CVaR_tau of the return, the starting stock that attains it, and the plan.

    CVaR = max_b b + E min(G - b, 0) / tau, so one shortfall plan for all stocks c = -b serves
    every tau; the maximum is taken over the grid.
    """
    tau = check_between("tau", tau, 0.0, 1.0)
    plan = solve_stock(model, gamma, SHORTFALL, stock, law, horizon, **options)  # type: ignore[arg-type]
    return *best_cvar(plan, tau), plan


def best_cvar(plan: StockSolution, tau: float) -> tuple[float, float]:
    """CVaR_tau and starting stock read off a shortfall plan."""
    levels = -plan.stock + plan.at_start() / check_between("tau", tau, 0.0, 1.0)
    best = int(np.argmax(levels))
    return float(levels[best]), float(plan.stock[best])


class _Sweep(NamedTuple):
    """Laws at rows [L, C, m], how far their projection moved them [L, C], utilities [L, C]."""

    laws: Array
    moved: Array
    value: Array


def _look(
    plan: Plan, law: Categorical | Quantile, utility: Utility, stock: Array, laws: Array
) -> _Sweep:
    fresh, moved = law.backup(plan, laws)
    return _Sweep(fresh, moved, law.expect(fresh, utility.f, stock))


def _error(plan: Plan, utility: Utility, stock: Array, moved: Array, error: Array) -> Array:
    """Error bound [S + 1, C] after a backup that moved laws by `moved`, from that before it."""
    if utility.lipschitz is None:
        return np.full_like(error, UNKNOWN)
    s2, high = plan.model.s2[:, None], np.minimum(plan.low + 1, stock.size - 1)
    ahead = (1.0 - plan.weight) * error[s2, plan.low] + plan.weight * error[s2, high]
    # Moving the stock moves both the law found and the law wished for.
    ahead = ahead + 2.0 * utility.lipschitz * plan.stray
    at_rows = plan.gamma * np.add.reduceat(plan.model.p[:, None] * ahead, plan.starts)
    at_rows += utility.lipschitz * moved
    worst = np.maximum.reduceat(at_rows, plan.model.mdp.sa_ptr[:-1])
    return np.concatenate([worst, np.zeros((1, stock.size))])


def _known(error: Array) -> Array:
    """Bounds [S, C] with inf for what is unknown."""
    return np.where(error[:-1] > 1e-50 * UNKNOWN, np.inf, error[:-1])


def _greedy(model: Outcomes, value: Array, keep: Array | None = None) -> Array:
    """Best row of each (s, c), [S, C]; the rows in `keep` stay unless something is better."""
    starts, owner = model.mdp.sa_ptr[:-1], model.mdp.state_of_row()
    top = np.maximum.reduceat(value, starts)
    row = np.arange(value.shape[0])[:, None]
    slack = 1e-12 * np.maximum(1.0, np.abs(top))
    first = np.minimum.reduceat(
        np.where(value >= (top - slack)[owner], row, value.shape[0]), starts
    )
    if keep is None:
        return first
    held = np.take_along_axis(value, keep, 0)
    return np.where(held >= top - 1e-9 * np.maximum(1.0, np.abs(top)), keep, first)


def _pick(table: Array, rows: Array) -> Array:
    return table[rows, np.arange(rows.shape[1])]


def _with_end(laws: Array, law: Categorical | Quantile) -> Array:
    end = np.broadcast_to(law.point(0.0), (1, *laws.shape[1:]))
    return np.concatenate([laws, end])


def _start(
    model: Outcomes, gamma: float, utility: Utility, stock: Array, law: Categorical | Quantile
) -> tuple[Array, Array]:
    """Sure returns of 0, and how far their utility can be from the optimum (0 at the end)."""
    laws = np.tile(law.point(0.0), (model.mdp.num_states + 1, stock.size, 1))
    error = np.full(laws.shape[:2], UNKNOWN)
    if gamma < 1.0 and utility.degree == 1 and utility.lipschitz is not None:
        error[:] = utility.lipschitz * float(np.abs(model.r).max()) / (1.0 - gamma)
    error[-1] = 0.0
    return laws, error


def _value_iteration(
    model: Outcomes, gamma: float, utility: Utility, stock: Array, law: Categorical | Quantile,
    tolerance: float, max_sweeps: int,
) -> StockSolution:  # fmt: skip
    plan = make_plan(model, gamma, law, stock)
    laws, error = _start(model, gamma, utility, stock, law)
    value = law.expect(laws[:-1], utility.f, stock)
    sweep, change, tail = 0, np.inf, _tail_sweeps(model, gamma, utility, stock, tolerance)
    while sweep < max_sweeps and change > tolerance and sweep < tail:
        sweep += 1
        seen = _look(plan, law, utility, stock, laws)
        rows = _greedy(model, seen.value)
        laws = _with_end(_pick(seen.laws, rows), law)
        error = _error(plan, utility, stock, seen.moved, error)
        fresh = _pick(seen.value, rows)
        change, value = float(np.abs(fresh - value).max()), fresh
    # Near-ties may flip for ever under projection; by then the tail of the return is negligible.
    settled = change <= tolerance or sweep >= tail
    _warn(settled, sweep)
    return StockSolution(
        value, _known(error), model.mdp.a_id[rows], laws[:-1], stock, law, sweep, settled, model
    )


def _tail_sweeps(
    model: Outcomes, gamma: float, utility: Utility, stock: Array, tolerance: float
) -> float:
    """Sweeps after which what is still to come cannot matter by more than `tolerance`."""
    if gamma == 1.0:
        return np.inf
    most = float(np.abs(model.r).max()) / (1.0 - gamma)
    slope = utility.lipschitz or 2.0 * (float(np.abs(stock).max()) + most)
    return sweep_limit(tolerance, gamma, slope * most)


def _policy_iteration(
    model: Outcomes, gamma: float, utility: Utility, stock: Array, law: Categorical | Quantile,
    tolerance: float, max_sweeps: int,
) -> StockSolution:  # fmt: skip
    plan = make_plan(model, gamma, law, stock)
    laws, error = _start(model, gamma, utility, stock, law)
    seen = _look(plan, law, utility, stock, laws)
    rows, sweeps, settled = _greedy(model, seen.value), 1, False
    best = None
    while not settled:
        change = np.inf
        while sweeps < max_sweeps and change > tolerance:
            fresh = _pick(seen.laws, rows)
            change = float(law.distance(fresh, laws[:-1]).max())
            laws = _with_end(fresh, law)
            seen = _look(plan, law, utility, stock, laws)
            sweeps += 1
        value = _pick(seen.value, rows)
        # Projections can make two policies improve on each other for ever: total value must grow.
        if best is not None and value.sum() <= best[0].sum() + tolerance:
            value, rows, laws, seen, change = best
            settled = True
        elif change > tolerance:
            break
        else:
            best = value, rows, laws, seen, change
            better = _greedy(model, seen.value, keep=rows)
            settled = bool((better == rows).all())
            rows = better
    _warn(settled, sweeps)
    if settled and error.max() < UNKNOWN and utility.lipschitz is not None:
        # For a policy nearly greedy for its own laws the error e is at most backup(e) + slack.
        top = np.maximum.reduceat(seen.value, model.mdp.sa_ptr[:-1])
        slack = 2.0 * utility.lipschitz * change + float((top - value).max())
        error[:-1] += utility.lipschitz * float(np.abs(law.atoms(laws[:-1])[0]).max())
        for _ in range(sweeps):
            error = _error(plan, utility, stock, seen.moved, error)
            error[:-1] += slack
    else:
        error = np.full_like(error, UNKNOWN)
    return StockSolution(
        value, _known(error), model.mdp.a_id[rows], laws[:-1], stock, law, sweeps, settled, model
    )


def _warn(converged: bool, sweeps: int) -> None:
    if not converged:
        warnings.warn(
            f"stock planning stopped after {sweeps} sweeps before it settled", RuntimeWarning,
            stacklevel=5,
        )  # fmt: skip


def _backwards(
    model: Outcomes, gamma: float, utility: Utility, stock: Array, law: Categorical | Quantile,
    horizon: int,
) -> StockSolution:  # fmt: skip
    n = model.mdp.num_states
    laws = np.tile(law.point(0.0), (n + 1, stock.size, 1))
    error = np.zeros((n + 1, stock.size))
    policy = np.empty((horizon, n, stock.size), model.mdp.a_id.dtype)
    for t in range(horizon - 1, -1, -1):
        plan = make_plan(model, 1.0, law, stock, scale=gamma**t)
        seen = _look(plan, law, utility, stock, laws)
        rows = _greedy(model, seen.value)
        laws = _with_end(_pick(seen.laws, rows), law)
        error = _error(plan, utility, stock, seen.moved, error)
        policy[t] = model.mdp.a_id[rows]
    return StockSolution(
        _pick(seen.value, rows), _known(error), policy, laws[:-1], stock, law, horizon, True, model
    )


@named
@settings(horizon=check_count)
def evaluate_stock_policy(
    model: Outcomes | FiniteMDP, gamma: float, policy: Array, stock: Array,
    law: Categorical | Quantile, horizon: int | None = None, sweeps: int = 1000,
) -> Array:  # fmt: skip
    """Laws [S, C, m] of G under a policy [S, C] (stationary, `sweeps` times) or [H, S, C]."""
    sweeps = check_count("sweeps", sweeps)
    model, gamma = as_outcomes(model), check_gamma(gamma)
    table = model.mdp.row_table()
    n = model.mdp.num_states
    policy = np.asarray(policy)
    if horizon is None:
        if policy.shape != (n, stock.size):
            raise ValueError(f"policy has shape {policy.shape}, expected {(n, stock.size)}")
        steps = [(policy, make_plan(model, gamma, law, stock))] * sweeps
    else:
        if policy.shape != (horizon, n, stock.size):
            raise ValueError(
                f"policy has shape {policy.shape}, expected {(horizon, n, stock.size)}"
            )
        steps = [
            (policy[t], make_plan(model, 1.0, law, stock, scale=gamma**t))
            for t in range(horizon - 1, -1, -1)
        ]
    laws = np.tile(law.point(0.0), (n + 1, stock.size, 1))
    for actions, plan in steps:
        rows = table[np.arange(n)[:, None], actions]
        if (rows < 0).any():
            s, c = np.argwhere(rows < 0)[0]
            raise ValueError(f"policy takes action {actions[s, c]} in state {s}: not feasible")
        fresh, _ = law.backup(plan, laws)
        laws = _with_end(_pick(fresh, rows), law)
    return laws[:-1]

"""Deep agents held against the exact values of tabular problems.

Nets are linear in one-hot states, so each can represent its answer, and a minibatch is the whole
problem: every transition in proportion to its probability. What is left is the algorithm.
"""

from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from scipy.optimize import minimize, root
from torch import Tensor

from rlkit.algos import cal_ql, cql, cql_discrete, iql, odice, sac, td3
from rlkit.core.batch import Batch
from rlkit.core.lanes import resolve
from rlkit.core.spec import Discrete, Spec
from rlkit.core.streams import Streams
from rlkit.envs.tabular.chains import river_swim
from rlkit.envs.tabular.grids import maze
from rlkit.theory.evaluation import evaluate_policy
from rlkit.theory.mdp import FiniteMDP
from rlkit.theory.planning.solvers import solve

GAMMA = 0.9
SWIM = river_swim(4)  # its probabilities are multiples of 1/20
LABYRINTH = maze(("#####", "#S..#", "#.#.#", "#..G#", "#####"), step_reward=-0.2, goal_reward=1.2)


def sweep(mdp: FiniteMDP, spec: Spec, law: np.ndarray, parts: int = 20) -> Batch:
    """Every transition of `mdp`, copied in proportion to law(a|s) P(s'|s, a); `law` [S, A].

    Both are taken in whole `parts`; the mass missing from a row of P is a terminal step.
    """
    p, r = mdp.dense()
    p = np.concatenate([p, 1 - p.sum(2, keepdims=True)], 2)  # the end as one more state
    copies = np.rint(p * law[..., None] * parts**2).astype(int)
    np.testing.assert_allclose(copies, p * law[..., None] * parts**2, atol=1e-8)
    copies //= np.gcd.reduce(copies, axis=None)
    s, a, s2 = (np.repeat(x, copies.ravel()) for x in np.indices(copies.shape).reshape(3, -1))
    eye = np.eye(mdp.num_states + 1)[:, : mdp.num_states]

    def lanes(x: np.ndarray) -> Tensor:
        return torch.from_numpy(x).expand(spec.lanes, *x.shape)

    cont = (s2 < mdp.num_states).astype(float)
    return Batch(lanes(eye[s]), lanes(a), lanes(r[s, a]), lanes(cont), lanes(eye[s2]))


def tabular(mdp: FiniteMDP, lanes: int) -> tuple[Spec, Tensor]:
    """The spec of a problem seen one-hot, and all its states `[S, n, n]`."""
    n = mdp.num_states
    spec = Spec(n, Discrete(mdp.num_actions), range(lanes), torch.float64)
    return spec, torch.eye(n, dtype=torch.float64).expand(lanes, n, n)


def expectile(values: np.ndarray, weights: np.ndarray, tau: float) -> np.ndarray:
    """v with τ E (x - v)₊ = (1 - τ) E (v - x)₊, for each row of `values` [n, A]."""
    low, high = values.min(1), values.max(1)
    for _ in range(60):
        v = (low + high) / 2
        gap = values - v[:, None]
        above = (np.where(gap > 0, tau, 1 - tau) * weights * gap).sum(1) > 0
        low, high = np.where(above, v, low), np.where(above, high, v)
    return low


# --- IQL ----------------------------------------------------------------------------------------
def test_iql_reaches_the_expectile_values() -> None:
    """V(s) is the τ-expectile of r + γ E V(s') over the data's actions; with τ = ½ that is the
    value of the behaviour policy, and for τ near 1 it comes close to the optimal value."""
    taus = (0.5, 0.8, 0.99)
    spec, states = tabular(SWIM, len(taus))
    law = np.tile([0.25, 0.75], (4, 1))
    c = resolve(
        iql.Config(gamma=GAMMA, tau=taus, lr=0.02, polyak=0.1, hidden=(), beta=0.0),  # type: ignore[arg-type]
        spec,
    )
    agent, batch = iql.Agent(spec, c), sweep(SWIM, spec, law)
    for _ in range(1000):
        agent.update(batch, c)
    v = agent.v(states).detach().numpy()
    for lane, tau in enumerate(taus):
        exact = np.zeros(4)
        for _ in range(300):
            exact = expectile(SWIM.q_table(exact, GAMMA), law, tau)
        np.testing.assert_allclose(v[lane], exact, atol=0.01)
        q = agent.q.all(states)[lane].detach().numpy()
        np.testing.assert_allclose(q, np.stack([SWIM.q_table(exact, GAMMA)] * 2), atol=0.02)
        if tau == 0.5:
            np.testing.assert_allclose(exact, evaluate_policy(SWIM, law, GAMMA), atol=1e-8)
    optimal = solve(SWIM, GAMMA).value
    assert np.abs(v[-1] - optimal).max() < 0.02 * optimal.max()


# --- discrete CQL -------------------------------------------------------------------------------
def test_discrete_cql_reaches_its_fixed_point() -> None:
    """Q(s, a) = y + α (1 - softmax(Q)_a / β(a|s)); without α the optimal values."""
    alphas = (0.0, 0.3)
    spec, states = tabular(SWIM, len(alphas))
    law = np.tile([0.25, 0.75], (4, 1))
    c = resolve(
        cql_discrete.Config(
            gamma=GAMMA, alpha=alphas, target_period=20, huber=1e9, lr=0.02, hidden=()  # type: ignore[arg-type]
        ),
        spec,
    )  # fmt: skip
    agent, batch = cql_discrete.Agent(spec, c), sweep(SWIM, spec, law)
    for step in range(1200):
        agent.update(batch, c, target=step % 20 == 19)
    got = agent.q.all(states)[:, 0].detach().numpy()
    for lane, alpha in enumerate(alphas):
        q = np.zeros((4, 2))
        for _ in range(20_000):
            soft = np.exp(q - q.max(1, keepdims=True))
            soft /= soft.sum(1, keepdims=True)
            q += 0.05 * (SWIM.q_table(q.max(1), GAMMA) + alpha * (1 - soft / law) - q)
        np.testing.assert_allclose(got[lane], q, atol=0.02)
    optimal = solve(SWIM, GAMMA, eps=1e-9).q_table()
    np.testing.assert_allclose(got[0], optimal, atol=0.02)
    assert (np.abs(got[1] - optimal) > 0.05).any()


# --- continuous actions: rewards linear in the action --------------------------------------------
SLOPE = 0.3


def swept_line(spec: Spec) -> tuple[Batch, FiniteMDP]:
    """Three states in a circle, r = c_s + 0.3 a for a in [-1, 1], and its two extreme actions as
    a finite problem: Q is linear in (s, a), so a linear critic holds it exactly."""
    c = np.array([0.0, 1.0, -0.5])
    p = np.zeros((3, 2, 3))
    p[np.arange(3), :, (np.arange(3) + 1) % 3] = 1
    mdp = FiniteMDP.from_dense(p, c[:, None] + SLOPE * np.array([-1.0, 1.0]))
    s, a = (x.ravel() for x in np.meshgrid(np.arange(3), np.linspace(-1, 1, 5), indexing="ij"))
    r, eye = c[s] + SLOPE * a, np.eye(3)
    columns = (eye[s], a[:, None], r, np.ones(15), eye[(s + 1) % 3])
    lanes = [torch.from_numpy(x).expand(spec.lanes, *x.shape) for x in columns]
    return Batch(*lanes, mc=torch.full((spec.lanes, 15), -torch.inf).double()), mdp


LINEAR: dict[str, Any] = {"gamma": GAMMA, "lr": 0.02, "lr_q": 0.02, "polyak": 0.2, "hidden": ()}
CONSERVATIVE: dict[str, Any] = {"alpha": 0.0, "lagrange": False, "entropy": -50.0, "n_actions": 2}


@pytest.mark.parametrize(
    ("module", "options"),
    [
        (td3, {"smooth": 0.0}),
        (sac, {"alpha": 1e-4, "learn_alpha": False}),
        (cql, {**CONSERVATIVE, "hidden_q": ()}),
        (cal_ql, {**CONSERVATIVE, "hidden_q": (), "max_backup": True}),
    ],
    ids=lambda x: x.__name__.rpartition(".")[2] if isinstance(x, ModuleType) else "",
)
def test_continuous_agents_reach_the_optimal_values(module: ModuleType, options: dict) -> None:
    """With no smoothing, no entropy and no conservatism the best action is 1 everywhere."""
    spec = Spec(3, 1, (0, 1), torch.float64)
    batch, mdp = swept_line(spec)
    c = module.Config(**{**LINEAR, **options})
    agent, streams = module.Agent(spec, c), Streams(spec.seeds)
    for step in range(900):
        noise = {
            name: torch.from_numpy(streams.draw(name, d.kind, step, d.shape(spec, 15))[0]).double()
            for name, d in agent.noise.items()
        }
        agent.update(batch._replace(noise=noise), c)
    states = torch.eye(3, dtype=torch.float64).expand(2, 3, 3)
    exact = solve(mdp, GAMMA, eps=1e-9).q_table()
    for column, action in enumerate((-1.0, 1.0)):
        q = agent.q(states, torch.full((2, 3, 1), action).double()).detach().numpy()
        np.testing.assert_allclose(q, np.broadcast_to(exact[:, column], q.shape), atol=0.02)
    assert (agent.act(states) > 0.98).all()


# --- O-DICE -------------------------------------------------------------------------------------
class Dice:
    """The equations of O-DICE on the labyrinth with V as a table, data of the uniform policy."""

    def __init__(self, lam: float) -> None:
        self.lam, self.n = lam, LABYRINTH.num_states
        p, self.r = LABYRINTH.dense()
        self.next = p.reshape(-1, self.n)  # deterministic; no row is the end
        self.here = np.repeat(np.eye(self.n), 4, 0)

    def slope(self, y: np.ndarray) -> np.ndarray:
        return np.maximum(y / 2 + 1, 0)

    def loss(self, v: np.ndarray) -> float:
        y = np.maximum(self.residual(v), -2)
        return float(((1 - self.lam) * self.here @ v + self.lam * (y + y**2 / 4)).mean())

    def residual(self, v: np.ndarray) -> np.ndarray:
        return self.r.ravel() + GAMMA * self.next @ v - self.here @ v

    def semi_gradient_values(self) -> np.ndarray:
        """V with E_a ω*(r + γ V(s') - V(s)) = (1 - λ)/λ in every state, a contraction by γ."""
        v = np.zeros(self.n)
        for _ in range(200):
            target = (self.r.ravel() + GAMMA * self.next @ v).reshape(self.n, -1)
            low, high = target.min(1) - 10, target.max(1) + 10
            for _ in range(60):
                middle = (low + high) / 2
                mean = self.slope(target - middle[:, None]).mean(1)
                above = mean > (1 - self.lam) / self.lam
                low, high = np.where(above, middle, low), np.where(above, high, middle)
            v = low
        return v

    def direction(self, v: np.ndarray, rule: str) -> np.ndarray:
        """What V descends along, [n]; a table's gradient, in the features (one-hot, 1) of a net
        that also has a bias."""
        weight = self.lam * self.slope(self.residual(v)) / self.r.size
        forward, backward = -weight @ self.here, GAMMA * weight @ self.next
        pull = (1 - self.lam) * self.here.mean(0)
        if rule == "semi":
            return forward + pull
        if rule == "true":
            return forward + backward + pull
        product = forward @ backward + forward.sum() * backward.sum()
        size = forward @ forward + forward.sum() ** 2
        return forward + backward - product / size * forward + pull


@pytest.mark.parametrize(
    ("rule", "lams"), [("semi", (0.5, 0.7)), ("true", (0.8, 0.9)), ("orthogonal", (0.5, 0.7))]
)
def test_odice_reaches_the_fixed_point_of_its_rule(rule: str, lams: tuple[float, float]) -> None:
    """semi: E_a ω*(r + γ V(s') - V(s)) = (1 - λ)/λ in every state; true: the minimum of the convex
    dual; orthogonal: no descent left once what g_b has along g_f is taken away."""
    spec, states = tabular(LABYRINTH, len(lams))
    c = resolve(
        odice.Config(
            gamma=GAMMA, lam=lams, update_rule=rule, norm="none", hidden=(), hidden_pi=(),  # type: ignore[arg-type]
            lr=0.02, polyak=0.2,
        ),
        spec,
    )  # fmt: skip
    agent = odice.Agent(spec, c)
    batch = sweep(LABYRINTH, spec, np.full((LABYRINTH.num_states, 4), 0.25))
    for _ in range(1200):
        agent.update(batch, c)
    v = agent.v(states).detach().numpy()  # [S, 2, n]
    for lane, lam in enumerate(lams):
        dice = Dice(lam)
        if rule == "semi":
            exact = dice.semi_gradient_values()
        elif rule == "true":
            exact = minimize(dice.loss, np.zeros(dice.n), tol=1e-12).x
        else:
            exact = root(dice.direction, np.zeros(dice.n), rule, tol=1e-12).x
        assert np.abs(dice.direction(exact, rule)).max() < 1e-6
        np.testing.assert_allclose(v[lane], np.stack([exact, exact]), atol=0.02)

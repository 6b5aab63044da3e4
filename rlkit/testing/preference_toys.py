"""Problems of preferences whose answers are known: games of arms, users on a line, a corridor."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from rlkit.core.engine import Engine
from rlkit.core.spec import Spec
from rlkit.core.streams import Streams
from rlkit.data.replay import Replay
from rlkit.data.stock import Stock
from rlkit.data.store import EpisodeStore
from rlkit.data.transforms import Transforms
from rlkit.theory.mdp import FiniteMDP
from rlkit.theory.planning.solvers import solve

# --- games of three arms, one an episode ----------------------------------------------------------

CIRCLE = np.array([[0.5, 0.9, 0.2], [0.1, 0.5, 0.8], [0.8, 0.2, 0.5]])  # winner (.3, .3, .4)
CONDORCET = np.array([[0.5, 0.6, 0.6], [0.4, 0.5, 1.0], [0.4, 0.0, 0.5]])  # arm 0 beats all


class Game:
    """A judge of one-step episodes, who compares arms by `matrix [3, 3]`, P(row preferred to
    column). Continuous actions choose the arm of their third of [-1, 1]."""

    matrix: np.ndarray

    def summary(self, obs: Tensor, action: Tensor, reward: Tensor, next_obs: Tensor) -> Tensor:
        a = action[0]
        return a if a.dim() == 0 else ((a + 1) * 1.5).floor().clamp(max=2)

    def prefer(self, first: Tensor, second: Tensor) -> Tensor:
        return torch.from_numpy(
            self.matrix[second[:, 0].long().numpy(), first[:, 0].long().numpy()]
        )


class Circle(Game):
    matrix = CIRCLE


class Condorcet(Game):
    matrix = CONDORCET


def play(module: Any, c: Any, spec: Spec, steps: int, capacity: int) -> np.ndarray:
    """Arms `[steps, S]` that an agent chose, one an episode, those of the first 30 by chance."""
    agent, streams = module.Agent(spec, c), Streams(spec.seeds)
    replay = Replay(spec, capacity, columns=agent.columns)
    source = module.source(Stock(spec, streams, Transforms(), replay=replay), agent, c)
    engine = Engine(agent, c, spec, source)
    lanes, one, no = spec.lanes, np.ones((spec.lanes, 1, 1)), np.zeros((spec.lanes, 1), bool)
    arms = []
    for t in range(steps):
        draw = agent.act_noise
        noise = torch.from_numpy(streams.draw("act", draw.kind, t, draw.shape(spec, 1))[0]).float()
        with torch.no_grad():
            a = agent.act(torch.ones(lanes, 1, 1), noise).numpy()
        if t < 30:
            u = streams.draw("random", "uniform", t, a.shape[1:])[0]
            a = (3 * u).astype(int) if spec.discrete else (2 * u - 1).astype(np.float32)
        arms.append((a if spec.discrete else np.digitize(a, [-1 / 3, 1 / 3])).reshape(lanes))
        replay.add(one, a, np.zeros((lanes, 1)), ~no, no, one)
        if t >= 29:
            source.advance(t + 1)
            engine.run(t - 29, 1)
    return np.stack(arms)


def beaten_by(matrix: np.ndarray, arms: np.ndarray) -> float:
    """How much more often than half the best answer wins against the mixture of `arms [n]`."""
    mixture = np.bincount(arms, minlength=len(matrix)) / len(arms)
    return float((matrix @ mixture).max() - 0.5)


# --- users on a line ------------------------------------------------------------------------------

LINE_STEPS = 20  # of an episode
LINE_BEST = 0.3 + 0.6 + 0.9 + 17  # sum of s' from 0 for who goes right all the time


def line(episodes: int = 60) -> EpisodeStore:
    """Walks on [-1, 1] by random pushes a: s' = clip(s + 0.3 a). Column "right" is s': who likes
    it goes right, who does not goes left. Rewards say nothing."""
    rng = np.random.default_rng(0)
    found = []
    for _ in range(episodes):
        s, states = np.float32(rng.uniform(-1, 1)), []
        a = rng.uniform(-1, 1, (LINE_STEPS, 1)).astype(np.float32)
        for push in a[:, 0]:
            states.append(s)
            s = np.clip(s + np.float32(0.3) * push, -1, 1)
        found.append(
            {
                "obs": np.array([*states, s], np.float32)[:, None],
                "action": a,
                "reward": np.full(LINE_STEPS, np.float32(777.0)),
                "terminated": np.zeros(LINE_STEPS, bool),
                "truncated": np.arange(LINE_STEPS) == LINE_STEPS - 1,
            }
        )
    store = EpisodeStore.from_episodes(found)
    return store.with_columns(right=store.next_obs[:, 0])


@torch.no_grad()
def travelled(act: Any, lanes: int) -> Tensor:
    """Sum of s' over an episode from 0, `[S]`, of a policy `act` of float32 observations."""
    s, total = torch.zeros(lanes, 1, 1), torch.zeros(lanes)
    for _ in range(LINE_STEPS):
        s = (s + 0.3 * act(s).clamp(-1, 1)).clamp(-1, 1)
        total = total + s.flatten()
    return total


# --- a corridor whose steps cost ------------------------------------------------------------------

CELLS, CORRIDOR_GAMMA = 6, 0.9
CORRIDOR_REWARD = np.array([-1.0, 0.7, 10.0])  # of a step, of the coin, of the goal


def corridor() -> tuple[np.ndarray, np.ndarray]:
    """Cells 0..5, left and right; right of the last is the goal, an end. A coin lies in cell 1 and
    is there again after it was taken. Moves `[6, 2, 6]` and features `[6, 2, 3]`."""
    P, phi = np.zeros((CELLS, 2, CELLS)), np.zeros((CELLS, 2, 3))
    for s in range(CELLS):
        for a, to in enumerate((max(s - 1, 0), s + 1)):
            phi[s, a] = 1, to == 1, to == CELLS
            if to < CELLS:
                P[s, a, to] = 1
    return P, phi


def corridor_model(reward: np.ndarray) -> FiniteMDP:
    """The corridor with reward `[6, 2]`."""
    return FiniteMDP.from_dense(corridor()[0], reward, stop="deficit")


def corridor_advantages() -> np.ndarray:
    """A* `[6, 2]` of the true reward."""
    mdp = corridor_model(corridor()[1] @ CORRIDOR_REWARD)
    q = mdp.q_table(solve(mdp, CORRIDOR_GAMMA).value, CORRIDOR_GAMMA)
    return q - q.max(1, keepdims=True)


def corridor_walks(steps: int = 1500) -> EpisodeStore:
    """Walks by chance of at most 25 steps, with the features as columns step, coin and goal, and
    `known`, A* of each step. Rewards say nothing."""
    rng, (P, phi) = np.random.default_rng(0), corridor()
    episodes, done = [], 0
    while done < steps:
        s = int(rng.integers(CELLS))
        states, actions = list[int](), list[int]()
        while len(actions) < 25:
            a = int(rng.integers(2))
            states.append(s)
            actions.append(a)
            if not P[s, a].any():
                break
            s = int(P[s, a].argmax())
        n, ended = len(actions), not P[states[-1], actions[-1]].any()
        last = np.arange(n) == n - 1
        episodes.append(
            {
                "obs": np.eye(CELLS, dtype=np.float32)[[*states, s]],
                "action": np.array(actions),
                "reward": np.full(n, np.float32(777.0)),
                "terminated": last & ended,
                "truncated": last & (not ended),
            }
        )
        done += n
    store = EpisodeStore.from_episodes(episodes)
    at = store.obs.argmax(-1), store.action
    told = phi[at].astype(np.float32)
    known = corridor_advantages()[at].astype(np.float32)
    return store.with_columns(step=told[:, 0], coin=told[:, 1], goal=told[:, 2], known=known)


def rightly_ordered(advantage: np.ndarray, apart: float = 0.2) -> float:
    """Share of the pairs of all walks of three moves, those that end too, whose sums of
    `advantage [6, 2]` are ordered as those of A* are, where these differ by more than `apart`."""
    P, walks = corridor()[0], []
    for start in range(CELLS):
        for moves in range(8):
            s, cells = start, []
            for a in ((moves >> t) & 1 for t in range(3)):
                if s < CELLS:
                    cells.append((s, a))
                    s = CELLS if not P[s, a].any() else int(P[s, a].argmax())
            walks.append(cells)
    true, own = (
        np.array([sum(table[c] for c in cells) for cells in walks])
        for table in (corridor_advantages(), advantage)
    )
    right = (own[:, None] > own) == (true[:, None] > true)
    return float(right[np.abs(true[:, None] - true) > apart].mean())

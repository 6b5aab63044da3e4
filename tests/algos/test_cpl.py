"""CPL: closed forms of its loss, the exact policy of a tabular task, phases, resume."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from rlkit.algos import bc, cpl
from rlkit.algos.preference.feedback import pair_dataset
from rlkit.core import state
from rlkit.core.engine import Engine
from rlkit.core.spec import Discrete, Spec
from rlkit.core.streams import Streams
from rlkit.data.replay import Replay
from rlkit.data.stock import Stock
from rlkit.data.store import EpisodeStore
from rlkit.data.transforms import Transforms
from rlkit.envs.tabular.garnet import garnet
from rlkit.envs.tabular.grids import maze
from rlkit.testing.cases import BATCH, OBS
from rlkit.theory.planning.solvers import solve

H = 3


def make_pairs(spec: Spec, agent: object, step: int) -> cpl.Pairs:
    """A random batch of pairs, some segments cut short; lane k depends on seed k and `step`."""
    lanes = []
    for seed in spec.seeds:
        rng = np.random.default_rng([seed, step])
        lead = (BATCH, 2, H)
        real = np.arange(H) < rng.integers(1, H + 1, (BATCH, 2, 1))
        action = rng.integers(3, size=lead) if spec.discrete else rng.uniform(-0.9, 0.9, (*lead, 3))
        contrast = (rng.random(BATCH) < 0.5).astype(float)  # both phases in every batch
        y = rng.choice([0.0, 0.5, 1.0], BATCH)
        w = rng.uniform(0.5, 1.5, BATCH)
        lanes.append((rng.normal(size=(*lead, OBS)), action, real, y, w, contrast))
    s, a, mask, y, w, contrast = (
        torch.from_numpy(np.stack(x)).to(spec.device) for x in zip(*lanes, strict=True)
    )
    floats = (
        x.to(spec.dtype) if x.is_floating_point() else x for x in (s, a, mask, y, w, contrast)
    )
    return cpl.Pairs(*floats)


def scores(*values: tuple[float, float]) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


# --- the loss ---------------------------------------------------------------------------------
def test_without_bias_the_loss_sees_differences_only() -> None:
    y = torch.tensor([1.0, 0.0, 0.3], dtype=torch.float64)
    psi = scores((0.3, -1.0), (2.0, 1.0), (-0.5, 0.1))
    torch.testing.assert_close(cpl.contrast_loss(psi, y, 1.0), cpl.contrast_loss(psi + 5.0, y, 1.0))
    assert (cpl.contrast_loss(psi + 0.1, y, 0.5) < cpl.contrast_loss(psi, y, 0.5)).all()


def test_measured_values_of_the_biased_loss() -> None:
    """Scores (winner, loser) = (1, 0) cost 0.313; (-1, -2), equally far apart, cost 0.693."""
    first = torch.zeros(2, dtype=torch.float64)  # the first segment of each pair won
    loss = cpl.contrast_loss(scores((1.0, 0.0), (-1.0, -2.0)), first, 0.5)
    assert loss.tolist() == pytest.approx([0.3133, 0.6931], abs=1e-4)


def test_the_winner_is_pulled_by_one_minus_p() -> None:
    """dL/d(log π of a winner's step) = -(1 - p) α γ^t, with p = σ(ψ_w - λ ψ_l)."""
    alpha, gamma, bias = 0.3, 0.9, 0.5
    log_pi = torch.randn(4, 2, H, dtype=torch.float64, requires_grad=True)
    mask = torch.ones(4, 2, H, dtype=torch.bool)
    psi = cpl.discounted(alpha * log_pi, mask, gamma)
    loss = cpl.contrast_loss(psi, torch.ones(4, dtype=torch.float64), bias)
    (slope,) = torch.autograd.grad(loss.sum(), log_pi)
    p = (psi[:, 1] - bias * psi[:, 0]).sigmoid().detach()
    discounts = gamma ** torch.arange(H, dtype=torch.float64)
    torch.testing.assert_close(slope[:, 1], -(1 - p).unsqueeze(-1) * alpha * discounts)
    torch.testing.assert_close(slope[:, 0], bias * (1 - p).unsqueeze(-1) * alpha * discounts)


def test_single_steps_with_a_reference_are_dpo() -> None:
    """H = 1, λ = 1: -log σ(β [log π/π_ref (w) - log π/π_ref (l)]) with β = α."""
    beta = 0.7
    log_pi, log_ref = torch.randn(2, 20, 2, 1, dtype=torch.float64)
    mask = torch.ones(20, 2, 1, dtype=torch.bool)
    psi = cpl.discounted(beta * (log_pi - log_ref), mask, 1.0)
    ours = cpl.contrast_loss(psi, torch.ones(20, dtype=torch.float64), 1.0)
    ratio = (log_pi - log_ref).squeeze(-1)
    dpo = -torch.log(torch.sigmoid(beta * (ratio[:, 1] - ratio[:, 0])))
    torch.testing.assert_close(ours, dpo)


def test_a_deterministic_policy_is_as_likely_as_it_is_near() -> None:
    spec = Spec(OBS, 3, (0,), torch.float64)
    agent = cpl.Agent(spec, cpl.Config(hidden=(8,)))
    s, a = torch.randn(1, 6, OBS, dtype=torch.float64), torch.rand(1, 6, 3, dtype=torch.float64)
    expected = -((agent.act(s) - a) ** 2).sum(-1)
    torch.testing.assert_close(cpl.log_prob(agent.pi(s), a), expected)


# --- the agent --------------------------------------------------------------------------------
def test_the_cloning_phase_is_cloning() -> None:
    """With contrast 0 the policy follows BC on the steps of all segments, step for step."""
    spec = Spec(OBS, 3, (3, 0), torch.float64)
    config = cpl.Config(hidden=(8, 8), policy="gaussian", warmup_steps=0, lr=1e-3)
    ours = cpl.Agent(spec, config)
    theirs = bc.Agent(spec, bc.Config(hidden=(8, 8), lr=1e-3))
    for step in range(10):
        b = make_pairs(spec, ours, step)
        b = b._replace(
            contrast=b.contrast * 0, w=torch.ones_like(b.w), mask=torch.ones_like(b.mask)
        )
        ours.update(b, config)
        s, a = b.s.flatten(1, 3), b.a.flatten(1, 3)
        theirs.step_pi(bc.likelihood_loss(theirs.pi(s).log_prob(a)))
    for mine, its in zip(ours.pi.parameters(), theirs.pi.parameters(), strict=True):
        torch.testing.assert_close(mine, its, rtol=0, atol=1e-12)


def test_absorbing_steps_teach_nothing() -> None:
    spec = Spec(OBS, 3, (3, 0), torch.float64)
    config = cpl.Config(hidden=(8,))
    results = []
    for noise in (0.0, 50.0):
        agent = cpl.Agent(spec, config)
        b = make_pairs(spec, agent, 0)
        padding = (~b.mask).to(b.s).unsqueeze(-1) * noise
        agent.update(b._replace(s=b.s + padding, a=b.a + padding), config)
        results.append(state.tensors(agent))
    for name, x in results[0].items():
        torch.testing.assert_close(results[1][name], x, rtol=0, atol=1e-12)


def test_a_reference_takes_the_ratio_to_itself_off() -> None:
    """Right after the switch every score is 0: all pairs cost log 2 times nothing else."""
    spec = Spec(OBS, 3, (3, 0), torch.float64)
    config = cpl.Config(hidden=(8,), reference=True, warmup_steps=0)
    agent = cpl.Agent(spec, config)
    for step in range(3):
        agent.update(make_pairs(spec, agent, step), config)
    agent.begin_contrast()
    b = make_pairs(spec, agent, 3)
    b = b._replace(contrast=torch.ones_like(b.w), w=torch.ones_like(b.w))
    assert agent.update(b, config)["pi_loss"].tolist() == pytest.approx([math.log(2)] * 2)
    assert agent.step_pi.steps.item() == 1  # Adam began anew
    assert agent.update(b, config)["pi_loss"].lt(math.log(2)).all()


def test_the_rate_grows_over_the_warmup() -> None:
    spec = Spec(OBS, 3, (3,), torch.float64)
    moves = []
    for warmup in (0, 4):
        config = cpl.Config(hidden=(8,), warmup_steps=warmup)
        agent = cpl.Agent(spec, config)
        before = agent.pi.mlp.last.weight.detach().clone()
        agent.update(make_pairs(spec, agent, 0), config)
        moves.append(agent.pi.mlp.last.weight.detach() - before)
    torch.testing.assert_close(moves[1], moves[0] / 4)


def test_infinite_regret_labels_give_the_maximum_entropy_policy() -> None:
    """Exact answers on a tabular task, λ = 1: α log π = A* in every state, nothing is left over."""
    alpha, gamma = 0.3, 0.9
    mdp = garnet(5, 3, 2, seed=2)
    P, R = mdp.dense()
    v = np.zeros(5)
    for _ in range(600):  # soft value iteration
        q = R + gamma * P @ v
        v = alpha * np.log(np.exp(q / alpha).sum(1))
    advantage = q - v[:, None]
    rng = np.random.default_rng(0)
    state_, action = rng.integers(5, size=(500, 2, 2)), rng.integers(3, size=(500, 2, 2))
    gain = torch.from_numpy(advantage[state_, action].sum(-1))  # of two steps, wherever they are
    spec = Spec(5, Discrete(3), (0,), torch.float64)
    one = torch.ones(1, 500, dtype=torch.float64)
    batch = cpl.Pairs(
        s=torch.eye(5, dtype=torch.float64)[state_].unsqueeze(0),
        a=torch.from_numpy(action).unsqueeze(0),
        mask=torch.ones(1, 500, 2, 2, dtype=torch.bool),
        y=(gain[:, 1] - gain[:, 0]).sigmoid().unsqueeze(0),
        w=one,
        contrast=one,
    )
    config = cpl.Config(hidden=(), alpha=alpha, bias=1.0, lr=0.05, warmup_steps=0)
    agent = cpl.Agent(spec, config)
    for _ in range(1500):
        agent.update(batch, config)
    log_pi = agent.pi(torch.eye(5, dtype=torch.float64).unsqueeze(0)).log_probs[0].detach().numpy()
    np.testing.assert_allclose(alpha * log_pi, advantage, atol=2e-3)
    assert log_pi.argmax(1).tolist() == advantage.argmax(1).tolist()


def test_answers_about_random_walks_find_the_way_out_of_a_maze(tmp_path) -> None:
    """1000 choices by exact regret, end to end; cloning the same walks leaves one lost."""
    gamma = 0.95
    mdp = maze(("#######", "#S..#.#", "#.#...#", "#...#G#", "#######"))
    solution = solve(mdp, gamma, eps=1e-10)
    advantage = mdp.q_table(solution.value, gamma) - solution.value[:, None]
    P, R = mdp.dense()
    eye = np.eye(mdp.num_states, dtype=np.float32)
    rng = np.random.default_rng(0)
    episodes = []
    for _ in range(60):
        states, actions, ended = [int(rng.integers(mdp.num_states))], [], False
        while len(actions) < 40 and not ended:
            actions.append(int(rng.integers(4)))
            reach = P[states[-1], actions[-1]]
            ended = reach.sum() < 0.5
            states.append(states[-1] if ended else int(reach.argmax()))
        last = np.arange(len(actions)) == len(actions) - 1
        episodes.append(
            {
                "obs": eye[states],
                "action": np.array(actions),
                "reward": R[states[:-1], actions],
                "terminated": last & ended,
                "truncated": last & (not ended),
            }
        )
    store = EpisodeStore.from_episodes(episodes)
    path = str(tmp_path / "advantages.npy")
    np.save(path, advantage[store.obs.argmax(1), store.action])
    spec = Spec(mdp.num_states, Discrete(4), (0,))
    c = cpl.Config(
        **{"pairs": 1000, "length": 3, "teacher": "regret", "advantages": path, "bc_steps": 200},
        **{"hidden": (), "lr": 0.05, "alpha": 0.5, "batch_size": 64, "warmup_steps": 0},
    )
    stock = Stock(spec, Streams((0,)), Transforms(), Replay.from_store(store, spec, Transforms()))
    agent = cpl.Agent(spec, c)
    source = cpl.source(stock, agent, c)
    source.begin()

    def worth() -> float:
        """Value of the greedy policy at the start, over the optimal one; both are negative."""
        action = agent.act(torch.from_numpy(eye).unsqueeze(0))[0].numpy()
        at = np.arange(mdp.num_states)
        v = np.linalg.solve(np.eye(len(at)) - gamma * P[at, action], R[at, action])
        return float((mdp.initial_law() @ v) / (mdp.initial_law() @ solution.value))

    train(agent, source, c, spec, 0, 200)
    assert worth() > 1.5
    train(agent, source, c, spec, 200, 800)
    assert worth() == pytest.approx(1)


# --- the source -------------------------------------------------------------------------------
def make_store(seed=0) -> EpisodeStore:
    rng = np.random.default_rng(seed)
    episodes = []
    for n in (30, 22, 41):
        last = np.arange(n) == n - 1
        episodes.append(
            {
                "obs": rng.normal(size=(n + 1, OBS)).astype(np.float32),
                "action": rng.uniform(-1, 1, (n, 3)).astype(np.float32),
                "reward": rng.normal(size=n) + 1,
                "terminated": last & (n == 22),
                "truncated": last & (n != 22),
            }
        )
    return EpisodeStore.from_episodes(episodes)


def begun(seeds=(3, 0), **config):
    spec = Spec(OBS, 3, seeds, torch.float64)
    values = {"pairs": 20, "length": 5, "teacher": "rational", "bc_steps": 4, "hidden": (8,)}
    if "preferences" in config:  # the answers are there: nobody is asked
        del values["pairs"], values["length"], values["teacher"]
    c = cpl.Config(**values | {"batch_size": 6} | config)
    data = Replay.from_store(make_store(), spec, Transforms())
    stock = Stock(spec, Streams(seeds), Transforms(), data)
    agent = cpl.Agent(spec, c)
    return agent, cpl.source(stock, agent, c), c, spec


def train(agent, source, c, spec, start, end) -> dict:
    """As the loop does: `advance` on its steps, then updates."""
    engine = Engine(agent, c, spec, source)
    metrics = {}
    for step in range(start, end):
        if source.every and step % source.every == 0:
            source.advance(step)
        metrics = engine.run(step, 1)
    return metrics


def test_lanes_learn_as_they_do_alone() -> None:
    agents = {}
    for seeds in ((3, 0), (0,)):
        agent, source, c, spec = begun(seeds)
        source.begin()
        train(agent, source, c, spec, 0, 12)
        agents[seeds] = state.tensors(agent)
    for name, x in agents[0,].items():
        other = agents[3, 0][name]
        torch.testing.assert_close(other[1:] if x.dim() else other, x, rtol=0, atol=1e-12)


@pytest.mark.parametrize("cut", [2, 4, 7])
@pytest.mark.parametrize("teacher", ["rational", "noisy+skipping:0.9"])
def test_resume_is_bit_for_bit(cut: int, teacher: str) -> None:
    whole = begun(teacher=teacher, reference=True)
    whole[1].begin()
    train(*whole, 0, 10)
    first = begun(teacher=teacher, reference=True)
    first[1].begin()
    train(*first, 0, cut)
    second = begun(teacher=teacher, reference=True)
    state.load(second[0], state.clone(first[0]))
    second[1].load_state_dict({name: x.clone() for name, x in first[1].state_dict().items()})
    train(*second, cut, 10)
    for name, x in state.tensors(whole[0]).items():
        assert torch.equal(state.tensors(second[0])[name], x), name


def test_cloning_ends_at_its_step() -> None:
    agent, source, c, spec = begun()
    source.begin()
    train(agent, source, c, spec, 0, 4)
    assert not source.contrast.any()
    assert agent.step_pi.steps.item() == 4
    train(agent, source, c, spec, 4, 9)
    assert source.contrast.all()
    assert agent.step_pi.steps.item() == 5
    agent, source, *_ = begun(bc_steps=0)
    assert source.contrast.all()
    assert not source.every


def test_batches_are_of_answered_pairs_alone() -> None:
    _, source, _, _ = begun(teacher="skipping:1.3", pairs=40)
    source.begin()
    assert 0 < int(source.preferences.w[0].sum()) < 40
    index = source.indices(0, 200)
    for lane in range(2):
        drawn = set(index[:, lane].flatten().tolist())
        assert drawn == set(source.preferences.w[lane].nonzero().flatten().tolist())
    b = source.batch(index[0])
    assert b.s.shape == (2, 6, 2, 5, OBS)
    lane = torch.arange(2).unsqueeze(-1)
    for name in ("s", "a", "mask", "y", "w"):
        whole = getattr(source.preferences, name)
        assert torch.equal(getattr(b, name), whole[lane, index[0]])


def test_a_saved_dataset_feeds_all_lanes(tmp_path) -> None:
    path = str(tmp_path / "pairs.npz")
    pair_dataset(make_store(), 15, 5).save(path)
    agent, source, c, spec = begun(preferences=path)
    source.begin()
    b = source.batch(source.indices(2, 1)[0])
    index = source.indices(2, 1)[0]
    for lane in range(2):
        assert torch.equal(b.s[lane], source.preferences.s[0, index[lane]])
    metrics = train(agent, source, c, spec, 0, 6)
    assert metrics["pi_loss"].isfinite().all()


def test_choices_by_advantage_show_the_best_action() -> None:
    """Random actions, gains -|a - f(s)|²: cloning finds their mean, 0; comparing finds f."""
    rng = np.random.default_rng(0)
    episodes = []
    for _ in range(40):
        n = 25
        obs = rng.normal(size=(n + 1, OBS)).astype(np.float32)
        action = rng.uniform(-1, 1, (n, 3)).astype(np.float32)
        episodes.append(
            {
                "obs": obs,
                "action": action,
                "reward": -np.square(action - np.tanh(obs[:-1, :3])).sum(-1),
                "terminated": np.zeros(n, bool),
                "truncated": np.arange(n) == n - 1,
            }
        )
    store = EpisodeStore.from_episodes(episodes)
    spec = Spec(OBS, 3, (0,), torch.float32)
    c = cpl.Config(
        **{"pairs": 1500, "length": 3, "teacher": "noisy", "bc_steps": 100, "warmup_steps": 0},
        **{"lr": 3e-3, "hidden": (32,), "batch_size": 64, "alpha": 1.0, "bias": 1.0},
    )
    stock = Stock(spec, Streams((0,)), Transforms(), Replay.from_store(store, spec, Transforms()))
    agent = cpl.Agent(spec, c)
    source = cpl.source(stock, agent, c)
    source.begin()
    s = torch.randn(1, 500, OBS, generator=torch.Generator().manual_seed(0))

    def error() -> float:
        return float((agent.act(s) - s[..., :3].tanh()).detach().square().mean())

    train(agent, source, c, spec, 0, 100)
    cloned = error()
    metrics = train(agent, source, c, spec, 100, 500)
    assert error() < 0.1 * cloned
    assert float(metrics["accuracy"]) > 0.7

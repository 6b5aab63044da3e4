"""Synthetic teachers: order of operations, rates, symmetries, and regret on exact values."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from rlkit.algos.preference.statistics import regret, total
from rlkit.algos.preference.teachers.synthetic import Answers, Teacher, parse
from rlkit.core.errors import UsageError
from rlkit.envs.tabular.grids import maze
from rlkit.theory.planning.solvers import solve


def ask(teacher: Teacher, gain, u=None, mean_return: float = 1.0, mask=None) -> Answers:
    gain = torch.as_tensor(gain, dtype=torch.float64)
    mask = torch.ones_like(gain, dtype=torch.bool) if mask is None else mask
    n = gain.shape[0]
    if u is None:
        u = np.random.default_rng(0).random((n, teacher.uniforms))
    return teacher.answers(gain, mask, torch.as_tensor(u), torch.tensor(mean_return).double())


def pairs(n=400, length=5, seed=1) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(size=(n, 2, length)))


def test_rational_takes_the_greater_sum() -> None:
    gain = pairs()
    said = ask(parse("rational"), gain)
    assert said.given.all()
    assert torch.equal(said.y, (gain[:, 1].sum(-1) > gain[:, 0].sum(-1)).double())
    assert ask(parse("rational"), [[[1.0, 2.0], [2.0, 1.0]]]).y.item() == 0.5  # equal sums


def test_absorbing_steps_pay_nothing() -> None:
    mask = torch.tensor([[[True, False], [True, True]]])
    assert ask(parse("rational"), [[[1.0, 9.0], [1.0, 1.0]]], mask=mask).y.item() == 1


def test_myopic_prefers_what_comes_late() -> None:
    """r = (1, 0) against (0, 1), γ = 0.9: the second wins; without γ it is a tie."""
    gain = [[[1.0, 0.0], [0.0, 1.0]]]
    assert ask(parse("myopic:0.9"), gain).y.item() == 1
    assert ask(parse("rational"), gain).y.item() == 0.5


@pytest.mark.parametrize("rate", [0.1, 0.3])
def test_mistakes_have_their_rate(rate: float) -> None:
    n = 20_000
    gain = torch.tensor([[[0.0], [1.0]]]).expand(n, 2, 1)
    wrong = float(1 - ask(parse(f"mistaken:{rate}"), gain).y.mean())
    assert wrong == pytest.approx(rate, abs=3 * math.sqrt(rate * (1 - rate) / n))


@pytest.mark.parametrize(("beta", "gap"), [(1.0, 0.7), (0.5, -2.0), (0.0, 3.0)])
def test_noisy_choices_follow_the_sigmoid(beta: float, gap: float) -> None:
    n = 20_000
    gain = torch.tensor([[[0.0], [gap]]]).expand(n, 2, 1)
    p = 1 / (1 + math.exp(-beta * gap))
    share = float(ask(parse(f"noisy:{beta}"), gain).y.mean())
    assert share == pytest.approx(p, abs=3 * math.sqrt(p * (1 - p) / n))


def test_mistakes_come_after_noise() -> None:
    n = 20_000
    gain = torch.tensor([[[0.0], [1.0]]]).expand(n, 2, 1)
    p, e = 1 / (1 + math.exp(-1)), 0.2
    share = float(ask(parse("noisy+mistaken:0.2"), gain).y.mean())
    assert share == pytest.approx((1 - e) * p + e * (1 - p), abs=0.012)


def test_poll_averages_and_its_limit_is_the_probability() -> None:
    gain = pairs(300)
    exact = ask(parse("noisy+poll:0"), gain).y
    torch.testing.assert_close(exact, (gain[:, 1] - gain[:, 0]).sum(-1).sigmoid())
    share = ask(parse("noisy+poll:400"), gain).y
    assert float((share - exact).abs().max()) < 5 * 0.5 / math.sqrt(400)
    five = ask(parse("noisy+poll:5"), gain).y * 5
    torch.testing.assert_close(five, five.round())
    mistaken = ask(parse("noisy+mistaken:0.1+poll:0"), gain).y
    torch.testing.assert_close(mistaken, 0.9 * exact + 0.1 * (1 - exact))


@pytest.mark.parametrize(
    "words",
    ["rational", "noisy:0.7", "myopic", "tying:0.5", "skipping", "noisy+mistaken", "poll:3"],
)
def test_swapped_segments_get_the_opposite_answer(words: str) -> None:
    """y -> 1 - y when the draws of choices are mirrored too; ties stay ties."""
    teacher, gain = parse(words), pairs()
    u = np.random.default_rng(3).random((len(gain), teacher.uniforms))
    turned = u.copy()
    turned[:, : teacher.poll] = 1 - u[:, : teacher.poll]
    first, second = ask(teacher, gain, u), ask(teacher, gain.flip(1), turned)
    torch.testing.assert_close(first.y, 1 - second.y)
    assert torch.equal(first.given, second.given)


def test_skips_and_ties_do_not_depend_on_beta_and_gamma() -> None:
    gain = pairs()
    plain, other = parse("skipping:0.5+tying:0.5"), parse("skipping:0.5+tying:0.5+noisy+myopic")
    first, second = ask(plain, gain), ask(other, gain)
    assert torch.equal(first.given, second.given)
    near = (gain.sum(-1).diff(dim=-1).abs() < 0.5).squeeze(-1)
    assert (first.y[near] == 0.5).all()
    assert (second.y[near] == 0.5).all()
    assert not (first.y[~near] == 0.5).any()
    assert 0 < int(near.sum()) < len(near)
    assert torch.equal(first.given, gain.sum(-1).amax(-1) > 0.5)


def test_thresholds_are_the_same_in_every_round() -> None:
    """For the same return: nothing in a teacher remembers earlier rounds."""
    teacher, gain = parse("skipping:0.1+tying:0.1"), pairs()
    rounds = [ask(teacher, gain, mean_return=3.0) for _ in range(2)]
    assert torch.equal(rounds[0].y, rounds[1].y)
    assert torch.equal(rounds[0].given, rounds[1].given)
    assert torch.equal(rounds[0].given, gain.sum(-1).amax(-1) > 0.3)


def test_negative_returns_keep_ties_and_skip_nothing() -> None:
    gain = pairs()
    said = ask(parse("skipping:0.5+tying:0.5"), gain, mean_return=-2.0)
    assert said.given.all()
    assert torch.equal(said.y == 0.5, gain.sum(-1).diff(dim=-1).abs().squeeze(-1) < 1.0)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("rationl", "unknown teacher 'rationl'; did you mean 'rational'"),
        ("rational:2", "unknown teacher"),
        ("noisy:x", "'x' is not a number"),
        ("noisy:-1", "must be at least 0"),
        ("myopic:1.5", r"must be in \(0, 1\]"),
        ("mistaken:2", r"must be in \[0, 1\]"),
        ("tying:0", "must be positive"),
        ("poll:1.5", "'1.5' is not a number"),
        ("poll:-1", "must be a whole number"),
        ("regret+skipping", "skips nothing"),
        ("", "unknown teacher ''"),
    ],
)
def test_words_that_mean_nothing_are_refused(words: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse(words)


def test_words_add_up() -> None:
    assert parse("myopic:0.8 + mistaken") == Teacher(recency=0.8, mistakes=0.1)
    assert parse("regret+noisy:2") == Teacher(beta=2.0, regret=True)
    assert parse("poll") == Teacher(poll=5)


# --- regret ---------------------------------------------------------------------------------
LAYOUT = ("#######", "#S..#.#", "#.#...#", "#...#G#", "#######")


def exact(mdp, gamma=1.0):
    """V* [S] and A* [S, A]."""
    solution = solve(mdp, gamma, eps=1e-10)
    q = mdp.q_table(solution.value, gamma)
    v = q.max(1)
    return v, q - v[:, None]


def segments(store, length, seed=0, n=400, ended=True):
    """Rows [n, H] of random segments (with absorbing ends, or only those that never end)."""
    rng = np.random.default_rng(seed)
    rows, masks = [], []
    while len(rows) < n:
        first = int(rng.integers(len(store)))
        last = int(store.row_end[first])
        steps = min(length, last - first + 1)
        whole = steps == length
        if whole if not ended else (whole or store.terminated[last]):
            if not ended and store.terminated[first + steps - 1]:
                continue
            at = np.arange(length)
            rows.append(np.where(at < steps, first + at, first))
            masks.append(at < steps)
    return np.array(rows), np.array(masks)


def test_regret_of_values_is_minus_the_sum_of_advantages(walk) -> None:
    """On a deterministic process with γ = 1: V(s_0) - return - V(s_T) = -Σ A*, to 1e-9."""
    mdp = maze(LAYOUT)
    v, advantage = exact(mdp)
    store = walk(mdp, 3000, 60)
    rows, mask = segments(store, 6)
    gain = torch.from_numpy(advantage[store.extra["state"], store.action])
    r = torch.from_numpy(store.reward.astype(np.float64))[rows]
    real = torch.from_numpy(mask)
    after = store.extra["state2"][rows[np.arange(len(rows)), mask.sum(1) - 1]]
    end = torch.from_numpy(np.where(after < 0, 0.0, v[after]))
    start = torch.from_numpy(v[store.extra["state"][rows[:, 0]]])
    found = regret(r, real, start, end)
    torch.testing.assert_close(found, -total(gain[rows], real), rtol=0, atol=1e-9)
    assert (found >= -1e-9).all()  # and 0 exactly where every action was an optimal one
    optimal = (gain[rows].abs() < 1e-9) | ~real
    assert torch.equal(found.abs() < 1e-9, optimal.all(-1))
    assert 0 < int(optimal.all(-1).sum()) < len(rows)


def test_shaping_changes_what_returns_say_and_not_what_regrets_say(walk) -> None:
    mdp = maze(LAYOUT)
    store = walk(mdp, 3000, 60)
    rows, mask = segments(store, 5)
    first, second = rows[:200], rows[200:]
    real = torch.from_numpy(np.stack((mask[:200], mask[200:]), 1))
    both = np.stack((first, second), 1)  # [n, 2, H]
    potential = np.random.default_rng(2).normal(size=mdp.num_states) * 5
    state, after = store.extra["state"], store.extra["state2"]
    gamma = 0.9
    bonus = gamma * np.where(after < 0, 0.0, potential[after]) - potential[state]
    P, R = mdp.dense()
    table = R + gamma * np.einsum("sax,x->sa", P, potential) - potential[:, None]
    _, plain = exact(mdp, gamma)
    _, shaped = exact(mdp.with_rewards(table), gamma)
    u = np.random.default_rng(4).random((200, 2))
    by_regret = [
        ask(
            parse("regret"), torch.from_numpy(a[state, store.action].round(7))[both], u, mask=real
        ).y
        for a in (plain, shaped)
    ]
    reward = store.reward.astype(np.float64)
    by_return = [
        ask(parse("rational"), torch.from_numpy(r)[both], u, mask=real).y
        for r in (reward, reward + bonus)
    ]
    assert torch.equal(*by_regret)
    assert not torch.equal(*by_return)


def test_a_constant_per_step_shows_in_regret_only(walk) -> None:
    """Where episodes may end, +c a step changes A*; sums over H steps each just move by cH."""
    mdp = maze(LAYOUT)
    store = walk(mdp, 3000, 60)
    rows, mask = segments(store, 5, ended=False)
    assert mask.all()
    both = np.stack((rows[:200], rows[200:]), 1)
    state = store.extra["state"]
    gamma, constant = 0.9, 3.0
    u = np.random.default_rng(4).random((200, 2))
    said = {}
    for c in (0.0, constant):
        _, advantage = exact(mdp.with_rewards(mdp.r + c), gamma)
        gain = torch.from_numpy(advantage[state, store.action].round(7))
        said["regret", c] = ask(parse("regret"), gain[both], u).y
        r = torch.from_numpy(store.reward.astype(np.float64) + c)
        said["return", c] = ask(parse("rational"), r[both], u).y
    assert torch.equal(said["return", 0.0], said["return", constant])
    assert not torch.equal(said["regret", 0.0], said["regret", constant])

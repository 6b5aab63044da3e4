"""Formulas against their semantics on endless words, and against hand-made automata."""

import itertools
import re

import numpy as np
import pytest
from scipy.sparse import csr_array
from scipy.sparse.csgraph import breadth_first_order, connected_components

from rlkit.envs.tabular.garnet import garnet
from rlkit.theory import FiniteMDP
from rlkit.theory.objectives.automata import (
    buchi_satisfaction,
    eventually_always,
    infinitely_often,
    satisfaction,
    sequence,
    until,
)
from rlkit.theory.objectives.temporal_logic import ltl_satisfaction, ltl_task

LABELS = ("a", "b", "c")
COSAFE, SAFE = ("X", "F", "U", "M"), ("X", "G", "W", "R")


def random_text(rng, depth, operators):
    """A formula with these operators, negating labels only."""
    if depth == 0 or rng.random() < 0.2:
        return rng.choice(["a", "b", "c", "!a", "!b", "true"])
    kind = rng.choice([*operators, "&", "|"])
    one, two = (random_text(rng, depth - 1, operators) for _ in range(2))
    return f"{kind} ({one})" if kind in "XFG" else f"(({one}) {kind} ({two}))"


def random_task(rng):
    """One of the four kinds, or a combination of two."""
    kind = rng.integers(6)
    if kind < 2:
        return random_text(rng, 3, (COSAFE, SAFE)[kind])
    if kind < 4:
        return f"{'GF'[kind - 2]} ({random_text(rng, 2, (COSAFE, SAFE)[kind - 2])})"
    return f"({random_task(rng)}) {'&|'[kind - 4]} ({random_task(rng)})"


def holds(text, word, loop):
    """Truth of each operator by its definition, at all places of the word word[:loop] (rest)^w."""
    n = len(word)
    after = [*range(1, n), loop]
    words = re.findall(r"[()!&|]|\w+", text)

    def settle(start, rule):
        now = [start] * n
        while (fresh := [rule(i, now[after[i]]) for i in range(n)]) != now:
            now = fresh
        return now

    def unary():
        token = words.pop(0)
        if token == "(":
            inside = binary()
            assert words.pop(0) == ")"
            return inside
        if token == "true":
            return [True] * n
        if token in LABELS:
            return [letter == token for letter in word]
        inner = unary()
        if token == "!":
            return [not x for x in inner]
        if token == "X":
            return [inner[after[i]] for i in range(n)]
        if token == "F":
            return settle(False, lambda i, later: inner[i] or later)
        assert token == "G"
        return settle(True, lambda i, later: inner[i] and later)

    def binary():
        one = unary()
        if not words or words[0] == ")":
            return one
        token = words.pop(0)
        two = unary()
        if token in "&|":
            return [(x and y) if token == "&" else (x or y) for x, y in zip(one, two, strict=True)]
        if token in "UW":
            return settle(token == "W", lambda i, later: two[i] or (one[i] and later))
        return settle(token == "R", lambda i, later: two[i] and (one[i] or later))

    return binary()[0]


def accepts(task, word, loop):
    """Whether some run of the automaton accepts the endless word."""
    machine, n, size = task.automaton, len(word), len(task.automaton.moves)
    after = [*range(1, n), loop]
    edges = []
    for i, u in itertools.product(range(n), range(size)):
        edges.append((i * size + u, after[i] * size + machine.moves[u, LABELS.index(word[i])]))
        edges += [(i * size + u, i * size + v) for before, v in machine.jumps if before == u]
    rows, cols = np.array(edges).T
    graph = csr_array((np.ones(len(edges)), (rows, cols)), shape=(n * size, n * size))
    reached = np.zeros(n * size, bool)
    reached[breadth_first_order(graph, 0, return_predecessors=False)] = True
    accepting = np.tile(machine.accepting, n)
    if task.finite:
        return bool((reached & accepting).any())
    _, part = connected_components(graph, connection="strong")
    turning = np.zeros(part.max() + 1, bool)
    turning[part[rows[part[rows] == part[cols]]]] = True
    return bool((reached & accepting & turning[part]).any())


@pytest.mark.parametrize("seed", range(4))
def test_automata_accept_what_the_semantics_says(seed):
    rng = np.random.default_rng(seed)
    verdicts = []
    for _ in range(60):
        text = random_task(rng)
        task = ltl_task(text, LABELS)
        for _ in range(20):
            n = rng.integers(1, 7)
            word, loop = rng.choice(LABELS, n).tolist(), int(rng.integers(n))
            expected = holds(text, word, loop)
            assert accepts(task, word, loop) == expected, (text, word, loop)
            verdicts.append(expected)
    assert 0.2 < np.mean(verdicts) < 0.8  # neither side is trivial


def test_sugar_and_binding():
    pairs = [
        ("a -> F b", "!a | F b"), ("a <-> b", "(a & b) | (!a & !b)"), ("!F a", "G !a"),
        ("!(a U b)", "!a R !b"), ("GF a && FG b", "(G F a) & (F G b)"),
        ("a U b U c", "a U (b U c)"),
        ("a & b | c", "(a & b) | c"), ("a -> b -> c", "!a | (!b | c)"), ("!!a", "a"),
        ("F a & b", "(F a) & b"), ("false", "!true"), ("!(a W b)", "!a M !b"),
    ]  # fmt: skip
    for one, two in pairs:
        left, right = ltl_task(one, LABELS), ltl_task(two, LABELS)
        assert left.finite == right.finite
        np.testing.assert_array_equal(left.automaton.moves, right.automaton.moves)
        np.testing.assert_array_equal(left.automaton.accepting, right.automaton.accepting)
        assert left.automaton.jumps == right.automaton.jumps


def test_monitors_are_small():
    assert len(ltl_task("F (a & F (b & F c))", LABELS).automaton.moves) == 4
    assert len(ltl_task("G (a -> X b)", LABELS).automaton.moves) == 3
    assert len(ltl_task("GF a", LABELS).automaton.moves) == 2


@pytest.mark.parametrize("seed", range(3))
def test_satisfaction_equals_the_hand_made_automata(seed):
    mdp = garnet(7, 2, 2, seed)
    labels = np.random.default_rng(seed).integers(3, size=(7, 2, 7))
    start = mdp.initial_law()
    for text, machine, judge in (
        ("F (a & X F b)", sequence([0, 1], 3), satisfaction),
        ("!c U a", until([0, 1], 0, 3), satisfaction),
        ("GF b", infinitely_often(1, 3), buchi_satisfaction),
        ("FG b", eventually_always(1, 3), buchi_satisfaction),
    ):
        task = ltl_task(text, LABELS)
        ours = ltl_satisfaction(mdp, task, labels)[0].reshape(7, -1)[:, 0]
        by_hand = judge(mdp, machine, labels)[0].reshape(7, -1)[:, 0]
        np.testing.assert_allclose(ours, by_hand, atol=1e-9)
        assert 0 <= start @ ours <= 1 + 1e-9


def test_response_in_a_world_that_chooses():
    # State 0 may rest (label c) or ask (a); asked, action 0 answers (b), action 1 sulks (c).
    mdp = FiniteMDP.from_dense(
        np.eye(2)[np.array([[0, 1], [0, 1]])], np.zeros((2, 2)), np.array([1.0, 0.0])
    )
    labels = np.zeros((2, 2, 2), np.int64)
    labels[0, 0], labels[0, 1], labels[1, 0], labels[1, 1] = 2, 0, 1, 2

    def chance(text):
        return ltl_satisfaction(mdp, ltl_task(text, LABELS), labels)[0][0]

    assert chance("G (a -> F b) & GF a") == pytest.approx(1.0)
    assert chance("GF a & FG c") == pytest.approx(0.0)
    assert chance("GF a | FG c") == pytest.approx(1.0)
    assert chance("G !b & F a") == pytest.approx(1.0)
    assert chance("G (a -> X !b) & GF a & GF b") == pytest.approx(1.0)
    assert chance("G (a -> X b) & GF a & FG !b") == pytest.approx(0.0)


def test_chance_between_two_ends():
    # From 0 the only action leads to a room of label a (.3) or of label b for ever.
    p = np.array([[[0.0, 0.3, 0.7]], [[0.0, 1, 0]], [[0.0, 0, 1]]])
    mdp = FiniteMDP.from_dense(p, np.zeros((3, 1)), np.eye(3)[0])
    labels = np.broadcast_to(np.array([2, 0, 1]), (3, 1, 3))
    for text, value in (
        ("F a", 0.3), ("G a", 0.3), ("FG b", 0.7), ("GF a | GF b", 1.0), ("GF a & GF b", 0.0),
        ("X X b", 0.7), ("a W c", 0.3), ("a W b", 1.0),
    ):  # fmt: skip
        task = ltl_task(text, LABELS)
        assert ltl_satisfaction(mdp, task, labels)[0][0] == pytest.approx(value), text


def test_termination_keeps_what_is_decided_and_nothing_else():
    mdp = FiniteMDP.from_dense(np.array([[[0.5]]]), np.zeros((1, 1)), stop="deficit")
    labels = np.zeros((1, 1, 1), np.int64)
    assert ltl_satisfaction(mdp, ltl_task("F a", LABELS), labels)[0][0] == pytest.approx(0.5)
    assert ltl_satisfaction(mdp, ltl_task("G a", LABELS), labels)[0][0] == pytest.approx(0.0)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a &", "expected a label, '(' or an operator at the end"),
        ("(a | b", "expected ')' at the end"),
        ("a b", "expected the end or an operator at 2, found 'b'"),
        ("a U U b", "expected a label, '(' or an operator at 4, found 'U'"),
        ("F d", "no label 'd' among ['a', 'b', 'c']"),
        ("a % b", "unexpected '%' at 2"),
        ("", "expected a label"),
        ("a U (G b)", "a part that begins with U is neither co-safe"),
    ],
)
def test_what_is_wrong_is_named(text, says):
    with pytest.raises(ValueError, match=re.escape(says)):
        ltl_task(text, LABELS)

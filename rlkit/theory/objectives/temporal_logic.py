"""Linear temporal logic as text, made into the automata of `rlkit.theory.objectives.automata`.

    true, false, names of labels, ! & | -> <->, X F G, U (until), W (weak until), R (release),
    M (strong release), brackets.  "F(key & F door)", "G(alarm -> F off) & F G calm"

A word is the labels of the transitions of an endless run, one label each: X speaks about the next
transition. Accepted is every positive Boolean combination of four kinds of formula:

    co-safe (X F U M): decided by a finite beginning;  safe (X G W R): refuted by one;
    G of a co-safe one (recurrence, as in G F a or G(a -> F b));
    F of a safe one (persistence, as in F G a).

Monitors are built by progression: what a formula asks of the rest of the word once a label was
read (Bacchus & Kabanza 2000). Recurrence adds a breakpoint to the monitor, persistence a jump,
conjunction a counter over the parts (generalised Buchi); the result is limit-deterministic.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from rlkit.theory.mdp import Array, FiniteMDP
from rlkit.theory.objectives.automata import Automaton, buchi_satisfaction, satisfaction

Formula = tuple[Any, ...]  # ("label", i) ("not", i) ("and", f, g) ("X", f) ("U", f, g) ...
State = frozenset[frozenset[Formula]]  # obligations: a disjunction of conjunctions

TRUE: Formula = ("true",)
FALSE: Formula = ("false",)
DONE: State = frozenset([frozenset()])
FAILED: State = frozenset()
DUAL = {"and": "or", "or": "and", "F": "G", "G": "F", "U": "R", "R": "U", "W": "M", "M": "W",
        "X": "X", "true": "false", "false": "true"}  # fmt: skip
MAX_STATES = 5000
_TOKEN = re.compile(r"\s*(<->|->|&&|\|\||[!&|()]|[A-Za-z_][A-Za-z_0-9]*)")


class Task(NamedTuple):
    """An automaton and whether a finite beginning of a run decides it (a co-safe formula).

    If so the automaton accepts by reaching an accepting state, else by visiting one for ever.
    """

    automaton: Automaton
    finite: bool


def ltl_task(text: str, labels: Sequence[str]) -> Task:
    """The automaton of a formula over the label names `labels` (label i has number i).

    ValueError naming the place of a syntax error, an unknown label, or the part of the formula
    that lies outside the four kinds.
    """
    formula = parse(text, labels)
    count = len(labels)
    if _made_of(formula, {"X", "F", "U", "M"}):
        monitor = _monitor(formula, count)
        ends = monitor.accepting
        entering = ends[monitor.moves] & ~ends[:, None]
        return Task(monitor._replace(rewards=entering.astype(float)), True)
    return Task(_build(formula, count, text), False)


def ltl_satisfaction(mdp: FiniteMDP, task: Task, labels: Array) -> tuple[Array, FiniteMDP]:
    """Largest probability of the task from each product state [S U], and the product.

    `labels` [S, A, S] are the labels of transitions. A run that terminates satisfies only what
    its beginning has decided.
    """
    judge = satisfaction if task.finite else buchi_satisfaction
    return judge(mdp, task.automaton, labels)


# --- text to formula ------------------------------------------------------------------------------
def parse(text: str, labels: Sequence[str]) -> Formula:
    """The formula in negation normal form. ValueError naming the place of what is wrong."""
    reader = _Reader(text, list(labels))
    formula = reader.equivalence()
    if reader.at < len(reader.words):
        raise reader.error("the end or an operator")
    return _normal(formula, False)


class _Reader:
    """Recursive descent; loosest first: <->, ->, |, &, U W R M (right), ! X F G."""

    def __init__(self, text: str, labels: list[str]) -> None:
        self.text, self.labels, self.at = text, labels, 0
        self.words: list[tuple[str, int]] = []
        place = 0
        while place < len(text.rstrip()):
            found = _TOKEN.match(text, place)
            if found is None:
                place += len(text[place:]) - len(text[place:].lstrip())
                raise ValueError(f"{text!r}: unexpected {text[place]!r} at {place}")
            word = found[1]
            # "GF a" is "G F a", unless it is a label's name.
            parts = list(word) if re.fullmatch("[XFG]+", word) and word not in labels else [word]
            self.words += [(part, found.start(1) + i) for i, part in enumerate(parts)]
            place = found.end()

    def peek(self) -> str:
        return self.words[self.at][0] if self.at < len(self.words) else ""

    def take(self, *wanted: str) -> bool:
        if self.peek() in wanted and self.peek():
            self.at += 1
            return True
        return False

    def error(self, wanted: str) -> ValueError:
        if self.at >= len(self.words):
            return ValueError(f"{self.text!r}: expected {wanted} at the end")
        word, place = self.words[self.at]
        return ValueError(f"{self.text!r}: expected {wanted} at {place}, found {word!r}")

    def equivalence(self) -> Formula:
        left = self.implication()
        while self.take("<->"):
            right = self.implication()
            left = ("or", ("and", left, right), ("and", ("!", left), ("!", right)))
        return left

    def implication(self) -> Formula:
        left = self.either()
        return ("or", ("!", left), self.implication()) if self.take("->") else left

    def either(self) -> Formula:
        left = self.both()
        while self.take("|", "||"):
            left = ("or", left, self.both())
        return left

    def both(self) -> Formula:
        left = self.binary()
        while self.take("&", "&&"):
            left = ("and", left, self.binary())
        return left

    def binary(self) -> Formula:
        left, word = self.unary(), self.peek()
        return (word, left, self.binary()) if self.take("U", "W", "R", "M") else left

    def unary(self) -> Formula:
        word = self.peek()
        if self.take("!", "X", "F", "G"):
            return (word, self.unary())
        if self.take("("):
            inside = self.equivalence()
            if not self.take(")"):
                raise self.error("')'")
            return inside
        if word in ("true", "false"):
            self.at += 1
            return (word,)
        if not re.match("[A-Za-z_]", word) or word in ("U", "W", "R", "M"):
            raise self.error("a label, '(' or an operator")
        if word not in self.labels:
            raise ValueError(f"{self.text!r}: no label {word!r} among {self.labels}")
        self.at += 1
        return ("label", self.labels.index(word))


def _normal(f: Formula, negated: bool) -> Formula:
    """Negations pushed down to labels."""
    if f[0] == "!":
        return _normal(f[1], not negated)
    if f[0] == "label":
        return ("not", f[1]) if negated else f
    parts = (_normal(g, negated) for g in f[1:])
    return (DUAL[f[0]] if negated else f[0], *parts)


# --- progression ----------------------------------------------------------------------------------
def _either(*states: State) -> State:
    """Disjunction, without clauses that ask for more than another one."""
    clauses = frozenset().union(*states)
    return frozenset(c for c in clauses if not any(d < c for d in clauses))


def _both(first: State, second: State) -> State:
    return _either(frozenset(c | d for c in first for d in second))


def _obligation(f: Formula) -> State:
    if f[0] in ("and", "or"):
        combine = _both if f[0] == "and" else _either
        return combine(_obligation(f[1]), _obligation(f[2]))
    if f[0] in ("true", "false"):
        return DONE if f[0] == "true" else FAILED
    return frozenset([frozenset([f])])


def _after(f: Formula, label: int) -> State:
    """What f asks of the rest of the word once `label` was read."""
    kind, parts = f[0], f[1:]
    if kind in ("true", "false"):
        return _obligation(f)
    if kind in ("label", "not"):
        return DONE if (parts[0] == label) == (kind == "label") else FAILED
    if kind == "X":
        return _obligation(parts[0])
    now = [_after(g, label) for g in parts]
    if kind == "and":
        return _both(*now)
    if kind == "or":
        return _either(*now)
    stay = _obligation(f)
    if kind == "F":
        return _either(now[0], stay)
    if kind == "G":
        return _both(now[0], stay)
    if kind in ("U", "W"):
        return _either(now[1], _both(now[0], stay))
    return _both(now[1], _either(now[0], stay))  # R, M


def _progress(state: State, label: int) -> State:
    out = FAILED
    for clause in state:
        every = DONE
        for f in clause:
            every = _both(every, _after(f, label))
        out = _either(out, every)
    return out


# --- automata -------------------------------------------------------------------------------------
def _explore(start: Any, step: Any, count: int) -> tuple[list[Any], Array]:
    """All states reachable by step(state, label), and their moves [U, labels]; start is 0."""
    states, moves = [start], []
    number = {start: 0}
    for state in states:  # grows while it is walked through
        row = []
        for label in range(count):
            after = step(state, label)
            if after not in number:
                if len(states) >= MAX_STATES:
                    raise ValueError(f"the formula needs more than {MAX_STATES} states")
                number[after] = len(states)
                states.append(after)
            row.append(number[after])
        moves.append(row)
    return states, np.array(moves, np.int64).reshape(-1, count)


def _automaton(moves: Array, accepting: Any, jumps: Any = ()) -> Automaton:
    """States that accept alike and lead to states alike are made one; the first stays 0."""
    accepting, part = np.asarray(accepting, bool), np.zeros(len(moves), np.int64)
    while True:
        looks = [
            (int(part[u]), bool(accepting[u]), tuple(part[row].tolist()),
             frozenset(int(part[v]) for before, v in jumps if before == u))
            for u, row in enumerate(moves)
        ]  # fmt: skip
        number = {look: i for i, look in enumerate(dict.fromkeys(looks))}
        settled = len(number) == part.max() + 1
        part = np.array([number[look] for look in looks])
        if settled:
            break
    first = np.unique(part, return_index=True)[1]
    kept = sorted({(int(part[u]), int(part[v])) for u, v in jumps if part[u] != part[v]})
    small = part[moves[first]]
    return Automaton(small, np.zeros(small.shape), accepting[first], tuple(kept))


def _monitor(f: Formula, count: int) -> Automaton:
    """Accepts in the state that asks for nothing more (co-safe formulas)."""
    states, moves = _explore(_obligation(f), _progress, count)
    return _automaton(moves, [state == DONE for state in states])


def _safety(f: Formula, count: int) -> Automaton:
    """Accepts as long as nothing has gone wrong."""
    states, moves = _explore(_obligation(f), _progress, count)
    return _automaton(moves, [state != FAILED for state in states])


def _recurrence(f: Formula, count: int) -> Automaton:
    """G f for a co-safe f: each time all that was asked is done, the newer obligations' turn
    comes; accepting where that has just happened."""
    fresh = _obligation(f)

    def step(state: tuple[State, State, bool], label: int) -> tuple[State, State, bool]:
        old, new, _ = state
        if old == DONE:  # nothing is pending: the newest is waited for itself
            old, new = _progress(fresh, label), DONE
        else:
            old, new = _progress(old, label), _progress(_both(new, fresh), label)
        return (new, DONE, True) if old == DONE else (old, new, False)

    states, moves = _explore((fresh, DONE, False), step, count)
    return _automaton(moves, [state[2] for state in states])


def _persistence(f: Formula, count: int) -> Automaton:
    """F f for a safe f: jump into its monitor when sure."""
    inner = _safety(f, count)
    moves = np.vstack([np.zeros((1, count), np.int64), inner.moves + 1])
    return _automaton(moves, np.append(False, inner.accepting), [(0, 1)])


def _combine(parts: list[Automaton], every: bool) -> Automaton:
    """Intersection (a counter waits for each part in turn) or union of the parts."""
    count, n = parts[0].moves.shape[1], len(parts)

    def seen(state: tuple[int, ...]) -> list[bool]:
        return [bool(p.accepting[u]) for p, u in zip(parts, state, strict=False)]

    def advance(state: tuple[int, ...]) -> tuple[int, ...]:
        """The counter moves past every part that accepts here; at n a round is complete."""
        at = 0 if state[n] == n else state[n]
        while every and at < n and seen(state)[at]:
            at += 1
        return (*state[:n], at)

    def follow(state: tuple[int, ...], which: int) -> tuple[int, ...]:
        """A label, or beyond the labels a jump of one part."""
        if which < count:
            moved = tuple(int(p.moves[u, which]) for p, u in zip(parts, state, strict=False))
            return advance((*moved, state[n]))
        part, (before, after) = jumps[which - count]
        if state[part] != before:
            return state
        return (*state[:part], after, *state[part + 1 :])

    jumps = [(i, jump) for i, p in enumerate(parts) for jump in p.jumps]
    states, moves = _explore((*[0] * n, 0), follow, count + len(jumps))
    accepting = [state[n] == n if every else any(seen(state)) for state in states]
    taken = {
        (u, int(moves[u, count + k]))
        for u, k in itertools.product(range(len(states)), range(len(jumps)))
        if moves[u, count + k] != u
    }
    return _automaton(moves[:, :count], accepting, sorted(taken))


def _build(f: Formula, count: int, text: str) -> Automaton:
    if _made_of(f, {"X", "F", "U", "M"}):
        return _monitor(f, count)
    if _made_of(f, {"X", "G", "W", "R"}):
        return _safety(f, count)
    if f[0] == "G" and _made_of(f[1], {"X", "F", "U", "M"}):
        return _recurrence(f[1], count)
    if f[0] == "F" and _made_of(f[1], {"X", "G", "W", "R"}):
        return _persistence(f[1], count)
    if f[0] in ("and", "or"):
        return _combine([_build(g, count, text) for g in _flat(f, f[0])], f[0] == "and")
    raise ValueError(
        f"{text!r}: a part that begins with {f[0]} is neither co-safe (X F U M), safe (X G W R), "
        "G of a co-safe nor F of a safe formula; rewrite it as a combination of those"
    )


def _flat(f: Formula, kind: str) -> list[Formula]:
    return [h for g in f[1:] for h in _flat(g, kind)] if f[0] == kind else [f]


def _made_of(f: Formula, operators: set[str]) -> bool:
    if f[0] in ("label", "not", "true", "false"):
        return True
    return f[0] in operators | {"and", "or"} and all(_made_of(g, operators) for g in f[1:])

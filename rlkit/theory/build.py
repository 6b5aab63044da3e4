"""The arrays of a `FiniteMDP` from the forms in which people have their models.

Every function returns the keyword arguments of `FiniteMDP`, whose classmethods of the same names
wrap them and validate.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import scipy.sparse as sp

from rlkit.core.files.reading import read_npz, reading
from rlkit.core.files.replacing import replacing
from rlkit.theory.validate import INT32_MAX as MAX_STATES
from rlkit.theory.validate import as_integers, as_reals, check_count

Array = np.ndarray
Fields = dict[str, Any]
T = TypeVar("T")

FIELDS = ("sa_ptr", "row_ptr", "col", "val", "r", "a_id", "stop", "mu0", "exo")


def _pointer(counts: Array) -> Array:
    return np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])


def from_dense(P: Array, R: Array, mu0: Array | None = None, stop: Any = None) -> Fields:
    """Fields of P [S, A, S] and R [S], the same for every action, [S, A] or [S, A, S].

    R[s, a] = -inf marks an infeasible action.
    `stop` is a table [S, A] of termination probabilities, "deficit" or None. Three-index
    rewards are contracted with P once. ValueError on shapes, naming (A, S, S) order if seen.
    """
    P, R = np.asarray(P), as_reals("R", R, finite=False)
    if P.dtype.kind not in "biuf":
        raise ValueError(f"P must be an array of numbers, got dtype {P.dtype}")
    if P.ndim != 3 or P.shape[0] != P.shape[2]:
        hint = "; it looks like (A, S, S): pass P.transpose(1, 0, 2)" if (
            P.ndim == 3 and P.shape[1] == P.shape[2]) else ""  # fmt: skip
        raise ValueError(f"P must have shape (S, A, S), got {P.shape}{hint}")
    if R.shape == P.shape[:1]:
        R = np.broadcast_to(R[:, None], P.shape[:2])
    if R.shape not in (P.shape[:2], P.shape):
        known = f"{P.shape[:1]}, {P.shape[:2]} or {P.shape}"
        raise ValueError(f"R must have shape {known}, got {R.shape}")
    if R.ndim == 3:
        absent = np.isneginf(R).all(2)
        with np.errstate(invalid="ignore"):
            R = np.where(absent, -np.inf, np.where(P != 0, P * R, 0.0).sum(2))
    feasible = ~np.isneginf(R)
    s, a = np.nonzero(feasible)
    body = P[s, a]
    row, col = np.nonzero(body)
    if stop is not None and not isinstance(stop, str):
        stop = as_reals("stop", stop, P.shape[:2], finite=False)[s, a]
    return dict(
        sa_ptr=_pointer(np.bincount(s, minlength=P.shape[0])),
        row_ptr=_pointer(np.bincount(row, minlength=s.size)),
        col=col, val=body[row, col], r=R[s, a], a_id=a, stop=stop, mu0=mu0,
    )  # fmt: skip


def from_sparse(
    P: Any, R: Any, mu0: Array | None = None, stop: Any = None, s: Any = None, a: Any = None
) -> Fields:
    """Fields of scipy sparse transitions.

    Either P is a sequence of A matrices [S, S] with R [S, A] (-inf: infeasible), dense or sparse,
    by state [S], or a sequence of A sparse matrices [S, S] of rewards that depend on the successor,
    which is contracted with P once; what a sparse R does not store is 0. Or P is one matrix [L, S]
    with R [L] and the state and action of each row in `s` and `a`.
    """
    if sp.issparse(P):
        if s is None or a is None:
            raise ValueError("one [L, S] matrix needs the state `s` and action `a` of each row")
        rows = sp.csr_array(P)
        rewards = as_reals("R", R, (rows.shape[0],), finite=False)
        s, a = as_integers("s", s).astype(np.int64), as_integers("a", a).astype(np.int64)
    else:
        blocks = [sp.csr_array(p) for p in P]
        if not blocks:
            raise ValueError("P holds no matrix: one [S, S] for each action is needed")
        n = blocks[0].shape[0]
        if any(p.shape != (n, n) for p in blocks):
            raise ValueError(f"every P[a] must be ({n}, {n}), got {[p.shape for p in blocks]}")
        table = as_reals("R", _reward_table(blocks, R), (n, len(blocks)), finite=False)
        rows, rewards = sp.vstack(blocks, format="csr"), table.T.ravel()
        s, a = np.tile(np.arange(n), len(blocks)), np.repeat(np.arange(len(blocks)), n)
        keep = ~np.isneginf(rewards)
        rows, rewards, s, a = rows[np.flatnonzero(keep)], rewards[keep], s[keep], a[keep]
    if rows.shape[1] > MAX_STATES:
        raise ValueError(f"{rows.shape[1]} states do not fit int32 successors")
    if not rewards.shape == s.shape == a.shape:
        raise ValueError(
            f"P has {rows.shape[0]} rows, but s has shape {s.shape} and a {a.shape}: must agree"
        )
    if (bad := np.flatnonzero((s < 0) | (s >= rows.shape[1]))).size:
        raise ValueError(
            f"row {bad[0]}: state {s[bad[0]]} lies outside 0..{rows.shape[1] - 1}, the columns of P"
        )
    if stop is not None and not isinstance(stop, str):
        stop = as_reals("stop", stop, rewards.shape, finite=False)
    later, same = s[1:] > s[:-1], s[1:] == s[:-1]
    if not (later | (same & (a[1:] >= a[:-1]))).all():
        order = np.lexsort((a, s))
        rows, rewards, s, a = sp.csr_array(rows[order]), rewards[order], s[order], a[order]
        stop = stop[order] if isinstance(stop, np.ndarray) else stop
    else:
        rows = sp.csr_array(rows, copy=True)  # what was given stays as it is, and the model too
    if not rows.has_canonical_format:
        rows.sum_duplicates()  # also sorts the columns
    return dict(
        sa_ptr=_pointer(np.bincount(s, minlength=rows.shape[1])), row_ptr=rows.indptr,
        col=rows.indices, val=rows.data, r=rewards, a_id=a, stop=stop, mu0=mu0,
    )  # fmt: skip


def _reward_table(blocks: list[sp.csr_array], R: Any) -> Any:
    """Rewards [S, A] of transitions [S, S] by action, from any form that `from_sparse` takes."""
    n = blocks[0].shape[0]
    if sp.issparse(R):
        return R.toarray()
    if not isinstance(R, np.ndarray) and len(R) and all(sp.issparse(x) for x in R):
        if len(R) != len(blocks) or any(x.shape != (n, n) for x in R):
            raise ValueError(
                f"R has {len(R)} matrices of shapes {[x.shape for x in R]}; needed are "
                f"{len(blocks)} of {(n, n)}"
            )
        return np.column_stack([p.multiply(x).sum(1) for p, x in zip(blocks, R, strict=True)])
    rewards = np.asarray(R)
    if rewards.shape == (n,) and rewards.dtype.kind in "biuf":
        return np.repeat(rewards[:, None], len(blocks), 1)
    return R


def from_coo(
    s: Array, a: Array, s2: Array, p: Array, r: Array, num_states: int | None = None,
    mu0: Array | None = None, stop: Any = None,
) -> Fields:  # fmt: skip
    """Fields of transition lists of equal length n.

    `r` is the reward of the transition, weighted by `p` into the row's expected reward.
    Duplicates of (s, a, s2) are summed. An entry with s2 = -1 is termination: its mass and
    reward count, and it declares the row's deficit.
    """
    s, a, s2 = (
        as_integers(name, x).astype(np.int64) for name, x in (("s", s), ("a", a), ("s2", s2))
    )
    p, r = as_reals("p", p, finite=False), as_reals("r", r, finite=False)
    shapes = [x.shape for x in (s, a, s2, p, r)]
    if s.ndim != 1 or s.size == 0 or any(shape != s.shape for shape in shapes):
        raise ValueError(
            "s, a, s2, p and r must be lists of equal length > 0, got shapes "
            + ", ".join(map(str, shapes))
        )
    if num_states is None:
        n = int(max(s.max(), s2.max())) + 1
    else:
        n = check_count("num_states", num_states)
    if n > MAX_STATES:
        raise ValueError(f"{n} states do not fit int32 successors")
    for name, x, low in (("s", s, 0), ("s2", s2, -1), ("a", a, 0)):
        high = MAX_STATES if name == "a" else n - 1
        if (bad := np.flatnonzero((x < low) | (x > high))).size:
            raise ValueError(f"{name}[{bad[0]}] = {x[bad[0]]} lies outside {low}..{high}")
    width = int(a.max()) + 1
    if n * width > 2**62:
        raise ValueError(f"{n} states x {width} actions overflow a 64-bit row key")
    key = s * width + a
    if (np.diff(key) >= 0).all():  # listed in order, as by `from_function`: nothing to sort
        fresh = np.diff(key, prepend=-1) > 0
        rows, index = key[fresh], np.cumsum(fresh) - 1
    else:
        rows, index = np.unique(key, return_inverse=True)
    bad = np.flatnonzero(~np.isfinite(p) | (p < 0) | ~np.isfinite(r))
    if bad.size:
        i = bad[0]
        raise ValueError(f"entry {i} (state {s[i]}, action {a[i]}): p = {p[i]}, r = {r[i]}")
    rewards = np.bincount(index, p * r, minlength=rows.size)
    ending = np.bincount(index, np.where(s2 < 0, p, 0.0), minlength=rows.size)
    live = (s2 >= 0) & (p > 0)
    matrix = sp.csr_array((p[live], (index[live], s2[live])), shape=(rows.size, n))
    if stop is None and ending.any():
        stop = np.where(ending < 1.0 + 1e-9, np.minimum(ending, 1.0), ending)  # sums round
    return from_sparse(matrix, rewards, mu0, stop, rows // width, rows % width)


def from_counts(
    counts: Any, rewards: Array, mu0: Array | None = None, unseen: str = "error"
) -> Fields:
    """Maximum-likelihood FiniteMDP of visit counts [S, A, S] and mean rewards [S, A].

    `unseen` says what a pair without visits becomes: "error", "stop" (terminates with reward
    rewards[s, a]), "self" (self-loop) or "drop" (infeasible).
    """
    n = as_reals("counts", counts, finite=False)
    if n.ndim != 3 or n.shape[0] != n.shape[2]:
        raise ValueError(f"counts must have shape (S, A, S), got {n.shape}")
    table = as_reals("rewards", rewards, n.shape[:2], finite=False).copy()
    if (n < 0).any() or not np.isfinite(n).all():
        s, a, _ = np.argwhere((n < 0) | ~np.isfinite(n))[0]
        raise ValueError(f"state {s}, action {a}: counts must be finite and non-negative")
    total = n.sum(2)
    missing = total == 0
    if missing.any() and unseen == "error":
        s, a = np.argwhere(missing)[0]
        raise ValueError(
            f"state {s}, action {a} was never tried; pass unseen='stop', 'self' or 'drop'"
        )
    if unseen not in ("error", "stop", "self", "drop"):
        raise ValueError(f"unseen must be 'error', 'stop', 'self' or 'drop', got {unseen!r}")
    p = n / np.maximum(total, 1)[:, :, None]
    if unseen == "self":
        s, a = np.nonzero(missing)
        p[s, a, s] = 1.0
    if unseen == "drop":
        table[missing] = -np.inf
    return from_dense(p, table, mu0, missing.astype(float) if unseen == "stop" else None)


def from_function(
    step: Callable[[int, int], Any], num_states: int, actions: Any, mu0: Array | None = None
) -> Fields:
    """Fields of a callable, without materialising pairs that do not exist.

    `step(s, a)` returns a list of (probability, next state, reward, terminated); `actions` is
    the number of actions or a callable s -> iterable of feasible action ids.
    """
    num_states = check_count("num_states", num_states)
    if num_states > MAX_STATES:
        raise ValueError(f"num_states must lie in 1..{MAX_STATES} (int32), got {num_states}")
    feasible = actions if callable(actions) else (lambda s: range(actions))
    entries: list[tuple[Any, Any, Any, Any]] = []
    ids: list[Any] = []
    widths = []  # actions of each state
    ends = [0]  # entries up to each pair: whole lists are joined, no entry is touched here
    for s in range(num_states):
        found = list(feasible(s))
        ids += found
        widths.append(len(found))
        for a in found:
            entries += step(s, a)
            ends.append(len(entries))
    if not entries:
        raise ValueError("no action of any state leads anywhere")
    p, target, r, ended = (np.array(x) for x in zip(*entries, strict=True))
    counts = np.diff(ends)
    s_, a_ = np.repeat(np.repeat(np.arange(num_states), widths), counts), np.repeat(ids, counts)
    s2 = as_integers("next state", target)
    if (bad := np.flatnonzero((s2 < 0) | (s2 >= num_states))).size:
        i = bad[0]
        raise ValueError(
            f"state {s_[i]}, action {a_[i]}: next state {s2[i]} outside 0..{num_states - 1}"
        )
    return from_coo(s_, a_, np.where(ended.astype(bool), -1, s2), p, r, num_states, mu0)


def from_gymnasium(env: Any) -> Fields:
    """Fields of an environment with `P[s][a] = [(p, s2, r, terminated), ...]`.

    Repeated successors are summed; continuation mass is dropped where terminated. mu0 comes
    from `initial_state_distrib` when the environment has it. ValueError without `P`.
    """
    inner = getattr(env, "unwrapped", env)
    table: Any = getattr(inner, "P", None)
    if not hasattr(table, "__getitem__"):
        raise ValueError(
            f"{inner!r} has no transition dictionary P; use FiniteMDP.from_function, or a family "
            "of rlkit.envs.tabular"
        )
    mu0 = getattr(inner, "initial_state_distrib", None)
    if mu0 is not None:
        mu0 = np.asarray(mu0, np.float64)
        mu0 = mu0 / mu0.sum()
    return from_function(lambda s, a: table[s][a], len(table), lambda s: sorted(table[s]), mu0)


def factored(move: Array, exo: Array, r: Array, mu0: Array | None = None) -> Fields:
    """Fields of a deterministic endogenous move times an exogenous chain.

    `move[i, k, a]` is the next endogenous state (-1: infeasible), `exo` [K, K] moves k on its
    own, `r[i, k, a]` is the reward. State s = i * K + k. One successor a row is stored and an
    expectation costs one I x K x K matrix product, however dense `exo` is.
    """
    move, r = as_integers("move", move), as_reals("r", r, finite=False)
    exo = as_reals("exo", exo)
    if move.ndim != 3 or move.shape != r.shape or exo.shape != (move.shape[1],) * 2:
        raise ValueError(
            f"need move and r [I, K, A] and exo [K, K], got {move.shape, r.shape, exo.shape}"
        )
    size, k, _ = move.shape
    if (bad := np.argwhere((move < -1) | (move >= size))).size:
        raise ValueError(
            f"move{tuple(bad[0].tolist())} = {move[tuple(bad[0])]} outside -1..{size - 1}"
        )
    i, j, a = np.nonzero((move >= 0) & ~np.isneginf(r))
    return dict(
        sa_ptr=_pointer(np.bincount(i * k + j, minlength=size * k)),
        row_ptr=np.arange(i.size + 1), col=move[i, j, a] * k + j, val=np.ones(i.size),
        r=r[i, j, a], a_id=a, mu0=mu0, exo=exo,
    )  # fmt: skip


def write_npz(path: str | os.PathLike[str], **arrays: Array) -> None:
    """Write arrays to `path`, which gets its name when it is complete. FileError (a ValueError and
    an OSError) naming path and cause where the system refuses."""
    with replacing(Path(path)) as temporary, temporary.open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]


def load_npz(path: str | os.PathLike[str], make: Callable[[Fields], T]) -> T:
    """What `make` makes of the fields in a file written by `FiniteMDP.save`. ValueError naming the
    file if it or `make` finds something else, FileNotFoundError if there is none."""
    path, what = Path(path), "an npz file of a FiniteMDP"
    arrays = read_npz(path, what)
    missing = {"sa_ptr", "row_ptr", "col", "val", "r", "a_id"} - arrays.keys()
    extra = arrays.keys() - set(FIELDS)
    if missing or extra:
        raise ValueError(
            f"{path} is not a FiniteMDP: missing {sorted(missing)}, unknown {sorted(extra)}"
        )
    with reading(path, what):
        return make(arrays)

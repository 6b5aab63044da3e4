"""Observations and actions of any gymnasium space as plain arrays.

The rule for composite observations, the same as gymnasium's `flatten`: the entries of a `Dict`
in the order of the space, those of a `Tuple` in turn, each made a vector (`Box` raveled,
`Discrete` and `MultiDiscrete` one-hot, `MultiBinary` as it is), one after another. So an agent
trained on a flattened dataset acts in the environment behind `FlattenObservation`.
A `Box` of any shape stays as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from gymnasium import spaces

from rlkit.core.boxes import as_declared, into_box


def flat_shape(space: spaces.Space) -> tuple[int, ...]:
    """Shape of one observation after `flatten`. Raises ValueError for a space it cannot take."""
    if isinstance(space, spaces.Box):
        return tuple(space.shape) or (1,)
    return (_vector_size(space),)


def flatten(space: spaces.Space, values: Any) -> np.ndarray:
    """Observations `[N, *flat_shape]` of N stacked elements of `space` (nested as the space is).

    A `Box` keeps its dtype; composite and discrete spaces become floating vectors. Raises
    ValueError for text, graphs and sequences, and for an element outside a discrete space.
    """
    if isinstance(space, spaces.Box):
        array = np.asarray(values)
        return array.reshape(len(array), *flat_shape(space))
    vectors = _vectors(space, values)
    dtype = np.result_type(*vectors)
    return np.concatenate(vectors, axis=1).astype(
        dtype if dtype.kind == "f" else np.float32, copy=False
    )


def flatten_action(space: spaces.Space, values: Any) -> np.ndarray:
    """Actions `[N, A]` floating of a `Box` or a nest of boxes, or `[N]` int64 counted from 0 of a
    `Discrete`. Raises ValueError for any other space."""
    if isinstance(space, spaces.Discrete):
        return np.asarray(values).reshape(-1).astype(np.int64) - int(space.start)
    low, _ = action_bounds(space)
    array = np.concatenate(_vectors(space, values), axis=1)
    if array.shape[1] != len(low):
        raise ValueError(f"actions have {array.shape[1]} dimensions, {space} has {len(low)}")
    return array if array.dtype.kind == "f" else array.astype(np.float32)


def action_bounds(space: spaces.Space) -> tuple[np.ndarray, np.ndarray]:
    """Bounds (low, high), each `[A]`, of a `Box` or a nest of boxes."""
    if isinstance(space, spaces.Box):
        return space.low.reshape(-1), space.high.reshape(-1)
    if isinstance(space, spaces.Dict | spaces.Tuple):
        bounds = [action_bounds(part) for part in _parts(space)]
        low, high = (np.concatenate(side) for side in zip(*bounds, strict=True))
        return low, high
    raise ValueError(f"actions of {space} are not supported; know Box, nests of Box, and Discrete")


def stack(space: spaces.Space, items: Sequence[Any]) -> Any:
    """N elements of `space` stacked leaf by leaf, as Minari stores them: copies, nested alike."""
    if isinstance(space, spaces.Dict):
        return {name: stack(part, [i[name] for i in items]) for name, part in space.spaces.items()}
    if isinstance(space, spaces.Tuple):
        return tuple(stack(part, [i[k] for i in items]) for k, part in enumerate(space.spaces))
    if isinstance(space, spaces.Text):
        return list(items)
    return np.array([as_declared(item, space.dtype) for item in items], dtype=space.dtype)


def executable(space: spaces.Space, action: Any) -> Any:
    """The action as an environment takes it: boxes clipped and in their type, nested as the space
    is. One that is not finite stays as it is."""
    if isinstance(space, spaces.Dict):
        return {name: executable(part, action[name]) for name, part in space.spaces.items()}
    if isinstance(space, spaces.Tuple):
        return tuple(executable(s, a) for s, a in zip(space.spaces, action, strict=True))
    if not isinstance(space, spaces.Box) or not np.isfinite(action).all():
        return action
    return into_box(action, space.low, space.high, space.dtype)


def _parts(space: spaces.Dict | spaces.Tuple) -> list[spaces.Space]:
    return list(space.spaces.values() if isinstance(space, spaces.Dict) else space.spaces)


def _vector_size(space: spaces.Space) -> int:
    if isinstance(space, spaces.Box | spaces.MultiBinary):
        return int(np.prod(space.shape))
    if isinstance(space, spaces.Discrete):
        return int(space.n)
    if isinstance(space, spaces.MultiDiscrete):
        return int(space.nvec.sum())
    if isinstance(space, spaces.Dict | spaces.Tuple):
        return sum(_vector_size(part) for part in _parts(space))
    raise ValueError(f"observations of {space} cannot be made a vector; drop that entry")


def _vectors(space: spaces.Space, values: Any) -> list[np.ndarray]:
    if isinstance(space, spaces.Dict):
        return [v for name, s in space.spaces.items() for v in _vectors(s, values[name])]
    if isinstance(space, spaces.Tuple):
        return [v for k, s in enumerate(space.spaces) for v in _vectors(s, values[k])]
    if isinstance(space, spaces.Discrete):
        return [_one_hot(np.asarray(values).reshape(-1) - space.start, int(space.n), space)]
    if isinstance(space, spaces.MultiDiscrete):
        numbers = np.asarray(values) - space.start
        flat = numbers.reshape(len(numbers), -1)
        sizes = space.nvec.reshape(-1)
        return [_one_hot(flat[:, k], int(n), space) for k, n in enumerate(sizes)]
    _vector_size(space)  # refuses what has no vector
    array = np.asarray(values)
    return [array.reshape(len(array), -1)]


def _one_hot(numbers: np.ndarray, n: int, space: spaces.Space) -> np.ndarray:
    outside = np.flatnonzero((numbers < 0) | (numbers >= n))
    if outside.size:
        raise ValueError(f"row {outside[0]} is not an element of {space}")
    return np.eye(n, dtype=np.float32)[numbers]


# --- descriptions that travel with a policy -----------------------------------------------------
def describe(space: spaces.Space) -> dict[str, Any]:
    """The space as JSON, for `difference`."""
    kind = type(space).__name__
    if isinstance(space, spaces.Box):
        low, high = (_numbers(bound) for bound in (space.low, space.high))
        dtype = np.dtype(space.dtype).name
        return {"kind": kind, "shape": list(space.shape), "low": low, "high": high, "dtype": dtype}
    if isinstance(space, spaces.Discrete):
        return {"kind": kind, "n": int(space.n), "start": int(space.start)}
    if isinstance(space, spaces.Dict):
        return {"kind": kind, "parts": {k: describe(s) for k, s in space.spaces.items()}}
    if isinstance(space, spaces.Tuple):
        return {"kind": kind, "parts": {str(k): describe(s) for k, s in enumerate(space.spaces)}}
    return {"kind": kind, "text": str(space)}


def difference(theirs: dict[str, Any], ours: dict[str, Any], where: str = "") -> str:
    """What tells two described spaces apart, "" if nothing does: "low is -2 here, -3 there".

    Types count for nothing, as numbers are cast; bounds are compared as float32 knows them.
    """
    if theirs["kind"] != ours["kind"]:
        return f"{where}{ours['kind']} here, {theirs['kind']} there"
    for name in sorted(theirs.keys() | ours.keys()):
        a: Any = theirs.get(name)
        b: Any = ours.get(name)
        if name == "parts":
            if list(a) != list(b):
                return f"{where}entries {list(b)} here, {list(a)} there"
            for part in a:
                if found := difference(a[part], b[part], f"{where}{part}: "):
                    return found
        elif name in ("low", "high"):
            if not _same_numbers(a, b):
                return f"{where}{name} is {_shown(b)} here, {_shown(a)} there"
        elif name not in ("kind", "dtype") and a != b:
            return f"{where}{name} is {_shown(b)} here, {_shown(a)} there"
    return ""


def _numbers(bound: np.ndarray) -> Any:
    """A list, or one number where all are alike; text for infinity, which JSON does not have."""
    flat = [x if np.isfinite(x) else str(x) for x in bound.reshape(-1).tolist()]
    return flat[0] if flat and all(x == flat[0] for x in flat) else flat


def _same_numbers(a: Any, b: Any) -> bool:
    one, two = (np.atleast_1d(np.asarray(x, np.float64)) for x in (a, b))
    if one.size != two.size and 1 not in (one.size, two.size):
        return False
    return bool(np.isclose(one, two, rtol=1e-6, atol=1e-12).all())


def _shown(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."

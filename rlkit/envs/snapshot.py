"""The whole state of an environment as arrays and JSON, so that a run continues bit for bit.

Covered: MuJoCo environments (the complete simulation state and every derived quantity that
observations and rewards read), MiniGrid (grid, objects, mission), any environment and wrapper
whose attributes are plain data (classic control, toy text), the random generators of environment
and spaces, and `SyncVectorEnv` of such environments. Functions held by a wrapper are taken to
have no state. Anything else raises `SnapshotUnsupported`; a run then resumes from an episode
boundary.
"""

from __future__ import annotations

import enum
import importlib
import types
from collections import deque
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.envs.registration import EnvSpec
from gymnasium.vector import SyncVectorEnv

from rlkit.envs.former import current

_FORMAT = 1
# Classes whose objects hold nothing but their attributes, and enumerations: all that a snapshot may
# make. A file that names any other is refused, whatever leads to it.
_TEACHERS = "rlkit.algos.bandits.teachers"
_CLASSES = {
    "gymnasium.vector.vector_env": ("AutoresetMode",),
    "gymnasium.wrappers.utils": ("RunningMeanStd",),
    "minigrid.core.actions": ("Actions",),
    "minigrid.core.grid": ("Grid",),
    "minigrid.core.roomgrid": ("Room",),
    "minigrid.core.world_object": (
        *("WorldObj", "Goal", "Floor", "Lava", "Wall", "Door", "Key", "Ball", "Box"),
    ),
    "minigrid.envs.babyai.core.verifier": (
        *("ObjDesc", "OpenInstr", "GoToInstr", "PickupInstr", "PutNextInstr"),
        *("BeforeInstr", "AfterInstr", "AndInstr"),
    ),
    "minigrid.envs.lockedroom": ("LockedRoom",),
    "minigrid.envs.multiroom": ("MultiRoom",),
    "rlkit.theory.learning.latent": ("LatentMDP",),
    "rlkit.theory.mdp": ("FiniteMDP",),
    f"{_TEACHERS}.mixtures": ("AlpGmm", "Box", "Config", "CovarGmm", "RandomTeacher"),
    f"{_TEACHERS}.riac": ("Config", "Node", "Riac"),
}
_GENERATORS = ("MT19937", "PCG64", "PCG64DXSM", "Philox", "SFC64")
# Pictures and windows are not state; the rest is rebuilt by the constructor.
_SKIPPED = {
    *("render_mode", "window", "clock", "screen", "surf", "mujoco_renderer", "metadata"),
    *("_metadata", "_cached_spec", "_saved_kwargs", "env_fns", "spec", "_picture_trail"),
}
_CONFIGURATION = (EnvSpec, type, types.FunctionType, types.MethodType, types.ModuleType)


_LONGEST = 1 << 16  # bytes of one text
# What numbers, names and nestings that are none make of it.
_DAMAGE = (
    *(LookupError, TypeError, AttributeError, StopIteration, ArithmeticError, RecursionError),
)


class SnapshotUnsupported(ValueError):
    """The environment holds state that cannot be saved; the message names the attribute."""


def snapshot(env: gymnasium.Env | gymnasium.vector.VectorEnv) -> dict[str, Any]:
    """`{"arrays": {name: ndarray}, "meta": JSON-able}`: what `restore` needs.

    Raises `SnapshotUnsupported` naming the attribute that cannot be saved.
    """
    writer = _Writer()
    layers = [_encode_layer(layer, writer) for layer in _layers(env)]
    meta = {"format": _FORMAT, "layers": layers, "objects": writer.objects}
    return {"arrays": writer.arrays, "meta": meta}


def restore(env: gymnasium.Env | gymnasium.vector.VectorEnv, state: dict[str, Any]) -> None:
    """Puts `state` into `env`, a newly made environment of the same id and arguments.

    Whatever follows, resets included, equals what would have followed at the snapshot, given the
    same actions. Raises ValueError when the environment is not built of the same layers.
    """
    try:
        _restore(env, state["meta"], state["arrays"])
    except _DAMAGE as error:
        raise ValueError(f"the snapshot is damaged: {type(error).__name__} {error}") from error


def _restore(env: Any, meta: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
    if meta.get("format") != _FORMAT:
        raise ValueError(f"snapshot format {meta.get('format')!r} is not {_FORMAT}")
    layers = _layers(env)
    ours = [_name(layer) for layer in layers]
    theirs = [current(part["class"]) for part in meta["layers"]]
    if ours != theirs:
        raise ValueError(f"the environment is {' < '.join(ours)}, the snapshot of {theirs}")
    reader = _Reader(arrays, meta["objects"], layers)
    for layer, part in zip(layers, meta["layers"], strict=True):
        for key, value in part["attributes"]:
            _set(layer, key, reader.decode(value))
        for key, rng in part["spaces"]:
            _restore_space(vars(layer)[key], reader.decode(rng))
        if "simulation" in part:
            _restore_simulation(layer, part["simulation"], arrays)


def _layers(env: Any) -> list[Any]:
    """The environment's layers from the outermost wrapper inwards; for a vector environment, it
    and then the layers of each of its environments."""
    if isinstance(env, SyncVectorEnv):
        return [env] + [layer for one in env.envs for layer in _layers(one)]
    if isinstance(env, gymnasium.vector.VectorEnv):
        raise SnapshotUnsupported(
            f"{_name(env)} keeps its environments out of reach; use SyncVectorEnv"
        )
    layers = [env]
    while isinstance(layers[-1], gymnasium.Wrapper):
        layers.append(layers[-1].env)
    return layers


def _name(thing: Any) -> str:
    return f"{type(thing).__module__}:{type(thing).__qualname__}"


def _encode_layer(layer: Any, writer: _Writer) -> dict[str, Any]:
    simulated = _simulation(layer)
    part: dict[str, Any] = {"class": _name(layer), "attributes": [], "spaces": []}
    writer.known[id(layer)] = writer.add(layer, {"layer": len(writer.objects)})
    for key, value in vars(layer).items():
        if isinstance(value, spaces.Space):
            part["spaces"].append([key, writer.encode(_space_rng(value), key)])
            continue
        held = key == "env" or (key == "envs" and isinstance(layer, SyncVectorEnv))
        if held or key in _SKIPPED or _is_configuration(value) or value is simulated:
            continue
        part["attributes"].append([key, writer.encode(value, f"{_name(layer)}.{key}")])
    if simulated is not None:
        part["simulation"] = _encode_simulation(simulated, layer.model, writer)
    return part


def _is_configuration(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return bool(value) and all(map(_is_configuration, value))
    return isinstance(value, _CONFIGURATION) or _is_mujoco(value, "MjModel")


def _is_mujoco(value: Any, name: str) -> bool:
    """Whether `value` is of that class, without importing mujoco where nobody uses it."""
    return type(value).__name__ == name and type(value).__module__.startswith("mujoco")


# --- plain data -------------------------------------------------------------------------------
class _Writer:
    """Encodes values as JSON; arrays go aside under a number, objects into a table, so that what
    was one object stays one."""

    def __init__(self) -> None:
        self.arrays: dict[str, np.ndarray] = {}
        self.objects: list[Any] = []
        self.known: dict[int, int] = {}
        self._alive: list[Any] = []  # an id is only good while its object lives

    def add(self, thing: Any, entry: Any) -> int:
        self._alive.append(thing)
        self.objects.append(entry)
        return len(self.objects) - 1

    def array(self, value: np.ndarray) -> str:
        name = str(len(self.arrays))
        self.arrays[name] = np.array(value, order="C")  # a copy
        return name

    def encode(self, value: Any, where: str) -> Any:
        if value is None or type(value) in (bool, int, float, str):
            return value
        if id(value) in self.known:
            return {"object": self.known[id(value)]}
        if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
            return {"array": self.array(value)}
        if isinstance(value, np.generic) and value.dtype.kind in "biuf":
            return {"array": self.array(np.asarray(value)), "scalar": True}
        if isinstance(value, np.ndarray | np.generic) and value.dtype.kind in "SU":
            return {"text": value.astype("U").tolist(), "dtype": value.dtype.str}
        if type(value) in (list, tuple, set):
            items = [self.encode(item, f"{where}[{k}]") for k, item in enumerate(value)]
            return {type(value).__name__: items}
        if isinstance(value, deque):
            return {"deque": [self.encode(i, where) for i in value], "maxlen": value.maxlen}
        if isinstance(value, dict):
            pairs = [
                [self.encode(k, where), self.encode(v, f"{where}[{k!r}]")] for k, v in value.items()
            ]
            return {"dict": pairs}
        if isinstance(value, np.random.Generator):
            return {"rng": self.encode(value.bit_generator.state, where)}
        if _is_listed(type(value)):
            if isinstance(value, enum.Enum):
                return {"enum": _name(value), "member": value.name}
            if hasattr(value, "__dict__"):
                return self._object(value, where)
        raise SnapshotUnsupported(f"{where} holds a {type(value).__name__}, which cannot be saved")

    def _object(self, value: Any, where: str) -> Any:
        entry: dict[str, Any] = {"class": _name(value)}
        number = self.known[id(value)] = self.add(value, entry)
        entry["attributes"] = [
            [key, self.encode(item, f"{where}.{key}")] for key, item in vars(value).items()
        ]
        return {"object": number}


class _Reader:
    def __init__(
        self, arrays: dict[str, np.ndarray], entries: list[Any], layers: list[Any]
    ) -> None:
        self.arrays = arrays
        waiting = iter(layers)  # layers stand in the table in the same order
        self.objects = [next(waiting) if "layer" in e else _blank(e["class"]) for e in entries]
        for thing, entry in zip(self.objects, entries, strict=True):
            for key, value in entry.get("attributes", ()):
                _set(thing, key, self.decode(value))

    def decode(self, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        kind = next(iter(value))
        inner = value[kind]
        if kind == "array":
            array = self.arrays[inner]
            return array[()] if "scalar" in value else array.copy()
        if kind == "enum":
            kind = _class(inner)
            if not issubclass(kind, enum.Enum):
                raise ValueError(f"{inner} is no enumeration")
            return kind[value["member"]]
        if kind == "text":
            declared = np.dtype(value["dtype"])
            if declared.kind not in "SU" or declared.itemsize > _LONGEST:
                raise ValueError(f"a snapshot holds no text of type {value['dtype']!r}")
            return np.array(inner, value["dtype"])[() if isinstance(inner, str) else ...]
        if kind == "object":
            return self.objects[inner]
        if kind == "dict":
            return {self.decode(k): self.decode(v) for k, v in inner}
        if kind == "rng":
            return _generator(self.decode(inner))
        items = [self.decode(item) for item in inner]
        if kind == "deque":
            return deque(items, maxlen=value["maxlen"])
        return {"list": list, "tuple": tuple, "set": set}[kind](items)


def _is_listed(kind: type) -> bool:
    return kind.__name__ in _CLASSES.get(kind.__module__, ()) and kind.__qualname__ == kind.__name__


def _class(path: str) -> type:
    module, _, name = str(path).partition(":")
    if name not in _CLASSES.get(module, ()):
        raise ValueError(f"a snapshot may not create a {path}")
    found = getattr(importlib.import_module(module), name)
    if not isinstance(found, type) or (found.__module__, found.__name__) != (module, name):
        raise ValueError(f"a snapshot may not create a {path}: it is {found!r}")
    return found


def _blank(path: str) -> Any:
    kind: Any = _class(path)
    return kind.__new__(kind)


def _set(thing: Any, key: str, value: Any) -> None:
    """An attribute of a restored object, of a frozen one too."""
    if not isinstance(key, str) or key.startswith("__"):
        raise ValueError(f"a snapshot may not set {key!r}")
    object.__setattr__(thing, key, value)


def _generator(state: dict[str, Any]) -> np.random.Generator:
    if state["bit_generator"] not in _GENERATORS:
        raise ValueError(f"a snapshot holds no random generator {state['bit_generator']!r}")
    bits = getattr(np.random, state["bit_generator"])()
    bits.state = state
    return np.random.Generator(bits)


# --- random generators of spaces --------------------------------------------------------------
def _space_rng(space: spaces.Space) -> Any:
    """The generator state of a space and of the spaces inside it; None where not yet used."""
    rng = space._np_random
    own = None if rng is None else rng.bit_generator.state
    return {"own": own, "inner": [_space_rng(part) for part in _inner(space)]}


def _restore_space(space: spaces.Space, state: dict[str, Any]) -> None:
    rng = None if state["own"] is None else _generator(state["own"])
    space._np_random = rng  # type: ignore[assignment]  # None means not seeded yet
    for part, inner in zip(_inner(space), state["inner"], strict=True):
        _restore_space(part, inner)


def _inner(space: spaces.Space) -> list[spaces.Space]:
    inside = getattr(space, "spaces", ())
    return list(inside.values() if isinstance(inside, dict) else inside)


# --- MuJoCo -----------------------------------------------------------------------------------
def _simulation(layer: Any) -> Any:
    """The layer's MjData, or None."""
    own = vars(layer)
    data = own.get("data")
    return data if _is_mujoco(data, "MjData") and "model" in own else None


def _encode_simulation(data: Any, model: Any, writer: _Writer) -> dict[str, Any]:
    import mujoco

    size = mujoco.mj_stateSize(model, mujoco.mjtState.mjSTATE_INTEGRATION)
    state = np.empty(size)
    mujoco.mj_getState(model, data, state, mujoco.mjtState.mjSTATE_INTEGRATION)
    # Rewards read body positions, contact forces and the like as the last step left them: they
    # lag behind the state, so they cannot be computed from it.
    derived = {name: writer.array(getattr(data, name)) for name in _fixed_fields(model)}
    return {"state": writer.array(state), "derived": derived}


def _restore_simulation(layer: Any, part: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
    import mujoco

    model, data, state = layer.model, layer.data, arrays[part["state"]]
    size = mujoco.mj_stateSize(model, mujoco.mjtState.mjSTATE_INTEGRATION)
    if state.shape != (size,) or set(part["derived"]) != set(_fixed_fields(model)):
        raise ValueError("the snapshot is of another MuJoCo model or version")
    mujoco.mj_setState(model, data, state, mujoco.mjtState.mjSTATE_INTEGRATION)
    mujoco.mj_forward(model, data)  # fills contacts; also disturbs the warm start
    mujoco.mj_setState(model, data, state, mujoco.mjtState.mjSTATE_INTEGRATION)
    for name, number in part["derived"].items():
        getattr(data, name)[:] = arrays[number]


def _fixed_fields(model: Any) -> list[str]:
    """Arrays of MjData whose size the model decides (not those that grow with contacts)."""
    import mujoco

    fresh = mujoco.MjData(model)
    return [
        name
        for name in sorted(dir(fresh))
        if not name.startswith("_")
        and isinstance(value := getattr(fresh, name), np.ndarray)
        and value.size
    ]

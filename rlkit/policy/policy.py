"""A trained policy ready to act in environment units, and the files it is exported to.

A file is loaded and run with numpy and safetensors alone.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypedDict

import numpy as np

from rlkit.core.errors import RlkitError, UsageError, WrongPathError
from rlkit.core.files.reading import fit, reading
from rlkit.data.transforms import Transforms
from rlkit.policy.program import Array, Program

FORMAT = 2  # of exported files; raised when older versions of rlkit cannot read a file
_SUMLESS = 1  # the last format whose files may lack their sum
_ENTRY, _SUM = "rlkit_policy", "rlkit_sha256"  # of the safetensors metadata
_LARGEST = 1 << 26  # numbers of an observation: a screen in colour is 2^17


@dataclass(frozen=True)
class Card:
    """What a policy is and what it takes: stored in every exported file."""

    algo: str
    lane: int
    seed: int  # of the lane
    step: int  # of training
    env: str | None
    dataset: str | None
    obs_shape: tuple[int, ...]
    discrete: bool
    action_shape: tuple[int, ...]  # of one action; () when discrete
    actions: int | None  # number of discrete actions
    first_action: int  # number of the first discrete action
    noise: tuple[str, tuple[int, ...]] | None  # kind and shape of one action's noise
    rlkit: str  # version that loaded it from its run
    env_spec: str | None = None  # gymnasium's JSON of the environment, arguments included
    spaces: dict[str, Any] | None = None  # its spaces, as `data.spaces.describe` has them
    history: int = 0  # earlier steps of its episode that it looks back at; 0 in exported files
    image: bool = False  # observations are images of uint8 numbers

    @property
    def action_dtype(self) -> str:
        """Of the environment's actions."""
        if self.discrete:
            return "int64"
        return "float32" if self.spaces is None else self.spaces["action"]["dtype"]


class Policy:
    """One lane's policy. `act` takes and gives environment units."""

    def __init__(
        self,
        card: Card,
        transforms: Transforms,
        forward: Callable[..., Array],
    ) -> None:
        """`forward` maps observations `[N, *obs]` and noise `[N, ...]` or None to actions, all in
        agent units; `rlkit.load` makes it. That of a policy with `card.history` also takes the
        steps `[N]` that each episode has had and the last rewards `[N]`, and keeps the rest."""
        self.card, self.transforms, self.forward = card, transforms, forward
        self.rng = np.random.default_rng(card.seed)
        self._t = np.zeros(0, np.int64)  # steps of each episode under way

    @staticmethod
    def load(path: str | os.PathLike[str]) -> Policy:
        """The policy of a file that `rlkit export` wrote; `rlkit.load` takes run folders as well.

        Raises RlkitError for a file that is missing, damaged or something else, UsageError for a
        folder.
        """
        card, transforms, programs = read(Path(path))
        return Policy(card, transforms, _forward(programs))

    def act(
        self,
        obs: Any,
        deterministic: bool = True,
        rng: np.random.Generator | None = None,
        *,
        first: Any = None,
        reward: Any = 0.0,
    ) -> Array:
        """Actions of one observation `[*obs]` or a batch `[N, *obs]`, shaped accordingly.

        Observations are arrays as `rlkit.envs.make` environments give them. Continuous actions
        are of their box's type and within its bounds, discrete ones int64. With
        `deterministic=False` they are drawn with `rng`, by default a generator seeded with the
        lane's seed. Raises ValueError for an observation of another shape or one that is not
        finite.

        A policy that looks back at its episode (`card.history`) must be told whether an observation
        is the `first` of its episode, and what `reward` the last step had, each one value or `[N]`;
        others need neither. It keeps the steps itself: call it once a step.
        """
        obs = np.asarray(obs)
        shape = self.card.obs_shape
        single = obs.shape == shape
        batch = obs[None] if single else obs
        if batch.shape[1:] != shape or batch.ndim != len(shape) + 1:
            raise ValueError(
                f"observations have shape {obs.shape}; the policy takes {shape} or (N, *{shape})"
            )
        if batch.dtype.kind == "f" and not np.isfinite(batch).all():
            row = int(np.argwhere(~np.isfinite(batch))[0, 0])
            raise ValueError(f"observation {row} is not finite")
        noise = None
        if not deterministic and self.card.noise is not None:
            noise = draw(*self.card.noise, len(batch), self.rng if rng is None else rng)
        units = self.transforms.obs(batch).astype(np.float32)
        under_way = self._under_way(len(batch), first, reward) if self.card.history else ()
        actions = self.to_env(np.asarray(self.forward(units, noise, *under_way)))
        return actions[0] if single else actions

    def _under_way(self, count: int, first: Any, reward: Any) -> tuple[Array, Array]:
        """Steps that each episode has had, and the rewards of the last, in agent units `[N]`."""
        if first is None:
            raise UsageError(
                f"the policy of {self.card.algo} looks back at its episode: tell it "
                "act(obs, first=True) after a reset, and act(obs, first=False, reward=r) later"
            )
        begins = np.broadcast_to(np.asarray(first, bool), count)
        if len(self._t) != count:
            if not begins.all():
                raise UsageError(f"{count} episodes go on of which {len(self._t)} were begun")
            self._t = np.zeros(count, np.int64)
        self._t = np.where(begins, 0, self._t + 1)
        return self._t, self.transforms.reward(np.broadcast_to(np.asarray(reward, float), count))

    def to_env(self, actions: Array) -> Array:
        """Environment's actions of the agent's `[N, A]` or `[N]`."""
        if self.card.discrete:
            return actions.astype(np.int64) + self.card.first_action
        scaled = self.transforms.to_env(actions, self.card.action_dtype)
        return scaled.reshape(len(actions), *self.card.action_shape)


def draw(kind: str, shape: tuple[int, ...], count: int, rng: np.random.Generator) -> Array:
    """Noise `[count, *shape]` float32 of a kind that agents declare."""
    size = (count, *shape)
    if kind == "normal":
        return rng.standard_normal(size, np.float32)
    if kind == "gumbel":
        return rng.gumbel(size=size).astype(np.float32)
    if kind == "uniform":
        return rng.random(size, np.float32)
    raise ValueError(f"unknown kind of noise {kind!r}")


# --- exported files -------------------------------------------------------------------------------
def write(
    path: str | Path, card: Card, transforms: Transforms, programs: dict[str, Program]
) -> None:
    """Write a policy file. `programs` has "mode" and, for a policy that can sample, "sample".

    The caller chooses a temporary name and renames the file once it is checked.
    """
    from safetensors.numpy import save_file

    tensors: dict[str, Array] = {}
    states = {}
    for kind, program in programs.items():
        renamed = {}
        for name, array in program.weights.items():
            taken = name in tensors and not np.array_equal(tensors[name], array)
            renamed[name] = f"{kind}.{name}" if taken else name
            tensors[renamed[name]] = array
        states[kind] = _rename(program, renamed).state()
    content = {
        "format": FORMAT,
        "card": asdict(card),
        "transforms": transforms.state(),
        "programs": states,
    }
    text = json.dumps(content)
    save_file(tensors, str(path), metadata={_ENTRY: text, _SUM: _sum(text, tensors)})
    with open(path, "rb+") as file:
        os.fsync(file.fileno())


class _Program(TypedDict):
    inputs: list[str]
    output: str
    operations: list[tuple[str, str, list[str | float], dict[str, Any]]]
    weights: list[str]


class _Content(TypedDict):
    format: int
    card: Card
    transforms: dict[str, Any]
    programs: dict[str, _Program]


def read(path: str | Path) -> tuple[Card, Transforms, dict[str, Program]]:
    """Content of a policy file, whose sum is compared and whose programs have acted once.

    Raises RlkitError naming a file that is missing, damaged or something else.
    """
    from safetensors import SafetensorError, safe_open

    if os.path.isdir(path):
        raise UsageError(f"{path} is a folder, not a policy file; rlkit.load takes run folders")
    if not os.path.lexists(path):
        raise WrongPathError(f"no run folder or policy file at {path}")
    with reading(path, "a policy file", RlkitError):
        try:
            with safe_open(str(path), framework="numpy") as file:
                metadata = file.metadata() or {}
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except SafetensorError as error:
            raise ValueError(str(error)) from error
        if not any(name.startswith("rlkit") for name in metadata):
            raise RlkitError(f"{path} holds no policy; write one with rlkit export")
        text = metadata[_ENTRY]
        # a damaged name of the sum is a third name
        if set(metadata) != {_ENTRY} and metadata[_SUM] != _sum(text, tensors):
            raise ValueError("its SHA-256 sum differs; export it again")
        content = json.loads(text)
        found = _policy(path, content, tensors)
        if set(metadata) == {_ENTRY} and content["format"] > _SUMLESS:
            raise ValueError("its SHA-256 sum is missing; export it again")
        return found


def read_card(values: dict[str, Any]) -> Card:
    """The card that a file's JSON holds."""
    noise = values["noise"]
    return Card(
        **values
        | {
            "obs_shape": tuple(values["obs_shape"]),
            "action_shape": tuple(values["action_shape"]),
            "noise": None if noise is None else (noise[0], tuple(noise[1])),
        }
    )


def _policy(
    path: str | Path, content: Any, tensors: dict[str, Array]
) -> tuple[Card, Transforms, dict[str, Program]]:
    written = content.get("format") if isinstance(content, dict) else None
    if isinstance(written, int) and written > FORMAT:
        raise RlkitError(
            f"{path} was written by a later rlkit, in format {written}; this version reads up to "
            f"{FORMAT}"
        )
    fit(content, _Content, str(path), RlkitError)
    card = read_card(content["card"])
    programs = {
        kind: Program.from_state(state, tensors) for kind, state in content["programs"].items()
    }
    transforms = Transforms.from_state(content["transforms"])
    if "mode" not in programs or (card.noise is not None) != ("sample" in programs):
        raise ValueError(f"its programs {sorted(programs)} do not fit its noise {card.noise}")
    if math.prod(card.obs_shape) > _LARGEST:
        raise ValueError(f"observations of shape {card.obs_shape} are too large")
    trial = Policy(card, transforms, _forward(programs))
    for sure in (True, card.noise is None):
        trial.act(np.zeros((2, *card.obs_shape), np.float32), sure, np.random.default_rng(0))
    return card, transforms, programs


def _sum(text: str, tensors: dict[str, Array]) -> str:
    """SHA-256 of all that decides what a policy does: its description and every weight."""
    digest = hashlib.sha256(text.encode())
    for name, array in sorted(tensors.items()):
        digest.update(f"\0{name}\0{array.dtype.str}\0{array.shape}\0".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _rename(program: Program, names: dict[str, str]) -> Program:
    return Program(
        program.inputs,
        names.get(program.output, program.output),
        tuple(
            operation._replace(
                args=tuple(names.get(a, a) if isinstance(a, str) else a for a in operation.args)
            )
            for operation in program.operations
        ),
        {names[name]: array for name, array in program.weights.items()},
    )


def _forward(programs: dict[str, Program]) -> Callable[[Array, Array | None], Array]:
    def forward(obs: Array, noise: Array | None) -> Array:
        return programs["mode"](obs) if noise is None else programs["sample"](obs, noise)

    return forward

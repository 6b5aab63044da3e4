"""What is trained on: spaces, transforms, environment and dataset; and an agent for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal, NotRequired, TypedDict

import numpy as np
import torch
from gymnasium import Env
from torch import Tensor

from rlkit.core import lanes as core_lanes
from rlkit.core.errors import UsageError
from rlkit.core.files.reading import fit
from rlkit.core.history import Memory
from rlkit.core.normaliser import Normaliser
from rlkit.core.spec import Box, Discrete, Spec
from rlkit.data.transforms import Transforms
from rlkit.envs.make import make, make_described
from rlkit.envs.specs import from_text, vouch_name
from rlkit.run.settings.algorithms import algorithm
from rlkit.run.settings.fits import check_actions, check_pixels
from rlkit.run.settings.options import Options

if TYPE_CHECKING:
    from rlkit.eval.rollout import Slots


@dataclass(frozen=True, eq=False)
class Task:
    """Shapes, transforms and environment of a training; travels in `config.json`."""

    obs: tuple[int, ...]  # of one observation
    act: Box | Discrete
    transforms: Transforms
    env: str | None = None  # id, as it was asked for or as the dataset names it
    env_spec: str | None = None  # gymnasium's JSON of the environment, arguments included
    action_shape: tuple[int, ...] = ()  # as the environment takes it
    action_start: int = 0  # number of the first discrete action
    dataset: dict[str, Any] | None = None  # id, fingerprint, sizes, reference returns
    spaces: dict[str, Any] | None = None  # the environment's, as `data.spaces.describe` has them
    image: bool = False  # observations are images of uint8 numbers
    normaliser: bool = False  # agents see observations by running statistics of their own

    @property
    def has_env(self) -> bool:
        return self.env is not None or self.env_spec is not None

    @property
    def env_id(self) -> str | None:
        """The gymnasium id of what was trained in, None where there is none or it has no name."""
        return None if self.env is None else self.env.rpartition(":")[2]

    @property
    def note(self) -> str:
        """What is to be known of the environment that policies are evaluated in."""
        return "" if self.dataset is None else self.dataset.get("evaluated_in", "")

    def make_env(self, **kwargs: Any) -> Env:
        """A new environment; `kwargs` as `rlkit.envs.make.make` takes them.

        Raises UsageError for one that only a file has named (`rlkit.core.files.trust`).
        """
        if self.env_spec is not None:
            return make_described(self.env_spec, "the task's env_spec", **kwargs)
        if self.env is None:
            raise UsageError("this task has no environment: its dataset names none")
        vouch_name(self.env)
        return make(self.env, **kwargs)

    def encode(self, observation: Any) -> np.ndarray:
        """One observation of the environment as an array of shape `obs`."""
        return np.asarray(observation).reshape(self.obs)

    def to_env(self, action: np.ndarray) -> np.ndarray:
        """Actions `[..., *action_shape]` for the environment of an agent's `[..., A]`."""
        if isinstance(self.act, Discrete):
            return action + self.action_start
        kind = "float32" if self.spaces is None else self.spaces["action"]["dtype"]
        scaled = self.transforms.to_env(action, kind)
        return scaled.reshape((*action.shape[:-1], *self.action_shape))

    def spec(
        self, seeds: tuple[int, ...], device: str = "cpu", dtype: torch.dtype = torch.float32
    ) -> Spec:
        """What the agent is told, for these lanes; its normaliser is this spec's own."""
        seen = Normaliser(self.obs, len(seeds), dtype, device) if self.normaliser else None
        return Spec(self.obs, self.act, seeds, dtype, device, image=self.image, normaliser=seen)

    def to_json(self) -> dict[str, Any]:
        """JSON-able; `from_json(to_json())` is exact."""
        discrete = isinstance(self.act, Discrete)
        return {
            "obs": list(self.obs),
            "act": {"kind": "discrete" if discrete else "box", **asdict(self.act)},
            "transforms": self.transforms.state(),
            "env": self.env,
            "env_spec": self.env_spec,
            "action_shape": list(self.action_shape),
            "action_start": self.action_start,
            "dataset": self.dataset,
            "spaces": self.spaces,
            "image": self.image,
            "normaliser": self.normaliser,
        }

    @staticmethod
    def from_json(values: dict[str, Any]) -> Task:
        """The task whose `to_json` this is. Raises FileError naming a field of another type."""
        fit(values, _Stored, "task")
        if values["env_spec"] is not None:
            from_text(values["env_spec"], "env_spec")
        act = values["act"]
        return Task(
            obs=tuple(values["obs"]),
            act=Box(act["size"]) if act["kind"] == "box" else Discrete(act["n"]),
            transforms=Transforms.from_state(values["transforms"]),
            env=values["env"],
            env_spec=values["env_spec"],
            action_shape=tuple(values["action_shape"]),
            action_start=values["action_start"],
            dataset=values["dataset"],
            spaces=values.get("spaces"),
            image=values.get("image", False),
            normaliser=values.get("normaliser", False),
        )


class _Box(TypedDict):
    kind: Literal["box"]
    size: int


class _Discrete(TypedDict):
    kind: Literal["discrete"]
    n: int


class _Stored(TypedDict):
    obs: list[int]
    act: _Box | _Discrete
    transforms: dict[str, Any]
    env: str | None
    env_spec: str | None
    action_shape: list[int]
    action_start: int
    dataset: dict[str, Any] | None
    spaces: NotRequired[dict[str, Any] | None]
    image: NotRequired[bool]
    normaliser: NotRequired[bool]


def make_agent(options: Options, task: Task, lanes: Sequence[int]) -> tuple[Any, Any, Spec]:
    """A fresh agent for some of the options' lanes, its resolved Config, its Spec."""
    module = algorithm(options.algo)
    named = task.env or options.dataset or "the task"
    fits = getattr(module, "FITS", ())
    check_actions(options.algo, fits, options.where, task.act, named)
    check_pixels(options, fits, task.image, named, task.obs)
    spec = task.spec(tuple(options.seeds[k] for k in lanes), options.device)
    config = core_lanes.resolve(core_lanes.select(options.config, lanes), spec)
    return built(options, spec, config), config, spec


def built(options: Options, spec: Spec, config: Any) -> Any:
    """The agent of a spec and a resolved Config. Raises UsageError for one whose nets have another
    way to see observations than through the spec's normaliser."""
    agent = algorithm(options.algo).Agent(spec, config)
    if spec.normaliser is not None and not spec.normaliser.users:
        raise UsageError(
            f"{options.algo} has no net that running statistics of observations would change; "
            "leave out normalise_obs"
        )
    return agent


Act = Callable[..., np.ndarray]


def actor(agent: Any, spec: Spec, task: Task) -> Act:
    """`act(obs [S, n, *obs], slots=None, noise=None) -> actions [S, n, *act]`, environment units.

    The most likely action of each lane's policy, or a sample with `noise` `[S, n, A]`. An agent
    that looks back gets the steps of the episodes in `slots`; without these one begins each time.
    """
    memory = Memory(spec, agent.history) if hasattr(agent, "history") else None

    @torch.no_grad()
    def act(obs: np.ndarray, slots: Slots | None = None, noise: Tensor | None = None) -> np.ndarray:
        s = torch.as_tensor(task.transforms.obs(obs), dtype=spec.dtype, device=spec.device)
        if memory is None or slots is None:
            a = agent.act(s, noise)
        else:
            past = memory.recall(slots.t, task.transforms.reward(slots.reward))
            a = agent.act(s, noise, past)
            memory.keep(s, a)
        return task.to_env(a.cpu().numpy())

    return act

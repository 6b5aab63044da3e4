"""What is trained on: environment, spaces, transforms, and the dataset's rows."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from gymnasium import Env, spaces
from gymnasium.envs.registration import EnvSpec
from torch import Tensor

from rlkit.core import lanes as core_lanes
from rlkit.core.errors import RunError, UsageError
from rlkit.core.nearest import suggestion
from rlkit.core.spec import Box, Discrete, Spec
from rlkit.data import d4rl, minari_io, minari_local
from rlkit.data.fitting import check_fit
from rlkit.data.meta import Meta, check_learnable
from rlkit.data.recipes import cards
from rlkit.data.spaces import describe, flat_shape
from rlkit.data.store import EpisodeStore
from rlkit.data.transforms import Transforms
from rlkit.envs.checking import check_environment, check_observations
from rlkit.envs.make import make, unflattened
from rlkit.envs.minigrid import is_view
from rlkit.envs.specs import from_text, to_text, vouch_name
from rlkit.run.fits import check_actions
from rlkit.run.options import Options, algorithm

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

        Raises UsageError for one that only a file has named (`rlkit.core.trust`).
        """
        if self.env_spec is not None:
            return make(from_text(self.env_spec, "the task"), **kwargs)
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
        return scaled.reshape(*action.shape[:-1], *self.action_shape)

    def spec(self, seeds: tuple[int, ...], device: str = "cpu") -> Spec:
        """What the agent is told, for these lanes."""
        return Spec(self.obs, self.act, seeds, device=device)

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
        }

    @staticmethod
    def from_json(values: dict[str, Any]) -> Task:
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
        )


def prepare(options: Options) -> tuple[Task, EpisodeStore | None]:
    """The task and the rows to learn from (None online), everything checked before training.

    Raises UsageError for names that do not exist and for spaces that do not fit each other,
    ValueError naming column and row for bad data.
    """
    if options.dataset is None:
        return _of_env(options.env or ""), None
    asked = None if options.env is None else _of_env(options.env)
    if not is_file(options.dataset):  # before any row is read
        check_learnable(description(options.dataset), asked is not None)
    store, meta = read_dataset(options.dataset)
    meta = _fitting(store, meta, options)
    check_learnable(meta, asked is not None)
    behaviour = meta.behaviour_return
    dataset = {
        "id": meta.dataset_id,
        "fingerprint": fingerprint(store),
        "steps": len(store),
        "episodes": store.episodes,
        "behaviour_return": float(store.returns().mean()) if behaviour is None else behaviour,
        "reference": None if meta.reference is None else asdict(meta.reference),
    }
    store = _selected(store, options)
    try:
        transforms = Transforms.fit(
            store,
            meta.action_bounds if not meta.discrete else (0, meta.act_size - 1),
            options.normalise_obs,
            options.reward,
        )
    except ValueError as error:
        raise ValueError(f"dataset {options.dataset}: {error}") from error
    if asked is not None:
        _check_fit(asked, meta, f"environment {options.env}", options)
        return replace(asked, transforms=transforms, dataset=dataset), store
    shape, start = _action_layout(meta.action_space)
    chosen = meta.eval_env_spec or meta.env_spec
    if meta.eval_env_spec is not None:
        dataset["evaluated_in"] = _told(meta)
    if chosen is not None and options.eval_episodes:
        _check_fit(_of_spec(chosen, options), meta, f"its environment {chosen.id}", options)
    return Task(
        obs=meta.obs_shape,
        act=Discrete(meta.act_size) if meta.discrete else Box(meta.act_size),
        transforms=transforms,
        env=meta.env_id or (None if chosen is None else chosen.id),
        env_spec=None if chosen is None else chosen.to_json(),
        action_shape=shape,
        action_start=start,
        dataset=dataset,
        spaces=None if chosen is None else _spaces(meta.observation_space, meta.action_space),
    ), store


def rows(options: Options, task: Task) -> EpisodeStore | None:
    """The rows to learn from, as `prepare` gave them when `task` was made; None online.

    Raises RunError when the dataset has changed since.
    """
    if options.dataset is None:
        return None
    store, _ = read_dataset(options.dataset)
    known = (task.dataset or {}).get("fingerprint")
    if fingerprint(store) != known:
        raise RunError(
            f"dataset {options.dataset} has changed since this run began (fingerprint "
            f"{fingerprint(store)}, was {known}); restore it, or start a new run"
        )
    return _selected(store, options)


def read_dataset(name: str) -> tuple[EpisodeStore, Meta]:
    """Store and description of a Minari dataset (id or directory) or of a D4RL file (.hdf5).

    Raises UsageError for an unknown name, saying how to build it or naming the nearest one.
    """
    if is_file(name):
        return d4rl.read(name)
    _check_exists(name)
    return minari_io.read(name)


def description(name: str) -> Meta:
    """What is known of a Minari dataset, without its rows. Raises what `read_dataset` raises."""
    _check_exists(name)
    return minari_io.read_meta(name)


def is_file(name: str) -> bool:
    """Whether a dataset's name is that of a D4RL file."""
    return Path(name).suffix in (".hdf5", ".h5") and Path(name).is_file()


def _check_exists(name: str) -> None:
    if minari_local.exists(name):
        return
    recipes = cards.all_recipes()
    if name in recipes:
        raise UsageError(f"dataset {name!r} is not built yet: rlkit dataset build {name}")
    known = {*recipes, *minari_local.local_ids()}
    raise UsageError(f"no dataset {name!r}{suggestion(name, known)}")


def fingerprint(store: EpisodeStore) -> str:
    """Sixteen hexadecimal digits of the rows."""
    digest = hashlib.sha256()
    for name in ("obs", "action", "reward", "next_obs", "terminated", "truncated", "episode"):
        column = np.ascontiguousarray(getattr(store, name))
        digest.update(f"{name} {column.dtype} {column.shape}".encode())
        digest.update(column.reshape(-1).view(np.uint8).data)
    return digest.hexdigest()[:16]


def make_agent(options: Options, task: Task, lanes: Sequence[int]) -> tuple[Any, Any, Spec]:
    """A fresh agent for some of the options' lanes, its resolved Config, its Spec."""
    module = algorithm(options.algo)
    named = task.env or options.dataset or "the task"
    check_actions(options.algo, getattr(module, "FITS", ()), options.where, task.act, named)
    spec = task.spec(tuple(options.seeds[k] for k in lanes), options.device)
    config = core_lanes.resolve(core_lanes.select(options.config, lanes), spec)
    return module.Agent(spec, config), config, spec


Act = Callable[..., np.ndarray]


def actor(agent: Any, spec: Spec, task: Task) -> Act:
    """`act(obs [S, n, *obs], slots=None, noise=None) -> actions [S, n, *act]`, environment units.

    The most likely action of each lane's policy, or a sample with `noise` `[S, n, A]`.
    """

    @torch.no_grad()
    def act(obs: np.ndarray, slots: Slots | None = None, noise: Tensor | None = None) -> np.ndarray:
        s = torch.as_tensor(task.transforms.obs(obs), dtype=spec.dtype, device=spec.device)
        return task.to_env(agent.act(s, noise).cpu().numpy())

    return act


def _of_env(env_id: str) -> Task:
    try:
        env = make(env_id)
    except ValueError as error:
        raise UsageError(str(error)) from error
    return _described(env, env_id)


def _of_spec(spec: EnvSpec, options: Options) -> Task:
    try:
        env = make(spec)
    except Exception as error:  # whatever an environment of another package raises
        raise UsageError(
            f"dataset {options.dataset}: its environment {spec.id} cannot be made: {error}; name "
            "another with --env, or train without evaluation (--eval-episodes 0)"
        ) from error
    return _described(env, spec.id)


def _described(env: Env, env_id: str) -> Task:
    """The task of a new environment, which is checked and closed."""
    try:
        check_environment(env)
        space, action = env.observation_space, env.action_space
        check_observations(space, is_view(env))
        shape, start = _action_layout(action)
        if isinstance(action, spaces.Discrete):
            act: Box | Discrete = Discrete(int(action.n))
            transforms = Transforms()
        else:
            assert isinstance(action, spaces.Box)
            act = Box(int(np.prod(action.shape)))
            low, high = action.low.reshape(-1), action.high.reshape(-1)
            transforms = Transforms(action_low=low, action_high=high)
        return Task(
            flat_shape(space),
            act,
            transforms,
            env_id,
            to_text(env.spec),
            shape,
            start,
            spaces=_spaces(unflattened(env), action),
        )
    except ValueError as error:
        raise UsageError(f"environment {env_id}: {error}") from error
    finally:
        env.close()


def _spaces(observation: spaces.Space, action: spaces.Space) -> dict[str, Any]:
    return {"observation": describe(observation), "action": describe(action)}


def _told(meta: Meta) -> str:
    named, other = meta.eval_env_spec, meta.env_spec
    assert named is not None
    told = [f"policies are evaluated in {_in_words(named)}, which the dataset names for that"]
    return "; ".join(told if other is None else [*told, f"its rows are of {_in_words(other)}"])


def _in_words(spec: EnvSpec) -> str:
    limit = [] if spec.max_episode_steps is None else [f"{spec.max_episode_steps} steps"]
    given = [f"{name} {value}" for name, value in spec.kwargs.items()]
    words = ", ".join([*given, *limit])
    return f"{spec.id} ({words})" if words else spec.id


def _action_layout(space: spaces.Space) -> tuple[tuple[int, ...], int]:
    if isinstance(space, spaces.Discrete):
        return (), int(space.start)
    if isinstance(space, spaces.Box):
        return tuple(space.shape), 0
    raise UsageError(f"actions of {space} are not supported; Box and Discrete are")


def _fitting(store: EpisodeStore, meta: Meta, options: Options) -> Meta:
    """The description with the environment's spaces where the file names none. Raises UsageError
    where the rows do not fit the environment they are for."""
    named = options.env or meta.env_spec
    if named is None:
        return meta
    try:
        env = make(named)
    except Exception as error:
        if options.env is not None:
            raise UsageError(str(error)) from error
        return meta  # an environment that is not installed here: the data can still be learnt from
    env.close()
    if not meta.spaces_known:
        meta = replace(meta, observation_space=env.observation_space, action_space=env.action_space)
    name = options.env or meta.env_id
    where = f"dataset {options.dataset} does not fit environment {name}"
    try:
        check_fit(store, env.observation_space, env.action_space, where)
    except ValueError as error:
        raise UsageError(str(error)) from error
    return meta


def _check_fit(task: Task, meta: Meta, which: str, options: Options) -> None:
    what = f"dataset {options.dataset} does not fit {which}"
    if meta.obs_shape != task.obs:
        raise UsageError(f"{what}: observations of shape {meta.obs_shape} against {task.obs}")
    act = Discrete(meta.act_size) if meta.discrete else Box(meta.act_size)
    if act != task.act:
        raise UsageError(f"{what}: actions {act} against {task.act}")
    if meta.action_bounds is not None:
        ours = Transforms(action_low=meta.action_bounds[0], action_high=meta.action_bounds[1])
        if ours.state() != task.transforms.state():
            raise UsageError(f"{what}: the bounds of their actions differ")
    elif (start := _action_layout(meta.action_space)[1]) != task.action_start:
        raise UsageError(f"{what}: actions begin at {start} against {task.action_start}")


def _selected(store: EpisodeStore, options: Options) -> EpisodeStore:
    """The episodes that the algorithm's `select`, if it has one, chooses to learn from."""
    select = getattr(algorithm(options.algo), "select", None)
    if select is None:
        return store
    tuples = [n for n in core_lanes.float_fields(type(options.config)) if _many(options, n)]
    try:
        return select(store, options.config)
    except TypeError as error:
        if tuples:
            raise UsageError(
                f"config field {' or '.join(tuples)} chooses what data all lanes share; give it "
                "one value, and train the others in runs of their own"
            ) from error
        raise


def _many(options: Options, name: str) -> bool:
    return isinstance(getattr(options.config, name), (tuple, list))

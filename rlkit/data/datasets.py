"""Building, listing, showing, importing and checking datasets: what `rlkit dataset` does."""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NotRequired, TypedDict

import numpy as np

import rlkit
from rlkit.core.errors import FileError, UsageError
from rlkit.core.files.reading import fit
from rlkit.core.words.nearest import suggestion
from rlkit.data import statistics
from rlkit.data.fitting import check_actions, check_actions_known, check_fit
from rlkit.data.formats import d4rl, minari_io, minari_local
from rlkit.data.formats.meta import Meta, check_learnable
from rlkit.data.recipes import cards
from rlkit.data.recipes.cards import Recipe
from rlkit.data.recipes.episodes import roll_out
from rlkit.data.store import EpisodeStore
from rlkit.envs.make import make
from rlkit.envs.minigrid import is_view
from rlkit.envs.specs import from_text
from rlkit.envs.stepping import closed

QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)
_HDF5 = (".hdf5", ".h5")
_VERSIONED = ("numpy", "numba", "gymnasium", "mujoco", "minigrid", "minari")


class _Policy(TypedDict):
    name: str
    episodes: int


class _Details(TypedDict):
    """What `build` notes of a dataset."""

    fingerprint: NotRequired[str]
    policies: NotRequired[list[_Policy]]
    versions: NotRequired[dict[str, str]]


@dataclass(frozen=True)
class Built:
    """Where a dataset stands, and whether this call made it."""

    dataset_id: str
    path: Path
    made: bool
    notes: tuple[str, ...] = ()


def build(
    name: str,
    *,
    force: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Built:
    """The dataset of a shipped recipe, rolled out now unless it already stands.

    `progress(done, total)` is called once an episode, in steps or episodes. With `force` a standing
    dataset is replaced, once the new one is complete. Raises ValueError for an unknown name
    (naming the nearest recipe) and for a standing dataset made from another recipe.
    """
    recipe = cards.find(name)
    path = minari_local.cleared(name)
    versions = _versions()
    if path.exists() and not force:
        details = _details(minari_io.read_meta(name))
        if details.get("fingerprint") != recipe.fingerprint():
            raise ValueError(
                f"dataset {name!r} at {path} was not made from this version of its recipe; "
                "build it with force to replace it"
            )
        return Built(
            name, path, made=False, notes=_version_notes(details.get("versions", {}), versions)
        )
    env = make(recipe.env_id, **recipe.env_kwargs)
    episodes, policies = [], []
    for policy, episode in roll_out(recipe, progress=progress):
        episodes.append(episode)
        policies.append(policy)
    counts = [policies.count(policy) for policy in recipe.policies]
    closed(env)
    try:
        minari_io.write(
            episodes,
            name,
            observation_space=env.observation_space,
            action_space=env.action_space,
            env_spec=env.spec,
            reference=recipe.reference,
            algorithm=recipe.algorithm,
            description=recipe.description,
            details={
                "fingerprint": recipe.fingerprint(),
                "seed": recipe.seed,
                # Episodes are stored policy by policy, in this order.
                "policies": [
                    {"name": policy, "episodes": count}
                    for policy, count in zip(recipe.policies, counts, strict=True)
                ],
                "versions": versions,
            },
            overwrite=force,
        )
    except (OSError, ValueError):
        # Another process may have finished the same build first: then that one stands.
        if force or not path.exists():
            raise
        return Built(name, path, made=False, notes=("built by another process meanwhile",))
    return Built(name, path, made=True)


@dataclass(frozen=True)
class Row:
    """One line of `rlkit dataset list`."""

    dataset_id: str
    env_id: str
    built: bool
    has_recipe: bool
    episodes: int | None
    steps: int | None
    megabytes: float | None
    description: str
    problem: str = ""  # why a local dataset cannot be read


def list_datasets() -> list[Row]:
    """Shipped recipes and local Minari datasets, sorted by id."""
    recipes, local = cards.all_recipes(), minari_local.look()
    return [_row(n, recipes.get(n), local.get(n)) for n in sorted(recipes.keys() | local.keys())]


def _row(name: str, recipe: Recipe | None, found: dict[str, Any] | FileError | None) -> Row:
    env_id, raw, problem = "" if recipe is None else recipe.env_id, None, ""
    if isinstance(found, FileError):
        problem = str(found)
    elif found is not None:
        raw = found
        try:
            if raw.get("env_spec"):
                env_id = from_text(raw["env_spec"], f"{name}: env_spec").id
        except UsageError as error:
            problem = str(error)
    return Row(
        dataset_id=name,
        env_id=env_id,
        built=found is not None,
        has_recipe=recipe is not None,
        episodes=None if raw is None else raw["total_episodes"],
        steps=None if raw is None else raw["total_steps"],
        megabytes=None if raw is None else raw.get("dataset_size"),
        description=recipe.description if recipe else (raw or {}).get("description") or "",
        problem=problem,
    )


@dataclass(frozen=True)
class Shown:
    """What `rlkit dataset show` prints."""

    meta: Meta
    episodes: int
    steps: int
    returns: np.ndarray  # [E] undiscounted
    return_quantiles: dict[float, float]
    length_quantiles: dict[float, float]
    terminated: int  # episodes ended by the task
    truncated: int  # by a time limit or the end of the recording
    both: int  # carrying both flags
    policies: list[dict[str, Any]]  # name, episodes, mean return and noise of each
    card: statistics.Card
    beside: dict[str, Any]  # what is known of D4RL's dataset of this name


def show(dataset: str | Path) -> Shown:
    """Description and figures of a local dataset, by id or directory."""
    store, meta = read(dataset)
    returns = store.returns()
    terminated, truncated = store.terminated[store.ends], store.truncated[store.ends]
    policies, first, noted = [], 0, _details(meta).get("policies", [])
    counts = [entry["episodes"] for entry in noted]
    if counts and (min(counts) < 1 or sum(counts) > store.episodes):
        raise FileError(
            f"dataset {meta.dataset_id!r}: details.policies are of {counts} episodes, the dataset "
            f"has {store.episodes}"
        )
    for entry in noted:
        span = slice(first, first + entry["episodes"])
        policies.append({**entry, "return": float(returns[span].mean())})
        first += entry["episodes"]
    recipe = cards.all_recipes().get(meta.dataset_id)
    of_card = {} if recipe is None else recipe.card["policies"]
    for policy in policies:
        policy["noise"] = of_card.get(policy["name"], {}).get("noise")
    return Shown(
        meta=meta,
        episodes=store.episodes,
        steps=len(store),
        returns=returns,
        return_quantiles=_quantiles(returns),
        length_quantiles=_quantiles(store.lengths),
        terminated=int(terminated.sum()),
        truncated=int(truncated.sum()),
        both=int((terminated & truncated).sum()),
        policies=policies,
        card=statistics.of(store, meta.action_bounds),
        beside={} if recipe is None else recipe.card["datasets"][recipe.name].get("d4rl", {}),
    )


def import_d4rl(
    file: str | Path,
    dataset_id: str,
    *,
    env_id: str | None = None,
    time_limit: int | None = None,
    overwrite: bool = False,
) -> tuple[Built, Meta]:
    """The Minari dataset made of a D4RL HDF5 file; `notes` say what had to be repaired.

    `env_id` names the environment the data belong to, where one is installed; its spaces must fit
    the arrays. Raises UsageError for a taken id, before anything is read, and for a time limit that
    is none; ValueError for a bad file (key, row, reason).
    """
    if time_limit is not None and time_limit < 1:
        raise UsageError(f"time_limit is {time_limit}; at least 1 step is needed")
    minari_local.free_path(dataset_id, overwrite)  # told before any reading
    store, meta = d4rl.read(file, time_limit=time_limit)
    observation_space, action_space, spec = meta.observation_space, meta.action_space, None
    if env_id is not None:
        env = make(env_id)
        observation_space, action_space, spec = env.observation_space, env.action_space, env.spec
        closed(env)
        check_fit(store, observation_space, action_space, f"{file} and {env_id}")
    path = minari_io.write(
        store,
        dataset_id,
        observation_space=observation_space,
        action_space=action_space,
        env_spec=spec,
        reference=meta.reference,
        algorithm=meta.algorithm,
        description=meta.description,
        details={"file": Path(file).name},
        notes=meta.notes,
        overwrite=overwrite,
    )
    return Built(dataset_id, path, made=True, notes=meta.notes), meta


@dataclass(frozen=True)
class Checked:
    """Outcome of a check: no problems means that training may use the data."""

    problems: tuple[str, ...]
    notes: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        return not self.problems


def check(dataset: str | Path, env_id: str | None = None) -> Checked:
    """What is wrong with a dataset (id, directory) or a D4RL file (a path to a file).

    Checks readability, layout, finite numbers within float32, flags, action bounds, and whether
    observations and actions fit the environment: `env_id`, or those the dataset names. Notes what
    is no fault but teaches nothing: constant rewards, actions, observations.
    """
    where = str(dataset)
    is_file = Path(dataset).is_file() or Path(dataset).suffix in _HDF5
    if is_file and not Path(dataset).exists():
        raise UsageError(f"there is no file {where}")
    view = None if env_id is None else _is_view(env_id)
    try:
        if not is_file and minari_local.exists(dataset):  # before any row is read
            check_learnable(minari_io.read_meta(dataset), view)
        store, meta = d4rl.read(dataset) if is_file else read(dataset)
        check_learnable(meta, view)
    except (ValueError, OSError) as error:
        if not is_file and not minari_local.exists(dataset):
            raise  # there is nothing to look at
        return Checked((str(error),))
    problems, notes = [], list(meta.notes)
    try:
        check_actions_known(store, where)
    except ValueError as error:
        problems.append(str(error))
    if meta.spaces_known:
        try:
            store.check_action_bounds(*(meta.action_bounds or (0, meta.act_size - 1)))
        except ValueError as error:
            problems.append(f"{where}: {error}")
    elif env_id is None:
        notes.append("the file names no environment: bounds are not checked (--env ID does)")
    named = [meta.env_spec, meta.eval_env_spec] if env_id is None else [env_id]
    for one in named:
        if one is None:
            continue
        try:
            env = make(one)
            closed(env)
            check_fit(store, env.observation_space, env.action_space, where)
            if meta.spaces_known:
                name = one if isinstance(one, str) else one.id
                theirs = Meta("", env.observation_space, env.action_space)
                what = f"{where} does not fit environment {name}"
                check_actions(meta, theirs.action_bounds, theirs.first_action, what)
        except ValueError as error:
            problems.append(str(error))
        except Exception as error:  # whatever an environment of another package raises
            told = problems if env_id is not None else notes
            name = one if isinstance(one, str) else one.id
            told.append(f"environment {name} cannot be made here: {error}")
    return Checked(tuple(dict.fromkeys(problems)), (*notes, *_teaches_nothing(store)))


def _is_view(env_id: str) -> bool:
    """Whether a named environment gives MiniGrid's cells; True where it cannot be made, which is
    found out later."""
    try:
        env = make(env_id)
    except Exception:  # whatever an environment of another package raises
        return True
    closed(env)
    return is_view(env)


def _teaches_nothing(store: EpisodeStore) -> list[str]:
    notes = []
    if np.ptp(store.reward) == 0:
        notes.append(f"every reward is {store.reward[0]}: there is nothing to prefer")
    if (store.action == store.action[0]).all():
        notes.append("every action is the same")
    if (store.obs == store.obs[0]).all():
        notes.append("every observation is the same: nothing tells one state from another")
    flags = store.terminated | store.truncated
    if not store.terminated.any() and flags.sum() == 1:
        notes.append("one single episode without termination: are episode ends missing?")
    return notes


def read(dataset: str | Path) -> tuple[EpisodeStore, Meta]:
    """Steps and description of a Minari dataset. Raises ValueError naming the nearest id, and what
    builds it where it is a recipe."""
    try:
        return minari_io.read(dataset)
    except ValueError as error:
        name = str(dataset)
        if not minari_local.exists(name):
            recipes = cards.all_recipes()
            if name in recipes:
                raise UsageError(
                    f"dataset {name!r} is not built yet: rlkit dataset build {name}"
                ) from error
            known = {*recipes, *minari_local.local_ids()}
            raise UsageError(f"no dataset {name!r}{suggestion(name, known)}") from error
        raise


def _details(meta: Meta) -> _Details:
    return fit(meta.details, _Details, f"dataset {meta.dataset_id!r}: details")  # type: ignore[arg-type]


def _quantiles(values: np.ndarray) -> dict[float, float]:
    return {q: float(v) for q, v in zip(QUANTILES, np.quantile(values, QUANTILES), strict=True)}


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version(), "machine": platform.machine()}
    found["rlkit"] = rlkit.__version__
    return found | {name: importlib.metadata.version(name) for name in _VERSIONED}


def _version_notes(before: dict[str, str], now: dict[str, str]) -> tuple[str, ...]:
    return tuple(
        f"built with {name} {before[name]}, {now[name]} is installed"
        for name in sorted(before.keys() & now.keys())
        if before[name] != now[name]
    )

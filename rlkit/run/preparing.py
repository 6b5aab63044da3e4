"""From options to the task and the dataset's rows, with all that can be wrong checked first."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from rlkit.algos.bandits.teachers.by_name import read
from rlkit.core import lanes as core_lanes
from rlkit.core.errors import RunError, UsageError
from rlkit.core.spec import Box, Discrete
from rlkit.core.words.nearest import suggestion
from rlkit.data.fitting import check_actions, check_actions_known, check_fit
from rlkit.data.formats import minari_local
from rlkit.data.formats.meta import Meta, check_learnable
from rlkit.data.goals import goals
from rlkit.data.recipes import cards
from rlkit.data.store import EpisodeStore
from rlkit.data.transforms import Transforms
from rlkit.envs.make import make
from rlkit.envs.specs import in_words
from rlkit.envs.stepping import closed
from rlkit.run.collecting.teaching import tasks
from rlkit.run.env_task import action_layout, described_spaces, of_env, of_spec
from rlkit.run.settings import fits as settings_fits
from rlkit.run.settings.algorithms import algorithm
from rlkit.run.settings.options import Options
from rlkit.run.task import Task


def prepare(options: Options) -> tuple[Task, EpisodeStore | None]:
    """The task and the rows to learn from (None online), everything checked before training.

    Raises UsageError for names that do not exist and for spaces that do not fit each other,
    ValueError naming column and row for bad data.
    """
    task, store = _read(options)
    look = getattr(algorithm(options.algo), "check_task", None)
    if look is not None:
        look(options.config, task.spec(options.seeds))
    return task, store


def _read(options: Options) -> tuple[Task, EpisodeStore | None]:
    asked = None if options.env is None else of_env(options.env)
    if options.envs_backend == "envpool" and asked is not None:
        _check_pooled(asked)
    if asked is not None:
        _check_for_algorithm(options, asked, f"environment {options.env}")
    if options.curriculum and asked is not None:
        tasks(asked, read(options.curriculum))
    if options.hindsight and asked is not None:
        env = asked.make_env()
        goals(env, str(asked.env))
        closed(env)
    if options.dataset is None:
        task = asked or of_env("")
        _check_normalised(options, task.obs)
        return replace(task, normaliser=options.normalise_obs), None
    view = None if asked is None else not asked.image  # by its environment, not by its shape
    if not is_file(options.dataset):  # before any row is read
        check_learnable(description(options.dataset), view)
    store, meta = read_dataset(options.dataset)
    if not getattr(algorithm(options.algo), "TELLS_ACTIONS", False):
        check_actions_known(store, f"dataset {meta.dataset_id}")
    meta = _fitting(store, meta, options)
    image = check_learnable(meta, view)
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
    _check_normalised(options, meta.obs_shape)
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
    shape, start = action_layout(meta.action_space)
    chosen = meta.eval_env_spec or meta.env_spec
    if meta.eval_env_spec is not None:
        dataset["evaluated_in"] = _told(meta)
    if chosen is not None and options.eval_episodes:
        theirs = of_spec(chosen, options)
        _check_fit(theirs, meta, f"its environment {chosen.id}", options)
        _check_for_algorithm(options, theirs, f"environment {chosen.id}")
    return Task(
        obs=meta.obs_shape,
        act=Discrete(meta.act_size) if meta.discrete else Box(meta.act_size),
        transforms=transforms,
        env=meta.env_id if chosen is None else chosen.id,
        env_spec=None if chosen is None else chosen.to_json(),
        action_shape=shape,
        action_start=start,
        dataset=dataset,
        spaces=None
        if chosen is None
        else described_spaces(meta.observation_space, meta.action_space),
        image=image,
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
        from rlkit.data.formats import d4rl  # with h5py, which no training online needs

        return d4rl.read(name)
    _check_exists(name)
    from rlkit.data.formats import minari_io

    return minari_io.read(name)


def description(name: str) -> Meta:
    """What is known of a Minari dataset, without its rows. Raises what `read_dataset` raises."""
    _check_exists(name)
    from rlkit.data.formats import minari_io

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
    closed(env)
    if not meta.spaces_known:
        meta = replace(meta, observation_space=env.observation_space, action_space=env.action_space)
    name = options.env or meta.env_id
    where = f"dataset {options.dataset} does not fit environment {name}"
    try:
        check_fit(store, env.observation_space, env.action_space, where)
    except ValueError as error:
        raise UsageError(str(error)) from error
    return meta


def _check_normalised(options: Options, shape: tuple[int, ...]) -> None:
    if options.normalise_obs and len(shape) > 1:
        raise UsageError(
            "normalise_obs is for vectors: images are divided by 255 as they are read, cells of a "
            "grid are categories"
        )


def _check_for_algorithm(options: Options, task: Task, name: str) -> None:
    """What the algorithm itself looks for in an environment, where it has a `check_env`."""
    module = algorithm(options.algo)
    look, fits = getattr(module, "check_env", None), getattr(module, "FITS", ())
    if look is None:
        return
    settings_fits.check_actions(options.algo, fits, options.where, task.act, str(task.env))
    settings_fits.check_pixels(options, fits, task.image, str(task.env), task.obs)
    env = task.make_env()
    try:
        look(env, options.config, name)
    finally:
        closed(env)


def _check_pooled(task: Task) -> None:
    from rlkit.envs.pooled import check_pooled

    env = task.make_env()
    try:
        check_pooled(env)
    finally:
        closed(env)


def _check_fit(task: Task, meta: Meta, which: str, options: Options) -> None:
    what = f"dataset {options.dataset} does not fit {which}"
    if meta.obs_shape != task.obs:
        raise UsageError(f"{what}: observations of shape {meta.obs_shape} against {task.obs}")
    act = Discrete(meta.act_size) if meta.discrete else Box(meta.act_size)
    if act != task.act:
        raise UsageError(f"{what}: actions {act} against {task.act}")
    bounds = (task.transforms.action_low, task.transforms.action_high)
    try:
        check_actions(meta, bounds, task.action_start, what)
    except ValueError as error:
        raise UsageError(str(error)) from error


def _told(meta: Meta) -> str:
    named, other = meta.eval_env_spec, meta.env_spec
    assert named is not None
    told = [f"policies are evaluated in {in_words(named)}, which the dataset names for that"]
    return "; ".join(told if other is None else [*told, f"its rows are of {in_words(other)}"])


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

"""Where the minibatches of a training come from: the algorithm's own source, or the options'."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from rlkit.algos.behind.agents import draws_itself
from rlkit.core.engine import Source
from rlkit.core.errors import UsageError
from rlkit.core.spec import Spec
from rlkit.core.streams import Streams
from rlkit.data.goals import goals
from rlkit.data.replay import Replay
from rlkit.data.sampling import weighting
from rlkit.data.sampling.hindsight import AHEAD, Hindsight
from rlkit.data.sampling.samplers import Mixed, Uniform, Weighted, shares
from rlkit.data.sampling.shifting import Shifted
from rlkit.data.stock import Stock
from rlkit.data.store import EpisodeStore
from rlkit.run.settings.algorithms import algorithm
from rlkit.run.settings.options import Options
from rlkit.run.task import Task

BONUS = "bonus"  # column of a replay: the part of its rewards that is no reward of the task


class Feeding(NamedTuple):
    """Rows and sources of a training; see `data.stock` for what a source may do besides."""

    source: Source
    pretrain: Source | None  # fine-tuning: of the updates before the first environment step
    replay: Replay | None  # what the collector fills


def feeding(
    options: Options,
    task: Task,
    agent: Any,
    config: Any,
    spec: Spec,
    streams: Streams,
    store: EpisodeStore | None,
) -> Feeding:
    """The sources of an agent. Raises UsageError where data and algorithm do not fit."""
    fed = _unshifted(options, task, agent, config, spec, streams, store)
    if not options.shift:
        return fed
    source, pretrain = (
        None if one is None else Shifted(one, spec, streams, options.shift)
        for one in (fed.source, fed.pretrain)
    )
    assert source is not None
    return Feeding(source, pretrain, fed.replay)


def _unshifted(
    options: Options,
    task: Task,
    agent: Any,
    config: Any,
    spec: Spec,
    streams: Streams,
    store: EpisodeStore | None,
) -> Feeding:
    columns = tuple(getattr(agent, "columns", ()))
    data = replay = None
    if store is not None:
        gamma = getattr(config, "gamma", None)
        data = Replay.from_store(store, spec, task.transforms, columns=columns, gamma=gamma)
    if options.kind != "offline":
        collected = columns + ((BONUS,) if options.bonus else ())
        collected += (AHEAD,) if options.hindsight else ()
        replay = Replay(spec, options.capacity, envs=options.envs, columns=collected)
    tuned = options.kind == "finetune" and options.pretrain
    module = algorithm(options.algo)
    if draws_itself(module, config):
        stock = Stock(spec, streams, task.transforms, data, replay, task.env_id, options.mix)
        alone = module.source(stock._replace(replay=None), agent, config) if tuned else None
        return Feeding(module.source(stock, agent, config), alone, replay)
    batch = int(getattr(config, "batch_size", 256))
    if data is None:
        assert replay is not None
        if options.hindsight:
            sought, paid = goals(task.make_env(), str(task.env)), BONUS if options.bonus else ""
            relabelled = Hindsight(replay, batch, streams, sought, options.hindsight, paid)
            return Feeding(relabelled, None, replay)
        return Feeding(Uniform(replay, batch, streams), None, replay)
    assert store is not None
    weights = row_weights(options, store)
    if replay is None:
        return Feeding(_rows(data, batch, streams, weights, "batch"), None, None)
    first, second = shares(batch, options.mix)
    both = Mixed(
        _rows(data, first, streams, weights, "dataset"),
        Uniform(replay, second, streams, "replay"),
    )
    pretrain = _rows(data, batch, streams, weights, "pretrain") if tuned else None
    return Feeding(both, pretrain, replay)


def row_weights(options: Options, store: EpisodeStore) -> np.ndarray | None:
    """How often each row of the dataset is drawn, as the options ask; None is equally often."""
    alpha = options.weighting_alpha
    if options.weighting == "uniform":
        return None
    if options.weighting == "return":
        return weighting.return_weights(store, alpha)
    if options.weighting == "advantage":
        return weighting.advantage_weights(store, alpha)
    if alpha > 1:
        raise UsageError(f"weighting_alpha is {alpha}; top takes a share of the episodes, up to 1")
    return weighting.top_weights(store, alpha)


def _rows(
    data: Replay, batch: int, streams: Streams, weights: np.ndarray | None, name: str
) -> Uniform | Weighted:
    if weights is None:
        return Uniform(data, batch, streams, name)
    return Weighted(data, batch, streams, weights, name)

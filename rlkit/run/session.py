"""All that trains some lanes in one process: agent, data, engine, environments."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from rlkit.core import checkpoint, state
from rlkit.core.engine import Engine, Source
from rlkit.core.errors import CheckpointError
from rlkit.core.streams import Streams
from rlkit.data.replay import Replay
from rlkit.data.samplers import Mixed, Uniform, shares
from rlkit.data.store import EpisodeStore
from rlkit.eval.records import Episode
from rlkit.eval.rollout import Evaluator
from rlkit.run.collector import Collector
from rlkit.run.options import Options, resolve
from rlkit.run.task import Task, actor, make_agent, prepare

_LONGEST = 10_000  # steps of an evaluation episode where the environment sets no limit


class Session:
    """One training of the lanes `seeds` (all of the options' by default), ready to run.

    `for event in offline(Session(options)): ...` is a whole training. `engine` overrides the
    options' mode. Attributes: `agent`, `spec`, `config`, `task`, `replay` (online), `engine`
    and `pretrain` (fine-tuning), `collector` (online), `streams`.
    """

    def __init__(
        self,
        options: Options,
        task: Task | None = None,
        store: EpisodeStore | None = None,
        seeds: tuple[int, ...] | None = None,
        engine: str | None = None,
    ) -> None:
        options = resolve(options)
        if task is None:
            task, store = prepare(options)
        self.options, self.task = options, task
        self.seeds = options.seeds if seeds is None else seeds
        self.lanes = [options.seeds.index(seed) for seed in self.seeds]
        self.agent, self.config, self.spec = make_agent(options, task, self.seeds)
        self.streams = Streams(self.spec.seeds)
        self.replay: Replay | None = None
        self.collector: Collector | None = None
        self.pretrain: Engine | None = None
        mode = options.engine if engine is None else engine
        batch = int(getattr(self.config, "batch_size", 256))
        data = None
        if store is not None:
            data = Replay.from_store(
                store,
                self.spec,
                task.transforms,
                columns=tuple(getattr(self.agent, "columns", ())),
                gamma=getattr(self.config, "gamma", None),
            )
        source: Source
        if options.kind == "offline":
            assert data is not None
            source = Uniform(data, batch, self.streams)
        else:
            self.replay = Replay(self.spec, options.capacity, envs=options.envs)
            self.collector = Collector(task, self.spec, options.envs)
            if data is None:
                source = Uniform(self.replay, batch, self.streams)
            else:
                first, second = shares(batch, options.mix)
                source = Mixed(
                    Uniform(data, first, self.streams, "dataset"),
                    Uniform(self.replay, second, self.streams, "replay"),
                )
                alone = Uniform(data, batch, self.streams, "pretrain")
                self.pretrain = self._engine(alone, mode, options.pretrain)
        ahead = options.steps if options.kind == "offline" else int(options.steps * options.utd)
        self.engine = self._engine(source, mode, ahead)
        self.act = actor(self.agent, self.spec, task)
        self.evaluator: Evaluator | None = None
        if task.has_env and options.eval_episodes:
            self.evaluator = Evaluator(
                task.make_env,
                self.spec.seeds,
                batch=min(10, options.eval_episodes),
                max_steps=_longest(task),
                encode=task.encode,
            )

    def _engine(self, source: Source, mode: str, ahead: int) -> Engine:
        return Engine(self.agent, self.config, self.spec, source, mode, ahead)

    def close(self) -> None:
        """Close all environments."""
        if self.evaluator is not None:
            self.evaluator.close()
        if self.collector is not None:
            self.collector.close()

    def evaluate(self, step: int) -> list[Episode]:
        """Every episode of an evaluation, lanes numbered as in the options."""
        if self.evaluator is None:
            return []
        episodes = self.evaluator(self.act, self.options.eval_episodes, step)
        return [e._replace(lane=self.lanes[e.lane]) for e in episodes]

    def save(self, folder: Path, step: int) -> None:
        """Write all that `load` needs to continue from `step`."""
        parts: dict[str, dict[str, Tensor]] = {"agent": state.tensors(self.agent)}
        meta: dict[str, Any] = {"step": step, "seeds": list(self.seeds)}
        if self.replay is not None and self.collector is not None and self.collector.begun:
            parts["replay"] = self.replay.state_dict()
            parts["envs"], meta["envs"] = self.collector.state()
        checkpoint.save(folder, parts, meta)

    def load(self, folder: Path) -> tuple[int, str]:
        """Step to continue from, and a note where the continuation is not bit for bit."""
        parts, meta = checkpoint.load(folder)
        if meta["seeds"] != list(self.seeds):
            raise CheckpointError(
                f"{folder} is of seeds {meta['seeds']}, not of {list(self.seeds)}"
            )
        note = ""
        try:
            state.load(self.agent, parts["agent"])
            if self.replay is not None and self.collector is not None and "envs" in meta:
                for name in ("replay", "envs"):
                    if name not in parts:
                        raise ValueError(f"its {name} part has been dropped: use a newer one")
                self.replay.load_state_dict(parts["replay"])
                note = self.collector.load(parts["envs"], meta["envs"])
                if note:
                    self.replay.cut()
        except ValueError as error:
            raise CheckpointError(f"{folder} does not fit this training: {error}") from error
        return int(meta["step"]), note


def fetch(metrics: dict[str, Tensor], lanes: int) -> dict[str, np.ndarray]:
    """Metrics `[S]` on the host; the one transfer of a logging period."""
    return {
        name: np.broadcast_to(m.detach().double().cpu().numpy(), (lanes,)).copy()
        for name, m in metrics.items()
    }


def _longest(task: Task) -> int | None:
    env = task.make_env()
    limit = None if env.spec is None else env.spec.max_episode_steps
    env.close()
    return None if limit is not None else _LONGEST

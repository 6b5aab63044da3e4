"""All that trains some lanes in one process: agent, data, engine, environments."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from rlkit.core import state
from rlkit.core.engine import Engine, Source
from rlkit.core.errors import CheckpointError
from rlkit.core.files import checkpoint
from rlkit.core.streams import Streams
from rlkit.data.store import EpisodeStore
from rlkit.envs.pools import Split, level
from rlkit.envs.stepping import closed
from rlkit.eval.frequency import LENGTHS
from rlkit.eval.records import Episode
from rlkit.eval.rollout import Evaluator
from rlkit.run.collecting.collector import Collector
from rlkit.run.collecting.remembering import Remembering
from rlkit.run.collecting.rewarding import Rewarding
from rlkit.run.collecting.teaching import Teaching
from rlkit.run.feeding import feeding
from rlkit.run.halt import Halt
from rlkit.run.policies.holding import holding
from rlkit.run.replay_ratio import ReplayRatio
from rlkit.run.settings.options import Options
from rlkit.run.settings.plan import settled
from rlkit.run.task import Task, actor, make_agent

_LONGEST = 10_000  # steps of an evaluation episode where the environment sets no limit


class Session:
    """One training of some of the options' lanes (all by default), ready to run.

    With a `task` the options are taken as resolved, `store` as the rows to learn from.
    `for event in offline(Session(options)): ...` is a whole training. `engine` overrides the
    options' mode. Attributes: `agent`, `spec`, `config`, `task`, `replay` (online), `engine`
    and `pretrain` (fine-tuning), `collector` (online), `streams`; `begun` names the engines
    ("main", "pretrain") whose source has had its beginning; `diverged` the step at which a lane
    (a number in the options) was found to be no longer finite; `noticed` what the algorithm's
    `notice` has said, `suspected` what it said last.
    """

    def __init__(
        self,
        options: Options,
        task: Task | None = None,
        store: EpisodeStore | None = None,
        lanes: Sequence[int] | None = None,
        engine: str | None = None,
    ) -> None:
        if task is None:
            options, task, store = settled(options)
        self.options, self.task = options, task
        self.lanes = list(range(len(options.seeds)) if lanes is None else lanes)
        self.seeds = tuple(options.seeds[k] for k in self.lanes)
        self.agent, self.config, self.spec = make_agent(options, task, self.lanes)
        self.streams = Streams(self.spec.seeds)
        mode = options.engine if engine is None else engine
        fed = feeding(options, task, self.agent, self.config, self.spec, self.streams, store)
        self.source, self.replay = fed.source, fed.replay
        self.collector: Collector | None = None
        self.pretrain: Engine | None = None
        self.bonus: Rewarding | None = None
        self.teaching: Teaching | None = None
        self.memory: Remembering | None = None  # of an agent that looks back, while it collects
        if self.replay is not None:
            pooled = options.envs_backend == "envpool"
            if options.curriculum:
                self.teaching = Teaching(options.curriculum, task, self.spec, options.envs)
            self.collector = Collector(
                task, self.spec, options.envs, options.levels, pooled, self.teaching
            )
            if hasattr(self.agent, "history"):
                self.memory = Remembering(self.agent, self.spec, options.envs)
            if options.bonus:
                self.bonus = Rewarding(options, self.spec)
        if fed.pretrain is not None:
            self.pretrain = self._engine(fed.pretrain, mode, options.pretrain)
        self.fresh = True  # until a checkpoint is loaded
        self.begun: set[str] = set()
        self.diverged: dict[int, int] = {}
        self.noticed: list[str] = []
        self.suspected = ""
        self.halt, self.halted, self.saved = Halt(), False, -1
        self.engine = self._engine(self.source, mode, options.updates_ahead)
        self.ratio = ReplayRatio(options, self.agent, self.spec.lanes)
        self.act = actor(self.agent, self.spec, task)
        self.evaluator: Evaluator | None = None
        self.on_trained: Evaluator | None = None  # on the levels of the training
        if task.has_env and options.eval_episodes:
            self.evaluator = self._evaluator("validation")
            if options.levels:
                self.on_trained = self._evaluator("train")

    def _evaluator(self, split: Split) -> Evaluator:
        levels = self.options.levels
        return Evaluator(
            self.task.make_env,
            self.spec.seeds,
            batch=min(10, self.options.eval_episodes),
            max_steps=_longest(self.task),
            encode=self.task.encode,
            level=(lambda seed: level(split, seed, levels)) if levels else None,
        )

    def _engine(self, source: Source, mode: str, ahead: int) -> Engine:
        return Engine(self.agent, self.config, self.spec, source, mode, ahead)

    def _sources(self) -> dict[str, Any]:
        engines = {"main": self.engine, "pretrain": self.pretrain}
        return {name: engine.source for name, engine in engines.items() if engine is not None}

    def close(self) -> None:
        """Close all environments."""
        for evaluator in (self.evaluator, self.on_trained):
            if evaluator is not None:
                evaluator.close()
        if self.collector is not None:
            self.collector.close()

    def evaluate(self, step: int) -> list[Episode]:
        """Every episode of an evaluation, lanes numbered as in the options; with a pool of levels
        on validation levels."""
        return self._evaluated(self.evaluator, step)

    def evaluate_trained(self, step: int) -> list[Episode]:
        """As `evaluate` on the levels of the training; nothing where there is no pool."""
        return self._evaluated(self.on_trained, step)

    def evaluate_held(self, step: int) -> dict[int, list[Episode]]:
        """As `evaluate` of policies that decide once in so many steps, by these; nothing where
        frequencies were not asked for."""
        evaluator, found = self.evaluator, {}
        if self.options.frequencies and evaluator is not None:
            for every in LENGTHS:
                act = holding(self.agent, self.spec, self.task, every)
                played = evaluator(act, self.options.eval_episodes, step)
                found[every] = [e._replace(lane=self.lanes[e.lane]) for e in played]
        return found

    def _evaluated(self, evaluator: Evaluator | None, step: int) -> list[Episode]:
        if evaluator is None:
            return []
        lost = [self.lanes.index(lane) for lane in self.diverged]
        rest = self.task.to_env(np.zeros(() if self.spec.discrete else self.spec.act_size))

        def act(obs: np.ndarray, slots: Any = None) -> np.ndarray:
            actions = self.act(obs, slots)
            actions[lost] = rest
            return actions

        episodes = evaluator(act if lost else self.act, self.options.eval_episodes, step)
        for i, e in enumerate(episodes):
            if e.lane in lost:  # it has no policy any more
                episodes[i] = e._replace(return_=float("nan"), length=0, terminated=False)
        return [e._replace(lane=self.lanes[e.lane]) for e in episodes]

    def save(self, folder: Path, step: int) -> None:
        """Write all that `load` needs to continue from `step`."""
        parts: dict[str, dict[str, Tensor]] = {"agent": state.tensors(self.agent)}
        meta: dict[str, Any] = {"step": step, "seeds": list(self.seeds)}
        meta |= {"begun": sorted(self.begun), "ratio": self.ratio.state()}
        if self.diverged:
            meta["diverged"] = {str(lane): at for lane, at in self.diverged.items()}
        if self.noticed:
            meta["noticed"] = self.noticed
        for name, source in self._sources().items():
            if hasattr(source, "state_dict") and (kept := source.state_dict()):
                parts[f"source_{name}"] = kept
        if self.replay is not None and self.collector is not None and self.collector.begun:
            parts["replay"] = self.replay.state_dict()
            parts["envs"], meta["envs"] = self.collector.state()
            if self.teaching is not None:
                parts["teaching"] = self.teaching.state()
            if self.bonus is not None:
                parts["bonus"] = self.bonus.bonus.state_dict()
            if self.memory is not None and (kept := self.memory.state()):
                parts["memory"] = kept
        checkpoint.save(folder, parts, meta)

    def load(self, folder: Path) -> tuple[int, str]:
        """Step to continue from, and a note where the continuation is not bit for bit."""
        parts, meta = checkpoint.load(folder)
        if meta.get("seeds") != list(self.seeds):
            raise CheckpointError(
                f"{folder} is of seeds {meta.get('seeds')}, not of {list(self.seeds)}"
            )
        note, self.fresh = "", False
        try:
            state.load(self.agent, parts["agent"])
            self.begun = set(meta["begun"])
            self.ratio.load(meta["ratio"])
            self.diverged = {int(lane): at for lane, at in meta.get("diverged", {}).items()}
            self.noticed = list(meta.get("noticed", ()))
            for name, source in self._sources().items():
                if f"source_{name}" in parts:
                    source.load_state_dict(parts[f"source_{name}"])
            if self.replay is not None and self.collector is not None and "envs" in meta:
                for name in ("replay", "envs"):
                    if name not in parts:
                        raise ValueError(f"its {name} part has been dropped: use a newer one")
                self.replay.load_state_dict(parts["replay"])
                if self.teaching is not None:  # first: new episodes ask it for tasks
                    self.teaching.load(parts["teaching"])
                note = self.collector.load(parts["envs"], meta["envs"])
                if self.bonus is not None:
                    self.bonus.bonus.load_state_dict(parts["bonus"])
                if self.memory is not None and "memory" in parts:
                    self.memory.load(parts["memory"])
                if note:
                    self.replay.cut()
                    if self.bonus is not None:
                        self.bonus.bonus.begun_anew()
            self.saved = int(meta["step"])
            return self.saved, note
        except (
            *(ValueError, LookupError, TypeError, AttributeError, ArithmeticError),
            RuntimeError,  # torch's, and of what is nested too deeply
        ) as error:
            raise CheckpointError(f"{folder} does not fit this training: {error}") from error


def fetch(metrics: dict[str, Tensor], lanes: int) -> dict[str, np.ndarray]:
    """Metrics `[S]` on the host; the one transfer of a logging period."""
    return {
        name: np.broadcast_to(m.detach().double().cpu().numpy(), (lanes,)).copy()
        for name, m in metrics.items()
    }


def _longest(task: Task) -> int | None:
    env = task.make_env()
    limit = None if env.spec is None else env.spec.max_episode_steps
    closed(env)
    return None if limit is not None else _LONGEST

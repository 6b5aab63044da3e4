"""The loop of a run whose agents are stable-baselines3's: their `learn`, our records.

Each lane is a model of theirs with its own environments, trained by one call of its `learn` in a
thread of its own that stops at every step something is due, so that one lane runs at a time. They
draw from the generators of the process: each lane has a state of them of its own, so that it is the
same in any company.

A checkpoint holds the layers that act (ours, see `agents`) and, for every lane, the model as
their `save` writes it: `lane_<k>.zip` is what `PPO.load` and the like read. Of such a file this
module reads numbers and tensors only; the pickled parts in it are for their own `load`. It holds no
replay and no state of an environment: a run that is continued begins new episodes and an empty
replay. A lane that is no longer finite is told and left out, as in `rlkit.run.loops`.
"""

from __future__ import annotations

import contextlib
import io
import json
import random
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import torch

from rlkit.core import lanes as core_lanes
from rlkit.core import state
from rlkit.core.errors import CheckpointError
from rlkit.core.files import checkpoint
from rlkit.core.files.reading import FOREIGN
from rlkit.core.spec import Discrete
from rlkit.data.store import EpisodeStore
from rlkit.envs.levels import Levels
from rlkit.envs.pools import Split, level
from rlkit.envs.stepping import closed
from rlkit.eval.records import Episode
from rlkit.eval.rollout import Evaluator
from rlkit.exploration.bonus import Bonus
from rlkit.exploration.wrapper import BonusReward, spec_of
from rlkit.policy.sb3 import actor
from rlkit.run.halt import Halt
from rlkit.run.preparing import rows
from rlkit.run.records import folder as run_folder
from rlkit.run.records.events import Diverged, Evaluated, Event, Metrics, Note, Progress, Save
from rlkit.run.sb3.actions import fitted
from rlkit.run.sb3.agents import Acting, agent_class, arguments
from rlkit.run.sb3.imitation import Imitation
from rlkit.run.settings.options import Options
from rlkit.run.task import Task, make_agent

_STRIDE = 250  # steps between signs of life
_INVALID = "to satisfy the constraint"  # torch.distributions, of numbers that no draw has
_COUNTERS = ("num_timesteps", "_n_updates", "_episode_num")  # of a model, as its zip has them


def events(folder: Path, options: Options, task: Task, start: int, halt: Halt) -> Iterator[Event]:
    """Events of all lanes from step `start` on; see `rlkit.run.loops`."""
    threads = torch.get_num_threads()
    torch.set_num_threads(options.threads)
    acting: Acting = make_agent(options, task, range(len(options.seeds)))[0]
    store = rows(options, task)
    running = [_Lane(options, task, k, store) for k in range(len(options.seeds))]
    if start:
        whole = run_folder.step_folder(folder, start)
        with run_folder.remedied(whole):
            share = run_folder.group_folder(whole, 0)
            lost = checkpoint.read_index(share)["meta"].get("diverged", {})
            for lane in running:
                lane.restore(share / lane.file)
                lane.lost = lost.get(str(lane.number))
        counts = ", nor a bonus, which begins anew" if options.bonus else ""
        yield Note(
            f"{options.algo} goes on with new episodes and an empty replay: checkpoints of "
            f"stable-baselines3 hold none{counts}"
        )
    try:
        yield from _loop(options, acting, running, start, halt)
    finally:
        for lane in running:
            lane.stop()
        torch.set_num_threads(threads)


def _loop(
    options: Options, acting: Acting, running: list[_Lane], start: int, halt: Halt
) -> Iterator[Event]:
    every = [n for n in (options.eval_every, options.saves_every, options.log_every, _STRIDE) if n]
    total, step = options.steps, start
    while step < total:
        before = step
        step = min(total, *(step - step % n + n for n in every))

        def due(n: int, before: int = before, step: int = step) -> bool:
            return step == total or (n > 0 and step // n > before // n)

        for lane in running:
            if not before:
                lane.clone()
            lane.advance(step)
        yield Progress(step)
        stop = halt.here(step)
        log, evaluate, save = map(due, (options.log_every, options.eval_every, options.saves_every))
        unsound = [lane for lane in running if lane.error is not None]
        if log or evaluate or save or stop:
            unsound = running
        found = {lane.number: lane.unsound() for lane in unsound if lane.lost is None}
        if news := {number: what for number, what in found.items() if what}:
            for number in news:
                running[number].lost = step
            yield Diverged(step, news)
        if log:
            yield Metrics(step, running[0].updates(), _losses(running), "stable-baselines3")
        if evaluate and options.eval_episodes:
            other, trained = (
                [e for lane in running for e in lane.evaluate(step, on)] for on in (False, True)
            )
            yield Evaluated(step, other, trained)
        if save or stop:
            yield Save(step, lambda path, step=step: _save(path, step, acting, running))  # type: ignore[misc]
        if stop:
            return


def _losses(running: list[_Lane]) -> dict[str, np.ndarray]:
    """What every sound lane has, `[S]`; NaN for a lost one."""
    values = {lane.number: lane.losses() for lane in running if lane.lost is None}
    common = set.intersection(*(set(one) for one in values.values()))
    missing = dict.fromkeys(common, np.nan)
    return {
        name: np.array([values.get(lane.number, missing)[name] for lane in running])
        for name in sorted(common)
    }


def _save(path: Path, step: int, acting: Acting, running: list[_Lane]) -> None:
    for lane in running:
        lane.show(acting)
    meta: dict[str, Any] = {"step": step, "seeds": [lane.seed for lane in running]}
    if lost := {str(lane.number): lane.lost for lane in running if lane.lost is not None}:
        meta["diverged"] = lost
    checkpoint.save(path, {"agent": state.tensors(acting)}, meta)
    for lane in running:
        lane.model.save(path / lane.file)


class _Lane:
    """One model and its environments; `advance` trains it to a step."""

    def __init__(
        self, options: Options, task: Task, number: int, store: EpisodeStore | None = None
    ) -> None:
        from stable_baselines3.common.env_util import make_vec_env

        self.number, self.seed, self.total = number, options.seeds[number], options.steps
        self.file = f"lane_{number}.zip"
        self.options, self.task = options, task
        self.viewed = len(task.obs) == 3  # MiniGrid's cells
        self.bonus: Bonus | None = None  # that all training environments share
        self.made = 0  # of them
        self.envs = make_vec_env(self._training_env, options.envs, seed=self.seed)
        given = arguments(options.algo, core_lanes.select(options.config, [number]))
        if deviation := given.pop("action_noise", 0.0):
            from stable_baselines3.common.noise import NormalActionNoise

            zero = np.zeros(self.envs.action_space.shape or ())
            given["action_noise"] = NormalActionNoise(zero, zero + deviation)
        self.drawn: Any = None  # state of the generators
        with self._drawing():
            self.model = agent_class(options.algo)(
                "MlpPolicy", self.envs, seed=self.seed, device=options.device, **given
            )
            self.imitation = self._imitation(store)
        self.evaluator = self._evaluator("validation")
        self.on_trained = self._evaluator("train") if options.levels else None
        self.until, self.over = 0, False
        self.lost: int | None = None  # the step at which it was found to be no longer finite
        self.error: BaseException | None = None
        self.go, self.there = threading.Semaphore(0), threading.Semaphore(0)
        self.thread: threading.Thread | None = None

    def _imitation(self, store: EpisodeStore | None) -> Imitation | None:
        """What tells the policy of a dataset's actions, where there is one."""
        if store is None:
            return None
        c = core_lanes.select(self.options.config, [self.number])
        told = Imitation(store, self.task.transforms, self.model, self.seed, c.batch_imitation)
        weight = c.imitation[0] if isinstance(c.imitation, tuple) else c.imitation
        if weight:
            told.join(weight)
        return told

    def clone(self) -> None:
        """The updates on the dataset alone, before the first step."""
        c = core_lanes.select(self.options.config, [self.number])
        if self.imitation is not None and c.cloning:
            rate = c.learning_rate[0] if isinstance(c.learning_rate, tuple) else c.learning_rate
            with self._drawing():
                self.imitation.clone(c.cloning, rate)

    def _evaluator(self, split: Split) -> Evaluator:
        levels = self.options.levels
        return Evaluator(
            self._env,
            [self.seed],
            batch=min(10, self.options.eval_episodes or 1),
            encode=None if self.viewed else self.task.encode,  # one that is fitted is a vector
            level=(lambda seed: level(split, seed, levels)) if levels else None,
        )

    def _env(self, **given: Any) -> gymnasium.Env[Any, Any]:
        return fitted(self.task.make_env(**given))

    def _training_env(self, **given: Any) -> gymnasium.Env[Any, Any]:
        env = self._env(**given)
        if self.options.levels:
            env = Levels(env, self.options.levels)  # their first reset seeds it
        if not self.options.bonus:
            return env
        if self.bonus is None:
            spec = spec_of(env, self.seed)
            self.bonus = Bonus(self.options.bonus, spec, self.options.envs)
        number, self.made = self.made, self.made + 1
        return BonusReward(env, self.bonus, self.options.bonus_scale, number)

    def advance(self, step: int) -> None:
        """Train until `step`; at the last step `learn` ends as it does by itself. A lost lane stays
        where it is. Raises what `learn` did, unless that comes of numbers that are not finite."""
        if self.lost is not None:
            return
        self.until = step
        with self._drawing():
            if self.thread is None:
                self.thread = threading.Thread(target=self._learn, daemon=True)
                self.thread.start()
            else:
                self.go.release()
            self.there.acquire()
        if self.error is not None and not self.unsound():
            raise self.error

    @contextlib.contextmanager
    def _drawing(self) -> Iterator[None]:
        """The process's generators as this lane left them; afterwards as they were before."""
        before = _generators()
        if self.drawn is not None:
            _set_generators(self.drawn)
        try:
            yield
        finally:
            self.drawn = _generators()
            _set_generators(before)

    def unsound(self) -> str:
        """The first loss, parameter or moment that is not finite; empty without one. Parameters so
        large that a distribution has none any more (a deviation of 0) are not finite either."""
        losses = [(name, np.asarray(x)) for name, x in self.losses().items() if "loss" in name]
        for name, value in [*losses, *_tensors("", self.model.get_parameters())]:
            if not np.isfinite(value).all():
                return name
        return "its distribution" if _INVALID in str(self.error) else ""

    def _learn(self) -> None:
        from stable_baselines3.common.callbacks import BaseCallback

        lane = self

        class Pause(BaseCallback):
            def _on_step(self) -> bool:
                while self.num_timesteps >= lane.until < lane.total and not lane.over:
                    lane.there.release()
                    lane.go.acquire()
                return not lane.over

        try:
            left = self.total - self.model.num_timesteps
            if left > 0:
                self.model.learn(
                    left, callback=Pause(), reset_num_timesteps=False, log_interval=1 << 60
                )
        except BaseException as error:
            self.error = error
        finally:
            self.until = self.total
            self.there.release()

    def updates(self) -> int:
        return int(getattr(self.model, "_n_updates", 0))

    def losses(self) -> dict[str, float]:
        """What their logger has of the latest update."""
        found = self.model.logger.name_to_value
        told = {} if self.imitation is None else {"imitation_loss": self.imitation.last}
        return told | {
            name.removeprefix("train/"): float(value)
            for name, value in found.items()
            if name.startswith("train/") and isinstance(value, int | float | np.number)
        }

    def evaluate(self, step: int, trained: bool = False) -> list[Episode]:
        """Every episode of an evaluation; with `trained` on the levels of a pool, if there is."""
        evaluator = self.on_trained if trained else self.evaluator
        if evaluator is None:
            return []
        if self.lost is not None:  # it has no policy any more
            nothing = Episode(self.number, self.seed, step, 0, float("nan"), 0, False)
            return [nothing._replace(episode=k) for k in range(self.options.eval_episodes)]
        found = evaluator(actor(self.model), self.options.eval_episodes, step)
        return [episode._replace(lane=self.number) for episode in found]

    def show(self, acting: Acting) -> None:
        """Copy the policy into the agent that acts."""
        low = high = None
        if not isinstance(self.task.act, Discrete):
            space = self.envs.action_space
            low, high = space.low.reshape(-1), space.high.reshape(-1)  # type: ignore[attr-defined]
        acting.fill(self.number, self.options.algo, self.model.policy, low, high)

    def restore(self, path: Path) -> None:
        """Parameters, optimisers and counters out of a zip of theirs; nothing is unpickled."""
        try:
            with zipfile.ZipFile(path) as file:
                data = json.loads(file.read("data"))
                tensors = {
                    name.removesuffix(".pth"): torch.load(
                        io.BytesIO(file.read(name)), weights_only=True
                    )
                    for name in file.namelist()
                    if name.endswith(".pth")
                }
            loose = tensors.pop("pytorch_variables", None) or {}
            self.model.set_parameters(tensors, exact_match=True)
            for name, value in loose.items():
                getattr(self.model, name).data.copy_(value.data)
            for name in _COUNTERS:
                setattr(self.model, name, int(data[name]))
        except FOREIGN as error:
            raise CheckpointError(f"{path} cannot be read: {error}") from error

    def stop(self) -> None:
        self.over = True
        if self.thread is not None and self.thread.is_alive():
            self.go.release()
            self.thread.join()
        for env in self.envs.envs:  # type: ignore[attr-defined]
            closed(env)
        for evaluator in (self.evaluator, self.on_trained):
            if evaluator is not None:
                evaluator.close()


def _tensors(name: str, value: Any) -> Iterator[tuple[str, np.ndarray]]:
    """Numbers with a point in nested state dictionaries, under their names."""
    if isinstance(value, torch.Tensor):
        if value.is_floating_point():
            yield name, value.detach().cpu().numpy()
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _tensors(f"{name}.{key}".lstrip("."), inner)


def _generators() -> tuple[Any, ...]:
    """State of the generators of Python, numpy and torch."""
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []
    numpy = np.random.get_state()  # noqa: NPY002, theirs is the global one
    return random.getstate(), numpy, torch.get_rng_state(), cuda


def _set_generators(drawn: tuple[Any, ...]) -> None:
    random.setstate(drawn[0])
    np.random.set_state(drawn[1])  # noqa: NPY002
    torch.set_rng_state(drawn[2])
    if drawn[3]:
        torch.cuda.set_rng_state_all(drawn[3])

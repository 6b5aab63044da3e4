"""The loop of a run whose agents are stable-baselines3's: their `learn`, our records.

Each lane is a model of theirs with its own environments, trained by one call of its `learn` in a
thread of its own that stops at every step something is due, so that one lane runs at a time.

A checkpoint holds the layers that act (ours, see `agents`) and, for every lane, the model as
their `save` writes it: `lane_<k>.zip` is what `PPO.load` and the like read. Of such a file this
module reads numbers and tensors only; the pickled parts in it are for their own `load`. It holds no
replay and no state of an environment: a run that is continued begins new episodes and an empty
replay.
"""

from __future__ import annotations

import io
import json
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import torch

from rlkit.core import checkpoint, state
from rlkit.core import lanes as core_lanes
from rlkit.core.errors import CheckpointError
from rlkit.core.reading import FOREIGN
from rlkit.core.spec import Discrete
from rlkit.eval.rollout import Evaluator
from rlkit.policy.sb3 import actor
from rlkit.run.halt import Halt
from rlkit.run.records import folder as run_folder
from rlkit.run.records.events import Evaluated, Event, Metrics, Note, Progress, Save
from rlkit.run.sb3.actions import fitted
from rlkit.run.sb3.agents import Acting, agent_class, arguments
from rlkit.run.settings.options import Options
from rlkit.run.task import Task, make_agent

_STRIDE = 250  # steps between signs of life
_COUNTERS = ("num_timesteps", "_n_updates", "_episode_num")  # of a model, as its zip has them


def events(folder: Path, options: Options, task: Task, start: int, halt: Halt) -> Iterator[Event]:
    """Events of all lanes from step `start` on; see `rlkit.run.loops`."""
    threads = torch.get_num_threads()
    torch.set_num_threads(options.threads)
    acting: Acting = make_agent(options, task, range(len(options.seeds)))[0]
    running = [_Lane(options, task, k) for k in range(len(options.seeds))]
    if start:
        whole = run_folder.step_folder(folder, start)
        with run_folder.remedied(whole):
            for lane in running:
                lane.restore(run_folder.group_folder(whole, 0) / lane.file)
        yield Note(
            f"{options.algo} goes on with new episodes and an empty replay: checkpoints of "
            "stable-baselines3 hold none"
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
            lane.advance(step)
        yield Progress(step)
        if due(options.log_every):
            updates, values = running[0].updates(), [lane.losses() for lane in running]
            common = set.intersection(*(set(one) for one in values))
            joined = {name: np.array([one[name] for one in values]) for name in sorted(common)}
            yield Metrics(step, updates, joined, "stable-baselines3")
        if due(options.eval_every) and options.eval_episodes:
            yield Evaluated(step, [e for lane in running for e in lane.evaluate(step)])
        stop = halt.here(step)
        if due(options.saves_every) or stop:
            yield Save(step, lambda path, step=step: _save(path, step, acting, running))  # type: ignore[misc]
        if stop:
            return


def _save(path: Path, step: int, acting: Acting, running: list[_Lane]) -> None:
    for lane in running:
        lane.show(acting)
    meta = {"step": step, "seeds": [lane.seed for lane in running]}
    checkpoint.save(path, {"agent": state.tensors(acting)}, meta)
    for lane in running:
        lane.model.save(path / lane.file)


class _Lane:
    """One model and its environments; `advance` trains it to a step."""

    def __init__(self, options: Options, task: Task, number: int) -> None:
        from stable_baselines3.common.env_util import make_vec_env

        self.number, self.seed, self.total = number, options.seeds[number], options.steps
        self.file = f"lane_{number}.zip"
        self.options, self.task = options, task
        self.envs = make_vec_env(self._env, options.envs, seed=self.seed)
        given = arguments(options.algo, core_lanes.select(options.config, [number]))
        if deviation := given.pop("action_noise", 0.0):
            from stable_baselines3.common.noise import NormalActionNoise

            zero = np.zeros(self.envs.action_space.shape or ())
            given["action_noise"] = NormalActionNoise(zero, zero + deviation)
        self.model = agent_class(options.algo)(
            "MlpPolicy", self.envs, seed=self.seed, device=options.device, **given
        )
        self.evaluator = Evaluator(
            self._env, [self.seed], batch=min(10, options.eval_episodes or 1),
            encode=task.encode,
        )  # fmt: skip
        self.until, self.over = 0, False
        self.error: BaseException | None = None
        self.go, self.there = threading.Semaphore(0), threading.Semaphore(0)
        self.thread: threading.Thread | None = None

    def _env(self, **given: Any) -> gymnasium.Env[Any, Any]:
        return fitted(self.task.make_env(**given))

    def advance(self, step: int) -> None:
        """Train until `step`; at the last step `learn` ends as it does by itself."""
        self.until = step
        if self.thread is None:
            self.thread = threading.Thread(target=self._learn, daemon=True)
            self.thread.start()
        else:
            self.go.release()
        self.there.acquire()
        if self.error is not None:
            raise self.error

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
        return {
            name.removeprefix("train/"): float(value)
            for name, value in found.items()
            if name.startswith("train/") and isinstance(value, int | float | np.number)
        }

    def evaluate(self, step: int) -> list[Any]:
        found = self.evaluator(actor(self.model), self.options.eval_episodes, step)
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
        self.envs.close()
        self.evaluator.close()

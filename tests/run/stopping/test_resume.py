"""A training that was killed continues as if it had not been."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from rlkit.data.replay import Replay
from rlkit.eval.records import Episode, append_episodes, read_episodes, read_progress
from rlkit.run import loops
from rlkit.run.records import folder as run_folder
from rlkit.run.records.events import Evaluated
from rlkit.run.records.progress import Silent
from rlkit.run.session import Session
from rlkit.run.settings.options import Options
from rlkit.run.train import resume, train

Build = Callable[..., Options]
Digests = Callable[[Path], dict[str, str]]

# Killed from inside, at a known step: the moment is the same in every run of the test.
KILLED = """
import json, os, signal, sys
from rlkit.run.settings.options import Options
from rlkit.run.records.progress import Silent
from rlkit.run.train import train

class Killer(Silent):
    def update(self, step, text=""):
        if step >= int(sys.argv[2]):
            os.kill(os.getpid(), signal.SIGKILL)

train(Options.from_json(json.loads(sys.argv[1])), Killer())
"""


class Interrupt(Silent):
    """Breaks a training off at a step."""

    def __init__(self, at: int) -> None:
        self.at = at

    def update(self, step: int, text: str = "") -> None:
        if step >= self.at:
            raise KeyboardInterrupt


def killed(options: Options, at: int) -> None:
    given = json.dumps(options.to_json())
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(p or "." for p in sys.path)}
    done = subprocess.run([sys.executable, "-c", KILLED, given, str(at)], env=environment)
    assert done.returncode == -signal.SIGKILL


def grid(build: Build, **given: object) -> Options:
    return build(algo="dqn", env="MiniGrid-Empty-5x5-v0", envs=2, utd=0.5, **given)


@pytest.mark.parametrize("task", ["offline", "mujoco", "minigrid"])
def test_a_killed_run_resumes_bit_for_bit(
    task: str, offline: Build, online: Build, digests: Digests, tmp_path: Path
) -> None:
    build = {"offline": offline, "mujoco": online, "minigrid": lambda **k: grid(online, **k)}[task]
    straight = build(out=str(tmp_path / "straight"), seeds=(0, 3))
    total = straight.steps
    train(straight)
    broken = dataclasses.replace(straight, out=str(tmp_path / "broken"))
    # a checkpoint, records after it that the resumed run must replace, and then the kill
    killed(dataclasses.replace(broken, checkpoint_every=total // 2), at=total // 4 * 3)
    folder = Path(broken.folder())
    assert run_folder.steps(folder) == [total // 2]
    assert read_episodes(folder / "episodes.csv")["step"].max() == total // 4 * 3
    result = resume(folder, quiet=True)
    assert result.status == "resumed"
    assert digests(folder) == digests(Path(straight.folder()))
    if task != "offline":
        names = {Path(name).stem for name in digests(folder)}
        assert names == {"episodes", "agent", "replay", "envs"}


def test_a_killed_run_of_several_groups_resumes_bit_for_bit(
    offline: Build, digests: Digests, tmp_path: Path
) -> None:
    options = offline(seeds=(0, 1, 2), workers=2, checkpoint_every=20)
    killed(options, at=30)
    resume(options.folder(), quiet=True)
    got = digests(options.folder())
    # each group is what one session of its lanes is, bit for bit
    episodes: list[Episode] = []
    for group, lanes in enumerate(((0, 1), (2,))):
        session = Session(options, lanes=lanes)
        for event in loops.run(session):
            if isinstance(event, Evaluated):
                episodes += event.episodes
        session.save(tmp_path / f"group_{group}", 40)
        session.close()
        ours = (tmp_path / f"group_{group}" / "agent.safetensors").read_bytes()
        name = f"checkpoints/step_000000040/group_{group}/agent.safetensors"
        assert got.pop(name) == hashlib.sha256(ours).hexdigest()
    append_episodes(
        tmp_path / "expected.csv", sorted(episodes, key=lambda e: (e.step, e.lane, e.episode))
    )
    ours = (tmp_path / "expected.csv").read_bytes()
    assert got == {"episodes.csv": hashlib.sha256(ours).hexdigest()}


def test_an_interruption_before_the_first_checkpoint_starts_anew(
    offline: Build, digests: Digests, tmp_path: Path
) -> None:
    straight = offline(out=str(tmp_path / "straight"))
    train(straight)
    broken = offline(out=str(tmp_path / "broken"), checkpoint_every=40)
    with pytest.raises(KeyboardInterrupt):
        train(broken, Interrupt(20))
    assert train(broken).status == "resumed"
    assert digests(broken.folder()) == digests(straight.folder())


def test_fine_tuning_resumes_bit_for_bit_in_both_of_its_phases(
    offline: Build, online: Build, digests: Digests, tmp_path: Path
) -> None:
    def build(name: str) -> Options:
        return offline(
            **{"env": "InvertedPendulum-v5", "online": True, "steps": 60, "pretrain": 40},
            **{"warmup": 10, "capacity": 100, "eval_every": 20, "out": str(tmp_path / name)},
        )

    train(build("straight"))
    for at in (20, 30, 60, 80):
        with pytest.raises(KeyboardInterrupt):
            train(build("broken"), Interrupt(at))
    resume(tmp_path / "broken", quiet=True)
    assert digests(tmp_path / "broken") == digests(tmp_path / "straight")


def test_environments_that_cannot_be_saved_begin_new_episodes_and_it_says_so(
    online: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    cuts = []
    cut = Replay.cut
    monkeypatch.setattr(Replay, "cut", lambda replay: (cuts.append(replay.size), cut(replay)))
    options = online(env="rlkit-test/Locked-v0", checkpoint_every=50, eval_every=50)
    with pytest.raises(KeyboardInterrupt):
        train(options, Interrupt(100))
    result = resume(options.folder(), quiet=True)
    assert any("lock" in note and "begins a new episode" in note for note in result.notes)
    assert cuts == [50]  # what was recorded last has no successor in its episode
    assert result.step == 120
    again = resume(options.folder(), quiet=True)
    assert again.status == "reused"


def test_records_hold_every_step_once_after_several_interruptions(offline: Build) -> None:
    options = offline()
    for at in (10, 30, 20):
        with pytest.raises(KeyboardInterrupt):
            train(options, Interrupt(at))
    train(options)
    episodes = read_episodes(options.folder() / "episodes.csv")
    assert episodes["step"].tolist() == np.repeat([10, 20, 30, 40], 2).tolist()
    progress = read_progress(options.folder() / "progress.jsonl")
    assert [record["step"] for record in progress] == [10, 20, 30, 40]

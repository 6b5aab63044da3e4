"""What comes before the first update may take long: a stop breaks it off, and it is done anew."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rlkit.core.errors import Interrupted
from rlkit.run.records import folder as run_folder
from rlkit.run.records.events import Event, Metrics, Note
from rlkit.run.settings.options import Options
from rlkit.run.train import resume, train

Build = Callable[..., Options]
Digests = Callable[[Path], dict[str, str]]

# An algorithm whose source waits, before the first update, until somebody has made a file.
WAITING = """
import os, time
from dataclasses import dataclass
from rlkit.algos import sac
from rlkit.data.sampling.samplers import Uniform

Agent = sac.Agent

@dataclass(frozen=True)
class Config(sac.Config):
    until: str = ""

class Source(Uniform):
    beginning = "waiting for a file"

    def __init__(self, rows, c, streams):
        super().__init__(rows, c.batch_size, streams)
        self.until = c.until

    def begin(self):
        while not os.path.exists(self.until):
            time.sleep(0.01)

def source(stock, agent, c):
    return Source(stock.data if stock.replay is None else stock.replay, c, stock.streams)
"""


def signalled(when: Callable[[Event], bool], number: int = signal.SIGTERM) -> Callable[..., None]:
    """Sends this process a signal, once, soon after an event."""
    sent: list[threading.Timer] = []

    def hear(event: Event) -> None:
        if when(event) and not sent:
            sent.append(threading.Timer(0.3, os.kill, [os.getpid(), number]))
            sent[0].start()

    return hear


def said(text: str) -> Callable[[Event], bool]:
    return lambda event: isinstance(event, Note) and text in event.text


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_teacher_that_makes_up_its_mind_is_broken_off(offline: Build, number: int) -> None:
    options = offline(algo="p_iql", config={"teacher": "regret", "pairs": 4, "length": 2})
    with pytest.raises(Interrupted, match=r"before the first step, .*go on with: rlkit resume"):
        train(options, signalled(said("fitting the teacher's values"), number))
    folder = options.folder()
    assert run_folder.steps(folder) == []
    assert not [path for path in folder.rglob("*") if path.name.endswith(".tmp")]


@pytest.mark.parametrize("kind", ["offline", "online", "workers", "finetune"])
def test_a_beginning_that_was_broken_off_is_done_anew(
    kind: str,
    offline: Build,
    online: Build,
    digests: Digests,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "rlkit_test_waiting").mkdir()
    (tmp_path / "rlkit_test_waiting" / "agent.py").write_text(WAITING)
    monkeypatch.syspath_prepend(tmp_path)
    until = tmp_path / "go on"
    config = {"hidden": (8,), "hidden_q": (8,), "batch_size": 8, "until": str(until)}

    def build(name: str) -> Options:
        given: dict[str, Any] = {"algo": "rlkit_test_waiting.agent", "out": str(tmp_path / name)}
        given |= {"config": config, "eval_episodes": 1, "checkpoint_every": 1000}
        if kind == "workers":
            return offline(**given, seeds=(0, 1, 2), workers=2)
        if kind == "finetune":
            beside = {"env": "InvertedPendulum-v5", "online": True, "pretrain": 20, "warmup": 10}
            return offline(**given, **beside, capacity=90)
        return (offline if kind == "offline" else online)(**given)

    options, begins = build("broken"), said("waiting for a file")
    if kind == "finetune":  # the beginning of its second phase is broken off
        until.touch()

        def begins(event: Event) -> bool:
            if isinstance(event, Metrics) and event.step == 20:
                until.unlink()
                return True
            return False

    with pytest.raises(Interrupted, match="go on with: rlkit resume"):
        train(options, signalled(begins))
    folder = options.folder()
    assert run_folder.steps(folder)[-1:] == ([20] if kind == "finetune" else [])
    if kind == "workers":  # how a run without a checkpoint goes on is shown by the others
        return
    until.touch()
    resume(folder, quiet=True)
    assert digests(folder) == digests(train(build("straight")).folder)

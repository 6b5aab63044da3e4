"""Ctrl-C, SIGTERM and a callback end a training at a checkpoint from which it goes on exactly."""

from __future__ import annotations

import math
import os
import signal
import threading
from collections import deque
from collections.abc import Callable
from multiprocessing import Pipe
from pathlib import Path
from typing import Any

import pytest

from rlkit.cli.main import main
from rlkit.core.errors import Interrupted
from rlkit.eval.records import read_progress
from rlkit.run import groups
from rlkit.run.halt import Halt, on_signal
from rlkit.run.records import folder as run_folder
from rlkit.run.records.events import Evaluated, Event, Metrics, Progress, Save, Saved
from rlkit.run.settings.options import Options
from rlkit.run.train import resume, train

Build = Callable[..., Options]
Digests = Callable[[Path], dict[str, str]]


def signalled(at: int, number: int = signal.SIGINT) -> Callable[[Event], None]:
    """Sends this process a signal, once, when a training comes to a step."""
    sent: list[int] = []

    def hear(event: Event) -> None:
        if isinstance(event, Metrics) and event.step >= at and not sent:
            sent.append(event.step)
            os.kill(os.getpid(), number)

    return hear


def progress(folder: Path) -> list[dict]:
    return [
        {name: value for name, value in record.items() if name != "seconds"}
        for record in read_progress(folder / "progress.jsonl")
    ]


@pytest.mark.parametrize("kind", ["offline", "online", "finetune"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_a_checkpoint_and_says_how_to_go_on(
    kind: str,
    number: int,
    offline: Build,
    online: Build,
    digests: Digests,
    tmp_path: Path,
) -> None:
    def build(name: str) -> Options:
        out = str(tmp_path / name)
        if kind == "finetune":
            beside = {"env": "InvertedPendulum-v5", "online": True, "pretrain": 20, "warmup": 10}
            return offline(out=out, capacity=90, checkpoint_every=60, **beside)
        make = offline if kind == "offline" else online
        return make(out=out, checkpoint_every=make().steps, seeds=(0, 3))

    straight = train(build("straight")).folder
    options = build("broken")
    before = signal.getsignal(number)
    with pytest.raises(Interrupted, match=r"stopped at step \d+ of .* rlkit resume") as stop:
        train(options, signalled(10, number))
    assert signal.getsignal(number) is before
    assert stop.value.code == 128 + number
    folder = options.folder()
    assert 10 <= run_folder.steps(folder)[-1] < options.total_steps
    assert resume(folder, quiet=True).status == "resumed"
    assert digests(folder) == digests(straight)
    assert progress(folder) == progress(straight)


def test_workers_stop_at_one_step(offline: Build, digests: Digests, tmp_path: Path) -> None:
    straight = train(offline(out=str(tmp_path / "straight"), seeds=(0, 1, 2), workers=2)).folder
    options = offline(seeds=(0, 1, 2), workers=2, checkpoint_every=20)
    with pytest.raises(Interrupted):
        train(options, signalled(10))
    folder = options.folder()
    (step,) = run_folder.steps(folder)
    assert step in (10, 20)
    assert len(list(run_folder.step_folder(folder, step).iterdir())) == 2
    resume(folder, quiet=True)
    assert digests(folder) == digests(straight)


class Group:
    """A worker whose messages are written down beforehand; `told` is what the parent says to it."""

    def __init__(self, *messages: Any) -> None:
        self.worker = groups._Worker.__new__(groups._Worker)
        self.worker.ahead, self.worker.at = deque(), -1.0
        self.worker.line, self.theirs = Pipe()
        for message in messages:
            self.theirs.send(message)

    def told(self) -> list[Any]:
        words = []
        while self.theirs.poll():
            words.append(self.theirs.recv())
        return words


@pytest.mark.parametrize(
    ("messages", "step"),
    [
        ([("event", Progress(250)), ("at", 300)], 300),
        ([("event", Progress(250)), ("event", Save(400, None))], 400),
        ([("event", Save(500, None))], 500),
        ([("event", None)], math.inf),  # it has come to the end
        ([("error", ("ValueError", "row 3", ""))], 0),
    ],
)
def test_where_a_worker_waits_is_found_and_its_events_are_kept(
    messages: list[Any], step: float
) -> None:
    group = Group(*messages)
    assert group.worker.halted_at() == step
    kept = [message for message in messages if message[0] != "at"]
    assert list(group.worker.ahead) == kept
    assert group.worker.halted_at() == step


def test_a_worker_whose_checkpoint_is_looked_at_already_waits_there() -> None:
    group = Group(("event", Save(500, None)))
    assert group.worker.receive("0") == Save(500, None)
    assert group.worker.halted_at() == 500
    group.worker.tell(("proceed", None))
    group.theirs.send(("at", 510))
    assert group.worker.halted_at() == 510
    assert group.told() == [("proceed", None)]


def test_a_worker_asks_how_far_to_go_and_goes_there() -> None:
    line, theirs = Pipe()
    halt = groups._Agreed(line)
    assert not halt.here(10)
    assert not theirs.poll()
    halt.hear("halt", None)
    heard: list[Any] = []

    def parent() -> None:
        heard.append(theirs.recv())
        halt.hear("until", 30)

    thread = threading.Thread(target=parent)
    thread.start()
    assert not halt.here(20)
    thread.join()
    assert heard == [("at", 20)]
    assert halt.here(30)
    assert not theirs.poll()  # it asks once


def test_a_second_signal_stops_at_once(offline: Build) -> None:
    def hear(event: Event) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)

    options = offline()
    with pytest.raises(KeyboardInterrupt) as stop:
        train(options, hear)
    assert not isinstance(stop.value, Interrupted)
    assert run_folder.steps(options.folder()) == []
    assert not list((options.folder()).glob(".*.tmp"))


def test_signals_that_somebody_has_taken_are_left_to_him(offline: Build) -> None:
    heard: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: heard.append(number))
    try:
        assert train(offline(), signalled(10, signal.SIGTERM)).status == "trained"
    finally:
        signal.signal(signal.SIGTERM, before)
    assert heard == [signal.SIGTERM]


def test_a_thread_trains_without_signals() -> None:
    seen = []

    def other() -> None:
        with on_signal(Halt()):
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=other)
    thread.start()
    thread.join()
    assert seen == [signal.getsignal(signal.SIGINT)]


def test_the_command_line_ends_as_a_signal_does(
    online: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture
) -> None:
    from rlkit.run.records.recorder import Recorder

    take, sent = Recorder.take, []

    def taking(recorder: Recorder, event: Event) -> bool:
        if isinstance(event, Progress) and not sent:
            sent.append(os.kill(os.getpid(), signal.SIGTERM))
        return take(recorder, event)

    monkeypatch.setattr(Recorder, "take", taking)
    words = "train sac --env rlkit-test/Counter-v0 --steps 300 --warmup 20 --eval-episodes 0"
    small = "--config.hidden 8,8 --config.hidden-q 8,8 --config.batch-size 8"
    out = str(tmp_path / "cut")
    assert main([*words.split(), *small.split(), "--engine", "eager", "--out", out]) == 143
    said = capfd.readouterr().err
    assert f"go on with: rlkit resume {out}" in said
    assert "Ctrl-C again" in said


def test_a_callback_hears_everything_and_stops_with_false(
    offline: Build, digests: Digests, tmp_path: Path
) -> None:
    events: list[Event] = []

    def hear(event: Event) -> bool | None:
        events.append(event)
        if isinstance(event, Saved):  # an evaluation of one's own
            assert run_folder.restore(event.run, event.step).steps == (event.step,)
        return not (isinstance(event, Evaluated) and event.step == 20)

    options = offline(checkpoint_every=40)
    result = train(options, hear)
    assert (result.status, result.step) == ("stopped", 20)
    assert "rlkit resume" in result.notes[-1]
    assert [type(e).__name__ for e in events] == [
        *["Metrics", "Evaluated"] * 2,
        "Saved",
    ]
    assert isinstance(events[0], Metrics)
    assert events[0].values["q_loss"].shape == (1,)
    resume(options.folder(), quiet=True)
    straight = train(offline(out=str(tmp_path / "straight"))).folder
    assert digests(options.folder()) == digests(straight)

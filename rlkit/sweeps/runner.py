"""`sweep`: everything a sweep file asks for, worked off and kept in the sweep's folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from rlkit.core.errors import RunError
from rlkit.core.files.replacing import replacing
from rlkit.run.records.progress import Reporter, reporter
from rlkit.sweeps.engines import Engine, Local, Outcome
from rlkit.sweeps.job import step_of
from rlkit.sweeps.kinds.by_name import kind_of
from rlkit.sweeps.plan import Sweep
from rlkit.sweeps.store import Planned, Run, Store

COPY = "sweep.toml"
_LOSSES = 10  # of a run through no fault of its own, before it counts as failed
_POLL = 0.5  # seconds


class Finished(NamedTuple):
    """What came of a call of `sweep`."""

    folder: Path
    planned: Planned
    done: int  # runs that this call finished
    failed: dict[str, str]  # folder of a run -> its last error
    elsewhere: int  # runs that another process is working on
    diverged: frozenset[str] = frozenset()  # of the failed ones; they are not tried again


def sweep(
    asked: Sweep,
    folder: Path,
    *,
    engine: Engine | None = None,
    lanes: int | None = None,
    fail_fast: bool = False,
    quiet: bool = False,
    report: Reporter | None = None,
) -> Finished:
    """What came of working off `asked` in `folder`, on from whatever stands there.

    Failed runs are tried `asked.retries` times more; with `fail_fast` the first that stays failed
    ends the sweep. Several processes may call this for the same folder. Raises UsageError where
    the folder holds a cell with other options.
    """
    with Store(folder, create=True) as store:
        planned = store.plan(asked, lanes)
        with replacing(folder / COPY) as copy:
            copy.write_text(asked.text, encoding="utf-8")
        store.become_owner()
        told = report or reporter(quiet)
        driver = _Driver(store, asked, engine or Local(), told, fail_fast)
        return driver.run(planned)


class _Driver:
    """Claims runs, hands them to the engine, and notes what becomes of them."""

    def __init__(
        self, store: Store, asked: Sweep, engine: Engine, told: Reporter, fail_fast: bool
    ) -> None:
        self.store, self.asked, self.engine, self.told = store, asked, engine, told
        self.fail_fast = fail_fast
        self.running: dict[int, Run] = {}
        self.lost: dict[int, int] = {}
        self.failed: dict[str, str] = {}
        self.done = 0

    def run(self, planned: Planned) -> Finished:
        counts = self.store.counts()
        total, before = sum(counts.values()), counts.get("done", 0)
        self.told.start(f"sweep {self.asked.name}, runs", total, before)
        try:
            while self._fill() or self.running:
                for outcome in self.engine.poll(_POLL):
                    self._note(outcome)
                for text in self._engine_notes():
                    self.told.note(text)
                self._steps()
                self.told.update(before + self.done, self._text())
                if self.fail_fast and self.failed:
                    break
        finally:
            self.engine.close()
            for run in self.running.values():
                self.store.give_back(run, 0.0)
            self.told.close()
        if not (self.fail_fast and self.failed):
            self.failed |= self.store.without_start()
        diverged = self.store.diverged(self.asked)
        elsewhere = self.store.counts().get("running", 0)
        return Finished(
            self.store.folder,
            planned,
            self.done,
            diverged | self.failed,
            elsewhere,
            frozenset(diverged),
        )

    def _fill(self) -> bool:
        """Starts what there is room for; whether anything was started."""
        started = False
        while self.engine.room() and (run := self.store.claim()) is not None:
            self.running[run.id] = run
            self.engine.start(run.id, describe(run, self.store, self.asked))
            started = True
        return started

    def _note(self, outcome: Outcome) -> None:
        run = self.running.pop(outcome.id)
        if outcome.kind == "done":
            self.done += 1
            self.store.finish(run, outcome.seconds)
            return
        where, text = run.folder, outcome.text
        if outcome.kind == "lost":
            self.lost[run.id] = self.lost.get(run.id, 0) + 1
            if self.lost[run.id] <= _LOSSES:
                self.store.give_back(run, outcome.seconds)
                self.told.note(f"{where}: {_first_line(text)}; it waits again")
                return
        # Attempts before this one; lanes that have diverged would do so again.
        again = run.attempts < self.asked.retries and not outcome.lanes
        self.store.finish(run, outcome.seconds, text, again, outcome.lanes)
        ending = "tried again" if again else "failed"
        self.told.note(f"{where}: {_first_line(text)}; {ending}")
        if not again:
            self.failed[where] = text

    def _steps(self) -> None:
        found = {id: step_of(self.store.folder / run.folder) for id, run in self.running.items()}
        if any(found.values()):
            self.store.reached(found)

    def _text(self) -> str:
        parts = [f"{len(self.running)} running"] if self.running else []
        parts += [f"{len(self.failed)} failed"] if self.failed else []
        return ", ".join(parts)

    def _engine_notes(self) -> list[str]:
        notes: list[str] = getattr(self.engine, "notes", [])
        taken = list(notes)
        notes.clear()
        return taken


def describe(run: Run, store: Store, asked: Sweep) -> dict[str, Any]:
    """The job of a run: all that a process elsewhere needs to work on it."""
    measure, unit = kind_of(run.kind).measured(run.options)
    reference = next((v.reference for v in asked.variants if v.task == run.task), None)
    options = run.options
    if run.source is not None:
        options = options | {"from_run": str(store.folder_of(run.source).resolve())}
    return {
        "folder": str((store.folder / run.folder).resolve()),
        "kind": run.kind,
        "options": options,
        "seeds": list(run.seeds),
        "steps": run.steps,
        "cell": {
            "format": 1,
            "sweep": asked.name,
            "budget": asked.budget,
            "system": run.system,
            "task": run.task,
            "lanes": store.cells_of(run.id),
            "measure": measure,
            "unit": unit,
            "reference": reference,
            "steps": run.steps,
        },
    }


def failures(finished: Finished) -> RunError | None:
    """The error a command ends with, if any run failed."""
    if not finished.failed:
        return None
    where, text = next(iter(finished.failed.items()))
    more = f" and {len(finished.failed) - 1} more" if len(finished.failed) > 1 else ""
    return RunError(
        f"{finished.folder / where}{more} failed: {_first_line(text)}; {_remedy(finished)}"
    )


def _remedy(finished: Finished) -> str:
    if finished.failed.keys() <= finished.diverged:
        return "the same numbers would come again: change the system, or delete the run folder"
    return "the same command tries again"


def _first_line(text: str) -> str:
    return text.splitlines()[0] if text else "no message"

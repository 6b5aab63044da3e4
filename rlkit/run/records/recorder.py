"""Events of a training into its run folder: records, checkpoints, trackers, and what is told."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from rlkit.core.errors import DivergedError, RlkitError
from rlkit.core.files import checkpoint
from rlkit.eval import frequency, records
from rlkit.run.groups import share
from rlkit.run.records import folder as run_folder
from rlkit.run.records.events import (
    Callback,
    Diverged,
    Evaluated,
    Event,
    Metrics,
    Note,
    Progress,
    Save,
    Saved,
)
from rlkit.run.records.progress import Reporter
from rlkit.run.settings.plan import Plan
from rlkit.run.trackers import by_name
from rlkit.run.trackers.sink import Sink

if TYPE_CHECKING:
    from rlkit.run.clips.training import Clips


class Recorder:
    """Writes what the events tell, and passes it on to a reporter and a callback.

    `step` is the last one, `notes` grows with the events.
    """

    def __init__(
        self,
        plan: Plan,
        start: int,
        told: Reporter,
        hear: Callback | None,
        notes: list[str],
        tag: str,
    ) -> None:
        self.plan, self.folder, self.tag = plan, plan.folder, tag
        self.told, self.hear, self.notes = told, hear, notes
        self.step, self.text, self.began = start, "", time.monotonic()
        self.lost = set(run_folder.diverged(plan.folder))
        self.sinks = by_name.opened(plan.folder, plan.options, start)
        self.clips: Clips | None = None
        if plan.options.video_every:
            from rlkit.run.clips.training import Clips

            self.clips = Clips(plan.folder, plan.options, start)

    def close(self) -> None:
        finished = self.step >= self.plan.options.total_steps
        self._tell(lambda sink: sink.close(finished))

    def take(self, event: Event) -> bool:
        """Record an event. Whether to go on: not when the callback says False.

        Raises CheckpointError and RunError when the system refuses, DivergedError when no lane is
        finite any more.
        """
        if isinstance(event, Note):
            if event.text in self.notes:  # every group of lanes tells it
                return True
            self._note(event.text)
        else:
            self.step = event.step
        if isinstance(event, Progress):
            self.told.update(event.step, self.text)
        elif isinstance(event, Metrics):
            self._metrics(event)
        elif isinstance(event, Evaluated):
            self._evaluated(event)
        elif isinstance(event, Diverged):
            self._diverged(event)
        elif isinstance(event, Save):
            self._save(event)
            event = Saved(event.step, self.folder)
        return self.hear is None or self.hear(event) is not False

    def _note(self, text: str) -> None:
        self.notes.append(text)
        self.told.note(text)

    def _tell(self, what: Callable[[Sink], None]) -> None:
        """Every tracker; one that fails is left out from then on."""
        for name, sink in list(self.sinks.items()):
            try:
                what(sink)
            except RlkitError:
                raise
            except Exception as error:  # a server that is away is no reason to lose a training
                del self.sinks[name]
                said = " ".join(f"{type(error).__name__}: {error}".split())
                self._note(f"tracker {name} is left out from step {self.step:,} on: {said}")

    def _metrics(self, event: Metrics) -> None:
        record = {"step": event.step, "updates": event.updates, "engine": event.engine}
        record |= {"seconds": round(time.monotonic() - self.began, 3)}
        path = self.folder / run_folder.PROGRESS
        with run_folder.writing(path):
            records.append_progress(path, record | event.values)
        self._tell(lambda sink: sink.metrics(event.step, event.values))

    def _evaluated(self, event: Evaluated) -> None:
        path = self.folder / run_folder.EPISODES
        with run_folder.writing(path):
            records.append_episodes(path, event.episodes)
        if event.trained:
            path = self.folder / run_folder.TRAINED_LEVELS
            with run_folder.writing(path):
                records.append_episodes(path, event.trained)
        if event.held:
            frequency.write(self.folder / run_folder.FREQUENCIES, event.held)
        self._tell(lambda sink: sink.episodes(event.step, event.episodes))
        lanes = len(self.plan.options.seeds)
        returns = [
            np.mean([e.return_ for e in event.episodes if e.lane == lane])
            for lane in range(min(4, lanes))
        ]
        shown = " ".join(f"{value:.1f}" for value in returns)
        self.text = f"return {shown}{' ...' if lanes > 4 else ''}"
        self.told.update(event.step, self.text)

    def _diverged(self, event: Diverged) -> None:
        self.lost |= event.lanes.keys()
        seeds = self.plan.options.seeds
        which = "; ".join(f"seed {seeds[k]}: {what}" for k, what in event.lanes.items())
        found = f"no longer finite at step {event.step:,} ({which})"
        if len(self.lost) == len(seeds):
            raise DivergedError(
                f"{self.folder}: {found}, and no lane is left; {run_folder.standing(self.folder)}. "
                "Lower the learning rate",
                self.folder,
                tuple(sorted(self.lost)),
            )
        self._note(f"{found}: left out from now on, the other lanes go on")

    def _save(self, event: Save) -> None:
        final = run_folder.step_folder(self.folder, event.step)
        written = share(self.folder, event.step, 0, self.tag)
        with run_folder.saving(self.folder, event.step):
            try:
                if event.write is not None:
                    event.write(written)
                checkpoint.publish(written.parent, final)
            finally:
                shutil.rmtree(written.parent, ignore_errors=True)
        with run_folder.writing(final.parent):
            run_folder.prune(self.folder, self.plan.options.keep)
        if self.clips is not None and (wrong := self.clips.take(event.step, self.lost)):
            self._note(wrong)

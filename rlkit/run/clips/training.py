"""Clips while a training runs: of its checkpoints, by the process that writes the records."""

from __future__ import annotations

from pathlib import Path

from rlkit.core.errors import UsageError
from rlkit.run.clips.playing import check_drawing
from rlkit.run.clips.video import video
from rlkit.run.settings.options import Options
from rlkit.run.task import Task


def check(options: Options, task: Task) -> None:
    """Raises UsageError for a training that is to make clips of what draws no pictures, RlkitError
    where nothing can be drawn here; before it begins."""
    if not task.has_env:
        raise UsageError("video_every needs an environment to show; the dataset names none")
    check_drawing(task.make_env, task.env or "the environment")


class Clips:
    """Makes a clip at the first checkpoint after each `options.video_every` steps, and at the end.

    Each shows the lane of the first seed (of those that are still finite) in the same episodes, so
    that clips of one run can be compared.
    """

    def __init__(self, folder: Path, options: Options, start: int) -> None:
        self.folder, self.options, self.last = folder, options, start

    def take(self, step: int, lost: set[int]) -> str:
        """Make the clip that is due at the checkpoint of `step`; what went wrong, or nothing."""
        every, before, self.last = self.options.video_every, self.last, step
        if step // every == before // every and step < self.options.total_steps:
            return ""
        lane = next(k for k in range(len(self.options.seeds)) if k not in lost)
        try:
            video(self.folder, lane=lane, checkpoint=step)
        except Exception as error:  # a picture is no reason to lose a training
            return f"no clip at step {step:,}: {' '.join(str(error).split())}"
        return ""

"""Trackers by name: those that come along, and one's own."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path

from rlkit.core.errors import RlkitError, RunError, UsageError
from rlkit.core.files import trust
from rlkit.core.words.extras import missing
from rlkit.core.words.nearest import suggestion
from rlkit.run.settings.options import Options
from rlkit.run.trackers.sink import MakeSink, Sink

# name -> what makes its sink, the package it needs, which is the name of its extra's too
TRACKERS = {
    "tensorboard": ("rlkit.run.trackers.tensorboard:track", "torch.utils.tensorboard"),
    "wandb": ("rlkit.run.trackers.wandb:Runs", "wandb"),
    "mlflow": ("rlkit.run.trackers.mlflow:Experiment", "mlflow"),
}


def check(names: Sequence[str], *, typed: bool) -> None:
    """Raises UsageError for a tracker that is not there or whose package is missing, before
    anything is written; for one of another project that a file alone has named, unless `typed`."""
    for name in names:
        if name in TRACKERS:
            try:
                importlib.import_module(TRACKERS[name][1])
            except ImportError as error:
                raise missing(f"--track {name}", name) from error
        elif ":" not in name:
            near = suggestion(name, TRACKERS)
            raise UsageError(
                f"unknown tracker {name!r}{near} (one of {', '.join(TRACKERS)}, or "
                "package.module:Name of your own)"
            )
        elif not typed and not trust.allows(name.partition(":")[0]):
            raise UsageError(
                f"the tracker {name!r} is no part of rlkit, and importing it runs its code: "
                f"{trust.REMEDY}"
            )
        else:
            _made_by(name)


def opened(folder: Path, options: Options, start: int) -> dict[str, Sink]:
    """The sinks of a training that begins, or goes on after step `start`, by name.

    Raises RunError for one that cannot begin: a server that is away, a person who is not known.
    """
    sinks: dict[str, Sink] = {}
    for name in options.track:
        try:
            sinks[name] = _made_by(name)(folder, options, start)
        except RlkitError:
            raise
        except Exception as error:
            for sink in sinks.values():
                sink.close(False)
            said = " ".join(f"{type(error).__name__}: {error}".split())
            raise RunError(f"tracker {name} cannot begin: {said}") from error
    return sinks


def _made_by(name: str) -> MakeSink:
    module, _, attribute = TRACKERS.get(name, (name,))[0].partition(":")
    try:
        made = getattr(trust.load(module), attribute)
    except (ImportError, AttributeError) as error:
        raise UsageError(f"tracker {name!r}: {error}") from error
    if not callable(made):
        raise UsageError(f"tracker {name!r}: {attribute} cannot be called")
    return made

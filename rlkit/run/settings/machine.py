"""What a training asks of the machine, checked before anything is made."""

from __future__ import annotations

import itertools

import torch

from rlkit.core.errors import UsageError
from rlkit.core.files.reading import memory
from rlkit.core.spec import Discrete
from rlkit.run.settings.options import Options
from rlkit.run.task import Task

_FLOAT = 4  # bytes


def check_device(name: str) -> None:
    """Raises UsageError for a device that torch does not know, or that is not there."""
    try:
        float(torch.zeros(1, device=name))
    except (RuntimeError, AssertionError) as error:  # NotImplementedError too: of "meta"
        why = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UsageError(f"device {name!r} cannot be used here: {why}") from error


def check_memory(options: Options, task: Task) -> None:
    """Raises UsageError for a replay, a minibatch or nets that take more than all the memory."""
    if torch.device(options.device).type != "cpu" or options.algo.startswith("sb3:"):
        return
    lanes, act = len(options.seeds), 1 if isinstance(task.act, Discrete) else task.act.size
    obs = 1
    for size in task.obs:
        obs *= size
    row = _FLOAT * (2 * obs + act + 3)
    stored = obs + _FLOAT * (act + 3) if task.image else row  # images once, as bytes
    wanted = {}
    if options.kind != "offline":
        wanted[f"capacity {options.capacity:,}"] = lanes * options.capacity * stored
    batch = getattr(options.config, "batch_size", 0)
    wanted[f"batch_size {batch:,}"] = lanes * batch * row
    widths = [1 if task.image else obs, *getattr(options.config, "hidden", ())]
    nets = sum(a * b for a, b in itertools.pairwise(widths))
    wanted[f"hidden {', '.join(map(str, widths[1:]))}"] = lanes * nets * _FLOAT
    for name, size in wanted.items():
        if size > memory():
            raise UsageError(
                f"{name} would take {size / 1e9:,.0f} GB for {lanes} "
                f"{'lane' if lanes == 1 else 'lanes'}; this machine has {memory() / 1e9:,.0f} GB: "
                f"give a smaller {name.partition(' ')[0]}"
                + (" or fewer seeds" if lanes > 1 else "")
            )

"""Runs beside one another: `rlkit compare RUN RUN` in words, `rlkit plot RUN...` as curves."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import Positional, arg

from rlkit.cli.arguments import parse
from rlkit.core.errors import UsageError

if TYPE_CHECKING:
    import numpy as np

    from rlkit.run.settings.options import Options

_PICTURES = (".png", ".svg", ".pdf")


@dataclass(frozen=True)
class Run:
    """A run folder and its evaluations."""

    folder: Path
    options: Options
    seeds: np.ndarray  # [S]
    steps: np.ndarray  # [T]
    returns: np.ndarray  # [S, T], means over episodes

    @property
    def unit(self) -> str:
        return "updates" if self.options.kind == "offline" else "steps"

    @property
    def task(self) -> str:
        return self.options.dataset or self.options.env or ""


def read_run(folder: str | Path) -> Run:
    """A run with at least one evaluation; RunError or UsageError for anything else."""
    from rlkit.eval import records
    from rlkit.run.records import folder as run_folder

    options = run_folder.options(folder)
    rows = records.read_episodes(Path(folder) / run_folder.EPISODES)
    if not len(rows):
        raise UsageError(f"{folder} has not been evaluated yet")
    return Run(Path(folder), options, *records.mean_returns(rows))


def is_run(where: str) -> bool:
    """Whether this is the folder of a run, rather than that of a sweep."""
    from rlkit.run.records import folder as run_folder

    return (Path(where) / run_folder.CONFIG).is_file()


# --- compare ----------------------------------------------------------------------------------
def compare_runs(a: str, b: str) -> str:
    """What two runs came to, with intervals over seeds, and what sets them apart."""
    first, second = read_run(a), read_run(b)
    lines = [_described(run) for run in (first, second)]
    if first.task != second.task:
        lines.append(f"note   they are not on one task: {first.task} and {second.task}")
    import numpy as np

    common = np.intersect1d(first.steps, second.steps)
    if len(common) and not first.steps[-1] == second.steps[-1] == common[-1]:
        lines.append(_told(first, second, int(common[-1]), int(common[-1])))
    lines.append(_told(first, second, int(first.steps[-1]), int(second.steps[-1])))
    differing = _settings(first, second)
    lines += [f"set    {text}" for text in differing] or ["set    nothing but folder and seeds"]
    return "\n".join(lines)


def _described(run: Run) -> str:
    seeds = ", ".join(str(seed) for seed in run.seeds[:8]) + (", ..." if len(run.seeds) > 8 else "")
    return (
        f"run    {run.folder}  ({run.options.algo} on {run.task}, seeds {seeds}, "
        f"{run.steps[-1]:,} {run.unit})"
    )


def _told(a: Run, b: Run, at_a: int, at_b: int) -> str:
    from rlkit.eval.comparison import compare_means
    from rlkit.eval.statistics import bootstrap_interval, mean
    from rlkit.eval.tables import TooFewRunsWarning

    tables = [run.returns[:, run.steps == step] for run, step in ((a, at_a), (b, at_b))]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TooFewRunsWarning)  # said below
        shown = [_show(bootstrap_interval(table, mean)) for table in tables]
        found = compare_means(tables[1], tables[0])
    at = f"{at_a:,}" if at_a == at_b else f"{at_a:,} and {at_b:,}"
    text = f"at {at}: {shown[0]} and {shown[1]}; difference {_show(found.difference)}: "
    if found.seeds < 2:
        text += "one seed cannot tell them apart, give --seeds 0:5"
    elif found.resolved:
        text += f"the {'second' if found.difference.point > 0 else 'first'} is higher"
    else:
        need = found.seeds_needed
        text += "not told apart" + (f"; about {need} seeds each would" if need else "")
    return f"{text}\n       [95% intervals over seeds]" if found.seeds > 1 else text


def _show(interval: Any) -> str:
    def number(x: float) -> str:
        return f"{x:.2f}" if abs(x) < 100 else f"{x:,.0f}"

    text = number(interval.point)
    if interval.low != interval.low:  # NaN: no interval of one run
        return text
    return f"{text} [{number(interval.low)}, {number(interval.high)}]"


def _settings(a: Run, b: Run) -> list[str]:
    """Options that decide results and differ, as `name: in the first, in the second`."""
    from rlkit.run.settings.options import NOT_HASHED

    first, second = (_flat(run.options.to_json()) for run in (a, b))
    names = sorted((first.keys() | second.keys()) - NOT_HASHED - {"seeds"})
    return [
        f"{name}: {first.get(name, 'none')}, {second.get(name, 'none')}"
        for name in names
        if first.get(name) != second.get(name)
    ]


def _flat(options: dict[str, Any]) -> dict[str, Any]:
    config = {f"config.{name}": value for name, value in options["config"].items()}
    return {name: value for name, value in options.items() if name != "config"} | config


# --- plot -------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Plot:
    runs: Annotated[Positional[tuple[str, ...]], arg(metavar="RUN..", help="run folders")]
    out: Annotated[str, arg(metavar="FILE", help="picture: .png, .svg or .pdf")] = "curves.png"
    title: Annotated[str, arg(help="above the picture")] = ""


def plot(argv: Sequence[str]) -> None:
    """`rlkit plot RUN... [--out FILE]`: learning curves of runs in one picture."""
    form = parse(Plot, argv, "rlkit plot", "Draw the learning curves of runs together.")
    out = Path(form.out)
    if out.suffix not in _PICTURES:
        raise UsageError(f"rlkit plot: --out {out} must end in {', '.join(_PICTURES)}")
    if not form.runs:
        raise UsageError("rlkit plot: which runs? rlkit plot RUN... [--out FILE]")
    print(f"curves {draw([read_run(folder) for folder in form.runs], out, form.title)}")


def draw(runs: Sequence[Run], out: Path, title: str = "") -> Path:
    """One curve a run, its mean with a band over seeds, written to `out`."""
    if len(units := {run.unit for run in runs}) > 1:
        raise UsageError("updates from data and steps of an environment do not share an axis")
    from rlkit.eval import plots

    tasks = {run.task for run in runs}
    names = [run.options.algo if len(tasks) == 1 else f"{run.options.algo} on {run.task}"
             for run in runs]  # fmt: skip
    if len(set(names)) < len(names):
        names = [run.folder.name for run in runs]
    if len(set(names)) < len(names):
        names = [str(run.folder) for run in runs]
    figure = plots.learning_curve(
        {name: (run.steps, run.returns) for name, run in zip(names, runs, strict=True)},
        x_label="Updates" if units == {"updates"} else "Environment steps",
        title=title or (tasks.pop() if len(tasks) == 1 else ""),
    )
    return plots.save(figure, out.with_suffix(""), (out.suffix[1:],))[0]

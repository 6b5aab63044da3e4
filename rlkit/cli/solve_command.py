"""`rlkit solve FILE|ENV`: solve a finite MDP exactly, methods side by side.

Kernels are compiled on a model of two states first, so that the seconds in the table are the
solver's own. A method that does not reach the precision is marked, and the command fails.
"""

from __future__ import annotations

import math
import sys
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import FlagCreatePairsOff, Positional, arg

from rlkit.cli.arguments import parse, picture_file
from rlkit.core.errors import RlkitError, UsageError
from rlkit.core.files.replacing import make_folder
from rlkit.core.words.nearest import suggestion

if TYPE_CHECKING:
    from rlkit.run.records.progress import Reporter
    from rlkit.theory.mdp import FiniteMDP
    from rlkit.theory.planning.iterations import Progress
    from rlkit.theory.planning.solvers import Solution

_HEAD = (
    f"{'method':10}{'value':>15}{'lower':>16}{'upper':>16}{'widest':>10}{'backups':>12}"
    f"{'seconds':>10}  converged"
)
_SOURCE = "npz file of a FiniteMDP, family (garnet:states=100,actions=4,successors=5), or gym id"


@dataclass(frozen=True)
class Solve:
    model: Annotated[Positional[str], arg(metavar="FILE|ENV", help=_SOURCE)]
    method: Annotated[str, arg(help="one or more with commas, or all")] = "mpi"
    gamma: Annotated[float, arg(help="discount in [0, 1]; 1 is total reward")] = 0.99
    eps: Annotated[float, arg(help="largest width of the certified bounds")] = 1e-6
    max_backups: Annotated[float, arg(help="budget of a method, in sweeps of the model")] = 1e6
    threads: Annotated[int, arg(help="of the sweeps; gs, ps and lp use one")] = 1
    out: Annotated[str | None, arg(metavar="FILE", help="write the solution to this .npz")] = None
    plot: Annotated[
        str | None, arg(metavar="FILE", help="draw value and policy to this .png or .svg")
    ] = None
    quiet: Annotated[FlagCreatePairsOff[bool], arg(help="show no progress")] = False


def solve(argv: Sequence[str]) -> None:
    """`rlkit solve FILE|ENV [options]`."""
    form = parse(Solve, argv, "rlkit solve", "Solve a finite MDP, with certified bounds.")
    from rlkit.theory.planning.solvers import METHODS

    methods = _methods(form.method, METHODS)
    if not 0.0 <= form.gamma <= 1.0:
        raise UsageError(f"rlkit solve: --gamma must lie in [0, 1], got {form.gamma:g}")
    if not (form.eps > 0 and form.threads >= 1):
        raise UsageError("rlkit solve: --eps and --threads must be positive")
    if form.max_backups < 1 or form.max_backups % 1:
        raise UsageError(
            "rlkit solve: --max-backups must be a whole number of at least 1, got "
            f"{form.max_backups:g}"
        )
    if form.out is not None and (Path(form.out).suffix != ".npz" or Path(form.out).exists()):
        raise UsageError(f"rlkit solve: --out {form.out} must be a new file that ends in .npz")
    if form.out is not None:
        make_folder(Path(form.out).parent)  # what forbids it is said before the work
    picture = None if form.plot is None else picture_file(form.plot, "rlkit solve")
    from rlkit.envs.tabular.families import find_model
    from rlkit.run.records.progress import reporter

    mdp = find_model(form.model)
    print(f"model   {form.model}: {mdp}")
    start = "from its initial law" if mdp.mu0 is not None else "from a uniform start"
    print(f"value   {start}, gamma {form.gamma:g}, bounds at most {form.eps:g} apart\n")
    print(_HEAD, flush=True)
    found: list[Solution] = []
    failed: list[str] = []
    for method in methods:
        progress = _Closing(method, reporter(form.quiet))
        try:
            one = _solve(mdp, method, form, progress)
        except (ValueError, ArithmeticError) as error:
            if len(methods) == 1:
                if isinstance(error, RlkitError | ArithmeticError):
                    raise
                raise UsageError(f"rlkit solve: {error}") from error
            failed.append(method)
            print(f"{method:10}  {error}", flush=True)
            continue
        finally:
            progress.close()
        found.append(one)
        print(_row(one, mdp), flush=True)
        if not one.converged:
            failed.append(method)
    if found:
        best = min(found, key=lambda one: one.gap)
        if form.out is not None:
            best.save(form.out)
            print(f"\nsolution of {best.method} written to {form.out}")
        if picture is not None:
            draw(form.model, best, picture)
            print(f"\npicture of {best.method}'s solution: {picture}")
    if failed:
        raise RlkitError(f"{', '.join(failed)} did not reach bounds {form.eps:g} apart")


def _methods(text: str, known: dict[str, Any]) -> list[str]:
    names = list(known) if text == "all" else text.split(",")
    for name in names:
        if name not in known:
            near = suggestion(name, [*known, "all"])
            raise UsageError(f"unknown method {name!r}{near} (one of {', '.join(known)}, all)")
    return list(dict.fromkeys(names))


def _solve(mdp: FiniteMDP, method: str, form: Solve, progress: _Closing) -> Solution:
    from rlkit.theory.planning.solvers import solve as solve_mdp

    coloured = {"order": "coloured"} if method == "gs" and form.threads > 1 else {}
    options: dict[str, Any] = {"threads": 1 if method in ("ps", "lp") else form.threads, **coloured}
    with warnings.catch_warnings():
        # The table and the exit code say it.
        warnings.filterwarnings("ignore", "solve.* stopped with bounds", RuntimeWarning)
        solve_mdp(_two_states(mdp), form.gamma, method, **options)
        progress.begin()
        return solve_mdp(
            mdp, form.gamma, method, form.eps, max_backups=form.max_backups, progress=progress,
            **options,
        )  # fmt: skip


def draw(source: str, found: Solution, file: Path) -> None:
    """Draw the solution of the model `source` names: over its grid where it has one, else as a
    graph where that can be read, else over the steps from a start."""
    from rlkit.envs.tabular.places import places, steps_from_start
    from rlkit.eval import tabular_plots
    from rlkit.eval.plots import save

    mdp, title = found.mdp, f"{source}, discount {found.gamma:g}"
    grid = places(source, mdp)
    if grid is not None:
        figure = tabular_plots.grid_plot(
            found.value, found.policy, grid.cell_of, grid.shape, moves=grid.moves,
            letters=grid.letters, title=title,
        )  # fmt: skip
    elif mdp.num_states <= tabular_plots.MOST_NODES:
        led = mdp.matrix()[mdp.rows(found.policy)].toarray()
        figure = tabular_plots.graph_plot(
            found.value, found.policy, steps_from_start(mdp), led, title=title
        )
    else:
        figure = tabular_plots.distance_plot(
            found.value, found.policy, steps_from_start(mdp), title=title
        )
    save(figure, file.with_suffix(""), (file.suffix[1:],))


def _two_states(mdp: FiniteMDP) -> FiniteMDP:
    """A model that every method solves at once, stored as `mdp` is."""
    import numpy as np

    from rlkit.theory.mdp import FiniteMDP

    p = np.array([[[0.0, 0.5]], [[0.0, 0.0]]])
    tiny = FiniteMDP.from_dense(p, np.array([[1.0], [0.0]]), stop="deficit")
    return tiny.as_float32() if mdp.val.dtype == np.float32 else tiny


def _row(one: Solution, mdp: FiniteMDP) -> str:
    law = mdp.initial_law()
    value, lower, upper = (float(law @ x) for x in (one.value, one.lower, one.upper))
    state = "yes" if one.converged else f"NO: {one.reason or 'it did not converge'}"
    return (
        f"{one.method:10}{value:15.9g}{lower:16.9g}{upper:16.9g}{one.gap:10.2g}"
        f"{one.backups:12,.1f}{one.seconds:10.3f}  {state}"
    )


class _Closing:
    """Progress of a long solve: how far its bounds have closed, on a logarithmic scale."""

    def __init__(self, title: str, reporter: Reporter) -> None:
        self.title, self.reporter = title, reporter
        self.started = False
        self.widest: float | None = None
        self.begin()

    def begin(self) -> None:
        self.began = self.shown = time.monotonic()
        self.every = 0.5 if sys.stderr.isatty() else 10.0

    def __call__(self, step: Progress) -> None:
        if not (0.0 < step.width < math.inf):
            return
        self.widest = self.widest or step.width
        now = time.monotonic()
        if now - self.began < 2.0 or (self.started and now - self.shown < self.every):
            return
        if not self.started:
            self.reporter.start(f"solving by {self.title}, percent", 100)
            self.started = True
        self.shown = now
        way = math.log(self.widest / step.eps)
        closed = math.log(self.widest / step.width) / way if way > 0 else 1.0
        text = f"bounds {step.width:.2g} apart after {step.backups:,.0f} backups"
        self.reporter.update(min(100, max(0, round(100 * closed))), text)

    def close(self) -> None:
        if self.started:
            self.reporter.close()

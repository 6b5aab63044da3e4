"""`rlkit dataset build | list | show | check | record`, and the table of all its subcommands."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from tyro.conf import FlagCreatePairsOff, Positional, arg

from rlkit.cli.arguments import TRUST, parse, picture_file
from rlkit.cli.dataset_files import (
    download,
    export,
    from_csv,
    from_parquet,
    import_d4rl,
    shown_path,
)
from rlkit.core.errors import RlkitError, UsageError
from rlkit.core.files.trust import trusting
from rlkit.core.words.nearest import suggestion

_Trust = Annotated[FlagCreatePairsOff[bool], arg(help=TRUST)]


@dataclass(frozen=True)
class Build:
    name: Annotated[Positional[str], arg(metavar="NAME", help="of a recipe (rlkit dataset list)")]
    force: Annotated[FlagCreatePairsOff[bool], arg(help="replace a dataset that stands")] = False
    quiet: Annotated[FlagCreatePairsOff[bool], arg(help="show no progress")] = False


@dataclass(frozen=True)
class Show:
    dataset: Annotated[Positional[str], arg(metavar="DATASET", help="an id or a directory")]
    plot: Annotated[
        str | None, arg(metavar="FILE", help="draw returns, lengths, coverage to this .png or .svg")
    ] = None
    trust: _Trust = False


@dataclass(frozen=True)
class Check:
    dataset: Annotated[
        Positional[str], arg(metavar="DATASET", help="an id, a directory, or a D4RL file (HDF5)")
    ]
    env: Annotated[
        str | None, arg(metavar="ID", help="environment the data must fit, instead of their own")
    ] = None
    trust: _Trust = False


@dataclass(frozen=True)
class Record:
    policy: Annotated[
        str | None,
        arg(
            metavar="DIR|FILE|ZIP|planner",
            help="run folder, file of rlkit export, a model of SB3, or MiniGrid's shortest paths",
        ),
    ] = None
    out: Annotated[str | None, arg(metavar="ID", help="to write, like mine/hopper-v0")] = None
    env: Annotated[str | None, arg(metavar="ID", help="None: what it was trained for")] = None
    episodes: Annotated[int, arg(help="to record")] = 100
    sample: Annotated[FlagCreatePairsOff[bool], arg(help="draw actions: not the likeliest")] = False
    seed: Annotated[int, arg(help="of start states and draws")] = 0
    lane: Annotated[int | None, arg(metavar="INT", help="of a run folder; None: the best")] = None
    checkpoint: Annotated[str, arg(metavar="STR", help="best, last or a step")] = "best"
    levels: Annotated[int, arg(help="training levels of a pool to play; 0: any level")] = 0
    force: Annotated[FlagCreatePairsOff[bool], arg(help="replace a dataset that stands")] = False
    quiet: Annotated[FlagCreatePairsOff[bool], arg(help="show no progress")] = False
    trust: _Trust = False


@dataclass(frozen=True)
class Nothing:
    pass


def dataset(argv: Sequence[str]) -> None:
    """One of the subcommands."""
    commands: dict[str, tuple[Callable[[Sequence[str]], None], str]] = {
        "build": (build, "roll out a shipped recipe and write its dataset"),
        "list": (listing, "recipes and local datasets"),
        "show": (show, "description, returns and lengths of a dataset"),
        "import-d4rl": (import_d4rl, "make a dataset of a D4RL file"),
        "from-csv": (from_csv, "make a dataset of logs in a CSV file"),
        "from-parquet": (from_parquet, "make a dataset of logs in a Parquet file"),
        "record": (record, "make a dataset of a policy"),
        "download": (download, "fetch a dataset of a Minari remote"),
        "export": (export, "write a dataset as a D4RL file"),
        "check": (check, "look for what would spoil a training"),
    }
    if not argv or argv[0] in ("-h", "--help"):
        print("usage: rlkit dataset COMMAND ...\n")
        print("\n".join(f"  {name:14}{what}" for name, (_, what) in commands.items()))
        return
    if argv[0] not in commands:
        near = suggestion(argv[0], commands)
        raise UsageError(f"unknown command 'dataset {argv[0]}'{near} (rlkit dataset --help)")
    commands[argv[0]][0](argv[1:])


def build(argv: Sequence[str]) -> None:
    form = parse(Build, argv, "rlkit dataset build", "Roll out a shipped recipe.")
    from rlkit.data import datasets
    from rlkit.data.recipes import cards
    from rlkit.run.records.progress import reporter

    if form.name not in cards.all_recipes():
        near = suggestion(form.name, cards.all_recipes())
        raise UsageError(f"no recipe for dataset {form.name!r}{near} (rlkit dataset list)")
    progress = reporter(form.quiet)
    started = False

    def report(done: int, total: int) -> None:
        nonlocal started
        if not started:
            progress.start(f"building {form.name}", total)
            started = True
        progress.update(done)

    try:
        built = datasets.build(form.name, force=form.force, progress=report)
    finally:
        if started:
            progress.close()
    state = "built" if built.made else "stands already"
    print(f"dataset {built.dataset_id} {state}: {shown_path(built.path)}")
    for note in built.notes:
        print(f"  note: {note}")


def listing(argv: Sequence[str], indent: str = "") -> None:
    parse(Nothing, argv, "rlkit dataset list", "Recipes and local datasets.")
    from rlkit.data import datasets

    rows = datasets.list_datasets()
    width = max((len(row.dataset_id) for row in rows), default=0)
    for row in rows:
        steps = "" if row.steps is None else f"{row.steps:,} steps"
        episodes = "" if row.episodes is None else f"{row.episodes:,} episodes"
        size = "" if row.megabytes is None else f"{row.megabytes:,.1f} MB"
        state = "bad" if row.problem else "built" if row.built else "recipe"
        print(
            f"{indent}{row.dataset_id:{width}}  {state:6}  {steps:>15}  {episodes:>15}  "
            f"{size:>10}  {row.env_id}".rstrip()
        )
        if row.problem:
            print(f"{indent}{'':{width}}  cannot be read: {row.problem}")
    if not rows:
        print(f"{indent}no recipes and no local datasets")


def show(argv: Sequence[str]) -> None:
    form = parse(Show, argv, "rlkit dataset show", "Description and figures of a dataset.")
    from rlkit.data import datasets
    from rlkit.data.statistics import described

    file = None if form.plot is None else picture_file(form.plot, "rlkit dataset show")
    with trusting(form.trust):
        shown = datasets.show(form.dataset)
        if file is not None:
            _draw(form.dataset, file)
    meta = shown.meta
    lines = [
        ("dataset", meta.dataset_id),
        ("environment", meta.env_id or "none named"),
        ("observations", str(meta.observation_space)),
        ("actions", str(meta.action_space)),
        ("made by", meta.algorithm),
        ("description", meta.description),
        ("size", f"{shown.episodes:,} episodes, {shown.steps:,} steps"),
        ("returns", _spread(shown.return_quantiles)),
        ("lengths", _spread(shown.length_quantiles)),
        ("episode ends", f"{shown.terminated:,} terminated, {shown.truncated:,} truncated"),
        *described(shown.card),
        ("beside D4RL's", _beside(shown.beside)),
    ]
    if meta.reference is not None:
        low, high = meta.reference.random, meta.reference.expert
        name = meta.reference.expert_name
        lines.append(
            (meta.reference.score_name, f"0 is {low:.4g} (random), 1 is {high:.4g} ({name})")
        )
    for policy in shown.policies:
        figures = f"{policy['episodes']:,} episodes, mean return {policy['return']:.4g}"
        if policy.get("noise") is not None:
            figures += f", noise {policy['noise']:.2g}"
        lines.append((f"policy {policy['name']}", figures))
    width = max(len(name) for name, _ in lines)
    for name, value in lines:
        if value:
            print(f"{name:{width}}  {value}")
    for note in meta.notes:
        print(f"{'note':{width}}  {note}")
    if file is not None:
        print(f"{'picture':{width}}  {file}")


def _draw(dataset: str, file: Path) -> None:
    """Returns, lengths, coverage and actions of a dataset, to a picture."""
    from rlkit.data import datasets
    from rlkit.eval.dataset_plot import dataset_plot
    from rlkit.eval.plots import save

    store, meta = datasets.read(dataset)
    known = meta.reference
    marked = {} if known is None else {"random": known.random, known.expert_name: known.expert}
    figure = dataset_plot(
        store.returns(), store.lengths, store.obs, store.action, references=marked,
        title=meta.dataset_id,
    )  # fmt: skip
    save(figure, file.with_suffix(""), (file.suffix[1:],))


def check(argv: Sequence[str]) -> None:
    """Raises RlkitError when there is a problem, so that the command ends with exit code 1."""
    form = parse(Check, argv, "rlkit dataset check", "Look for what would spoil a training.")
    from rlkit.data import datasets

    with trusting(form.trust):
        checked = datasets.check(form.dataset, form.env)
    for note in checked.notes:
        print(f"note: {note}")
    for problem in checked.problems:
        print(f"problem: {problem}")
    if not checked.ok:
        count = len(checked.problems)
        raise RlkitError(f"{form.dataset} has {count} problem{'s' if count > 1 else ''}")
    print(f"{form.dataset}: no problems")


def record(argv: Sequence[str]) -> None:
    form = parse(Record, argv, "rlkit dataset record", "Make a dataset of a policy.")
    if form.policy is None or form.out is None:
        raise UsageError("rlkit dataset record: give --policy DIR|FILE|ZIP and --out ID")
    from rlkit.run.policies.recording import record as record_policy
    from rlkit.run.records.progress import reporter

    progress = reporter(form.quiet)
    progress.start(f"recording {form.out}", form.episodes)
    try:
        with trusting(form.trust):
            path = record_policy(
                form.policy,
                form.out,
                episodes=form.episodes,
                env=form.env,
                sample=form.sample,
                seed=form.seed,
                lane=form.lane,
                checkpoint=form.checkpoint,
                levels=form.levels,
                overwrite=form.force,
                progress=lambda done, total: progress.update(done),
            )
    finally:
        progress.close()
    print(f"dataset {form.out} recorded: {shown_path(path)}")


def _beside(known: dict[str, Any]) -> str:
    """What is known of D4RL's dataset of the same name; empty where nothing is."""
    if not known:
        return ""
    spread = f"{known['return']:.4g} ± {known['return_std']:.3g}"
    return f"{known['episodes']:,} episodes, return {spread}, length {known['length']:.4g}"


def _spread(quantiles: dict[float, float]) -> str:
    named = {0.0: "min", 0.5: "median", 1.0: "max"}
    return ", ".join(f"{named.get(q, f'{q:.0%}')} {v:.4g}" for q, v in quantiles.items())

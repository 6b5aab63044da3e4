"""`rlkit dataset import-d4rl | from-csv | from-parquet | export | download`: files and remotes."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import FlagCreatePairsOff, Positional, arg

from rlkit.cli.arguments import parse
from rlkit.core.errors import UsageError
from rlkit.core.words.ranges import read_finite


@dataclass(frozen=True)
class Import:
    file: Annotated[Positional[str], arg(metavar="FILE", help="D4RL file (HDF5)")]
    dataset: Annotated[Positional[str], arg(metavar="ID", help="to write, like mine/hopper-v0")]
    env: Annotated[str | None, arg(metavar="ID", help="environment the data belong to")] = None
    time_limit: Annotated[
        int | None, arg(metavar="INT", help="steps of an episode, where the file has no timeouts")
    ] = None
    force: Annotated[FlagCreatePairsOff[bool], arg(help="replace a dataset that stands")] = False


@dataclass(frozen=True)
class FromTable:
    file: Annotated[Positional[str], arg(metavar="FILE", help="logs, one row a step")]
    dataset: Annotated[Positional[str], arg(metavar="ID", help="to write, like mine/logs-v0")]
    observation: Annotated[
        str | None,
        arg(metavar="COLUMNS", help="names or patterns with commas between: 'o_*,speed'"),
    ] = None
    action: Annotated[str | None, arg(metavar="COLUMNS", help="what was done on it")] = None
    reward: Annotated[str | None, arg(metavar="COLUMN", help="what that brought")] = None
    terminal: Annotated[str | None, arg(metavar="COLUMN", help="1 where the task ended")] = None
    timeout: Annotated[str | None, arg(metavar="COLUMN", help="1 where it was cut off")] = None
    episode: Annotated[str | None, arg(metavar="COLUMN", help="id, alike in all rows of one")] = (
        None
    )
    order: Annotated[str | None, arg(metavar="COLUMN", help="to sort an episode's rows by")] = None
    next_observation: Annotated[
        str | None, arg(metavar="COLUMNS", help="None: the next row's observation")
    ] = None
    actions: Annotated[
        int | None, arg(metavar="INT", help="how many discrete ones, 0 on; None: continuous")
    ] = None
    action_low: Annotated[
        str | None,
        arg(metavar="X,..", help="bound of all dimensions, or of each; None: the data's"),
    ] = None
    action_high: Annotated[str | None, arg(metavar="X,..", help="the same above")] = None
    missing_actions: Annotated[
        Literal["refuse", "cut", "keep"],
        arg(help="rows without one: refuse the file, end episodes there, or store them marked"),
    ] = "refuse"
    env: Annotated[str | None, arg(metavar="ID", help="environment the data belong to")] = None
    description: Annotated[str, arg(metavar="TEXT", help="kept with the dataset")] = ""
    force: Annotated[FlagCreatePairsOff[bool], arg(help="replace a dataset that stands")] = False


@dataclass(frozen=True)
class Export:
    dataset: Annotated[Positional[str], arg(metavar="DATASET", help="an id or a directory")]
    file: Annotated[Positional[str], arg(metavar="FILE", help="to write, named .hdf5")]
    force: Annotated[FlagCreatePairsOff[bool], arg(help="replace a file that stands")] = False


@dataclass(frozen=True)
class Download:
    dataset: Annotated[Positional[str], arg(metavar="ID", help="like D4RL/door/human-v2")]
    remote: Annotated[
        str | None, arg(metavar="URL", help="None: $MINARI_REMOTE, or hf://farama-minari")
    ] = None
    force: Annotated[FlagCreatePairsOff[bool], arg(help="replace a dataset that stands")] = False


def import_d4rl(argv: Sequence[str]) -> None:
    form = parse(Import, argv, "rlkit dataset import-d4rl", "Make a dataset of a D4RL file.")
    from rlkit.data import datasets

    built, meta = datasets.import_d4rl(
        form.file,
        form.dataset,
        env_id=form.env,
        time_limit=form.time_limit,
        overwrite=form.force,
    )
    print(f"dataset {built.dataset_id} built: {shown_path(built.path)}")
    for note in meta.notes:
        print(f"  note: {note}")


def from_csv(argv: Sequence[str]) -> None:
    form = parse(FromTable, argv, "rlkit dataset from-csv", "Make a dataset of a CSV file.")
    _from_table(form, "csv")


def from_parquet(argv: Sequence[str]) -> None:
    form = parse(FromTable, argv, "rlkit dataset from-parquet", "Make a dataset of a Parquet file.")
    _from_table(form, "parquet")


def _from_table(form: FromTable, kind: Literal["csv", "parquet"]) -> None:
    from rlkit.data.exchange import import_log
    from rlkit.data.formats.logs import Columns

    given = {field.name: getattr(form, field.name) for field in fields(Columns)}
    lacking = [name for name in ("observation", "action", "reward") if not given[name]]
    if lacking:
        raise UsageError(
            f"rlkit dataset from-{kind}: which columns? give "
            + ", ".join(f"--{name}" for name in lacking)
        )
    built = import_log(
        form.file,
        form.dataset,
        Columns(**given),
        kind=kind,
        env_id=form.env,
        actions=form.actions,
        low=_bounds(form.action_low),
        high=_bounds(form.action_high),
        missing_actions=form.missing_actions,
        description=form.description,
        overwrite=form.force,
    )
    print(f"dataset {built.dataset_id} built: {shown_path(built.path)}")
    for note in built.notes:
        print(f"  note: {note}")


def _bounds(text: str | None) -> tuple[float, ...] | None:
    try:
        return None if text is None else tuple(read_finite(part) for part in text.split(","))
    except ValueError as error:
        raise UsageError(f"bounds {text!r}: {error}") from error


def export(argv: Sequence[str]) -> None:
    form = parse(Export, argv, "rlkit dataset export", "Write a dataset as a D4RL file (HDF5).")
    from rlkit.data.exchange import export_d4rl

    path = export_d4rl(form.dataset, form.file, overwrite=form.force)
    print(f"dataset {form.dataset} written: {path}")


def download(argv: Sequence[str]) -> None:
    form = parse(Download, argv, "rlkit dataset download", "Fetch a dataset of a Minari remote.")
    from rlkit.data.formats.download import download as fetch

    path = fetch(form.dataset, remote=form.remote, overwrite=form.force)
    print(f"dataset {form.dataset} downloaded: {shown_path(path)}")


def shown_path(path: Path) -> Path:
    """The path as one would type it, from the home directory on."""
    with contextlib.suppress(ValueError, RuntimeError):
        return Path("~") / path.relative_to(Path.home())
    return path

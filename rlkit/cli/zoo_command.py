"""`rlkit zoo list | get | eval | push`: trained policies, those that ship and those of the Hub."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated

from tyro.conf import FlagCreatePairsOff, Positional, arg

from rlkit.cli.arguments import TRUST, parse
from rlkit.core.errors import UsageError
from rlkit.core.files.trust import trusting
from rlkit.core.words.nearest import suggestion
from rlkit.core.words.ranges import playable
from rlkit.zoo.entry import Entry

_Name = Annotated[
    Positional[str],
    arg(metavar="NAME", help="of one that ships (rlkit zoo list), or OWNER/REPO/NAME of the Hub"),
]
_Revision = Annotated[
    str | None, arg(metavar="STR", help="branch, tag or commit of the Hub's repository")
]
_Force = Annotated[FlagCreatePairsOff[bool], arg(help="replace what stands there")]


@dataclass(frozen=True)
class List:
    repo: Annotated[
        Positional[str | None], arg(metavar="OWNER/REPO", help="of the Hub; None: what ships")
    ] = None
    revision: _Revision = None


@dataclass(frozen=True)
class Get:
    name: _Name
    out: Annotated[str | None, arg(metavar="FILE", help="None: NAME.safetensors, here")] = None
    revision: _Revision = None
    force: _Force = False


@dataclass(frozen=True)
class Evaluate:
    name: _Name
    episodes: Annotated[int, arg(help="to play")] = 20
    env: Annotated[str | None, arg(metavar="ID", help="another environment of like spaces")] = None
    seed: Annotated[int, arg(help="of the start states")] = 1
    revision: _Revision = None
    trust: Annotated[FlagCreatePairsOff[bool], arg(help=TRUST)] = False


@dataclass(frozen=True)
class Push:
    policy: Annotated[
        Positional[str], arg(metavar="NAME|FILE", help="one that ships, or a file of rlkit export")
    ]
    repo: Annotated[str, arg(metavar="OWNER/REPO", help="of the Hub; made if it is not there")]
    name: Annotated[str | None, arg(metavar="NAME", help="there; None: as here")] = None
    episodes: Annotated[int, arg(help="to measure the return of a file with")] = 20
    private: Annotated[FlagCreatePairsOff[bool], arg(help="a repository made is private")] = False
    force: _Force = False
    trust: Annotated[FlagCreatePairsOff[bool], arg(help=TRUST)] = False


def zoo(argv: Sequence[str]) -> None:
    """One of the subcommands."""
    commands: dict[str, tuple[Callable[[Sequence[str]], None], str]] = {
        "list": (listing, "policies that ship, or those of OWNER/REPO on the Hugging Face Hub"),
        "get": (get, "copy a policy to a file"),
        "eval": (evaluate, "evaluate a policy, beside what was recorded"),
        "push": (push, "put a policy into a repository of the Hub"),
    }
    if not argv or argv[0] in ("-h", "--help"):
        print("usage: rlkit zoo COMMAND ...\n")
        print("\n".join(f"  {name:14}{what}" for name, (_, what) in commands.items()))
        return
    if argv[0] not in commands:
        near = suggestion(argv[0], commands)
        raise UsageError(f"unknown command 'zoo {argv[0]}'{near} (rlkit zoo --help)")
    commands[argv[0]][0](argv[1:])


def listing(argv: Sequence[str]) -> None:
    """`rlkit zoo list [OWNER/REPO]`."""
    form = parse(List, argv, "rlkit zoo list", "Trained policies, and what they return.")
    from rlkit.zoo.finding import entries

    rows = [("name", "algorithm", "environment", "return", "size", "trained by")]
    for name, entry in entries(form.repo, revision=form.revision).items():
        rows.append(
            (
                name,
                f"{entry['algo']}, step {entry['step']:,}",
                ", ".join([entry["env"], *(f"{k}={v}" for k, v in entry["env_kwargs"].items())]),
                _recorded(entry),
                f"{entry['bytes'] / 1000:,.0f} kB",
                entry["command"] or "",
            )
        )
    wide = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    for row in rows:
        print("  ".join(f"{x:{w}}" for x, w in zip(row, wide, strict=True)).rstrip())


def get(argv: Sequence[str]) -> None:
    """`rlkit zoo get NAME`."""
    form = parse(Get, argv, "rlkit zoo get", "Copy a policy to a file; its sums are compared.")
    from rlkit.zoo import finding

    path = finding.get(form.name, form.out, force=form.force, revision=form.revision)
    print(f"policy {path}  (rlkit eval {path} plays it)")


def evaluate(argv: Sequence[str]) -> None:
    """`rlkit zoo eval NAME`."""
    form = parse(Evaluate, argv, "rlkit zoo eval", "Evaluate a policy, beside what was recorded.")
    playable(form.episodes, form.seed)
    import numpy as np

    from rlkit.cli.summary import summarise
    from rlkit.eval.records import DTYPE
    from rlkit.run.policies.evaluation import evaluate_file
    from rlkit.zoo.finding import found

    with trusting(form.trust), found(form.name, form.revision) as (path, entry):
        episodes = evaluate_file(path, form.episodes, form.env, form.seed)
    print(summarise(np.array([tuple(e) for e in episodes], DTYPE), f"{form.name}:"))
    start = entry["returns"]["seed"]
    print(f"  recorded in {entry['env']}: {_recorded(entry)}, of start seed {start}")


def push(argv: Sequence[str]) -> None:
    """`rlkit zoo push NAME|FILE --repo OWNER/REPO`."""
    form = parse(Push, argv, "rlkit zoo push", "Put a policy into a repository of the Hub.")
    from rlkit.zoo.hub import push as push_policy

    with trusting(form.trust):
        done = push_policy(
            form.policy,
            form.repo,
            name=form.name,
            episodes=form.episodes,
            private=form.private,
            force=form.force,
        )
    print(f"pushed {done.name}  (commit {done.commit[:12]}; return {_recorded(done.entry)})")


def _recorded(entry: Entry) -> str:
    """Mean and standard deviation over episodes."""
    found = entry["returns"]
    digits = 2 if abs(found["mean"]) < 100 else 0
    return (
        f"{found['mean']:,.{digits}f} ± {found['std']:,.{digits}f} ({found['episodes']} episodes)"
    )

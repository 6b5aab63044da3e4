"""Put policies of finished runs into the zoo that ships with rlkit.

    python benchmarks/freeze_zoo.py runs/sac-Hopper --checkpoint 280000
    python benchmarks/freeze_zoo.py runs/sac-HalfCheetah runs/sac-Walker2d

Exports each run's policy as `rlkit export` does, measures its return as `rlkit eval` does, and
writes the file and its entry to `rlkit/zoo/policies`. One of the same name there is replaced.
"""

import argparse
import dataclasses
from pathlib import Path
from typing import Any

from rlkit.core.errors import UsageError
from rlkit.core.files.replacing import replacing
from rlkit.run.policies.export import export
from rlkit.run.records import folder as run_folder
from rlkit.run.records import versions
from rlkit.run.settings import presets
from rlkit.run.settings.options import Options, resolve
from rlkit.zoo.entry import ENDING, EPISODES, INDEX, check_name, index_text, measured, told
from rlkit.zoo.shelf import SHELF, shipped

LARGEST = 1_000_000  # bytes: the repository holds them
# what does not decide the result, or is told in other words
SILENT = ("algo", "out", "device", "log_every", "quiet", "track", "video_every")
SILENT += ("workers", "threads", "config")


def command_of(options: Options) -> str:
    """The command that trains so: what differs from its defaults."""
    usual = resolve(Options(options.algo, dataset=options.dataset, env=options.env))
    options = resolve(options)
    words = ["rlkit", "train", options.algo]
    for field in dataclasses.fields(Options):
        value = getattr(options, field.name)
        task = field.name in ("dataset", "env") and value is not None
        if field.name not in SILENT and (task or value != getattr(usual, field.name)):
            name = {"from_run": "from"}.get(field.name, field.name.replace("_", "-"))
            words += [f"--{name}", *([] if value is True else [_said(value)])]
    if presets.RECOMMENDED in presets.of(options.algo, options.dataset, options.env):
        words += ["--preset", "none"]
    for field in dataclasses.fields(options.config):
        value = getattr(options.config, field.name)
        if value != getattr(usual.config, field.name):
            words += [f"--config.{field.name.replace('_', '-')}", _said(value)]
    return " ".join(words)


def _said(value: Any) -> str:
    return ",".join(str(x) for x in value) if isinstance(value, list | tuple) else str(value)


def freeze(run: Path, checkpoint: str, name: str | None, episodes: int) -> str:
    """The name of the policy that was put there."""
    config = run_folder.read_config(run)
    options, env = Options.from_json(config["options"]), config["task"]["env"]
    if env is None:
        raise UsageError(f"{run} names no environment")
    name = check_name(name or f"{options.algo}-{env}".lower().replace("/", "-"))
    path, known = SHELF / f"{name}{ENDING}", shipped() if (SHELF / INDEX).is_file() else {}
    with replacing(path) as temporary:
        scratch = temporary.with_suffix(ENDING)
        try:
            export(run, scratch, checkpoint=checkpoint)
            scratch.chmod(0o644)
            if scratch.stat().st_size > LARGEST:
                raise UsageError(f"the policy of {run} is larger than {LARGEST:,} bytes")
            entry = measured(
                scratch,
                episodes=episodes,
                command=command_of(options),
                trained_with=told(versions.read(run / run_folder.VERSIONS)),
            )
            scratch.rename(temporary)
        finally:
            scratch.unlink(missing_ok=True)
    with replacing(SHELF / INDEX) as temporary:
        temporary.write_text(index_text(known | {name: entry}), encoding="utf-8")
    found = entry["returns"]
    print(f"{name}  step {entry['step']:,}  return {found['mean']:.4g} ± {found['std']:.2g}")
    return name


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN")
    parser.add_argument("--checkpoint", default="best", help="best, last or a step")
    parser.add_argument("--name", help="of the policy, for one run; by default ALGO-ENV")
    parser.add_argument("--episodes", type=int, default=EPISODES)
    args = parser.parse_args()
    if args.name and len(args.runs) > 1:
        parser.error("--name is for one run")
    for run in args.runs:
        freeze(run, args.checkpoint, args.name, args.episodes)


if __name__ == "__main__":
    main()

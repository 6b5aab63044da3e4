"""`rlkit bandit`: policies against one another on a bandit, as a table and as regret curves."""

from __future__ import annotations

import hashlib
import json
import math
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import FlagCreatePairsOff, arg

from rlkit.cli.arguments import parse
from rlkit.core.errors import RunError, UsageError, WrongPathError
from rlkit.core.files.replacing import make_folder

if TYPE_CHECKING:
    from rlkit.algos.bandits.simulation.records import Simulation
    from rlkit.eval.statistics import Interval

RECORD = "bandit.json"
_CANCELLED = 5e-10  # regret below it is what is left of gaps that cancel
_TEXT = """Simulate policies on a bandit and compare their regret.

An environment or a policy is a name or, in quotes, a name with arguments:
--env "armed(means=[0.9, 0.5])" --policies "ucb1, eps_greedy(eps=0.05)". --list names all of them.
"""


@dataclass(frozen=True)
class Bandit:
    env: Annotated[str, arg(metavar="ENV", help="environment, with arguments if wanted")] = "armed"
    policies: Annotated[
        str | None, arg(metavar="P,P,..", help="None: some that suit the environment")
    ] = None
    runs: Annotated[int, arg(help="independent runs of each policy")] = 200
    horizon: Annotated[int, arg(help="rounds of a run")] = 10_000
    seed: Annotated[int, arg(help="of the runs' random streams")] = 0
    threads: Annotated[int, arg(help="results are the same for any number")] = 1
    paired: Annotated[
        FlagCreatePairsOff[bool],
        arg(help="the n-th reward of an arm is the same for every policy"),
    ] = False
    out: Annotated[str | None, arg(metavar="DIR", help="None: runs/bandit-<env>-<hash>")] = None
    list: Annotated[FlagCreatePairsOff[bool], arg(help="list environments and policies")] = False


def bandit(argv: Sequence[str]) -> None:
    """`rlkit bandit [options]`: prints the table and writes records and pictures to a folder."""
    form = parse(Bandit, argv, "rlkit bandit", _TEXT)
    if form.list:
        print(listing())
        return
    from rlkit.algos.bandits.simulation.by_name import (
        ENVIRONMENTS,
        read_environment,
        read_policies,
        show_call,
    )

    for name in ("runs", "horizon", "threads"):
        if getattr(form, name) < 1:
            raise UsageError(f"rlkit bandit: --{name} must be at least 1")
    for name, most in (("runs", 10**7), ("horizon", 10**10), ("threads", 1024)):
        if getattr(form, name) > most:
            raise UsageError(
                f"rlkit bandit: --{name} {getattr(form, name):,} is too many; at most {most:,}"
            )
    if not 0 <= form.seed < 2**63:
        raise UsageError("rlkit bandit: --seed must lie in 0..2**63-1")
    name, given, arguments, env = read_environment(form.env)
    policies = read_policies(form.policies or ENVIRONMENTS[name].policies)
    _try_out(env, policies, form)
    config = {
        "env": {"name": name, "arguments": arguments},
        "policies": [{"name": policy, "arguments": own} for policy, own in policies],
        "runs": form.runs,
        "horizon": form.horizon,
        "seed": form.seed,
        "paired": form.paired,
    }
    folder = _folder(form.out, name, config)
    make_folder(folder)  # what forbids it is said before the work
    note = "" if arguments == given else f", the rest as in {folder / RECORD}"
    print(f"env    {show_call(name, given)}{note}")
    print(f"       {form.runs:,} runs of {form.horizon:,} rounds, seed {form.seed}", flush=True)
    labels = [show_call(policy, own) for policy, own in policies]
    results = _run(env, policies, labels, form)
    print(verdict(results, form.paired))
    _write(folder, name, config, results)
    print(f"curves {folder / 'regret.png'}")
    print(f"arms   {folder / 'pulls.png'}")


def listing() -> str:
    """The lines of `rlkit bandit --list`."""
    from rlkit.algos.bandits.simulation.by_name import ENVIRONMENTS, POLICIES

    width = max(len(name) for name in [*ENVIRONMENTS, *POLICIES])
    lines = ["environments (with what they are played by unless --policies says otherwise)"]
    lines += [f"  {name:{width}}  {named.policies}" for name, named in ENVIRONMENTS.items()]
    lines += ["", "policies (with their parameters)"]
    for name, defaults in POLICIES.items():
        shown = ", ".join(f"{key}={value:g}" for key, value in defaults.items())
        lines.append(f"  {name:{width}}  {shown}".rstrip())
    return "\n".join(lines)


def _try_out(env: Any, policies: list[tuple[str, dict[str, Any]]], form: Bandit) -> None:
    """One run of each policy: refuses what does not fit, and loads the compiled kernels."""
    from rlkit.algos.bandits.simulation.simulator import simulate

    for policy, given in policies:
        try:
            simulate(
                policy, env=env, runs=1, horizon=form.horizon, seed=form.seed, paired=form.paired,
                **given,
            )  # fmt: skip
        except ValueError as error:
            raise UsageError(f"rlkit bandit: {error}") from None


def _run(
    env: Any, policies: list[tuple[str, dict[str, Any]]], labels: list[str], form: Bandit
) -> dict[str, Simulation]:
    """Simulate every policy, printing its row of the table as soon as it is known."""
    from rlkit.algos.bandits.simulation.records import log_checkpoints
    from rlkit.algos.bandits.simulation.simulator import simulate

    early = max(1, form.horizon // 10)
    rounds = sorted({*log_checkpoints(form.horizon).tolist(), early})
    width = max(len(label) for label in [*labels, "policy"])
    heads = [f"regret at {early:,}", f"regret at {form.horizon:,}"]
    print(f"\n{'policy':{width}}  {heads[0]:28}{heads[1]:28}{'Mpulls/s':>9}", flush=True)
    results = {}
    for (policy, given), label in zip(policies, labels, strict=True):
        start = time.perf_counter()
        one = simulate(
            policy, env=env, runs=form.runs, horizon=form.horizon, seed=form.seed,
            threads=form.threads, paired=form.paired, checkpoints=rounds, **given,
        )  # fmt: skip
        speed = form.runs * form.horizon / (time.perf_counter() - start) / 1e6
        cells = [_show(interval(one, when)) for when in (early, form.horizon)]
        print(f"{label:{width}}  {cells[0]:28}{cells[1]:28}{speed:9.2f}", flush=True)
        results[label] = one
    if form.runs > 1:
        print("[95% bootstrap intervals of the mean over runs]")
    return results


def interval(one: Simulation, when: int) -> Interval:
    """Mean regret over runs at a recorded round; without bounds for a single run."""
    from rlkit.eval.statistics import bootstrap_interval, mean
    from rlkit.eval.tables import TooFewRunsWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TooFewRunsWarning)  # the table shows it
        return bootstrap_interval(one.at(when)[:, None], mean, reps=10_000)


def _show(value: Interval) -> str:
    def number(x: float) -> str:
        x = 0.0 if abs(x) < _CANCELLED else x
        return f"{x:.2f}" if abs(x) < 1000 else f"{x:,.0f}"

    text = number(value.point)
    return text if math.isnan(value.low) else f"{text} [{number(value.low)}, {number(value.high)}]"


def verdict(results: dict[str, Simulation], paired: bool) -> str:
    """Which policy has the least regret at the horizon, and which others cannot be told from it."""
    from rlkit.eval.comparison import compare_means

    finals = {label: one.regret[:, -1:].copy() for label, one in results.items()}
    for regret in finals.values():
        regret[abs(regret) < _CANCELLED] = 0.0
    best = min(finals, key=lambda label: float(finals[label].mean()))
    if len(finals) == 1:
        return ""
    if len(finals[best]) < 2:
        return f"least: {best}; one run cannot tell policies apart"
    alike = [
        label
        for label, regret in finals.items()
        if label != best and not compare_means(regret, finals[best], paired=paired).resolved
    ]
    told = f"not told apart from it: {', '.join(alike)}" if alike else "below each of the others"
    return f"least: {best}; {told} (95% intervals of differences)"


def _folder(out: str | None, name: str, config: dict[str, Any]) -> Path:
    """Where results go; an existing folder must be one that this command has made.

    One with nothing in it, or with what a killed process was writing, is free.
    """
    text = json.dumps(config, sort_keys=True)
    short = hashlib.sha256(text.encode()).hexdigest()[:8]
    folder = Path(out) if out is not None else Path("runs", f"bandit-{name}-{short}")
    record = folder / RECORD
    if record.is_file():
        try:
            held = json.loads(record.read_text(encoding="utf-8"))["config"]
        except (ValueError, KeyError, TypeError, RecursionError):
            raise RunError(f"{record} is damaged; remove it, or choose another --out") from None
        if held != json.loads(text):
            raise WrongPathError(f"{folder} holds another comparison; choose another with --out")
    elif folder.is_file() or (folder.is_dir() and any(not _temporary(p) for p in folder.iterdir())):
        raise WrongPathError(f"{folder} exists and holds no {RECORD}; choose another with --out")
    return folder


def _temporary(path: Path) -> bool:
    return path.name.startswith(".") and path.suffix == ".tmp"


def _write(folder: Path, name: str, config: dict[str, Any], results: dict[str, Simulation]) -> None:
    """bandit.json (settings and intervals), regret.npz (every run), regret and pulls as .png, .svg.

    Each appears whole; the first of them makes the folder this comparison's, so that a call after
    a kill may write the rest.
    """
    import numpy as np

    from rlkit.core.files.replacing import replacing
    from rlkit.eval.plots import save
    from rlkit.eval.pulls_plot import pulls_plot
    from rlkit.eval.regret_plot import regret_plot
    from rlkit.run.records import versions

    table = {}
    for label, one in results.items():
        final = interval(one, config["horizon"])
        bounds = None if math.isnan(final.low) else [final.low, final.high]
        table[label] = {"regret": final.point, "interval": bounds, "level": final.level}
    record = {"config": config, "table": table, "versions": versions.collect("cpu")}
    with replacing(folder / RECORD) as new:
        new.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    first = next(iter(results.values()))
    arrays: dict[str, Any] = {label: one.regret for label, one in results.items()}
    with replacing(folder / "regret.npz") as new, new.open("wb") as file:
        np.savez_compressed(file, **arrays, rounds=first.checkpoints)
    curves = {label: (one.checkpoints, one.regret) for label, one in results.items()}
    save(regret_plot(curves, title=f"Regret on {name}"), folder / "regret")
    plays = {label: one.pulls for label, one in results.items()}
    save(pulls_plot(plays, title=f"Arms played on {name}"), folder / "pulls")

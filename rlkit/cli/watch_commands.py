"""`rlkit video` and `rlkit watch`: what a policy does, and how a training goes, for the eye."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import FlagCreatePairsOff, Positional, arg

from rlkit.cli.arguments import TRUST, parse
from rlkit.core.files.trust import trusting


@dataclass(frozen=True)
class Video:
    policy: Annotated[
        Positional[str],
        arg(metavar="DIR|FILE|ZIP", help="run folder, file of rlkit export, or a model of SB3"),
    ]
    episodes: Annotated[int, arg(help="to play; the best, median and worst are drawn")] = 3
    seed: Annotated[int, arg(help="of the start states; 0 has those of the training")] = 0
    out: Annotated[
        str | None,
        arg(metavar="FILE", help=".mp4, .gif, or .png for a contact sheet; None: in the run"),
    ] = None
    lane: Annotated[int | None, arg(metavar="INT", help="of a run folder; None: the best")] = None
    checkpoint: Annotated[str, arg(metavar="STR", help="best, last or a step")] = "best"
    env: Annotated[str | None, arg(metavar="ID", help="another environment of like spaces")] = None
    size: Annotated[
        int | None,
        arg(metavar="INT", help="height of a picture in pixels; None: 320, on a sheet 200"),
    ] = None
    quiet: Annotated[FlagCreatePairsOff[bool], arg(help="show no progress")] = False
    trust: Annotated[FlagCreatePairsOff[bool], arg(help=TRUST)] = False


def video(argv: Sequence[str]) -> None:
    """`rlkit video DIR|FILE|ZIP`."""
    form = parse(Video, argv, "rlkit video", "Write a clip of a policy.")
    from rlkit.run.clips import files
    from rlkit.run.clips.video import video as make_video
    from rlkit.run.records.progress import reporter

    if form.out is not None:
        files.check(Path(form.out))  # a wrong ending is said before what the system would refuse
    progress, started = reporter(form.quiet), False

    def report(done: int, total: int) -> None:
        nonlocal started
        if not started:
            progress.start("drawing", total)
            started = True
        progress.update(done)

    try:
        with trusting(form.trust):
            clip = make_video(
                form.policy,
                form.out,
                episodes=form.episodes,
                seed=form.seed,
                lane=form.lane,
                checkpoint=form.checkpoint,
                env=form.env,
                size=form.size,
                progress=report,
            )
    finally:
        if started:
            progress.close()
    for shown in clip.shown:
        print(
            f"{shown.place:7} episode {shown.episode}: return {shown.return_:.4g}, "
            f"{shown.length} steps, {shown.end}"
        )
    print(f"clip   {clip.path}")


@dataclass(frozen=True)
class Watch:
    where: Annotated[
        Positional[str],
        arg(metavar="DIR|FILE", help="run folder, sweep file, or the folder of a sweep"),
    ]
    budget: Annotated[str | None, arg(metavar="NAME", help="budget of the sweep file")] = None
    port: Annotated[int, arg(help="of this machine's own address; 0 takes a free one")] = 8787
    every: Annotated[float, arg(help="seconds between looks at the records")] = 5.0


def watch(argv: Sequence[str]) -> None:
    """`rlkit watch DIR|FILE`, until interrupted."""
    form = parse(Watch, argv, "rlkit watch", "Serve the page of a run or sweep while it trains.")
    from rlkit.cli.report_command import sweep_folder
    from rlkit.reports.watch import watch as serve

    folder = sweep_folder(form.where, form.budget)
    serve(
        folder,
        port=form.port,
        every=form.every,
        ready=lambda address: print(f"watch  {address}  (Ctrl-C ends it)", flush=True),
    )

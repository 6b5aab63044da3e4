"""Logs, and what the page of a run reads besides the records that training reads."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow
from pyarrow import parquet

from rlkit.data.formats import logs
from rlkit.reports.runs import facts, page
from rlkit.run.clips import video
from tests.fuzz.reader import Reader
from tests.reports.runs.runs import run

COLUMNS = logs.Columns("o_*", "u", "r", terminal="done", episode="id", order="t")


def log_readers(folder: Path) -> Iterator[tuple[str, Reader]]:
    """The same log as CSV and as Parquet; the records of a run and the list of its clips."""
    steps = 9
    table = {
        "id": [f"e{k // 3}" for k in range(steps)],
        "t": list(range(steps)),
        "o_1": np.linspace(0, 1, steps).tolist(),
        "o_2": np.linspace(5, 6, steps).tolist(),
        "u": np.linspace(-1, 1, steps).tolist(),
        "r": [0.5] * steps,
        "done": [int(k == 5) for k in range(steps)],
    }
    rows = [
        ",".join(table),
        *(",".join(map(str, row)) for row in zip(*table.values(), strict=True)),
    ]
    text, packed = folder / "steps.csv", folder / "steps.parquet"
    text.write_text("\n".join(rows) + "\n")
    parquet.write_table(pyarrow.table(table), packed)
    yield "log as CSV", Reader(text, lambda: logs.read(text, "csv", COLUMNS))
    yield "log as Parquet", Reader(packed, lambda: logs.read(packed, "parquet", COLUMNS))

    shown = run(folder / "shown", {0: [1, 2], 1: [3, 4]})
    clips = shown / video.FOLDER / video.INDEX
    clips.parent.mkdir()
    (clips.parent / "a.gif").write_bytes(b"GIF89a")
    best = {"place": "best", "episode": 0, "return": 1.5, "length": 3, "end": "terminated"}
    entry = {"file": "a.gif", "step": 1, "lane": 0, "seed": 0, "episodes": 1, "shown": [best]}
    clips.write_text(json.dumps([entry]))
    for name in ("config.json", "versions.json", "progress.jsonl", "episodes.csv"):
        path = shown / name
        yield f"page of a run {name}", Reader(path, lambda: page.page([facts.read(shown)], shown))
    yield "page of a run clips.json", Reader(clips, lambda: page.page([facts.read(shown)], shown))

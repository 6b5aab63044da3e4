"""README: "Nothing in it is a pickle" is true of a run folder, and of how it is made and read."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import rlkit
from rlkit.eval import plots
from rlkit.run.settings.options import Options
from rlkit.run.train import resume, train

# ending -> whether it is text, or how its bytes begin
KINDS = {
    ".json": True,
    ".jsonl": True,
    ".csv": True,
    ".lock": True,
    ".svg": True,
    ".png": b"\x89PNG",
}


def refuse(*_: Any, **__: Any) -> None:
    raise AssertionError("something is pickled, or unpickled")


@pytest.mark.parametrize("kind", ["offline", "online"])
def test_nothing_in_a_run_folder_is_a_pickle(
    kind: str,
    offline: Callable[..., Options],
    online: Callable[..., Options],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    options = (offline if kind == "offline" else online)()
    for name in ("save", "load"):  # torch's are pickles
        monkeypatch.setattr(torch, name, refuse)
    folder = train(options).folder
    resume(folder, options.steps + 20, quiet=True)
    rlkit.export(folder)
    assert len(rlkit.evaluate(folder, 1)) == 1
    figure = plots.Figure()
    figure.subplots().plot([0, 1])
    plots.save(figure, folder / "plots" / "learning_curve")
    found = [path for path in folder.rglob("*") if path.is_file()]
    assert len(found) > 8
    for path in found:
        data, kind_of = path.read_bytes(), path.suffix or path.name
        if kind_of == ".safetensors":  # a length, and JSON so long
            length = int.from_bytes(data[:8], "little")
            assert isinstance(json.loads(data[8 : 8 + length]), dict), path
        elif KINDS[kind_of] is True:
            data.decode()
        else:
            assert data.startswith(KINDS[kind_of]), path
    assert np.isfinite(rlkit.load(folder).act(np.zeros(4))).all()

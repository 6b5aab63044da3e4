"""K updates from the same weights, rows and noise give the published code's numbers.

Each NAME.npz holds numbers only; README.md beside it says which code gave them, what was adapted,
and how the files are laid out.
"""

from __future__ import annotations

import importlib
import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from rlkit.core import state
from rlkit.core.batch import Batch
from rlkit.core.lanes import resolve
from rlkit.core.spec import Discrete, Spec
from rlkit.core.streams import Streams
from rlkit.data.replay import Replay
from rlkit.data.sampling.samplers import NStep

TOLERANCE = 1e-10  # absolute, on any entry: Adam enlarges rounding where gradients are tiny
HERE = Path(__file__).parent
NAMES = sorted(path.stem for path in HERE.glob("*.npz"))
OVERRIDES: dict[str, dict[str, Any]] = {  # fields that came after the files
    "odice_released": {"lam": 0.6, "squash": False},
    "odice_tanh": {"lam": 0.6},
    "odice_tanh_mean": {"lam": 0.6, "heads": "mean"},
    "odice_tanh_mean_no_decay": {"lam": 0.6, "heads": "mean"},
}
EDAC = {"log_std": (-5.0, 2.0)}


@cache
def numbers(name: str) -> dict[str, Any]:
    with np.load(HERE / f"{name}.npz", allow_pickle=False) as file:
        return {key: file[key] for key in file.files}


def under(name: str, prefix: str, lanes: int = 1, axis: int = 0) -> dict[str, Tensor]:
    """The arrays `prefix/...` by what follows, repeated over lanes along `axis`."""
    return {
        key.removeprefix(prefix): torch.from_numpy(np.repeat(value, lanes, axis))
        for key, value in numbers(name).items()
        if key.startswith(prefix)
    }


def updated(name: str, lanes: int, algo: str | None = None, **fields: Any) -> Any:
    """An agent from the file's first weights, after its K updates."""
    config = json.loads(str(numbers(name)["config"]))
    module = importlib.import_module(f"rlkit.algos.{algo or config['algo']}")
    act = Discrete(config["act"]) if config["discrete"] else config["act"]
    spec = Spec(config["obs"], act, tuple(range(lanes)), torch.float64)
    given = {k: tuple(v) if isinstance(v, list) else v for k, v in config["fields"].items()}
    chosen = {k: v for k, v in (given | fields).items() if v is not None}
    c = resolve(module.Config(**chosen), spec)
    agent = module.Agent(spec, c)
    first = under(name, "first/", lanes)
    state.load(agent, first, only=tuple(dict.fromkeys(key.split(".")[0] for key in first)))
    rows, noise = (under(name, prefix, lanes, 1) for prefix in ("batch/", "noise/"))
    flags = under(name, "flag/")
    for k in range(len(rows["s"])):
        b = Batch(
            **{field: x[k] for field, x in rows.items()},
            noise={field: x[k] for field, x in noise.items()},
        )
        agent.update(b, c, **{flag: bool(x[k]) for flag, x in flags.items()})
    return agent


def gaps(name: str, agent: Any, lanes: int) -> dict[str, float]:
    """Largest difference of every tensor that the file has."""
    ours = state.tensors(agent)
    after = under(name, "after/", lanes)
    assert after
    return {key: float((ours[key].detach() - x).abs().max()) for key, x in after.items()}


@pytest.mark.parametrize("lanes", [1, 2])
@pytest.mark.parametrize("name", NAMES)
def test_updates_equal_the_published_codes(name: str, lanes: int) -> None:
    agent = updated(name, lanes, **OVERRIDES.get(name, {}))
    worst = gaps(name, agent, lanes)
    assert max(worst.values()) < TOLERANCE, {k: g for k, g in worst.items() if g >= TOLERANCE}


@pytest.mark.parametrize("name", ["sac_n", "edac"])
def test_sac_alone_is_sac_n_and_edac(name: str) -> None:
    agent = updated(name, 1, "sac", **EDAC, real_ratio=None)
    assert max(gaps(name, agent, 1).values()) < TOLERANCE


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("odice_released", {"lam": 0.6, "squash": True}),
        ("odice_tanh", {"lam": 0.6, "heads": "mean"}),
        ("odice_released", {"lam": 0.59, "squash": False}),
        ("edac", {"diversity": 0.99}),
        ("iql", {"tau": 0.707}),
    ],
)
def test_a_setting_that_is_one_percent_off_shows(name: str, fields: dict[str, Any]) -> None:
    assert max(gaps(name, updated(name, 1, **fields), 1).values()) > 10 * TOLERANCE


def test_n_step_rows_are_the_published_codes() -> None:
    rows, batch = under("dqn_nstep", "rows/"), under("dqn_nstep", "batch/")
    spec = Spec(5, Discrete(4), (0,), torch.float64)
    replay = Replay(spec, len(rows["r"]))
    ended = (rows["terminated"].bool(), rows["truncated"].bool())
    for k in range(len(rows["r"])):
        s, a, r, s2 = (
            rows[name][k].reshape(1, 1, *rows[name].shape[1:]) for name in ("s", "a", "r", "s2")
        )
        replay.add(s, a, r, *(x[k].reshape(1, 1) for x in ended), s2)
    sampler = NStep(replay, 8, Streams((0,)), 3, 0.99)
    for k, at in enumerate(rows["index"]):
        got = sampler.batch(at.unsqueeze(0))
        for field in ("s", "a", "s2"):
            assert torch.equal(getattr(got, field), batch[field][k]), field
        for field in ("r", "cont"):  # theirs are summed in float32
            torch.testing.assert_close(getattr(got, field), batch[field][k], atol=1e-7, rtol=3e-7)

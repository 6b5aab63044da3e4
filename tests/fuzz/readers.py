"""Every reader of the package with a small file that it reads."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import torch
from gymnasium import spaces

from rlkit.algos.bandits.off_policy.logs import open_bandit
from rlkit.algos.preference.teachers import advantages
from rlkit.core.files import checkpoint
from rlkit.data import datasets
from rlkit.data.formats import d4rl, minari_io
from rlkit.data.preferences import PairDataset
from rlkit.data.recipes import cards
from rlkit.data.sampling.segments import Segments
from rlkit.data.transforms import Transforms
from rlkit.envs.tabular.classics import forest
from rlkit.eval import records
from rlkit.policy import onnx_file
from rlkit.policy.onnx_graph import model
from rlkit.policy.policy import Card, Policy, write
from rlkit.policy.program import Operation, Program
from rlkit.reports import cache, results
from rlkit.sweeps import plan
from rlkit.theory.mdp import FiniteMDP
from tests.fuzz.folder_readers import run_readers, sweep_readers
from tests.fuzz.log_readers import log_readers
from tests.fuzz.reader import Reader
from tests.reports.run_folders import run_folder

SWEEP = """
name = "bandits"
seeds = "0:4"
defaults = { steps = 500, runs = 2, checkpoints = 4 }
tasks.easy = { bandit = "armed(means=[0.9, 0.1])" }
systems.ucb1 = { policy = "ucb1" }
"""


def readers(folder: Path) -> Iterator[tuple[str, Reader]]:
    """Name and reader, each with files of its own under `folder`; MINARI_DATASETS_PATH must be
    `folder / "minari"`."""
    rng = np.random.default_rng(0)
    yield from _datasets(folder)
    yield from log_readers(folder)

    path = folder / "model.npz"
    forest().save(path)
    yield "model", Reader(path, lambda: FiniteMDP.load(path))

    pairs = folder / "pairs.npz"
    lead = (3, 2, 4)
    PairDataset(
        Segments(
            s=rng.normal(size=(*lead, 2)),
            a=rng.normal(size=(*lead, 1)),
            r=rng.normal(size=lead),
            cont=np.ones(lead),
            s2=rng.normal(size=(*lead, 2)),
            mask=np.ones(lead, bool),
            rows=np.zeros(lead, int),
        ),
        y=np.array([0, 1, 0.5]),
    ).save(pairs)
    yield "preferences", Reader(pairs, lambda: PairDataset.load(pairs))

    npy = folder / "advantages.npy"
    np.save(npy, rng.normal(size=20))
    yield "advantages", Reader(npy, lambda: advantages.read(npy, 20))

    log = folder / "log.csv"
    log.write_text(
        ",item_id,position,click,propensity_score,user_feature_0\n"
        + "".join(f"{k},{k % 3},{k % 3 + 1},{k % 2},0.5,{k % 4}\n" for k in range(12))
    )
    yield "decisions", Reader(log, lambda: open_bandit.read_open_bandit(log, items=3))

    yield from _runs(folder)
    yield from run_readers(folder)
    yield from sweep_readers(folder)


def _datasets(folder: Path) -> Iterator[tuple[str, Reader]]:
    steps = 12
    file = folder / "x.hdf5"
    with h5py.File(file, "w") as out:
        out["observations"] = np.arange(2.0 * steps).reshape(steps, 2)
        out["actions"] = np.linspace(-1, 1, steps)[:, None]
        out.create_dataset("rewards", data=np.arange(1.0 * steps), compression="gzip")
        out["terminals"] = np.arange(steps) == 5
        out["timeouts"] = np.arange(steps) == 9
    yield "d4rl", Reader(file, lambda: d4rl.read(file))

    place = minari_io.write(
        d4rl.read(file)[0],
        "mine/x-v0",
        observation_space=spaces.Box(-np.inf, np.inf, (2,), np.float64),
        action_space=spaces.Box(-1, 1, (1,), np.float64),
        details={"policies": [{"name": "a", "episodes": 2}], "versions": {"numpy": "1"}},
    )
    data = place / "data"
    yield "minari metadata", Reader(data / "metadata.json", lambda: datasets.show("mine/x-v0"))
    yield "minari rows", Reader(data / "main_data.hdf5", lambda: minari_io.read("mine/x-v0"))
    yield "list of datasets", Reader(data / "metadata.json", datasets.list_datasets)

    card = folder / "card.json"
    shipped = cards._folder() / "pendulum.json"
    card.write_text(json.dumps(json.loads(shipped.read_text())))
    yield "recipe", Reader(card, lambda: cards._card(card))


def _runs(folder: Path) -> Iterator[tuple[str, Reader]]:
    saved = folder / "step"
    checkpoint.save(saved, {"agent": {"w": torch.ones(3)}}, {"step": 3, "envs": [{"t": 1.5}]})
    for name in (checkpoint.INDEX, "agent.safetensors"):
        yield f"checkpoint {name}", Reader(saved / name, lambda: checkpoint.load(saved), True)

    policy = folder / "policy.safetensors"
    program = Program(
        ("obs",),
        "a",
        (Operation("matmul", "z", ("obs", "w")), Operation("tanh", "a", ("z",))),
        {"w": np.arange(3, dtype=np.float32)[:, None]},
    )
    units = Transforms(action_low=np.array([-2.0]), action_high=np.array([2.0]))
    known = Card("td3", 0, 3, 10, "Pendulum-v1", None, (3,), False, (1,), None, 0, None, "0.2.0")
    write(policy, known, units, {"mode": program})
    yield "policy", Reader(policy, lambda: Policy.load(policy), True)
    graph = folder / "policy.onnx"
    about = onnx_file.describe(known)
    made = model(program, units, (3,), (1,), None, about, known.action_dtype)
    graph.write_bytes(onnx_file.sealed(made.SerializeToString()))
    yield "policy as ONNX", Reader(graph, lambda: onnx_file.load(graph), True)

    episodes = folder / "episodes.csv"
    records.append_episodes(
        episodes, [records.Episode(0, 3, 10 * k, 0, 1.5 * k, 7, True) for k in range(4)]
    )
    yield "episodes", Reader(episodes, lambda: records.read_episodes(episodes))
    progress = folder / "progress.jsonl"
    for step in (1, 2, 3):
        records.append_progress(progress, {"step": step, "q_loss": np.array([1.0, 2.0])})
    yield "progress", Reader(progress, lambda: records.read_progress(progress))

    sweep = folder / "sweep"
    for task in ("a", "b"):
        run_folder(sweep, "iql", task, {0: [1.0, 2.0], 1: [2.0, 3.0]}, reference=[0.0, 5.0])
    results.read(sweep)
    yield "cache of a report", Reader(sweep / cache.NAME, lambda: results.read(sweep))
    first = sorted((sweep / "runs").iterdir())[0]
    for name in ("cell.json", "config.json", "versions.json", "episodes.csv"):
        yield f"report {name}", Reader(first / name, lambda: results.read(sweep, remember=False))
    file = folder / "tried.toml"
    file.write_text(SWEEP)
    yield "sweep file", Reader(file, lambda: plan.read(file))

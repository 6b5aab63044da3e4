"""Policies out of run folders: to act with, as one file for numpy, or as ONNX.

A file gets its final name only after the policy in it has been loaded back and has given the
same actions as torch on random observations.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

import rlkit
from rlkit.core import lanes as core_lanes
from rlkit.core import state
from rlkit.core.errors import RlkitError, UsageError
from rlkit.core.files.replacing import make_folder, replacing
from rlkit.core.history import Memory
from rlkit.core.normaliser import Normaliser
from rlkit.core.spec import Discrete
from rlkit.eval import records
from rlkit.policy import onnx_file
from rlkit.policy.policy import Card, Policy, draw, read, write
from rlkit.policy.program import Array, Program
from rlkit.policy.trace import trace
from rlkit.run.records import folder as run_folder
from rlkit.run.records.folder import Restored
from rlkit.run.task import built

FILE, ONNX = ".safetensors", ".onnx"
_OBSERVATIONS = 64  # that torch and an exported policy are compared on
_TOLERANCE = 1e-4  # of the span of an action: float32 sums in another order, and no more


class Exported(NamedTuple):
    """A file that was written, and the largest difference from torch found, in spans of an
    action's range (0 or 1 for discrete actions)."""

    path: Path
    card: Card
    difference: float


def from_run(
    folder: str | Path, *, lane: int | None = None, checkpoint: str | int = "best"
) -> Policy:
    """The policy of one lane of a run; see `rlkit.load`."""
    return _policy(*_restore(folder, lane, checkpoint))


def export(
    folder: str | os.PathLike[str],
    out: str | os.PathLike[str] | None = None,
    *,
    lane: int | None = None,
    checkpoint: str | int = "best",
    onnx: bool = False,
) -> Exported:
    """Write one lane's policy, by default to `policy.safetensors` (or `.onnx`) in the run folder.

    A name that ends in `.onnx` is written as ONNX; a policy file ends in `.safetensors`.

    The file holds policy, normaliser, action scaling, spaces and version, and takes and gives
    environment units. An existing file is replaced. Raises UsageError where `out` is a folder,
    ValueError for a policy whose operations exported files do not have, RlkitError when the
    comparison with torch fails.
    """
    folder = Path(folder)
    out = folder / f"policy{ONNX if onnx else FILE}" if out is None else Path(out)
    if out.is_dir():
        raise UsageError(f"{out} is a folder; give the file that the policy is to become")
    if out.suffix not in ((ONNX,) if onnx else (FILE, ONNX)):
        ending = ONNX if onnx else f"{FILE}, or in {ONNX} for ONNX"
        raise UsageError(f"{out} must end in {ending}")
    onnx = out.suffix == ONNX
    run_folder.read_config(folder)  # so that what is none is said to be none
    make_folder(out.parent)  # what forbids it is said before the work
    restored, number = _restore(folder, lane, checkpoint)
    policy = _policy(restored, number)
    if policy.card.history:
        raise UsageError(
            f"the policy of {policy.card.algo} looks back at its episode, which a file cannot "
            "keep; use it from its run folder with rlkit.load"
        )
    programs = _programs(restored, policy.card)
    obs = _observations(policy, restored.spec.normaliser)
    with replacing(out) as temporary:
        if onnx:
            _write_onnx(temporary, policy, programs["mode"])
            found = _difference(policy, obs, lambda obs: _run_onnx(temporary, obs), (True,))
        else:
            write(temporary, policy.card, policy.transforms, programs)
            found = _compare_file(temporary, policy, obs)
        if not found <= _TOLERANCE:
            raise RlkitError(
                f"{out} is not written: its actions differ from torch's by {found:.1e} of their "
                f"range on random observations, more than {_TOLERANCE:.0e}"
            )
    return Exported(out, policy.card, found)


def best_lane(folder: str | Path) -> int:
    """The lane whose best checkpoint was evaluated highest; 0 where nothing was evaluated."""
    rows = records.read_episodes(Path(folder) / run_folder.EPISODES)
    best, highest = 0, -np.inf
    for lane, step in run_folder.best_steps(folder).items():
        mean = rows["return"][(rows["lane"] == lane) & (rows["step"] == step)].mean()
        if mean > highest:
            best, highest = lane, mean
    return best


def _restore(folder: str | Path, lane: int | None, checkpoint: str | int) -> tuple[Restored, int]:
    run_folder.read_config(folder)  # so that what is none is said to be none
    number = best_lane(folder) if lane is None else lane
    return run_folder.restore(folder, checkpoint, [number]), number


def _policy(restored: Restored, lane: int) -> Policy:
    """Acts with the torch agent itself."""
    task, agent, spec = restored.task, restored.agent, restored.spec
    noise = getattr(agent, "act_noise", None)
    card = Card(
        algo=restored.options.algo,
        lane=lane,
        seed=restored.seeds[0],
        step=restored.steps[0],
        env=task.env,
        dataset=None if task.dataset is None else task.dataset["id"],
        obs_shape=task.obs,
        discrete=isinstance(task.act, Discrete),
        action_shape=task.action_shape,
        actions=task.act.n if isinstance(task.act, Discrete) else None,
        first_action=task.action_start,
        noise=None if noise is None else (noise.kind, noise.shape(spec, 1)[1:]),
        rlkit=rlkit.__version__,
        env_spec=task.env_spec,
        spaces=task.spaces,
        history=getattr(agent, "history", 0),
        image=task.image,
    )
    memory = Memory(spec, card.history) if card.history else None

    @torch.no_grad()
    def forward(
        obs: Array, noise: Array | None, t: Array | None = None, reward: Array | None = None
    ) -> Array:
        s = torch.from_numpy(obs).to(spec.device, spec.dtype).unsqueeze(0)
        eps = None if noise is None else torch.from_numpy(noise).to(s).unsqueeze(0)
        if memory is None or t is None or reward is None:
            return agent.act(s, eps)[0].cpu().numpy()
        a = agent.act(s, eps, memory.recall(t[None], reward[None]))
        memory.keep(s, a)
        return a[0].cpu().numpy()

    return Policy(card, task.transforms, forward)


def _programs(restored: Restored, card: Card) -> dict[str, Program]:
    """The policy traced, its most likely action and, if it has noise, its samples."""
    options, task = restored.options, restored.task
    spec = task.spec(restored.seeds, dtype=torch.float64)
    config = core_lanes.resolve(core_lanes.select(options.config, [card.lane]), spec)
    agent = built(options, spec, config)
    state.load(agent, state.tensors(restored.agent))
    programs = {"mode": trace(agent, spec)}
    if card.noise is not None:
        programs["sample"] = trace(agent, spec, card.noise[1])
    return programs


def _observations(policy: Policy, normaliser: Normaliser | None) -> Array:
    """Random observations in environment units: around the mean of those learnt from, pixels for
    images, or small whole numbers for grids, which every embedding table has."""
    shape, transforms = (_OBSERVATIONS, *policy.card.obs_shape), policy.transforms
    rng = np.random.default_rng(1)
    if policy.card.image:
        return rng.integers(0, 256, shape).astype(np.float32)
    if len(policy.card.obs_shape) == 3:
        return rng.integers(0, 4, shape).astype(np.float32)
    obs = rng.standard_normal(shape)
    if normaliser is not None:
        obs = normaliser.shift.cpu().numpy() + obs * normaliser.scale.cpu().numpy()
    if transforms.obs_mean is not None and transforms.obs_std is not None:
        obs = transforms.obs_mean + obs * transforms.obs_std
    return obs.astype(np.float32)


def _difference(policy: Policy, obs: Array, other: Any, modes: tuple[bool, ...]) -> float:
    """Largest difference of `other(obs)` or `other(obs, noise)` from the policy's actions."""
    rng, gaps = np.random.default_rng(0), []
    for deterministic in modes:
        if deterministic:
            ours, theirs = policy.act(obs), other(obs)
        else:
            assert policy.card.noise is not None
            noise = draw(*policy.card.noise, len(obs), rng)
            units = policy.transforms.obs(obs)
            ours, theirs = policy.to_env(policy.forward(units, noise)), other(obs, noise)
        if policy.card.discrete:
            gaps.append(float((ours != theirs).any()))
            continue
        low, high = policy.transforms.action_low, policy.transforms.action_high
        span = (
            np.float64(2) if low is None or high is None else (high - low).reshape(ours.shape[1:])
        )
        gaps.append((np.abs(ours.astype(np.float64) - theirs) / span).max())
    return float(np.max(gaps))  # NaN where one is: max() of Python would lose it


def _compare_file(path: Path, policy: Policy, obs: Array) -> float:
    card, transforms, programs = read(path)
    loaded = Policy.load(path)
    if card != policy.card or transforms.state() != policy.transforms.state():
        raise RlkitError(f"{path} does not read back as it was written")

    def other(obs: Array, noise: Array | None = None) -> Array:
        if noise is None:
            return loaded.act(obs)
        return loaded.to_env(loaded.forward(transforms.obs(obs).astype(np.float32), noise))

    return _difference(policy, obs, other, (True, False) if "sample" in programs else (True,))


def _write_onnx(path: Path, policy: Policy, program: Program) -> None:
    from rlkit.policy.onnx_graph import model

    card = policy.card
    about = onnx_file.describe(card)
    made = model(
        program,
        policy.transforms,
        card.obs_shape,
        card.action_shape,
        card.first_action if card.discrete else None,
        about,
        card.action_dtype,
    )
    path.write_bytes(onnx_file.sealed(made.SerializeToString()))


def _run_onnx(path: Path, obs: Array) -> Array:
    return onnx_file.load(path).act(obs)

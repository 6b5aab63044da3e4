"""A step is packed into the same row by numpy and by the kernel."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from rlkit.data import packing

LANES, ENVS, OBS, ACTIONS = 2, 3, 4, 2
WIDTH = 2 * OBS + ACTIONS + 3


def step(rng: np.random.Generator, extra: int) -> list[np.ndarray]:
    lead = (LANES, ENVS)
    flags = [rng.random(lead) < 0.5 for _ in range(2)]
    return [
        rng.normal(size=(*lead, OBS)),
        rng.normal(size=(*lead, ACTIONS)).astype(np.float32),
        rng.normal(size=lead),
        *flags,
        rng.normal(size=(*lead, OBS)).astype(np.float32),
        rng.normal(size=(*lead, extra)),
    ]


def written(write: packing.Write, given: list[np.ndarray]) -> tuple[bool, np.ndarray]:
    width = WIDTH + given[-1].shape[-1]
    ring = np.zeros((LANES, 5, ENVS, width), np.float32)
    said = write(ring, 3, np.zeros((LANES, ENVS, width), np.float32), *given)
    return bool(said), ring


@pytest.mark.parametrize("extra", [0, 2])
def test_both_give_the_same_row(extra: int) -> None:
    given = step(np.random.default_rng(extra), extra)
    s, a, r, terminated, truncated, s2, more = given
    (plain, rows), (compiled, same) = (
        written(write, given) for write in (packing.by_numpy, packing.writer(packing.PATIENCE))
    )
    assert plain
    assert compiled
    np.testing.assert_array_equal(rows, same)
    assert not np.delete(rows, 3, 1).any()
    parts = np.split(rows[:, 3], np.cumsum([OBS, ACTIONS, 1, 1, 1, OBS]), -1)
    flags = ~terminated[..., None], (terminated | truncated)[..., None]
    for part, of in zip(parts, (s, a, r[..., None], *flags, s2, more), strict=True):
        np.testing.assert_array_equal(part, of.astype(np.float32))


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e300])  # the last overflows a float32
@pytest.mark.parametrize("field", [0, 2])
def test_neither_writes_what_is_not_finite(field: int, bad: float) -> None:
    given = step(np.random.default_rng(0), 0)
    given[field].flat[1] = bad
    for write in (packing.by_numpy, packing.writer(packing.PATIENCE)):
        said, rows = written(write, given)
        assert not said
        assert not rows.any()


@pytest.mark.parametrize(("algo", "env"), [("sac", "Pendulum-v1"), ("dqn", "CartPole-v1")])
def test_a_short_run_does_not_load_numba(algo: str, env: str, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    code = (
        "import sys, rlkit\n"
        f"rlkit.train({algo!r}, env={env!r}, steps=20, warmup=8, eval_episodes=1,"
        f" out={str(folder)!r})\n"
        "print(*sorted({'numba', 'scipy', 'h5py', 'minari', 'matplotlib'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1:] in ([], [""]), done.stdout

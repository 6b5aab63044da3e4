"""What the system refuses to write is told with the file and the cause, whoever writes it."""

from __future__ import annotations

import contextlib
import resource
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from rlkit.cli.main import main
from rlkit.core.errors import CheckpointError, RlkitError
from rlkit.core.files.replacing import refusal
from rlkit.data import preferences
from rlkit.data.formats import d4rl_file, minari_io
from rlkit.data.formats.meta import Meta
from rlkit.data.recorder import record_episode
from rlkit.data.sampling.segments import Segments
from rlkit.data.store import EpisodeStore
from rlkit.envs.make import make
from rlkit.eval import plots
from rlkit.run.policies.export import export
from rlkit.run.records import folder as run_folder
from rlkit.run.settings.options import Options
from rlkit.run.train import resume, train
from rlkit.theory.build import write_npz

Build = Callable[..., Options]


@contextlib.contextmanager
def no_file_above(size: int) -> Iterator[None]:
    """What a full disk does: a write beyond `size` bytes is refused half-way."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def a_picture(at: Path) -> None:
    figure = Figure()
    figure.subplots().plot([1, 2])
    plots.save(figure, at.with_suffix(""), (at.suffix[1:],))


def some_pairs(at: Path) -> None:
    shape = (20, 2, 30)
    parts = {
        "s": np.zeros((*shape, 4), np.float32), "a": np.zeros((*shape, 1), np.float32),
        "s2": np.zeros((*shape, 4), np.float32), "mask": np.ones(shape, bool),
    }  # fmt: skip
    rest = {n: np.random.default_rng(0).random(shape) for n in Segments._fields if n not in parts}
    preferences.PairDataset(Segments(**parts, **rest), np.ones(20)).save(at)


def a_dataset(at: Path) -> None:
    env = make("InvertedPendulum-v5")
    act = lambda obs: np.zeros(1, np.float32)  # noqa: E731
    spaces = {"observation_space": env.observation_space, "action_space": env.action_space}
    minari_io.write([record_episode(env, act, k) for k in range(9)], at.name, **spaces)


def a_d4rl_file(at: Path) -> None:
    env, rng = make("InvertedPendulum-v5"), np.random.default_rng(0)
    episodes = [record_episode(env, lambda o: rng.uniform(-3, 3, 1), k) for k in range(99)]
    store = EpisodeStore.from_episodes(episodes)
    d4rl_file.write(store, Meta("tests/full-v0", env.observation_space, env.action_space), at)


WRITERS: dict[str, Callable[[Path], object]] = {
    "a.png": a_picture,
    "a.svg": a_picture,
    "model.npz": lambda at: write_npz(at, val=np.random.default_rng(0).random(2000)),
    "pairs.npz": some_pairs,
    "d4rl.hdf5": a_d4rl_file,
    "tests-full-v0": a_dataset,
}


@pytest.mark.parametrize("size", [100, 4000])
@pytest.mark.parametrize("name", WRITERS)
def test_a_refused_file_is_named_with_the_cause(
    name: str, size: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    with no_file_above(size), pytest.raises(RlkitError, match=rf"{name}.*File too large"):
        WRITERS[name](tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_policies_training_and_events_say_so_too(
    offline: Build, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    with no_file_above(12_000), pytest.raises(CheckpointError) as first:
        train(offline())
    said = str(first.value)
    assert "step_000000010 could not be written: File too large" in said
    assert f"no checkpoint stands yet; go on with: rlkit resume {out}" in said
    assert resume(out, quiet=True).step == 40
    with no_file_above(12_000), pytest.raises(CheckpointError, match="step 40 stands; go on"):
        resume(out, 50, quiet=True)
    assert run_folder.steps(out)[-1] == 40
    for name in ("p.safetensors", "p.onnx"):
        with no_file_above(1000):
            assert main(["export", str(out), "--out", str(tmp_path / name)]) == 1
        assert f"{tmp_path / name} cannot be written: File too large" in capsys.readouterr().err
        assert not (tmp_path / name).exists()
        export(out, tmp_path / name)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_tensorboard_says_so_too(offline: Build) -> None:
    given = offline(track=("tensorboard",), eval_every=0, log_every=1, steps=400)
    with (
        no_file_above(9000),
        pytest.raises(RlkitError, match=r"tensorboard cannot be written: Fil"),
    ):
        train(given)


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (OSError(28, "whatever"), "the disk is full"),
        (RuntimeError("Error while serializing: I/O error: (os error 28)"), "the disk is full"),
        (RuntimeError("unable to extend file, errno = 27, error message"), "File too large"),
        (ValueError("a number is wrong"), ""),
        (OSError("no number"), ""),
    ],
)
def test_the_cause_is_the_systems(error: Exception, cause: str) -> None:
    assert refusal(error) == cause

"""HDF5 files that reach out of themselves, or declare more than they hold, are refused unread."""

from __future__ import annotations

import resource
from pathlib import Path

import h5py
import numpy as np
import pytest

from rlkit.core.errors import FileError
from rlkit.data.formats import d4rl, hdf5

N = 6


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "x.hdf5"
    with h5py.File(path, "w") as out:
        out["observations"] = np.arange(2.0 * N).reshape(N, 2)
        out["actions"] = np.linspace(-1, 1, N)[:, None]
        out["rewards"] = np.arange(1.0 * N)
        out["terminals"] = np.zeros(N, bool)
        out["infos/qpos"] = np.zeros(N)
    return path


def replaced(path: Path, name: str) -> h5py.File:
    out = h5py.File(path, "a")
    del out[name]
    return out


def external_link(path: Path) -> None:
    with h5py.File(path.with_name("secret.hdf5"), "w") as secret:
        secret["observations"] = np.zeros((N, 2))
    with replaced(path, "observations") as out:
        out["observations"] = h5py.ExternalLink("secret.hdf5", "/observations")


def external_storage(path: Path) -> None:
    path.with_name("secret").write_bytes(bytes(8 * N))
    with replaced(path, "rewards") as out:
        out.create_dataset(
            "rewards", (N,), float, external=[(str(path.with_name("secret")), 0, 8 * N)]
        )


def virtual(path: Path) -> None:
    with h5py.File(path.with_name("secret.hdf5"), "w") as secret:
        secret["rewards"] = np.zeros(N)
    layout = h5py.VirtualLayout((N,), float)
    layout[:] = h5py.VirtualSource("secret.hdf5", "rewards", (N,))
    with replaced(path, "rewards") as out:
        out.create_virtual_dataset("rewards", layout)


def deep_link(path: Path) -> None:
    with h5py.File(path, "a") as out:
        out.create_group("a/b")["c"] = h5py.ExternalLink("/etc/passwd", "/x")
        out["a/b/round"] = out["a"]  # and a link that goes round


@pytest.mark.parametrize("change", [external_link, external_storage, virtual, deep_link])
def test_numbers_of_another_file_are_refused(file: Path, change) -> None:
    change(file)
    with pytest.raises(FileError, match=r"x\.hdf5 .*(a link to|its numbers from) another file"):
        d4rl.read(file)


def unwritten(path: Path) -> None:
    with replaced(path, "observations") as out:
        out.create_dataset("observations", (10**9, 1000), "f4")


def unwritten_chunks(path: Path) -> None:
    with replaced(path, "observations") as out:
        made = out.create_dataset(
            "observations", (10**9, 1000), "f4", chunks=(1000, 1000), compression="gzip"
        )
        made[0, 0] = 1


def many(path: Path) -> None:
    """Each within what compression can do, all together not."""
    with h5py.File(path, "a") as out:
        for k in range(200):
            out.create_dataset(f"more/{k}", data=np.zeros(1 << 18, "u1"), compression="gzip")
        for k in range(200):
            out[f"again/{k}"] = out[f"more/{k}"]  # a second name costs nothing
        for k in range(200):
            out.create_dataset(f"empty/{k}", (15 << 20,), "u1", chunks=(1 << 20,))


@pytest.mark.parametrize("change", [unwritten, unwritten_chunks, many])
def test_what_is_declared_and_not_stored_takes_no_memory(file: Path, change) -> None:
    change(file)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(FileError, match=r"x\.hdf5.*declares [\d,]+ bytes of numbers and holds"):
        d4rl.read(file)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # kB


def test_an_honest_compressed_file_is_read(file: Path) -> None:
    steps = 1 << 20
    with h5py.File(file, "w") as out:
        for name, shape in (("observations", (steps, 2)), ("actions", (steps, 1))):
            out.create_dataset(name, data=np.ones(shape, "f4"), compression="gzip")
        for name in ("rewards", "terminals", "timeouts"):
            out.create_dataset(name, data=np.zeros(steps, "u1"), compression="gzip", shuffle=True)
    with hdf5.opened(file, "a file") as opened:
        stored = opened["timeouts"].id.get_storage_size()
        timeouts = hdf5.array(opened, "timeouts")
    assert stored * 400 < steps
    assert not timeouts.any()


@pytest.mark.parametrize(
    ("name", "values", "words"),
    [
        (
            "observations",
            np.array([["a", "b"]] * N, "S1"),
            r"observations holds \|S1; real numbers",
        ),
        ("observations", np.ones((N, 2), complex), "observations holds complex128; real numbers"),
        ("actions", np.array([["a"]] * N, object), "actions holds object; real numbers"),
        ("rewards", np.full(N, 1e300), r"column rewards: row 0 holds a number beyond 3.4e\+38"),
        ("observations", np.full((N, 2), -1e39), r"observations: row 0 holds .*\(6 such rows\)"),
        ("actions", np.full((N, 1), 1e39), r"actions: row 0 holds a number beyond"),
    ],
)
def test_what_no_agent_can_learn_from_is_refused(file: Path, name: str, values, words: str) -> None:
    with replaced(file, name) as out:
        out.create_dataset(name, data=values)
    with pytest.raises(FileError, match=rf"x\.hdf5.*{words}"):
        d4rl.read(file)


def soft(target: str):
    return lambda out: out.__setitem__("rewards", h5py.SoftLink(target))


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("rewards", soft("/rewards"), "/rewards is a link that leads nowhere"),
        ("rewards", soft("/nothing"), "/rewards is a link that leads nowhere"),
        ("rewards", lambda out: out.__setitem__("rewards", h5py.Empty("f4")), "rewards is empty"),
        (
            "rewards",
            lambda out: out.create_dataset("rewards", (N,), h5py.vlen_dtype("f4")),
            "rewards holds object; real numbers",
        ),
        (
            "rewards",
            lambda out: out.__setitem__("rewards", np.zeros(N, [("a", "f4"), ("b", "i4")])),
            "rewards holds .*'b'.*; real numbers",
        ),
        (
            "infos",
            lambda out: out.__setitem__("next_observations", np.zeros((N, 3))),
            r"next_observations has shape \(6, 3\), observations has \(6, 2\)",
        ),
        (
            "observations",
            lambda out: out.__setitem__("observations", np.zeros((N, 0))),
            r"observations has shape \(6, 0\): there is nothing in a row",
        ),
    ],
)
def test_what_is_wrong_is_told_with_file_and_field(
    file: Path, name: str, change, words: str
) -> None:
    with replaced(file, name) as out:
        change(out)
    with pytest.raises(FileError, match=rf"x\.hdf5.*{words}") as told:
        d4rl.read(file)
    assert str(told.value).count("x.hdf5") == 1


def test_a_column_of_another_length_is_not_read(file: Path) -> None:
    """64 MB of zeros in 64 kB: honest, but of no use beside six rewards."""
    with replaced(file, "observations") as out:
        made = out.create_dataset(
            "observations", (1 << 20, 8), "f8", chunks=(1 << 17, 8), compression="gzip"
        )
        for start in range(0, 1 << 20, 1 << 17):  # the whole would raise the peak by itself
            made[start : start + (1 << 17)] = 0
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(FileError, match=r"observations has shape \(1048576, 8\)"):
        d4rl.read(file)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 30_000  # kB


def test_a_link_within_the_file_is_followed(file: Path) -> None:
    with h5py.File(file, "a") as out:
        out.move("rewards", "elsewhere/rewards")
        out["rewards"] = h5py.SoftLink("/elsewhere/rewards")
    assert d4rl.read(file)[0].reward.tolist()[:2] == [0.0, 1.0]


def test_a_group_in_the_place_of_an_array_is_named(file: Path) -> None:
    with replaced(file, "rewards") as out:
        out.create_group("rewards")
    with pytest.raises(FileError, match="rewards is a group, not an array"):
        d4rl.read(file)

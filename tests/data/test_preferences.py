"""Pair datasets: kept bit for bit, mirrored, and refused when they are wrong."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from rlkit.data.preferences import PairDataset
from rlkit.data.sampling.segments import choose, cut_from_store, places_in_store


def make(store, n=5, length=3, **kw) -> PairDataset:
    data = store(lengths=(6, 4, 7), ends=("terminated", "truncated", "both"), **kw)
    rng = np.random.default_rng(0)
    places = choose([places_in_store(data, length)], rng.random((1, n, 2)))
    cut = cut_from_store(data, places, length)
    y = rng.choice([0.0, 0.5, 1.0, 0.25], n)
    first = type(cut)(*(x[0] for x in cut))
    return PairDataset(first, y, rng.random(n), rng.integers(3, size=n), "a test")


@pytest.mark.parametrize("kind", [{}, {"actions": 4}])
def test_round_trip_is_bit_identical(store, tmp_path, kind) -> None:
    pairs = make(store, **kind)
    pairs.save(tmp_path / "pairs.npz")
    back = PairDataset.load(tmp_path / "pairs.npz")
    for name, x in pairs.segments._asdict().items():
        twin = getattr(back.segments, name)
        assert twin.dtype == x.dtype
        np.testing.assert_array_equal(twin, x)
    for name in ("y", "weight", "user"):
        np.testing.assert_array_equal(getattr(back, name), getattr(pairs, name))
    assert back.origin == "a test"
    assert [path.name for path in tmp_path.iterdir()] == ["pairs.npz"]
    assert (len(back), back.length, back.discrete) == (5, 3, bool(kind))


def test_defaults_are_one_user_and_equal_weights(store) -> None:
    pairs = make(store)
    plain = PairDataset(pairs.segments, pairs.y)
    assert plain.weight.tolist() == [1] * 5
    assert plain.user.tolist() == [0] * 5


def test_mirrored_copies_say_the_same(store) -> None:
    pairs = make(store)
    both = pairs.mirrored()
    assert len(both) == 10
    np.testing.assert_allclose(both.y[:5] + both.y[5:], 1)
    for x in both.segments:
        np.testing.assert_array_equal(x[5:, 0], x[:5, 1])
        np.testing.assert_array_equal(x[5:, 1], x[:5, 0])
    np.testing.assert_array_equal(both.weight[5:], pairs.weight)


def broken(pairs: PairDataset, name: str, change) -> dict:
    segments = pairs.segments
    fields = {"segments": segments, "y": pairs.y, "weight": pairs.weight, "user": pairs.user}
    if name in segments._fields:
        x = getattr(segments, name).copy()
        fields["segments"] = segments._replace(**{name: change(x)})
    else:
        fields[name] = change(getattr(pairs, name).copy())
    return fields


def put(at, value):
    def change(x):
        x[at] = value
        return x

    return change


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("y", put(2, 1.5), r"y of pair 2 is outside \[0, 1\] \(1 such pairs\)"),
        ("y", put(1, np.nan), "y of pair 1 holds NaN"),
        ("weight", put(3, -1), "weight of pair 3 is negative"),
        ("s", put((4, 1, 0, 0), np.inf), "s of pair 4 holds NaN or infinity"),
        ("mask", put((1, 0), [True, False, True]), "mask of pair 1 does not begin"),
        ("mask", put((0, 1), False), "mask of pair 0 does not begin"),
        ("s2", lambda x: x[..., :2], "s2"),
        ("r", lambda x: x[:4], "r has shape"),
        ("y", lambda x: x[:4], "mask has shape"),
        ("user", lambda x: x[:4], "user has shape"),
    ],
)
def test_bad_pairs_are_refused_with_their_number(store, name, change, message) -> None:
    with pytest.raises(ValueError, match=message):
        PairDataset(**broken(make(store), name, change))


def test_no_pairs_are_refused(store) -> None:
    pairs = make(store)
    with pytest.raises(ValueError, match="at least one"):
        replace(pairs, segments=type(pairs.segments)(*(x[:0] for x in pairs.segments)), y=[])


def test_other_files_are_refused_by_name(store, tmp_path) -> None:
    path = tmp_path / "pairs.npz"
    with pytest.raises(ValueError, match=r"there is no .*pairs.npz"):
        PairDataset.load(path)
    path.write_bytes(b"not a zip")
    with pytest.raises(ValueError, match=r"pairs.npz is damaged, or is not an npz file"):
        PairDataset.load(path)
    np.savez(path, y=np.zeros(3))
    with pytest.raises(ValueError, match=r"pairs.npz is not of preferences: missing"):
        PairDataset.load(path)
    pairs = make(store)
    pairs.save(path)
    with np.load(path) as file:
        arrays = dict(file)
    np.savez(path, **arrays | {"format": 9})
    with pytest.raises(ValueError, match="format 9"):
        PairDataset.load(path)
    np.savez(path, **arrays | {"y": np.full(5, 2.0)})
    with pytest.raises(ValueError, match=r"pairs.npz .*: y of pair 0"):
        PairDataset.load(path)
    np.savez(path, **arrays | {"y": np.full(5, None)})
    with pytest.raises(
        ValueError, match=r"pairs.npz is damaged, or is not an npz file of preferences"
    ):
        PairDataset.load(path)  # a pickle inside is not opened

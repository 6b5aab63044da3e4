"""Foreign content gives one error with file and field; declared sizes are not believed."""

from __future__ import annotations

import json
import os
import resource
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NotRequired, TypedDict

import numpy as np
import pytest

from rlkit.core.errors import CheckpointError, FileError, RlkitError, UsageError
from rlkit.core.files.reading import (
    check_size,
    fit,
    inside,
    read_json,
    read_npz,
    read_toml,
    reading,
)


class Part(TypedDict):
    bytes: int
    kind: Literal["a", "b"]
    share: NotRequired[float | None]


class Index(TypedDict):
    parts: dict[str, Part]
    pair: tuple[str, int]
    list: list[int]


GOOD: dict[str, Any] = {
    "parts": {"x": {"bytes": 3, "kind": "a", "share": 1}},
    "pair": ["w", 2],
    "list": [1, 2],
    "further": object,
}


def test_a_shape_that_fits_passes() -> None:
    assert fit(GOOD, Index, "here") is GOOD
    fit(GOOD | {"parts": {"x": {"bytes": 3, "kind": "b"}}}, Index, "here")


@pytest.mark.parametrize(
    ("place", "value", "words"),
    [
        (("parts",), [], "parts is []; an object is expected"),
        (("parts", "x"), 3, "parts.x is 3; an object is expected"),
        (("parts", "x", "bytes"), "3", "parts.x.bytes is '3'; an integer is expected"),
        (("parts", "x", "bytes"), True, "parts.x.bytes is True; an integer is expected"),
        (("parts", "x", "kind"), "c", "parts.x.kind is 'c'; 'a' or 'b' is expected"),
        (("parts", "x", "kind"), [], "parts.x.kind is []; 'a' or 'b' is expected"),
        (("parts", "x", "share"), float("nan"), "a finite number or null is expected"),
        (("pair",), ["w"], "pair has 1 entries, not 2"),
        (("pair",), ["w", None], "pair[1] is None; an integer is expected"),
        (("list",), {}, "list is {}; a list is expected"),
        (("list",), [1, 2.0], "list[1] is 2.0; an integer is expected"),
    ],
)
def test_the_field_that_does_not_fit_is_named(place: tuple, value: Any, words: str) -> None:
    values = json.loads(json.dumps({k: v for k, v in GOOD.items() if k != "further"}))
    parent = values
    for name in place[:-1]:
        parent = parent[name]
    parent[place[-1]] = value
    with pytest.raises(FileError) as caught:
        fit(values, Index, "here")
    assert str(caught.value).startswith("here: ")
    assert words in str(caught.value)


def test_a_missing_entry_is_named() -> None:
    with pytest.raises(FileError, match=r"^here: parts\.x has no entry 'kind'$"):
        fit(GOOD | {"parts": {"x": {"bytes": 1}}}, Index, "here")
    with pytest.raises(FileError, match=r"^here: the whole is 3; an object"):
        fit(3, Index, "here")


@dataclass(frozen=True)
class Card:
    name: str
    shape: tuple[int, ...] = ()


def test_a_dataclass_knows_its_entries() -> None:
    fit({"name": "a", "shape": [1, 2]}, Card, "here")
    fit({"name": "a"}, Card, "here")
    with pytest.raises(FileError, match="shape is 3; a list"):
        fit({"name": "a", "shape": 3}, Card, "here")
    with pytest.raises(FileError, match="here: the whole has no entry 'name'"):
        fit({}, Card, "here")
    with pytest.raises(FileError, match="has an entry 'more', which is unknown"):
        fit({"name": "a", "more": 1}, Card, "here")


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"\xff\xfe", b"[" * 200_000, b'{"a": 1' + b"1" * 5000 + b"}", b"\0" * 9],
    ids=["empty", "cut", "no text", "deep", "long number", "zeros"],
)
def test_json_that_cannot_be_parsed_names_the_file(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(content)
    with pytest.raises(FileError, match=r"x\.json is damaged, or is not a card: ."):
        read_json(path, "a card", dict[str, Any])
    if content:  # no text is a good TOML file
        with pytest.raises(FileError, match=r"x\.json is damaged, or is not a sweep: ."):
            read_toml(path, "a sweep")


def test_the_words_of_the_system_are_told_from_damage(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"there is no .*none.json, which should be a card"):
        read_json(tmp_path / "none.json", "a card", dict)
    with pytest.raises(FileError, match="is a folder, not a card"):
        read_json(tmp_path, "a card", dict)
    path = tmp_path / "x"
    path.touch()
    for code, words in ((13, "Permission denied"), (5, "Input/output error")):
        with pytest.raises(FileError, match=f"x cannot be read: {words}$"), reading(path, "a card"):
            raise OSError(code, os.strerror(code))
    with pytest.raises(CheckpointError, match="more memory"), reading(path, "", CheckpointError):
        raise MemoryError
    with pytest.raises(FileError, match="it has no entry 'b'"), reading(path, "a card"):
        {}["b"]
    with pytest.raises(UsageError, match=r"^mine$"), reading(path, "a card"):
        raise UsageError("mine")
    with pytest.raises(KeyboardInterrupt), reading(path, "a card"):
        raise KeyboardInterrupt


def test_every_error_can_be_caught_as_what_readers_raised_before() -> None:
    assert issubclass(FileError, RlkitError)
    assert issubclass(FileError, ValueError)
    assert issubclass(FileError, OSError)


def test_names_stay_in_their_folder(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/etc/passwd")
    assert inside(tmp_path, "a.safetensors") == tmp_path / "a.safetensors"
    for name in ("../a", "/a", "a/b", "..", ".", "", ".hidden", "a\\b", "a\0", 3, None, "link"):
        with pytest.raises(FileError, match="leads out of"):
            inside(tmp_path, name)
    assert inside(tmp_path, "a" * 255).name == "a" * 255
    for name in ("a" * 256, "ä" * 128, "\ud800", "\U0001f600" * 64):  # no file has such a name
        with pytest.raises(FileError, match="leads out of") as told:
            inside(tmp_path, name)
        assert len(str(told.value)) < 200 + len(str(tmp_path))


# --- npz ------------------------------------------------------------------------------------------
ARRAYS = {"a": np.arange(7.0), "b": np.array(["x", "yy"]), "c": np.zeros((0, 3)), "d": np.array(3)}


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_npz_comes_back(tmp_path: Path, save: Any) -> None:
    save(tmp_path / "x.npz", **ARRAYS, f=np.asfortranarray(np.arange(6).reshape(2, 3)))
    arrays = read_npz(tmp_path / "x.npz", "numbers")
    assert list(arrays) == [*ARRAYS, "f"]
    for name, array in ARRAYS.items():
        assert arrays[name].dtype == array.dtype
        np.testing.assert_array_equal(arrays[name], array)
    np.testing.assert_array_equal(arrays["f"], [[0, 1, 2], [3, 4, 5]])


def bomb(path: Path, name: str) -> Path:
    """Files of a few bytes that declare terabytes, each in its own way."""
    header = {"descr": "<f8", "fortran_order": False, "shape": (1 << 37,)}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file, file.open("a.npy", "w") as out:
        np.lib.format.write_array_header_1_0(out, header)  # type: ignore[arg-type]
        out.write(bytes(1000))
    if name == "zip":  # the archive says so as well: sizes stand in two places
        content = bytearray(path.read_bytes())
        central = content.rfind(b"PK\1\2")
        for at in (content.find(b"PK\3\4") + 22, central + 24):
            content[at : at + 4] = (0xFFFFFFF0).to_bytes(4, "little")
        path.write_bytes(content)
    return path


@pytest.mark.parametrize("name", ["header", "zip"])
def test_declared_sizes_are_held_against_the_file(tmp_path: Path, name: str) -> None:
    path = bomb(tmp_path / "x.npz", name)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(FileError, match=r"x\.npz is damaged.*(declares|bytes that it declares)"):
        read_npz(path, "numbers")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # kB


def test_what_fits_the_file_but_not_the_machine_is_refused() -> None:
    with pytest.raises(FileError, match="GB of memory, of which this machine has"):
        check_size("x", 1 << 50, 1 << 49)
    with pytest.raises(FileError, match=r"declares 100,000,000 bytes of numbers and holds 99,999"):
        check_size("x", 100_000_000, 99_999_999, packed=False)
    check_size("x", 100_000_000, 100_000_000, packed=False)
    check_size("x", 100_000_000, 100_000, packed=True)


def test_no_pickle_is_read(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", a=np.array([{}], object))
    with pytest.raises(FileError, match=r"x\.npz is damaged, or is not numbers"):
        read_npz(tmp_path / "x.npz", "numbers")


def test_a_flipped_bit_in_the_last_bytes_of_an_array_is_found(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    np.savez(path, a=np.arange(50.0))
    content = bytearray(path.read_bytes())
    content[content.rfind(np.float64(49).tobytes()) + 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(FileError, match="CRC"):
        read_npz(path, "numbers")

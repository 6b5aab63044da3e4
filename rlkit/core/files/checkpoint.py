"""Checkpoints: named tensors in safetensors files beside one JSON file, never half-written.

A checkpoint is a folder of `<part>.safetensors` files and a `checkpoint.json` that holds their
sizes and SHA-256 sums, whatever else describes the moment, and its own sum. It is written under a
hidden temporary name in the same directory, flushed to the disk, and renamed: a reader sees all or
nothing, and a full disk costs the checkpoint being written, not an older one.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NotRequired, TypedDict

import numpy as np
import safetensors.torch
import torch
from torch import Tensor

from rlkit.core.errors import CheckpointError
from rlkit.core.files.reading import inside, read_json, reading, sum_of
from rlkit.core.files.replacing import clear, refusal, temporary_name

INDEX = "checkpoint.json"
_FORMAT = 2  # of the index; one of versions up to 0.1 names none and may lack its sum
_PIECE = 1 << 24  # bytes hashed and written at once
_NAMES = {  # dtypes of the safetensors format
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
    torch.uint16: "U16",
    torch.uint32: "U32",
    torch.uint64: "U64",
}
_WRITTEN_AS = {"F16": torch.int16, "BF16": torch.int16}  # same bytes, a dtype numpy knows


class _File(TypedDict):
    bytes: int
    sha256: str


class _Meta(TypedDict):
    dropped: NotRequired[list[str]]


class _Index(TypedDict):
    files: dict[str, _File]
    meta: _Meta
    format: NotRequired[int]
    sha256: NotRequired[str]  # of the others


def save(
    folder: str | Path, parts: Mapping[str, Mapping[str, Tensor]], meta: Mapping[str, Any]
) -> None:
    """Write checkpoint `folder`: each of `parts` to its own file, and `meta` (JSON-able).

    Raises CheckpointError when the disk refuses; nothing is left behind then.
    """
    folder = Path(folder)
    if folder.exists():
        raise CheckpointError(f"{folder} exists already; a checkpoint is never overwritten")
    temporary = temporary_name(folder)
    try:
        temporary.mkdir(parents=True)
        files = {}
        for name, tensors in parts.items():
            size, checksum = _write_tensors(temporary / f"{name}.safetensors", tensors)
            files[name] = {"bytes": size, "sha256": checksum}
        _write_index(temporary / INDEX, {"files": files, "meta": dict(meta)})
        publish(temporary, folder)
    except OSError as error:
        raise _refused(folder, error) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def load(
    folder: str | Path, names: Iterable[str] | None = None, device: str = "cpu"
) -> tuple[dict[str, dict[str, Tensor]], dict[str, Any]]:
    """Parts (all, or those of `names`) and meta of a checkpoint, size and checksum verified.

    Raises CheckpointError naming the file that is missing or damaged.
    """
    folder = Path(folder)
    index = read_index(folder)
    parts = {}
    for name in index["files"] if names is None else names:
        if name not in index["files"]:
            raise CheckpointError(
                f"{folder} holds {', '.join(index['files'])} but no {name!r}; an older checkpoint "
                "keeps its policy only: use a newer one"
            )
        path = _part(folder, name)
        _verify(path, index["files"][name])
        with reading(path, "a part of a checkpoint", CheckpointError):
            parts[name] = safetensors.torch.load_file(path, device=device)
    return parts, index["meta"]


def read_index(folder: str | Path) -> dict[str, Any]:
    """`files` (sizes and checksums) and `meta` of a checkpoint, without reading its tensors.

    Raises CheckpointError for an index that is missing, is something else, has another sum or
    none, or names files elsewhere.
    """
    path = Path(folder) / INDEX
    if not os.path.lexists(path):
        raise CheckpointError(f"{path} is missing: {folder} is no checkpoint")
    index: Any = read_json(path, "the index of a checkpoint", _Index, CheckpointError)
    if unknown := index.keys() - _Index.__annotations__.keys():
        raise CheckpointError(f"{path} is damaged (an entry {min(unknown)!r})")
    written = index.get("format")
    if written not in (None, _FORMAT):
        raise CheckpointError(f"{path} has format {written}; this rlkit reads {_FORMAT}")
    found = index.pop("sha256", None)
    if found is None and written is not None:
        raise CheckpointError(f"{path} is damaged (its SHA-256 sum is missing)")
    if found is not None and found != sum_of(index):
        raise CheckpointError(f"{path} is damaged (its SHA-256 sum differs)")
    for name in index["files"]:
        _part(Path(folder), name)
    return {"files": index["files"], "meta": index["meta"]}


def drop(folder: str | Path, names: Iterable[str]) -> None:
    """Remove parts of a checkpoint for good (a large replay that is no longer needed).

    The meta then lists them as "dropped". The index forgets them before the files go, so an
    interruption leaves a valid checkpoint, and the next call removes what it has left.
    """
    folder = Path(folder)
    index = read_index(folder)
    dropped = list(index["meta"].get("dropped", ()))
    gone = [name for name in names if name in index["files"]]
    replacement = temporary_name(folder / INDEX)
    try:
        clear(folder / INDEX)
        if gone:
            index["files"] = {k: v for k, v in index["files"].items() if k not in gone}
            index["meta"]["dropped"] = dropped + gone
            _write_index(replacement, index)
            os.replace(replacement, folder / INDEX)
        for name in {*dropped, *gone} - index["files"].keys():
            _part(folder, name).unlink(missing_ok=True)
    except OSError as error:
        replacement.unlink(missing_ok=True)
        raise _refused(folder, error) from error


def publish(temporary: Path, folder: Path) -> None:
    """Give a complete temporary folder its final name, durably."""
    _flush_directory(temporary)
    os.rename(temporary, folder)
    _flush_directory(folder.parent)


def _write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> tuple[int, str]:
    """Size and SHA-256 of a safetensors file; views of one buffer are written one by one."""
    header: dict[str, Any] = {}
    offset = 0
    for name, tensor in tensors.items():
        end = offset + tensor.numel() * tensor.element_size()
        kind, shape = _NAMES[tensor.dtype], list(tensor.shape)
        header[name] = {"dtype": kind, "shape": shape, "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # data begins aligned
    return _write(path, _pieces(text, tensors.values()))


def _pieces(header: bytes, tensors: Iterable[Tensor]) -> Iterable[bytes | memoryview]:
    yield len(header).to_bytes(8, "little") + header
    for tensor in tensors:
        plain = tensor.detach().cpu().contiguous()
        kind = _WRITTEN_AS.get(_NAMES[plain.dtype])
        numbers = (plain if kind is None else plain.view(kind)).reshape(-1).numpy()
        view = numbers.view(np.uint8).data
        for start in range(0, len(view), _PIECE):
            yield view[start : start + _PIECE]


def _write(path: Path, pieces: Iterable[bytes | memoryview]) -> tuple[int, str]:
    digest, size = hashlib.sha256(), 0
    with path.open("xb") as file:  # a new file: nothing is written through a link
        for piece in pieces:
            file.write(piece)
            digest.update(piece)
            size += len(piece)
        file.flush()
        os.fsync(file.fileno())
    return size, digest.hexdigest()


def _write_index(path: Path, index: Mapping[str, Any]) -> None:
    index = {"format": _FORMAT, **index}
    whole = {**index, "sha256": sum_of(index)}
    _write(path, [json.dumps(whole, indent=1).encode()])


def _part(folder: Path, name: str) -> Path:
    return inside(folder, f"{name}.safetensors", CheckpointError)


def _verify(path: Path, expected: _File) -> None:
    try:
        size = path.stat().st_size
        if size != expected["bytes"]:
            raise CheckpointError(f"{path} has {size} bytes instead of {expected['bytes']}")
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        raise CheckpointError(f"{path} is missing") from None
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read ({error})") from error
    if found != expected["sha256"]:
        raise CheckpointError(f"{path} is damaged (its SHA-256 sum differs)")


def _flush_directory(folder: Path) -> None:
    with contextlib.suppress(OSError):  # some file systems cannot flush a directory
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _refused(folder: Path, error: OSError) -> CheckpointError:
    return CheckpointError(f"checkpoint {folder} could not be written: {refusal(error) or error}")

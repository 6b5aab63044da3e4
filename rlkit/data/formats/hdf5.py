"""HDF5 files from anywhere: looked over as a whole before anything of them is read.

Such a file may take its numbers from other files (external links, external storage, virtual
datasets) and may declare arrays of any size, of which it stores nothing. Both are refused.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np

from rlkit.core.files.reading import check_size, reading


@contextmanager
def opened(path: str | Path, what: str) -> Iterator[h5py.File]:
    """The file, open for reading and looked over. Raises FileError for one that is not `what`, and
    for whatever goes wrong inside the block because of its content."""
    with reading(path, what), h5py.File(path, "r") as file:
        _look_over(path, file)
        yield file


def array(file: h5py.File, name: str) -> np.ndarray:
    """Numbers of one dataset, in their own type. Raises ValueError for what is no such dataset."""
    return np.asarray(_dataset(file, name))


def shape(file: h5py.File, name: str) -> tuple[int, ...]:
    """The shape of one dataset, of which nothing is read. Raises ValueError as `array` does."""
    return _dataset(file, name).shape


def _dataset(file: h5py.File, name: str) -> h5py.Dataset:
    found = file[name]
    if not isinstance(found, h5py.Dataset):
        raise ValueError(f"{name} is a group, not an array")
    if found.shape is None:
        raise ValueError(f"{name} is empty: it has no shape")
    if found.dtype.kind not in "biuf":
        raise ValueError(f"{name} holds {found.dtype}; real numbers are expected")
    return found


def _look_over(path: str | Path, file: h5py.File) -> None:
    waiting: list[tuple[str, h5py.Group]] = [("", file)]
    known, total = set(), 0  # links may go round
    while waiting:
        where, group = waiting.pop()
        for name in group:
            place = f"{where}/{name}"
            link = group.get(name, getlink=True)
            if isinstance(link, h5py.SoftLink):
                _check_link(place, group, name)
                continue
            if not isinstance(link, h5py.HardLink):
                raise ValueError(f"{place} is a link to another file")
            found = group[name]
            address = h5py.h5o.get_info(found.id).addr
            if address in known:
                continue
            known.add(address)
            if isinstance(found, h5py.Group):
                waiting.append((place, found))
            elif isinstance(found, h5py.Dataset):
                total += _check_dataset(path, place, found)
    check_size(path, total, os.path.getsize(path))


def _check_link(place: str, group: h5py.Group, name: str) -> None:
    """A link within the file: what it leads to is looked at where it stands, if it is there."""
    try:
        group[name]
    except (KeyError, RuntimeError) as error:  # nothing there; round and round
        raise ValueError(f"{place} is a link that leads nowhere") from error


def _check_dataset(path: str | Path, place: str, found: h5py.Dataset) -> int:
    """Bytes that a dataset becomes in memory."""
    layout = found.id.get_create_plist()
    if layout.get_external_count() or found.is_virtual:
        raise ValueError(f"{place} takes its numbers from another file")
    declared = int(found.nbytes or 0)  # None of an empty one
    packed = layout.get_nfilters() > 0
    check_size(f"{path}: {place}", declared, found.id.get_storage_size(), packed)
    return declared

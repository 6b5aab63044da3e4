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


def array(path: str | Path, file: h5py.File, name: str) -> np.ndarray:
    """Numbers of one dataset, in their own type. Raises ValueError for what is no such dataset."""
    found = file[name]
    if not isinstance(found, h5py.Dataset):
        raise ValueError(f"{path}: {name} is a group, not an array")
    if found.dtype.kind not in "biuf":
        raise ValueError(f"{path}: {name} holds {found.dtype}; real numbers are expected")
    return np.asarray(found)


def _look_over(path: str | Path, file: h5py.File) -> None:
    waiting: list[tuple[str, h5py.Group]] = [("", file)]
    known, total = set(), 0  # links may go round
    while waiting:
        where, group = waiting.pop()
        for name in group:
            place = f"{where}/{name}"
            link = group.get(name, getlink=True)
            if isinstance(link, h5py.SoftLink):
                continue  # within the file: what it leads to is looked at where it stands
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


def _check_dataset(path: str | Path, place: str, found: h5py.Dataset) -> int:
    """Bytes that a dataset becomes in memory."""
    layout = found.id.get_create_plist()
    if layout.get_external_count() or found.is_virtual:
        raise ValueError(f"{place} takes its numbers from another file")
    declared = int(found.nbytes)
    packed = layout.get_nfilters() > 0
    check_size(f"{path}: {place}", declared, found.id.get_storage_size(), packed)
    return declared

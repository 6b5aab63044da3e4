"""Files and folders that get their names only when they are complete.

What is being written stands under a hidden name beside its place, which names the process that
writes it. A kill leaves it there; the next call clears it away once that process is gone. A folder
takes the place of another in one exchange where the system has one. Where it has none, the old one
steps aside for a moment, and a kill in that moment is mended by the next call, which puts it back.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import functools
import hashlib
import itertools
import os
import re
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rlkit.core.errors import FileError, RlkitError

_NEW, _OLD = ".tmp", ".old"  # being written; stepped aside
_LONG = 180  # bytes of a name, which may have 255 in all
_numbers = itertools.count()
# How safetensors, HDF5 and Arrow give the number of what the system refused, in errors of theirs.
_ERRNO = re.compile(r"(?:os error|errno)\W{1,3}(\d+)", re.IGNORECASE)


def temporary_name(path: Path) -> Path:
    """A hidden sibling of `path`, another one at each call, by which `clear` knows its process."""
    return path.with_name(f"{_prefix(path)}{_mark(os.getpid())}-{next(_numbers)}{_NEW}")


def _prefix(path: Path) -> str:
    """What the hidden siblings of `path` begin with; a sum where its own name leaves no room."""
    name = os.fsencode(path.name)
    return f".{hashlib.sha256(name).hexdigest()[:16] if len(name) > _LONG else path.name}."


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A hidden sibling of `path` to write a file or a folder to.

    It takes the place of `path` when the block ends well, and is removed when it does not. A link
    is replaced, never followed. Only a folder takes the place of a folder. Raises FileError (an
    OSError) naming `path` and the cause where the system refuses; what stood there stands.
    """
    temporary = temporary_name(path)
    try:
        clear(path)
        yield temporary
        _put(temporary, path)
    except Exception as fault:
        place = getattr(fault, "filename", None)
        ours = place is None or str(place).startswith((str(temporary), str(path)))
        cause = refusal(fault)
        if isinstance(fault, FileError) and str(temporary) in str(fault):  # a name nobody knows
            raise FileError(str(fault).replace(str(temporary), str(path))) from fault
        if isinstance(fault, RlkitError) or not cause or not ours:
            raise
        raise FileError(f"{path} cannot be written: {cause}") from fault
    finally:
        remove(temporary)


def make_folder(path: Path) -> None:
    """The folder, with all above it, to write into. Raises FileError naming it and what is in the
    way."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as fault:
        raise FileError(f"the folder {path} cannot be made: {refusal(fault)}") from fault
    if not os.access(path, os.W_OK | os.X_OK):
        sealed = hasattr(os, "statvfs") and os.statvfs(path).f_flag & os.ST_RDONLY
        why = os.strerror(errno.EROFS if sealed else errno.EACCES)
        raise FileError(f"the folder {path} cannot be written to: {why}")


def refusal(fault: BaseException) -> str:
    """What the system refused, in its words, whatever a library's error makes of it; empty where
    the error is of something else."""
    code = fault.errno if isinstance(fault, OSError) else None
    if code is None and (found := _ERRNO.search(str(fault))):
        code = int(found[1])
    if code in (errno.ENOSPC, errno.EDQUOT):
        return "the disk is full"
    return os.strerror(code) if code else ""


def clear(path: Path) -> None:
    """Remove what processes that are gone left beside `path`, and put back what they moved aside.

    Raises OSError where the system refuses that.
    """
    prefix = _prefix(path)
    try:
        names = os.listdir(path.parent)
    except (FileNotFoundError, NotADirectoryError):
        return
    left = [
        path.with_name(name)
        for name in sorted(names)
        if name.startswith(prefix)
        and name.endswith((_NEW, _OLD))
        and _is_gone(name[len(prefix) : -len(_NEW)])
    ]
    for old in left:
        if old.suffix == _OLD and not os.path.lexists(path):
            os.rename(old, path)
    for leftover in left:
        remove(leftover)


def remove(path: Path) -> None:
    """Remove a file, a link or a whole folder, or nothing where there is none."""
    if not os.path.lexists(path):  # a read-only file system refuses to remove even that
        return
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
        return
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):  # below a file there is none
        path.unlink()


def _put(temporary: Path, path: Path) -> None:
    folder = temporary.is_dir() and not temporary.is_symlink()
    if not folder or not path.is_dir():
        os.replace(temporary, path)
    elif not _exchange(temporary, path):
        old = temporary.with_suffix(_OLD)
        os.rename(path, old)
        try:
            os.rename(temporary, path)
        except OSError:
            os.rename(old, path)
            raise
        remove(old)


# --- which process wrote it -----------------------------------------------------------------------
def _mark(pid: int) -> str:
    """Machine, process and its start: the number alone is given to another process later."""
    return f"{_machine()}-{pid}-{_start(pid)}"


@functools.cache
def _machine() -> str:
    return hashlib.sha256(socket.gethostname().encode()).hexdigest()[:6]


def _start(pid: int) -> str:
    """When a process began, in the system's count; 0 where it does not tell."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()[19].decode()
    except (OSError, IndexError):
        return "0"


def _is_gone(words: str) -> bool:
    """Whether the process named in a temporary name has ended; False for another machine's."""
    machine, _, rest = words.partition("-")
    pid = rest.partition("-")[0]
    if machine != _machine() or not pid.isdigit():
        return False
    try:
        os.kill(int(pid), 0)
    except (ProcessLookupError, OverflowError):
        return True
    except PermissionError:
        pass
    return not words.startswith(_mark(int(pid)) + "-")


# --- one step -------------------------------------------------------------------------------------
def _exchange(first: Path, second: Path) -> bool:
    """Swap two names in one step; False where system or file system cannot."""
    rename = _renameat2()
    if rename is None:
        return False
    here, swap = -100, 2  # AT_FDCWD, RENAME_EXCHANGE
    if rename(here, os.fsencode(first), here, os.fsencode(second), swap) == 0:
        return True
    code = ctypes.get_errno()
    if code in (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP):
        return False
    raise OSError(code, os.strerror(code), str(second))


@functools.cache
def _renameat2() -> Any:
    """Linux's call, from the C library; None where there is none."""
    if os.name != "posix":
        return None
    found = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if found is not None:
        word, text = ctypes.c_int, ctypes.c_char_p
        found.argtypes = (word, text, word, text, ctypes.c_uint)
    return found

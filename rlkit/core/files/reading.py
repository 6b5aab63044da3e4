"""Reading files that may be anything: what is wrong becomes one error with file and field in it.

    with reading(path, "a policy file"):          # whatever a library raises inside: a FileError
        tensors = load_file(path)

    class Index(TypedDict):                       # a shape of JSON is a type hint
        files: dict[str, int]
        note: NotRequired[str | None]

    index = read_json(path, "a checkpoint's index", Index)   # ".../index.json: files.a is 'x'; ..."
    values = fit(json.loads(line), Index, f"{path}, line 3")  # the same of a value already here
    arrays = read_npz(path, "a file of preferences")

A system's refusal (no permission, a full disk, a lock) is told from damage by its own words.
Nothing a file declares is believed: sizes are held against the bytes that are there before memory
is taken, and a name that is to become a file goes through `inside`.
"""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import json
import math
import os
import struct
import tokenize
import tomllib
import types
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import (
    Any,
    Literal,
    NotRequired,
    Required,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
    is_typeddict,
)

import numpy as np

from rlkit.core.errors import FileError, MissingFileError, RlkitError

T = TypeVar("T")
# What json, zipfile, numpy, h5py, safetensors, sqlite and our own code raise on content that is not
# what they expect. RuntimeError: h5py's, zipfile's of encrypted members, and RecursionError.
FOREIGN = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    csv.Error,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
)
_LONGEST = 255  # bytes of a file's name
_SMALL = 1 << 24  # bytes that may be taken whatever a file holds
_DEFLATE = 1032  # bytes that one compressed byte can become at most


@contextmanager
def reading(path: str | Path, what: str, error: type[RlkitError] = FileError) -> Iterator[None]:
    """Whatever goes wrong while `path` is read inside the block is raised as one `error`.

    `what` says what the file should be, with its article. An RlkitError passes unchanged, and so
    does anything that is not an effect of a file's content (an interrupt).
    """
    try:
        with open(path, "rb"):  # libraries hide the system's words behind their own
            pass
        yield
    except (*FOREIGN, MemoryError) as fault:
        if isinstance(fault, RlkitError):
            raise
        missing = error is FileError and isinstance(fault, FileNotFoundError)
        raise (MissingFileError if missing else error)(_told(path, what, fault)) from fault


def _told(path: str | Path, what: str, fault: BaseException) -> str:
    if isinstance(fault, FileNotFoundError):
        return f"there is no {fault.filename or path}, which should be {what}"
    if isinstance(fault, IsADirectoryError):
        return f"{fault.filename or path} is a folder, not {what}"
    if isinstance(fault, MemoryError):
        return f"{path} needs more memory than there is"
    if isinstance(fault, OSError) and fault.errno and fault.strerror:
        return f"{fault.filename or path} cannot be read: {fault.strerror}"
    return f"{path} is damaged, or is not {what}: {described(fault)}"


def described(fault: BaseException) -> str:
    """What a foreign error says, in one line that can be read without its class."""
    text = " ".join(str(fault).split())
    if isinstance(fault, RecursionError):
        return "it is nested too deeply"
    if isinstance(fault, KeyError):
        return f"it has no entry {text}"
    plain = isinstance(fault, ValueError | OSError | zipfile.BadZipFile | zlib.error) and text
    return text if plain else f"{type(fault).__name__} {text}".rstrip()


# --- JSON and TOML --------------------------------------------------------------------------------
def read_json(
    path: str | Path, what: str, shape: type[T], error: type[RlkitError] = FileError
) -> T:
    """The content of a JSON file, of the `shape` that `fit` describes."""
    with reading(path, what, error):
        values = json.loads(Path(path).read_text(encoding="utf-8"))
    return fit(values, shape, str(path), error)


def read_toml(path: str | Path, what: str, error: type[RlkitError] = FileError) -> dict[str, Any]:
    """The tables of a TOML file."""
    with reading(path, what, error):
        return tomllib.loads(Path(path).read_text(encoding="utf-8"))


def fit(values: Any, shape: type[T], where: str, error: type[RlkitError] = FileError) -> T:
    """`values` themselves, if they have the `shape`; `where` begins the message if they do not.

    A shape is None, bool, int, float (or an int), str, Any, list[T], dict[str, T], tuple[T, ...] or
    tuple[A, B] (a list in JSON), a union, a Literal of plain values, a TypedDict, whose further
    entries are left to the caller, or a dataclass as `asdict` gives it, which has none. Numbers are
    finite: nan and infinities are refused.
    """
    wrong = _misfit(values, shape, "")
    if wrong is not None:
        field, why = wrong
        raise error(f"{where}: {field.lstrip('.') or 'the whole'} {why}")
    return values


def _misfit(value: Any, shape: Any, at: str) -> tuple[str, str] | None:
    """The first place where `value` differs from `shape`, and how."""
    kind = get_origin(shape) or shape
    if kind is Any:
        return None
    if kind in (Union, types.UnionType):
        found = [_misfit(value, one, at) for one in get_args(shape)]
        if None in found:
            return None
        deepest = max((f for f in found if f is not None), key=lambda f: len(f[0]))
        return deepest if deepest[0] != at else (at, _refusal(value, shape))
    if kind is Literal:
        known = any(type(value) is type(one) and value == one for one in get_args(shape))
        return None if known else (at, _refusal(value, shape))
    if is_typeddict(kind) or dataclasses.is_dataclass(kind):
        if not isinstance(value, dict):
            return at, _refusal(value, shape)
        required, allowed = _entries(kind)
        missing = [name for name in sorted(required) if name not in value]
        if missing:
            return at, f"has no entry {missing[0]!r}"
        if allowed is not None and value.keys() - allowed:
            return at, f"has an entry {min(value.keys() - allowed)!r}, which is unknown"
        inner = [
            (value[name], one, f"{at}.{name}")
            for name, one in get_type_hints(kind).items()
            if name in value
        ]
        return _first(inner)
    arguments = get_args(shape)
    if kind in (list, tuple):
        if not isinstance(value, list | tuple):
            return at, _refusal(value, shape)
        if kind is tuple and arguments[-1] is not ...:
            if len(value) != len(arguments):
                return at, f"has {len(value)} entries, not {len(arguments)}"
            return _first(
                (x, one, f"{at}[{k}]")
                for k, (x, one) in enumerate(zip(value, arguments, strict=True))
            )
        one = arguments[0] if arguments else Any
        return _first((x, one, f"{at}[{k}]") for k, x in enumerate(value))
    if kind is dict:
        if not isinstance(value, dict):
            return at, _refusal(value, shape)
        one = arguments[1] if arguments else Any
        return _first((x, one, f"{at}.{name}") for name, x in value.items())
    return None if _is_plain(value, kind) else (at, _refusal(value, shape))


def _entries(kind: Any) -> tuple[frozenset[str], frozenset[str] | None]:
    """Names that must be there, and all that may be; None for any."""
    if not dataclasses.is_dataclass(kind):
        # not __required_keys__, which takes annotations that are text for required ones
        hints = get_type_hints(kind, include_extras=True)
        usual = Required if kind.__total__ else NotRequired
        required = [n for n, one in hints.items() if (_bound(one) or usual) is Required]
        return frozenset(required), None
    fields = dataclasses.fields(kind)
    unset = dataclasses.MISSING
    needed = [f for f in fields if f.default is unset and f.default_factory is unset]
    return frozenset(f.name for f in needed), frozenset(f.name for f in fields)


def _bound(hint: Any) -> Any:
    return origin if (origin := get_origin(hint)) in (Required, NotRequired) else None


def _first(parts: Any) -> tuple[str, str] | None:
    return next((wrong for part in parts if (wrong := _misfit(*part)) is not None), None)


def _is_plain(value: Any, kind: Any) -> bool:
    if kind in (None, type(None)):
        return value is None
    if kind is float:
        return type(value) in (int, float) and math.isfinite(value)
    return type(value) is kind


def _refusal(value: Any, shape: Any) -> str:
    text = repr(value)
    return f"is {text if len(text) < 60 else text[:56] + ' ...'}; {_words(shape)} is expected"


def _words(shape: Any) -> str:
    kind = get_origin(shape) or shape
    if kind in (Union, types.UnionType):
        return " or ".join(_words(one) for one in get_args(shape))
    if kind is Literal:
        return " or ".join(repr(one) for one in get_args(shape))
    if kind in (list, tuple):
        return "a list"
    named = {bool: "true or false", int: "an integer", float: "a finite number", str: "a text"}
    return named.get(kind, "null" if kind in (None, type(None)) else "an object")


def sum_of(values: Any) -> str:
    """SHA-256 sum of values of JSON as they read back, whatever the order of their entries."""
    plain = json.loads(json.dumps(values))
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()


# --- names and sizes ------------------------------------------------------------------------------
def inside(folder: str | Path, name: Any, error: type[RlkitError] = FileError) -> Path:
    """`folder / name` of a name that a file gave, which may not lead out of the folder: one plain
    part, neither hidden nor a link, and short enough for a file to have it."""
    plain = isinstance(name, str) and name and not set(name) & set("/\\\0")
    if not plain or name.startswith(".") or not _can_be(name) or (Path(folder) / name).is_symlink():
        shown = repr(name) if len(repr(name)) < 100 else f"{repr(name)[:96]} ..."
        raise error(f"{folder}: the name {shown} leads out of the folder, or is hidden or a link")
    return Path(folder) / name


def _can_be(name: str) -> bool:
    """Whether a file can have such a name."""
    try:
        return len(os.fsencode(name)) <= _LONGEST
    except UnicodeEncodeError:
        return False


def check_size(path: str | Path, declared: int, stored: int, packed: bool = True) -> None:
    """Raises FileError where `declared` bytes cannot come of the `stored` ones (`packed`:
    compressed), or are more than half the memory of the machine."""
    if declared > max(stored * (_DEFLATE if packed else 1), _SMALL):
        raise FileError(
            f"{path} is damaged: it declares {declared:,} bytes of numbers and holds {stored:,}"
        )
    if declared > memory() // 2:
        raise FileError(
            f"{path} would take {declared / 1e9:.1f} GB of memory, of which this machine has "
            f"{memory() / 1e9:.1f}; split it, or read it on a larger machine"
        )


def memory() -> int:
    """Bytes of memory of this machine."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # not a POSIX system
        return 1 << 40


# --- arrays of numpy ------------------------------------------------------------------------------
def read_npz(
    path: str | Path, what: str, error: type[RlkitError] = FileError
) -> dict[str, np.ndarray]:
    """Every array of an npz file by name; none of them pickled, none larger than its bytes."""
    arrays: dict[str, np.ndarray] = {}
    with reading(path, what, error), zipfile.ZipFile(path) as file:
        members = file.infolist()
        size = os.path.getsize(path)
        for member in members:
            check_size(path, member.file_size, min(member.compress_size, size))
        check_size(path, sum(member.file_size for member in members), size)
        for member in members:
            if not member.filename.endswith(".npy"):
                raise ValueError(f"{member.filename!r} is not an array")
            name = member.filename.removesuffix(".npy")
            if name in arrays:
                raise ValueError(f"it has the array {name!r} twice")
            with file.open(member) as stream:
                _check_header(path, name, stream, member.file_size)
            with file.open(member) as stream:
                arrays[name] = np.lib.format.read_array(stream, allow_pickle=False)
                if stream.read(1):  # to the very end: that is where the sum is compared
                    raise ValueError(f"the array {name!r} is followed by something else")
    return arrays


def read_npy(path: str | Path, what: str, error: type[RlkitError] = FileError) -> np.ndarray:
    """The array of an npy file; not pickled, not larger than its bytes."""
    with reading(path, what, error), open(path, "rb") as file:
        _check_header(path, Path(path).name, file, os.path.getsize(path))
        file.seek(0)
        return np.lib.format.read_array(file, allow_pickle=False)


def _check_header(path: str | Path, name: str, stream: Any, size: int) -> None:
    version = np.lib.format.read_magic(stream)
    read = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    if version not in read:
        raise ValueError(f"the array {name!r} is of version {version} of its format")
    try:
        shape, _, dtype = read[version](stream)
    except (SyntaxError, tokenize.TokenError) as fault:  # numpy parses a header as Python
        raise ValueError(f"the array {name!r} has no legible header: {fault}") from fault
    declared = math.prod(shape) * dtype.itemsize
    if dtype.hasobject or min(shape, default=0) < 0 or declared + stream.tell() != size:
        raise ValueError(f"the array {name!r} is not the {declared:,} bytes that it declares")

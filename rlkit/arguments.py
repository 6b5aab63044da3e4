"""What no public function takes: an array with a mask that it would lose, a path that is none.

`rlkit.lazy` puts these checks in front of every public function of a package, and of constructors
and methods of its public classes.
"""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from rlkit.core.errors import UsageError

_LONGEST = 255  # bytes of a name that file systems take
_FEW = 100  # items of a list that are looked at
_PATHS = ("PathLike", "Path")  # words of an annotation

Check = Callable[[tuple[Any, ...], Mapping[str, Any]], None]


def checks_of(function: Callable[..., Any], caller: str = "") -> Check:
    """A function of (args, kwargs) of a call of `function` that raises UsageError naming the
    argument that is a masked array, or a path that no system takes."""
    parameters = list(inspect.signature(function).parameters.values())
    said = caller or function.__name__
    names = [p.name for p in parameters if p.kind is not p.VAR_KEYWORD]
    rest = next((p.name for p in parameters if p.kind is p.VAR_POSITIONAL), "")
    paths = {p.name for p in parameters if _is_path(p.annotation)}
    paths |= {p.name for p in parameters if (p.name, p.annotation) == ("name", "str")}
    optional = {p.name for p in parameters if "None" in str(p.annotation)}

    def check(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        masks = sys.modules.get("numpy.ma")  # where it is not loaded there is no such array
        for name, value in _named(names, rest, args, kwargs):
            if name in paths and not (value is None and name in optional):
                check_path(said, name, value)
            if masks is not None:
                for array in _arrays(value):
                    if isinstance(array, masks.MaskedArray) and masks.is_masked(array):
                        raise UsageError(_masked(said, name, array))

    return check


def check_path(caller: str, name: str, value: Any) -> None:
    """Raises UsageError for what is no path or name, or is one that no system takes."""
    if isinstance(value, bytes) or not isinstance(value, str | os.PathLike):
        raise UsageError(
            f"{caller}: {name} is {_shown(value)}; give text"
            + (" or a pathlib.Path" if name != "name" else "")
        )
    text = os.fspath(value)
    if isinstance(text, bytes):
        raise UsageError(f"{caller}: {name} is {_shown(text)}; give a path of text")
    if "\0" in text:
        raise UsageError(f"{caller}: {name} {_shown(text)} has a zero byte in it")
    sizes = [len(part.encode(errors="surrogatepass")) for part in text.split(os.sep)]
    if max(sizes) > _LONGEST or sum(sizes) + len(sizes) > 4096:
        long = f"a name of {max(sizes)} bytes" if max(sizes) > _LONGEST else "4096 bytes or more"
        raise UsageError(f"{caller}: {name} {_shown(text)} has {long}, too long for a file")


def _named(
    names: list[str], rest: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> Iterator[tuple[str, Any]]:
    for k, value in enumerate(args):
        yield (names[k] if k < len(names) else rest), value
    yield from kwargs.items()


def _arrays(value: Any) -> Iterator[Any]:
    """The value, and what is in it where it holds a few."""
    yield value
    if isinstance(value, dict):
        yield from value.values()
    elif isinstance(value, list | tuple) and len(value) <= _FEW:
        yield from value


def _is_path(annotation: Any) -> bool:
    words = str(annotation).replace("[", " ").replace(".", " ").replace("|", " ").split()
    return any(word in _PATHS for word in words) and words[0] not in ("Sequence", "Mapping", "list")


def _masked(caller: str, name: str, array: Any) -> str:
    hidden = int(array.mask.sum())
    return (
        f"{caller}: {name} is a masked array {array.shape} that hides {hidden:,} of its values; "
        "the mask would be lost: leave these out, or give a plain array (x.filled(...))"
    )


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."

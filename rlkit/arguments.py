"""What no public function takes: an array with a mask that it would lose, a path that is none.

`rlkit.lazy` puts these checks in front of every public function of a package, and of constructors
and methods of its public classes.
"""

from __future__ import annotations

import functools
import inspect
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from rlkit.core.errors import FileError, UsageError

_LONGEST = 255  # bytes of a name that file systems take
_DEEP = 3  # levels of lists, dicts and dataclasses that are looked into
_PATHS = ("PathLike", "Path")  # words of an annotation

Check = Callable[[tuple[Any, ...], Mapping[str, Any]], None]


def checks_of(function: Callable[..., Any], caller: str = "") -> Check:
    """A function of (args, kwargs) of a call of `function` that raises UsageError naming the
    argument that is a masked array, or a path that no system takes."""
    parameters = list(inspect.signature(function).parameters.values())
    said = caller or function.__name__
    names = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    rest = next((p.name for p in parameters if p.kind is p.VAR_POSITIONAL), "")
    optional = {p.name for p in parameters if "None" in str(p.annotation)}
    words: dict[str, Callable[[str, str, Any], None]] = {
        p.name: check_path if _is_path(p) else _check_text
        for p in parameters
        if _is_path(p) or _is_text(p)
    }
    blank = {p.name for p in parameters if p.default == ""}

    def check(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        if words:
            for name, value in _named(names, rest, args, kwargs):
                left_out = (value is None and name in optional) or (
                    isinstance(value, str) and not value and name in blank
                )
                if name in words and not left_out:
                    words[name](said, name, value)
        masks = sys.modules.get("numpy.ma")  # where it is not loaded there is no such array
        if masks is None:
            return
        # Policies are asked once a round: what can hold no mask costs no more than this.
        if any(map(_holding, map(type, args))) or any(map(_holding, map(type, kwargs.values()))):
            for name, value in _named(names, rest, args, kwargs):
                for array in _masked_in(value, _DEEP):
                    if masks.is_masked(array):
                        raise UsageError(_masked(said, name, array))

    return check


def check_path(caller: str, name: str, value: Any) -> None:
    """Raises UsageError for what is no path or name, FileError for one that no system takes."""
    if isinstance(value, bytes) or not isinstance(value, str | os.PathLike):
        raise UsageError(
            f"{caller}: {name} is {_shown(value)}; give text"
            + (" or a pathlib.Path" if name != "name" else "")
        )
    text = os.fspath(value)
    if isinstance(text, bytes):
        raise UsageError(f"{caller}: {name} is {_shown(text)}; give a path of text")
    if not text:
        what = "name" if name == "name" else "path"
        raise UsageError(f"{caller}: {name} is an empty text; give a {what}")
    if "\0" in text:
        raise UsageError(f"{caller}: {name} {_shown(text)} has a zero byte in it")
    sizes = [len(part.encode(errors="surrogatepass")) for part in text.split(os.sep)]
    if max(sizes) > _LONGEST or sum(sizes) + len(sizes) > 4096:
        long = f"a name of {max(sizes)} bytes" if max(sizes) > _LONGEST else "4096 bytes or more"
        raise FileError(f"{caller}: {name} {_shown(text)} has {long}, too long for a file")


def _named(
    names: list[str], rest: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> Iterator[tuple[str, Any]]:
    for k, value in enumerate(args):
        yield (names[k] if k < len(names) else rest), value
    yield from kwargs.items()


@functools.cache
def _holding(kind: type) -> bool:
    """Whether a mask may be in what is of a type: itself one, or a few things in one."""
    masks = sys.modules.get("numpy.ma")
    held = (dict, list, tuple, *([masks.MaskedArray] if masks else []))
    return issubclass(kind, held) or is_dataclass(kind)


def _masked_in(value: Any, depth: int) -> Iterator[Any]:
    """The masked arrays in what lists, dicts and dataclasses hold. Long lists of numbers are passed
    over by the types in them, which costs less than making an array of them."""
    kind: Any = type(value)
    if not _holding(kind):
        return
    if isinstance(value, dict):
        items: Any = value.values()
    elif isinstance(value, list | tuple):
        items = value
    elif is_dataclass(value):
        items = [getattr(value, field.name, None) for field in fields(value)]
    else:
        yield value
        return
    holders = set(filter(_holding, set(map(type, items))))
    if holders and depth:
        for item in items:
            if type(item) in holders:
                yield from _masked_in(item, depth - 1)


def _is_path(parameter: inspect.Parameter) -> bool:
    text = str(parameter.annotation)
    words = text.replace("[", " ").replace(".", " ").replace("|", " ").split()
    if any(word in _PATHS for word in words):
        return words[0] not in ("Sequence", "Mapping", "list")
    return (parameter.name, parameter.annotation) == ("name", "str")


def _is_text(parameter: inspect.Parameter) -> bool:
    return str(parameter.annotation) in ("str", "<class 'str'>", "str | None")


def _check_text(caller: str, name: str, value: Any) -> None:
    if not isinstance(value, str | os.PathLike):
        raise UsageError(f"{caller}: {name} is {_shown(value)}; give text")


def _masked(caller: str, name: str, array: Any) -> str:
    hidden = int(array.mask.sum())
    return (
        f"{caller}: {name} is a masked array {array.shape} that hides {hidden:,} of its values; "
        "the mask would be lost: leave these out, or give a plain array (x.filled(...))"
    )


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."

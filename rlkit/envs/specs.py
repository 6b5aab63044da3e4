"""Environments that files describe: written as text, and vouched for before they are made.

A gymnasium spec names code, its entry point and its wrappers. One that comes out of a file counts
if that code is a class of a package in `rlkit.core.files.trust.PACKAGES`, or just what this process
has registered under the same id; see `rlkit.core.files.trust`. Its arguments may neither name files
nor stand where code is taken.
"""

from __future__ import annotations

import collections.abc
import dataclasses
import importlib
import inspect
import json
import re
import sys
from collections.abc import Iterator, Mapping
from types import UnionType
from typing import Any, NamedTuple, NotRequired, TypedDict, Union, get_args, get_origin

import gymnasium
from gymnasium.envs.registration import EnvSpec, WrapperSpec

from rlkit.core.errors import UsageError
from rlkit.core.files import trust
from rlkit.core.files.reading import fit
from rlkit.envs.former import current

# Wrappers of gymnasium that write where their arguments say.
_WRITERS = {"RecordVideo"}
# Arguments that name files by what they are called, and by what they say: absolute, from the home
# directory, or upwards.
_FILE_NAME = re.compile(r"(^|_)(file|filename|path|dir|directory|folder|xml)s?$", re.IGNORECASE)
_FILE = re.compile(r"[/\\~]|[a-zA-Z]:[/\\]|file:|(.*[/\\])?\.\.([/\\]|$)")
# What specs of gymnasium before 1.0 say as well, of wrappers that are no more.
_FORMER = ("apply_api_compatibility", "autoreset")
# What helps besides where an environment of one's own is refused; it drops wrappers.
_OR_NAME = ", or name the environment with --env (module:Name-v0) in rlkit train and eval"
_UNIONS = (Union, UnionType)


class _Wrapper(TypedDict):
    name: str
    entry_point: str
    kwargs: dict[str, Any] | None


class _Text(TypedDict):
    id: str
    additional_wrappers: list[_Wrapper]
    entry_point: NotRequired[str | None]
    vector_entry_point: NotRequired[str | None]
    reward_threshold: NotRequired[float | None]
    nondeterministic: NotRequired[bool]
    max_episode_steps: NotRequired[int | None]
    order_enforce: NotRequired[bool]
    disable_env_checker: NotRequired[bool]
    kwargs: NotRequired[dict[str, Any]]


# --- text ---------------------------------------------------------------------------------------
def to_text(spec: EnvSpec | None) -> str | None:
    """The spec as JSON, arguments included; None where JSON cannot hold it or no other process
    could find its code."""
    if spec is None:
        return None
    entry = _found_again(spec.entry_point)
    if entry is None:
        return None
    try:
        text = dataclasses.replace(spec, entry_point=entry, vector_entry_point=None).to_json()
    except (ValueError, TypeError):  # a callable, or an object among the arguments
        return None
    back = EnvSpec.from_json(text)
    same = plain(back.kwargs) == plain(spec.kwargs)
    wrappers = zip(back.additional_wrappers, spec.additional_wrappers, strict=True)
    return text if same and all(plain(a.kwargs) == plain(b.kwargs) for a, b in wrappers) else None


def from_text(text: Any, where: str) -> EnvSpec:
    """The spec that `to_text` or Minari wrote. Raises UsageError that begins with `where` it stands
    when it is no such text, naming the field."""
    try:
        values = json.loads(text)
    except (ValueError, TypeError, RecursionError) as error:
        raise UsageError(f"{where} describes no environment: {error}") from error
    if isinstance(values, dict):
        for name in _FORMER:
            values.pop(name, None)
    fit(values, _Text, f"{where} describes no environment", UsageError)
    limit = values.get("max_episode_steps")
    if limit is not None and limit < 1:
        raise UsageError(
            f"{where} describes no environment: max_episode_steps is {limit}; at least 1 is "
            "expected, or null"
        )
    for part in (values, *values["additional_wrappers"]):
        if part.get("entry_point") is not None:
            part["entry_point"] = current(part["entry_point"])
    try:
        return EnvSpec.from_json(json.dumps(values))
    except Exception as error:  # gymnasium raises whatever the wrong text makes it stumble over
        raise UsageError(f"{where} describes no environment: {error}") from error


def in_words(spec: EnvSpec) -> str:
    """The id, with arguments and time limit where there are any."""
    limit = [] if spec.max_episode_steps is None else [f"{spec.max_episode_steps} steps"]
    given = [f"{name} {value}" for name, value in spec.kwargs.items()]
    words = ", ".join([*given, *limit])
    return f"{spec.id} ({words})" if words else spec.id


def _found_again(entry: Any) -> str | None:
    """`module:name` of an entry point; None for code that only this process knows."""
    if isinstance(entry, str) or entry is None:
        return entry
    module, name = getattr(entry, "__module__", None), getattr(entry, "__qualname__", "")
    if module in (None, "__main__") or getattr(sys.modules.get(module), name, None) is not entry:
        return None
    return f"{module}:{name}"


def plain(value: Any) -> Any:
    """With lists for tuples, as JSON has them."""
    if isinstance(value, dict):
        return {name: plain(part) for name, part in value.items()}
    return [plain(part) for part in value] if isinstance(value, list | tuple) else value


# --- trust --------------------------------------------------------------------------------------
def vouch(spec: EnvSpec) -> None:
    """Raises UsageError for a spec whose entry point or wrappers nobody here has asked for, and
    for arguments that name files or code."""
    for entry in (spec.entry_point, *(wrapper.entry_point for wrapper in spec.additional_wrappers)):
        module = entry.partition(":")[0] if isinstance(entry, str) else ""
        if module and trust.allows(module):
            trust.reach(module)
    known = gymnasium.registry.get(spec.id)
    own = {w.name: w for w in known.additional_wrappers} if known is not None else {}
    if not trust.trusted():
        if not _is_known(spec.entry_point, known and known.entry_point, gymnasium.Env):
            raise UsageError(_refusal(spec.id, "entry point", spec.entry_point))
        _check_files(spec.id, spec.kwargs, known.kwargs if known is not None else {})
    _check_code(spec.id, spec.entry_point, spec.kwargs)
    for wrapper in spec.additional_wrappers:
        ours = own.get(wrapper.name)
        if not trust.trusted():
            if not _is_known(wrapper.entry_point, ours and ours.entry_point, gymnasium.Wrapper):
                raise UsageError(_refusal(spec.id, "wrapper", wrapper.entry_point))
            if _writes(wrapper):
                raise UsageError(
                    f"environment {spec.id!r} comes with {wrapper.name}, which writes files where "
                    f"its arguments say; {trust.REMEDY}"
                )
            _check_files(spec.id, wrapper.kwargs or {}, (ours and ours.kwargs) or {})
        _check_code(spec.id, wrapper.entry_point, wrapper.kwargs or {})


def _check_files(env_id: str, given: Mapping[str, Any], ours: Mapping[str, Any]) -> None:
    """Raises UsageError for arguments that name files and are not those registered here."""
    for name, value in given.items():
        if name in ours and plain(ours[name]) == plain(value):
            continue
        for inner, text in _texts(name, value):
            if _FILE_NAME.search(inner) or _FILE.match(text):
                raise UsageError(
                    f"environment {env_id!r} has the argument {name} = {value!r}, which names a "
                    f"file: making it would open what another file says; {trust.REMEDY}"
                )


def _texts(name: str, value: Any) -> Iterator[tuple[str, str]]:
    """Every text of an argument, with the innermost name it stands under."""
    if isinstance(value, str):
        yield name, value
    elif isinstance(value, Mapping):
        for inner, one in value.items():
            yield "", str(inner)
            yield from _texts(str(inner), one)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _texts(name, one)


def _check_code(env_id: str, entry: Any, given: Mapping[str, Any]) -> None:
    """Raises UsageError for arguments that the code does not take, for texts in place of numbers,
    and for those that stand where it takes a function, which no file can hold."""
    code = _code(entry)
    try:
        signature = inspect.signature(code, eval_str=True) if code is not None else None
    except (ValueError, TypeError, NameError, AttributeError):  # of compiled code, or odd hints
        signature = None
    if signature is None:
        return
    label, takes = getattr(code, "__name__", entry), signature.parameters
    free = any(one.kind is one.VAR_KEYWORD for one in takes.values())
    for name, value in given.items():
        if name not in takes:
            if not free:
                raise UsageError(
                    f"environment {env_id!r} has the argument {name} = {value!r}, which {label} "
                    "does not take"
                )
        elif not callable(value) and _is_function(takes[name].annotation, value):
            raise UsageError(
                f"environment {env_id!r} has the argument {name} = {value!r}, where {label} takes "
                "a function; a file holds none"
            )
        elif isinstance(value, str | dict) and _is_number(takes[name]):
            raise UsageError(
                f"environment {env_id!r} has the argument {name} = {value!r}, where {label} takes "
                "a number"
            )


def _code(entry: Any) -> Any:
    """What an entry point leads to; None where that cannot be told."""
    if not isinstance(entry, str):
        return entry
    module, _, name = entry.partition(":")
    try:
        return getattr(importlib.import_module(module), name, None)
    except Exception:  # its maker will say so
        return None


def _is_number(parameter: inspect.Parameter) -> bool:
    """Whether a parameter is a number by its default, and by its hint if it has one."""
    hints = (parameter.empty, bool, int, float)
    return isinstance(parameter.default, int | float) and parameter.annotation in hints


def _is_function(hint: Any, value: Any) -> bool:
    """Whether a hint asks for a function, and has no place for such a value besides."""
    kinds = get_args(hint) if get_origin(hint) in _UNIONS else (hint,)
    wanted = [collections.abc.Callable in (kind, get_origin(kind)) for kind in kinds]
    others = [get_origin(k) or k for k, is_code in zip(kinds, wanted, strict=True) if not is_code]
    plain = tuple(kind for kind in others if isinstance(kind, type))
    return any(wanted) and not isinstance(value, plain)


def vouch_name(env_id: str) -> None:
    """Raises UsageError for an id `module:Name-v0` in a file whose module nobody here has asked
    for."""
    module = env_id.rpartition(":")[0]
    if module and not trust.allows(module):
        raise UsageError(
            f"environment {env_id!r} would import module {module!r}: {trust.REMEDY}{_OR_NAME}"
        )


def _refusal(env_id: str, what: str, entry: Any) -> str:
    return (
        f"environment {env_id!r} has the {what} {entry!r}, which is not what is registered under "
        f"that id here: making it runs code that a file names; {trust.REMEDY}"
        f"{_OR_NAME if what == 'entry point' else ''}"
    )


def _is_known(entry: Any, registered: Any, kind: type) -> bool:
    ours = _found_again(entry)
    if entry is not None and (entry == registered or ours == _found_again(registered) is not None):
        return True
    module, _, name = entry.partition(":") if isinstance(entry, str) else ("", "", "")
    if not module or not trust.allows(module):
        return False
    try:
        found = getattr(importlib.import_module(module), name, None)
    except Exception:  # a package that is not installed, or that cannot be imported
        return False
    if not isinstance(found, type) or not trust.allows(found.__module__):
        return False
    wrapper = issubclass(found, gymnasium.Wrapper)  # a kind of Env itself
    return issubclass(found, kind) and wrapper == (kind is gymnasium.Wrapper)


def _writes(wrapper: WrapperSpec) -> bool:
    return wrapper.entry_point.rpartition(":")[2] in _WRITERS


# --- what this process has registered -----------------------------------------------------------
class Registered(NamedTuple):
    """An id of this process for a child process: the spec as text, or else a module to import."""

    id: str
    text: str | None
    module: str | None  # both None: nobody else can make it


def registered() -> list[Registered]:
    """All ids that are not of `PACKAGES`, if gymnasium has been imported at all."""
    return [_described(spec) for spec in gymnasium.registry.values() if not _shipped(spec)]


def register(ids: list[Registered]) -> None:
    """Make known here what `registered` told in the parent process."""
    for one in ids:
        if one.id in gymnasium.registry:
            continue
        if one.text is not None:
            gymnasium.registry[one.id] = EnvSpec.from_json(one.text)
        elif one.module is not None:
            trust.load(one.module)


def is_shared(env_id: str) -> bool:
    """Whether other processes can make this id."""
    spec = gymnasium.registry.get(env_id.rpartition(":")[2])
    if spec is None or _shipped(spec):
        return True
    described = _described(spec)
    return described.text is not None or described.module is not None


def _shipped(spec: EnvSpec) -> bool:
    return isinstance(spec.entry_point, str) and trust.is_ours(spec.entry_point)


def _described(spec: EnvSpec) -> Registered:
    text = to_text(spec)
    module = getattr(spec.entry_point, "__module__", None) if text is None else None
    return Registered(spec.id, text, None if module == "__main__" else module)

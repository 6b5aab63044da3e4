"""Environments that files describe: written as text, and vouched for before they are made.

A gymnasium spec names code, its entry point and its wrappers. One that comes out of a file counts
if that code is a class of a package in `rlkit.core.trust.PACKAGES`, or just what this process has
registered under the same id; see `rlkit.core.trust`.
"""

from __future__ import annotations

import dataclasses
import importlib
import sys
from typing import Any, NamedTuple

import gymnasium
from gymnasium.envs.registration import EnvSpec, WrapperSpec

from rlkit.core import trust
from rlkit.core.errors import UsageError

# Wrappers of gymnasium that write where their arguments say.
_WRITERS = {"RecordVideo"}


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
    same = _plain(back.kwargs) == _plain(spec.kwargs)
    wrappers = zip(back.additional_wrappers, spec.additional_wrappers, strict=True)
    return text if same and all(_plain(a.kwargs) == _plain(b.kwargs) for a, b in wrappers) else None


def from_text(text: str, where: str) -> EnvSpec:
    """The spec that `to_text` or Minari wrote. Raises UsageError naming `where` it stands when it
    is no such text."""
    try:
        return EnvSpec.from_json(text)
    except Exception as error:  # gymnasium raises whatever the wrong text makes it stumble over
        raise UsageError(f"{where} describes no environment: {error}") from error


def _found_again(entry: Any) -> str | None:
    """`module:name` of an entry point; None for code that only this process knows."""
    if isinstance(entry, str) or entry is None:
        return entry
    module, name = getattr(entry, "__module__", None), getattr(entry, "__qualname__", "")
    if module in (None, "__main__") or getattr(sys.modules.get(module), name, None) is not entry:
        return None
    return f"{module}:{name}"


def _plain(value: Any) -> Any:
    """With lists for tuples, as JSON has them."""
    if isinstance(value, dict):
        return {name: _plain(part) for name, part in value.items()}
    return [_plain(part) for part in value] if isinstance(value, list | tuple) else value


# --- trust --------------------------------------------------------------------------------------
def vouch(spec: EnvSpec) -> None:
    """Raises UsageError for a spec whose entry point or wrappers nobody here has asked for."""
    if trust.trusted():
        return
    known = gymnasium.registry.get(spec.id)
    if not _is_known(spec.entry_point, known and known.entry_point, gymnasium.Env):
        raise UsageError(_refusal(spec.id, "entry point", spec.entry_point))
    own = {w.name: w.entry_point for w in known.additional_wrappers} if known is not None else {}
    for wrapper in spec.additional_wrappers:
        if not _is_known(wrapper.entry_point, own.get(wrapper.name), gymnasium.Wrapper):
            raise UsageError(_refusal(spec.id, "wrapper", wrapper.entry_point))
        if _writes(wrapper):
            raise UsageError(
                f"environment {spec.id!r} comes with {wrapper.name}, which writes files where its "
                f"arguments say; {trust.REMEDY}"
            )


def vouch_name(env_id: str) -> None:
    """Raises UsageError for an id `module:Name-v0` in a file whose module nobody here has asked
    for."""
    module = env_id.rpartition(":")[0]
    if module and not trust.allows(module):
        raise UsageError(
            f"environment {env_id!r} would import module {module!r}: {trust.REMEDY}, or name it "
            "with --env"
        )


def _refusal(env_id: str, what: str, entry: Any) -> str:
    return (
        f"environment {env_id!r} has the {what} {entry!r}, which is not what is registered under "
        f"that id here: making it runs code that a file names; {trust.REMEDY}"
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

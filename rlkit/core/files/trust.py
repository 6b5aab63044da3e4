"""Code that is named, by a person or by a file: what of it may be imported.

An id such as `package.module:Name-v0` or an algorithm `package.module` that a person types, on the
command line or in a Python call, is imported: that is what it was typed for. The same words in a
dataset, a run folder or a policy are not: importing a module runs it, and files come from others.
They count only where the module belongs to `PACKAGES` or a person has named it as well, and
otherwise under `trusting()`, which is `--trust` on the command line.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import re
import sys
from collections.abc import Iterable, Iterator
from types import ModuleType

PACKAGES = ("gymnasium", "gymnasium_robotics", "minigrid", "rlkit")
COLUMNS = "columns"  # columns:name is a column of a dataset, no code
REMEDY = "say --trust (rlkit.core.files.trust.trusting() in Python) if you know where it comes from"

_named: dict[str, None] = {}  # modules a person has named in this process, in order
_all = False


@contextlib.contextmanager
def trusting(yes: bool = True) -> Iterator[None]:
    """Within it files may name any code; with `yes` False nothing changes."""
    global _all
    before, _all = _all, _all or yes
    try:
        yield
    finally:
        _all = before


def trusted() -> bool:
    """Whether files may name any code now."""
    return _all


def named() -> list[str]:
    """The modules a person has named, in that order: what a child process must know too."""
    return list(_named)


def adopt(all_code: bool, modules: Iterable[str]) -> None:
    """Trust, from now on, what another process trusts: `trusted()` and `named()` there."""
    global _all
    _all = _all or all_code
    _named.update(dict.fromkeys(modules))


def name(module: str) -> None:
    """Note that a person has named this module."""
    _named[module] = None


def is_ours(module: str) -> bool:
    """Whether a module belongs to `PACKAGES`."""
    return module.partition(".")[0] in PACKAGES


def allows(module: str) -> bool:
    """Whether a module that a file names may be imported."""
    return _all or is_ours(module) or module in _named


def module_of(value: object) -> str | None:
    """The module of a setting that names code, `package.module:name`; None of any other value,
    `columns:name` among them, which are a dataset's. Whoever imports what a setting names takes
    the module from here, so that nothing is imported that a file was not asked about."""
    if isinstance(value, str) and re.fullmatch(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*", value, re.ASCII):
        module = value.partition(":")[0]
        return None if module == COLUMNS else module
    return None


def modules_in(value: object) -> list[str]:
    """The modules of a setting of several words, `package.module:judge+mistaken:0.1`."""
    parts = value.split("+") if isinstance(value, str) else []
    return [module for part in parts if (module := module_of(part.strip())) is not None]


def reach(module: str) -> None:
    """Have imports look in the current directory too, after all else, unless the module is ours.

    For a module that a person has named or trusts; the scripts of one's own lie there."""
    here = os.getcwd()
    if not is_ours(module) and here not in sys.path and "" not in sys.path:
        sys.path.append(here)
        importlib.invalidate_caches()


def load(module: str) -> ModuleType:
    """The module that a person has named, from the current directory too if nothing installed has
    that name. Raises ImportError saying why it cannot be imported, whatever it raises itself."""
    reach(module)
    try:
        found = importlib.import_module(module)
    except Exception as error:
        cause = str(error) if isinstance(error, ImportError) else f"{type(error).__name__}: {error}"
        raise ImportError(f"cannot import {module!r}: {cause}", name=_missing(error)) from error
    if not is_ours(module):
        name(module)
    return found


def _missing(error: Exception) -> str | None:
    """The module that was not found, where that was the cause."""
    return error.name if isinstance(error, ModuleNotFoundError) else None

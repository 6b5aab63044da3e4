"""Public names of a package that are imported when they are first asked for (PEP 562).

A package lists them once, under `if TYPE_CHECKING:`, as `from module import name as name`. Type
checkers and editors read the list as it stands, and

    __getattr__, __dir__ = lazily(__name__, __file__)

reads the same lines, so that importing the package costs nothing. Public functions answer a
keyword of another library with ours (`rlkit.keywords`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def lazily(package: str, file: str) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """`__getattr__` and `__dir__` of `package`, whose source is `file`; modules of the package
    are found as well. `__all__` is the list."""
    found: dict[str, tuple[str, str]] = {}

    def table() -> dict[str, tuple[str, str]]:
        if not found:
            found.update(listed(file))
        return found

    def __getattr__(name: str) -> Any:
        import importlib
        import importlib.util
        import sys

        from rlkit.keywords import answering

        if name == "__all__":
            return sorted(table())
        if not name.startswith("_"):
            if name in table():
                module, attribute = table()[name]
                home = importlib.import_module(module)
                value = answering(getattr(home, attribute))
                setattr(home, attribute, value)  # one object, wherever it is taken from
                setattr(sys.modules[package], name, value)
                return value
            if importlib.util.find_spec(f"{package}.{name}") is not None:
                return importlib.import_module(f"{package}.{name}")
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    def __dir__() -> list[str]:
        import pkgutil
        import sys

        module = sys.modules[package]
        inside = {item.name for item in pkgutil.iter_modules(module.__path__)}
        own = {name for name in vars(module) if name.startswith("__")}
        return sorted({*own, *table(), *inside})

    return __getattr__, __dir__


def listed(file: str) -> dict[str, tuple[str, str]]:
    """name -> (module, its name there) of the imports under TYPE_CHECKING in a source file."""
    import ast
    from pathlib import Path

    return {
        alias.asname or alias.name: (node.module or "", alias.name)
        for block in ast.parse(Path(file).read_text(encoding="utf-8")).body
        if isinstance(block, ast.If) and "TYPE_CHECKING" in ast.unparse(block.test)
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }

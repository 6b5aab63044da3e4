"""What may import what, and that imports stay light.

Rooms: core <- nets, data <- algos, policy <- run <- sweeps, reports <- cli. What a module imports
at its top is read from its source; what loading it really brings along is looked up in a fresh
interpreter. Nothing is timed: modules are counted. No files import each other in a circle, not even
from inside functions.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import rlkit

ROOT = Path(rlkit.__file__).parent
MODULES = sorted(ROOT.rglob("*.py"))

# What is above the rooms, or below them all.
TOP = {"", "__main__", "arguments", "front", "keywords", "lazy"}
# room -> rooms of rlkit its modules may import at the top, besides itself
MAY_IMPORT = {
    "core": set(),
    "nets": {"core"},
    "data": {"core", "envs"},
    "envs": {"core", "theory"},
    "eval": {"core", "envs"},
    "theory": {"core"},
    "algos": {"core", "nets", "data", "envs"},
    "testing": {"core", "nets", "data", "envs", "algos", "eval", "theory"},
    "exploration": {"core", "nets"},
    "policy": {"core", "data", "eval"},
    "run": {"core", "nets", "data", "envs", "eval", "algos", "policy", "exploration"},
    "zoo": {"core", "policy"},
    "sweeps": {"core", "eval", "algos", "envs", "theory", "policy", "run"},
    "reports": {"core", "eval", "run"},
    "cli": {"core", "data", "envs", "eval", "algos", "theory", "run", "sweeps", "reports", "zoo"},
}
# module or room -> packages beside the standard library that its tops may import
PACKAGES = {
    "core": {"numpy", "torch", "safetensors"},
    "core.jit": {"numba"},
    "nets": {"numpy", "torch"},
    "theory": {"numpy", "scipy", "numba"},
    "eval.statistics": {"numpy", "scipy", "numba"},
    "algos": {"numpy", "torch", "numba", "scipy"},
}
HEAVY = {
    "gymnasium",
    "h5py",
    "matplotlib",
    "minari",
    "minigrid",
    "mlflow",
    "mujoco",
    "optuna",
    "pandas",
    "pyarrow",
    "ray",
    "rich",
    "sklearn",
    "stable_baselines3",
    "tensorboard",
    "tyro",
    "wandb",
}


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


def top_imports(path: Path) -> Iterator[str]:
    """Full names imported when the module is, wherever they stand but in functions and under
    TYPE_CHECKING."""
    yield from _imports(ast.parse(path.read_text(encoding="utf-8")).body)


def _imports(body: list[ast.stmt]) -> Iterator[str]:
    for node in body:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide which room is meant"
            for alias in node.names:
                yield f"{node.module}.{alias.name}"
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            yield from _imports(node.orelse)
        elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            for field in ("body", "orelse", "finalbody"):
                yield from _imports(getattr(node, field, []))
            for handler in getattr(node, "handlers", []):
                yield from _imports(handler.body)


def all_imports(node: ast.AST) -> Iterator[str]:
    """Full names imported anywhere below `node`, in functions too, but not under TYPE_CHECKING."""
    if isinstance(node, ast.Import | ast.ImportFrom):
        yield from _imports([node])
        return
    inside = ast.iter_child_nodes(node)
    if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
        inside = iter(node.orelse)
    for child in inside:
        yield from all_imports(child)


def circle(sources: dict[str, str]) -> list[str]:
    """Modules of which each imports the one before and the first is the last, or nothing.

    `sources` are module -> text. An import counts for the deepest module its name begins with:
    packages themselves only pass names on.
    """

    def imported(name: str) -> Iterator[str]:
        for found in all_imports(ast.parse(sources[name])):
            while found and found not in sources:
                found = found.rpartition(".")[0]
            if found:
                yield found

    try:
        TopologicalSorter({name: imported(name) for name in sources}).prepare()
    except CycleError as error:
        return error.args[1]
    return []


def room_of(name: str) -> str:
    return name.split(".")[0]


def test_every_room_has_a_rule() -> None:
    rooms = {room_of(name_of(path)) for path in MODULES} - TOP
    assert rooms == MAY_IMPORT.keys()


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_rooms(path: Path) -> None:
    name = name_of(path)
    room = room_of(name)
    if room in TOP:
        return
    for imported in top_imports(path):
        if not imported.startswith("rlkit."):
            continue
        other = imported.split(".")[1]
        if other in ("__version__", "arguments", "keywords", "lazy", room):
            continue
        assert other in MAY_IMPORT[room], f"{name} imports {imported} at its top"


def test_no_files_import_each_other_in_a_circle() -> None:
    names = {path: f"rlkit.{name_of(path)}".rstrip(".") for path in MODULES}
    assert not circle({name: path.read_text(encoding="utf-8") for path, name in names.items()})


@pytest.mark.parametrize(
    ("back", "found"),
    [
        ("import p.a", True),
        ("from p import a", True),
        ("from p.a import thing", True),
        ("def late():\n    if late:\n        from p.a import thing", True),
        ("class C:\n    def late(self):\n        import p.a as other", True),
        ("from p import thing", False),  # the package itself passes it on
        ("if TYPE_CHECKING:\n    from p.a import thing", False),
        ("if TYPE_CHECKING:\n    pass\nelse:\n    from p.a import thing", True),
    ],
)
def test_what_counts_as_a_circle(back: str, found: bool) -> None:
    sources = {"p": "", "p.a": "from p.b import other", "p.b": "import p.c", "p.c": back}
    assert (set(circle(sources)) == {"p.a", "p.b", "p.c"}) is found


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_packages(path: Path) -> None:
    name = name_of(path)
    allowed = PACKAGES.get(name, PACKAGES.get(room_of(name)))
    if allowed is None:
        return
    outside = {i.split(".")[0] for i in top_imports(path)} - sys.stdlib_module_names - {"rlkit"}
    assert outside <= allowed, f"{name} imports {sorted(outside - allowed)}"


def test_no_subpackage_does_work_at_import() -> None:
    """`__init__` files hold a docstring, names, and the call that finds names late."""
    for path in ROOT.rglob("__init__.py"):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            plain = (
                isinstance(node, ast.ImportFrom)
                or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))
                or (isinstance(node, ast.Assign) and not _calls(node))
                or ast.unparse(node) == "__getattr__, __dir__ = lazily(__name__, __file__)"
                or (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test))
            )
            assert plain, f"{name_of(path) or 'rlkit'}: {ast.unparse(node)}"


def _calls(node: ast.AST) -> bool:
    return any(isinstance(part, ast.Call) for part in ast.walk(node))


@cache
def loaded(statement: str) -> frozenset[str]:
    """Every module in memory after `statement`, in an interpreter of its own."""
    code = f"import sys\n{statement}\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return frozenset(done.stdout.split())


def packages(modules: frozenset[str]) -> set[str]:
    """Installed packages among modules, apart from rlkit."""
    ours = {name.split(".")[0] for name in modules}
    return {name for name in ours - sys.stdlib_module_names - {"rlkit"} if name[0] != "_"}


def test_importing_rlkit_loads_next_to_nothing() -> None:
    extra = loaded("import rlkit") - loaded("")
    assert {name for name in extra if name.split(".")[0] == "rlkit"} == {"rlkit", "rlkit.lazy"}
    assert not packages(extra)
    assert len(extra) < 10  # typing, and what it brings


LIGHT = [
    "a2pr",
    "bc",
    "cql",
    "cql_discrete",
    "decision_transformer",
    "dqn",
    "history_cql",
    "iql",
    "odice",
    "rebrac",
    "sac",
    "stock_dqn",
    "td3",
    "td3_bc",
    "wsrl",
]


@pytest.mark.parametrize("name", LIGHT)
def test_an_algorithm_loads_torch_and_nothing_else_of_weight(name: str) -> None:
    """Fewer than fifty modules of ours and none of another package than torch brings itself."""
    extra = loaded(f"import rlkit.algos.{name}") - loaded("import torch, numpy")
    assert not packages(extra)
    ours = {m for m in extra if m.split(".")[0] == "rlkit"}
    assert len(ours) < 50
    assert len(extra - ours) < 50, sorted(extra - ours)


def test_algorithms_with_sources_of_their_own_load_sampling_besides() -> None:
    """Which is numba; no environment, no reader of datasets, no plots."""
    names = [name_of(path) for path in MODULES if name_of(path).startswith("algos.")]
    own = [name for name in names if name.count(".") == 1 and name.split(".")[1] not in LIGHT]
    assert len(own) > 5
    found = packages(loaded("import " + ", ".join(f"rlkit.{name}" for name in own)))
    assert not found & HEAVY


@pytest.mark.parametrize(
    "module", ["rlkit.theory", "rlkit.eval.statistics", "rlkit.eval.records", "rlkit.policy.policy"]
)
def test_no_torch_is_needed_for(module: str) -> None:
    found = packages(loaded(f"import {module}"))
    assert not found & (HEAVY | {"torch"})


def test_all_of_theory_does_without_torch() -> None:
    names = [name_of(path) for path in MODULES if name_of(path).startswith("theory")]
    statement = "import " + ", ".join(f"rlkit.{name}" for name in names)
    assert not packages(loaded(statement)) & (HEAVY | {"torch"})


def test_the_core_loads_no_environment_and_no_dataset_package() -> None:
    names = [name_of(path) for path in MODULES if room_of(name_of(path)) in ("core", "nets")]
    statement = "import " + ", ".join(f"rlkit.{name}" for name in names)
    assert not packages(loaded(statement)) & HEAVY


def test_the_command_line_starts_light() -> None:
    assert not packages(loaded("import rlkit.cli.main"))

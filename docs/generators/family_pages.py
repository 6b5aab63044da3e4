"""Pages of the bandit policies and of the tabular methods: a section a module, its docstring."""

from __future__ import annotations

import re
from pathlib import Path

import reference_pages
import sources

BANDITS = "algorithms/bandits.md"
TABULAR = "algorithms/tabular.md"
_BANDITS_HEAD = """# Bandits

Compiled simulation (`rlkit.simulate`, `rlkit bandit`), and batched policies for
[your own stream](../how-to/bandits.md): a module each, with its formulas and sources. 
`rlkit bandit --list` names the policies of the simulation with their parameters.
"""
_TABULAR_HEAD = """# Tabular methods

Solvers, learners and theory on one type, `FiniteMDP`; see [solving your own
model](../how-to/own-mdp.md). A module each, with its formulas and sources.
`rlkit solve MODEL --method all` runs the solvers of discounted problems side by side.
"""


def bandits() -> str:
    """The page of the bandit policies."""
    return _BANDITS_HEAD + _family("rlkit.algos.bandits")


def tabular() -> str:
    """The page of the tabular methods."""
    return _TABULAR_HEAD + _family("rlkit.theory")


def _family(package: str) -> str:
    folder = sources.ROOT / package.replace(".", "/")
    parts = [_section(package, folder)]
    parts += [
        _section(f"{package}.{sub.name}", sub) for sub in sorted(folder.iterdir()) if _is_room(sub)
    ]
    return "\n".join(parts)


def _is_room(path: Path) -> bool:
    return (path / "__init__.py").exists()


def _section(package: str, folder: Path) -> str:
    said = sources.docstring(folder / "__init__.py").partition("\n\n")[0].replace("\n", " ")
    lines = ["", f"## {package.removeprefix('rlkit.')}", "", said]
    if package in reference_pages.PACKAGES:
        page = Path(reference_pages.file_of(package)).name
        lines += ["", f"What it lists as public: [reference](../reference/{page})."]
    for path in sorted(folder.glob("*.py")):
        text = sources.docstring(path)
        if path.stem == "__init__" or not _is_told(text):
            continue
        first, _, rest = text.partition("\n\n")
        lines += ["", f"### {path.stem}", "", " ".join(first.split())]
        if rest:
            lines += ["", "```text", rest.rstrip(), "```"]
    return "\n".join([*lines, ""])


def _is_told(text: str) -> bool:
    """Whether a docstring has something for readers: formulas, a source, or more than a line."""
    return "\n\n" in text or re.search(r"\b(19|20)\d\d\b|arXiv", text) is not None

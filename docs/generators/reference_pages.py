"""Pages of the API reference: what each package lists as public, from its docstrings."""

from __future__ import annotations

import ast
from pathlib import Path

import sources

# package -> title of its page, in the order of the menu
PACKAGES = {
    "rlkit": "rlkit: the front door",
    "rlkit.run": "run: trainings",
    "rlkit.policy": "policy: exported policies",
    "rlkit.zoo": "zoo: trained policies",
    "rlkit.exploration": "exploration: bonuses",
    "rlkit.data": "data: datasets and replay",
    "rlkit.envs": "envs: environments",
    "rlkit.envs.tabular": "envs.tabular: families of models",
    "rlkit.envs.bandits": "envs.bandits: simulators",
    "rlkit.eval": "eval: rollouts and statistics",
    "rlkit.sweeps": "sweeps",
    "rlkit.reports": "reports",
    "rlkit.core": "core: what an algorithm stands on",
    "rlkit.nets": "nets: networks with lanes",
    "rlkit.testing": "testing: the contract suite",
    "rlkit.algos.bandits": "bandits",
    "rlkit.algos.bandits.contextual": "bandits: contextual",
    "rlkit.algos.bandits.identification": "bandits: pure exploration",
    "rlkit.algos.bandits.slates": "bandits: slates",
    "rlkit.algos.bandits.off_policy": "bandits: off-policy",
    "rlkit.theory": "theory: finite models",
    "rlkit.theory.planning": "theory: planning",
    "rlkit.theory.learning": "theory: learning",
    "rlkit.theory.robust": "theory: robust planning",
    "rlkit.theory.returns": "theory: laws of returns",
    "rlkit.theory.objectives": "theory: objectives",
    "rlkit.theory.preferences": "theory: preferences and games",
    "rlkit.theory.geometry": "theory: geometry",
    "rlkit.theory.continuous": "theory: continuous time",
}


def public(package: str) -> dict[str, str]:
    """Public names of a package -> the full name of what they are."""
    path = sources.ROOT / package.replace(".", "/") / "__init__.py"
    found: dict[str, str] = {}
    for node in ast.walk(sources.tree(path)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("rlkit"):
            for alias in node.names:
                name = alias.asname or alias.name
                if not name.startswith("_") and node.module != "rlkit.lazy":
                    found[name] = f"{node.module}.{alias.name}"
    return dict(sorted(found.items(), key=lambda pair: pair[0].lower()))


def file_of(package: str) -> str:
    return f"reference/{package.replace('.', '-')}.md"


def page(package: str) -> str:
    """The page of one package."""
    path = sources.ROOT / package.replace(".", "/") / "__init__.py"
    opening, _, rest = sources.docstring(path).partition("\n\n")
    lines = [f"# `{package}`", "", opening.replace("\n", " "), ""]
    if rest:
        lines += ["```text", rest, "```", ""]
    for name, full in public(package).items():
        if _is_module(full):
            continue
        lines += [f"::: {full}", "    options:", f"      heading: {name}", ""]
    return "\n".join(lines)


def index() -> str:
    """The list of all reference pages."""
    lines = [
        "# API reference",
        "",
        "What each package lists as public; everything is imported when it is first asked for. "
        "What is not listed here may change in any version.",
        "",
        "| package | |",
        "|---|---|",
    ]
    for package in PACKAGES:
        path = sources.ROOT / package.replace(".", "/") / "__init__.py"
        if path.exists():
            said = sources.docstring(path).partition("\n\n")[0].replace("\n", " ")
            lines.append(f"| [`{package}`]({Path(file_of(package)).name}) | {said} |")
    return "\n".join([*lines, ""])


def _is_module(full: str) -> bool:
    path = sources.ROOT / full.replace(".", "/")
    return path.is_dir() or path.with_suffix(".py").exists()


def options() -> str:
    """The table of `rlkit.Options`."""
    path = sources.ROOT / "rlkit/run/settings/options.py"
    lines = [
        "# Options of a run",
        "",
        "Fields of `rlkit.Options`: `--NAME VALUE` of `rlkit train` (with `-` for `_`; `from_run` "
        "is `--from`), keywords of `rlkit.train`, keys of a sweep's systems and tasks. The fields "
        "of `config` are the algorithm's; [its page](../algorithms/index.md) lists them.",
        "",
        "| option | default | takes | |",
        "|---|---|---|---|",
    ]
    for one in sources.settings(path, "Options"):
        remark = one.remark.replace("|", "\\|")
        lines.append(
            f"| `{one.name}` | `{one.default or 'must be given'}` | {one.allowed} | {remark} |"
        )
    return "\n".join([*lines, ""])

"""The options of every command, from the forms that `rlkit/cli` reads them with."""

from __future__ import annotations

import ast
from typing import NamedTuple

import sources

_CLI = sources.ROOT / "rlkit" / "cli"


class Option(NamedTuple):
    """A word that a command takes."""

    name: str  # as it is written; of a positional one what stands for it
    value: str  # what stands for its value
    default: str
    help: str
    required: bool
    positional: bool


class Command(NamedTuple):
    """A command and what it takes."""

    name: str
    form: str  # the dataclass in `rlkit.cli`
    text: str
    options: list[Option]


def commands() -> list[Command]:
    """All commands whose words are read by a form of their own, in alphabetical order."""
    found = []
    for path in sorted(_CLI.glob("*.py")):
        module = sources.tree(path)
        classes = {node.name: node for node in module.body if isinstance(node, ast.ClassDef)}
        for node in ast.walk(module):
            if not (isinstance(node, ast.Call) and ast.unparse(node.func) == "parse"):
                continue
            form, name = ast.unparse(node.args[0]), node.args[2]
            if form not in classes or not isinstance(name, ast.Constant):
                continue  # that of `train` is made from an algorithm's Config
            text = _text(node.args[3], path)
            options = [_option(part, path) for part in classes[form].body if _is_field(part)]
            found.append(Command(str(name.value), f"{path.stem}.{form}", text, options))
    return sorted(found)


def section() -> str:
    """The options of all commands, for the page of the command line."""
    lines = [
        "`rlkit train NAME` takes the [options of a run](options.md), and `--config.FIELD VALUE` "
        "for each field of the [algorithm's Config](../algorithms/index.md).",
        "",
    ]
    for command in commands():
        lines += [f"### {command.name}", "", _plain(command.text.strip()), ""]
        if not command.options:
            continue
        lines += ["| | default | |", "|---|---|---|"]
        for one in command.options:
            spelled = f"{one.name} {one.value}".strip() if not one.positional else one.name
            spelled = spelled.replace("|", "\\|")
            default = "must be given" if one.required else f"`{one.default}`"
            lines.append(f"| `{spelled}` | {default} | {_plain(one.help)} |")
        lines.append("")
    return "\n".join(lines)


def _plain(text: str) -> str:
    """Text that means nothing to Markdown or HTML."""
    return text.replace("|", "\\|").replace("<", "&lt;")


def _is_field(node: ast.stmt) -> bool:
    return isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)


def _option(node: ast.stmt, path: sources.Path) -> Option:
    assert isinstance(node, ast.AnnAssign)
    hint = _expanded(node.annotation, path)
    kind, *marks = hint.slice.elts  # type: ignore[attr-defined]
    said = {
        word.arg: _text(word.value, path)
        for mark in marks
        if isinstance(mark, ast.Call)
        for word in mark.keywords
    }
    text = ast.unparse(kind)
    positional = text.startswith("Positional")
    name = said.get("name") or ast.unparse(node.target)
    value = said.get("metavar", "")
    if not value and "bool" not in text:
        choices = isinstance(kind, ast.Subscript) and ast.unparse(kind.value) == "Literal"
        words = ast.literal_eval(kind.slice) if choices else text.split(" ")[0].upper()  # type: ignore[attr-defined]
        value = "|".join(words) if choices else str(words)
    default = "" if node.value is None else ast.unparse(node.value)
    spelled = value if positional else f"--{name.replace('_', '-')}"
    return Option(spelled, value, default, said.get("help", ""), node.value is None, positional)


def _expanded(hint: ast.expr, path: sources.Path) -> ast.expr:
    """An annotation, with a name of the module's own for one replaced by what it stands for."""
    if isinstance(hint, ast.Name):
        for node in sources.tree(path).body:
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == hint.id:
                return node.value
        raise ValueError(f"{path}: {hint.id} is not an annotation of its own")
    return hint


def _text(node: ast.expr, path: sources.Path) -> str:
    """A text as it is written, or the constant that it names, here or in `arguments.py`."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(part, path) for part in node.values)
    if isinstance(node, ast.FormattedValue):
        return _text(node.value, path)
    if isinstance(node, ast.Name):
        for where in (path, _CLI / "arguments.py"):
            if (found := sources.constant(where, node.id)) is not None:
                return str(found)
    return ""

"""What Python sources say, read without importing them: the documents are built without torch."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[2]
ALGOS = ROOT / "rlkit" / "algos"


class Setting(NamedTuple):
    """A field of a Config."""

    name: str
    default: str
    allowed: str  # which values it takes, in words
    remark: str  # the comment beside it


def algorithms() -> list[str]:
    """Names of the algorithm files, as `rlkit list` has them."""
    names = (path.stem for path in ALGOS.glob("*.py"))
    return sorted(name for name in names if name not in ("__init__", "common"))


@cache
def source(path: Path) -> str:
    return path.read_text(encoding="utf-8")


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(source(path))


def docstring(path: Path) -> str:
    return ast.get_docstring(tree(path)) or ""


def title(name: str) -> str:
    """Name and paper of an algorithm: its docstring up to the paper's number, or its sentence."""
    text = " ".join(docstring(ALGOS / f"{name}.py").partition("\n\n")[0].split())
    found = re.match(r".*?\d{4}\.\d{5}\)", text) or re.match(r".*?(?<! al)\.(?= |$)", text)
    return found.group() if found else text


def constant(path: Path, name: str) -> Any:
    """The value a module gives `name`; None where it gives none. Only literals, `|` and names of
    the module's own constants are worked out."""
    known: dict[str, Any] = {}
    for node in tree(path).body:
        targets = node.targets if isinstance(node, ast.Assign) else []
        if isinstance(node, ast.AnnAssign) and node.value is not None:
            targets = [node.target]
        for target in targets:
            if isinstance(target, ast.Name):
                try:
                    known[target.id] = _value(node.value, known)  # type: ignore[attr-defined]
                except ValueError:
                    continue
    return known.get(name)


def _value(node: ast.AST, known: dict[str, Any]) -> Any:
    if isinstance(node, ast.Name) and node.id in known:
        return known[node.id]
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return _value(node.left, known) | _value(node.right, known)
    if isinstance(node, ast.Dict) and None not in node.keys:
        pairs = zip(node.keys, node.values, strict=True)
        return {_value(key, known): _value(value, known) for key, value in pairs if key}
    if isinstance(node, ast.Tuple):
        return tuple(_value(part, known) for part in node.elts)
    return ast.literal_eval(node)


def settings(path: Path, kind: str = "Config") -> list[Setting]:
    """The fields of a dataclass and of those it extends, as the class has them."""
    node = next(
        (n for n in tree(path).body if isinstance(n, ast.ClassDef) and n.name == kind), None
    )
    if node is None:  # what another module has is used as it is
        return settings(*_where(path, ast.Name(kind)))
    fields: dict[str, Setting] = {}
    for base in reversed(node.bases):
        for field in settings(*_where(path, base)):
            fields[field.name] = field
    for part in node.body:
        if isinstance(part, ast.AnnAssign) and isinstance(part.target, ast.Name):
            default = "" if part.value is None else ast.unparse(part.value)
            allowed, remark = _allowed(part.annotation), _remark(path, part)
            fields[part.target.id] = Setting(part.target.id, default, allowed, remark)
    return list(fields.values())


def _where(path: Path, base: ast.expr) -> tuple[Path, str]:
    """File and name of a class that is named in `path` as Config, or as module.Config."""
    module, _, name = ast.unparse(base).rpartition(".")
    for node in tree(path).body:
        if isinstance(node, ast.ClassDef) and node.name == name and not module:
            return path, name
        if not isinstance(node, ast.ImportFrom) or node.module is None:
            continue
        for alias in node.names:
            if (alias.asname or alias.name) == (module or name):
                dotted = f"{node.module}.{alias.name}" if module else node.module
                return ROOT / f"{dotted.replace('.', '/')}.py", name if module else alias.name
    raise ValueError(f"{path}: where {ast.unparse(base)} comes from is not said")


def _remark(path: Path, node: ast.AnnAssign) -> str:
    """The comment on a field's lines."""
    lines = source(path).splitlines()[node.lineno - 1 : node.end_lineno]
    text = "\n".join(line.strip() for line in lines) + "\n"
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    found = [token.string for token in tokens if token.type == tokenize.COMMENT]
    return " ".join(one.lstrip("# ") for one in found)


# --- which values a type takes --------------------------------------------------------------------
@cache
def _ranges() -> dict[str, str]:
    """The ranges of `rlkit.core.words.ranges` in mathematical words, by the name of the type."""
    found = {}
    for node in tree(ROOT / "rlkit/core/words/ranges.py").body:
        if not (isinstance(node, ast.Assign) and isinstance(node.value, ast.Subscript)):
            continue
        if ast.unparse(node.value.value) != "Annotated":
            continue
        kind, marked = node.value.slice.elts  # type: ignore[attr-defined]
        bounds = [ast.literal_eval(one) for one in marked.args[1:]]
        excluded = next((ast.literal_eval(k.value) for k in marked.keywords), "")
        if len(bounds) == 3:
            excluded = bounds.pop()
        whole = "whole number" if kind.id == "int" else "number"
        if not bounds:
            words = f"finite {whole}"
        elif len(bounds) == 1:
            words = f"{whole} {'>' if excluded == 'low' else '≥'} {bounds[0]}"
        else:
            left = "(" if excluded in ("low", "both") else "["
            right = ")" if excluded in ("high", "both") else "]"
            words = f"{whole} in {left}{bounds[0]}, {bounds[1]}{right}"
        found[ast.unparse(node.targets[0])] = words
    return found


@cache
def _choices() -> dict[str, list[str]]:
    """Types that are a choice of words (`X = Literal[...]`), by their name."""
    found = {}
    for path in sorted((ROOT / "rlkit").rglob("*.py")):
        for name, words in re.findall(r"^(\w+) = Literal\[([^\]]+)\]", source(path), re.M):
            found[name] = re.findall(r'"([^"]*)"', words)
    return found


def _allowed(hint: ast.expr) -> str:
    text = ast.unparse(hint)
    if isinstance(hint, ast.BinOp):  # X | None
        return f"{_allowed(hint.left)}, or None"
    if isinstance(hint, ast.Subscript) and ast.unparse(hint.value) == "Literal":
        return _one_of(re.findall(r"'([^']*)'", text))
    if isinstance(hint, ast.Subscript) and ast.unparse(hint.value) == "tuple":
        parts = hint.slice.elts if isinstance(hint.slice, ast.Tuple) else [hint.slice]
        inner = _allowed(parts[0])
        return f"several, each: {inner}" if "..." in text else f"{len(parts)}, each: {inner}"
    several = {"Widths": "Count", "Naturals": "Natural", "NonNegatives": "NonNegative"}
    if text in several:
        none = "; none: a linear net" if text == "Widths" else ""
        return f"several, each: {_ranges()[several[text]]}{none}"
    if (name := text.rpartition(".")[2]) in _choices():
        return _one_of(_choices()[name])
    plain = {"bool": "True or False", "str": "text", "int": "whole number", "float": "number"}
    return _ranges().get(text) or plain.get(text, f"`{text}`")


def _one_of(words: list[str]) -> str:
    return ", ".join(f"`{word}`" for word in words)

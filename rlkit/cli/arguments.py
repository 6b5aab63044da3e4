"""Command-line arguments to dataclasses, by tyro; what is wrong becomes one line."""

from __future__ import annotations

import contextlib
import dataclasses
import inspect
import io
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin, get_type_hints

import tyro

from rlkit.core.errors import UsageError
from rlkit.core.files.replacing import make_folder
from rlkit.core.lanes import read_seeds
from rlkit.core.words.nearest import meant, nearest, suggestion
from rlkit.core.words.ranges import read_finite, read_whole
from rlkit.core.words.synonyms import SHORT

Form = TypeVar("Form")

_NUMBER = re.compile(r"\d[\d._]*(e-?\d+)?", re.IGNORECASE)

TRUST = "import the code that files name (environments, algorithms)"  # help of --trust


def parse(form: type[Form], argv: Sequence[str], command: str, description: str) -> Form:
    """An instance of dataclass `form` from `argv`; `--help` prints help and raises SystemExit(0).

    Raises UsageError of one line for anything that is not valid, naming the nearest option.
    """
    known = options(form)
    for before, word in zip(["", *argv], argv, strict=False):
        if not word and not before.startswith("--"):
            raise UsageError(f"{command}: an argument is an empty text; give a name or a path")
        name = word.split("=")[0].replace("_", "-")
        if name.startswith("--") and name not in known:
            raise UsageError(f"{command}: unknown option {name!r}{_near(name, known)}")
        if _SHORT.fullmatch(name) and name not in ("-h", "-inf", "-nan"):
            raise UsageError(f"{command}: unknown option {name!r}{_long(name, known)}")
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            return tyro.cli(form, args=argv, prog=command, description=description, registry=_RULES)
    except SystemExit as stop:
        if stop.code in (0, None):
            raise
        raise UsageError(f"{command}: {_first_words(said.getvalue())}{_apart(argv)}") from None


_RULES = tyro.constructors.ConstructorRegistry()


@_RULES.primitive_rule
def _numbers(info: Any) -> Any:
    """Whole numbers may be written as 1e5, and what is not finite is no number."""
    if info.type not in _READ:
        return None
    return tyro.constructors.PrimitiveConstructorSpec(
        nargs=1,
        metavar=info.type.__name__.upper(),
        instance_from_str=lambda words: _READ[info.type](words[0]),
        is_instance=lambda value: isinstance(value, info.type),
        str_from_instance=lambda value: [str(value)],
    )


@_RULES.primitive_rule
def _choices(info: Any) -> Any:
    """Of a few words one; another is answered with the nearest."""
    words = get_args(info.type) if get_origin(info.type) is Literal else ()
    if not words or not all(isinstance(word, str) for word in words):
        return None

    def read(given: list[str]) -> str:
        if given[0] not in words:
            near = suggestion(given[0], words)
            raise ValueError(f"unknown {given[0]!r}{near} (one of {', '.join(words)})")
        return given[0]

    return tyro.constructors.PrimitiveConstructorSpec(
        nargs=1,
        metavar="{" + ",".join(words) + "}",
        instance_from_str=read,
        is_instance=lambda value: value in words,
        str_from_instance=lambda value: [value],
    )


_SHORT = re.compile(r"-[A-Za-z][\w.-]*")
_READ = {int: read_whole, float: read_finite}


def _near(name: str, known: list[str]) -> str:
    """The nearest option, looked for behind the same `--config.` if there is one."""
    if (same := meant(name, known)) is not None:
        return f"; did you mean {same!r}?"
    group, _, last = name.rpartition(".")
    siblings = [k.removeprefix(f"{group}.") for k in known if k.startswith(f"{group}.")]
    best = nearest(last, siblings) if group else None
    return f"; did you mean '{group}.{best}'?" if best else suggestion(name, known)


def _long(name: str, known: list[str]) -> str:
    """The options that a short one may stand for: there are none but -h."""
    meant = [f"--{word}" for word in SHORT.get(name[1:].casefold(), ())]
    ends = [k for word in meant for k in known if k == word or k.endswith(f".{word[2:]}")]
    found = dict.fromkeys(ends)
    if not found:  # a long one with a dash too few
        return _near(f"-{name}", known)
    return f"; did you mean {' or '.join(map(repr, found))}? Options have long names only"


def options(form: type, prefix: str = "--") -> list[str]:
    """Every option a form takes, `--help` included; those of a nested form as `--outer.inner`."""
    found = ["--help"] if prefix == "--" else []
    for name, kind in get_type_hints(form, include_extras=True).items():
        marks = getattr(kind, "__metadata__", ())
        given = next((m.name for m in marks if getattr(m, "name", None)), name)
        spelled = prefix + given.replace("_", "-")
        bare = get_args(kind)[0] if get_origin(kind) is Annotated else kind
        if dataclasses.is_dataclass(bare) and isinstance(bare, type):
            found += options(bare, f"{spelled}.")
        elif not _is_positional(kind):
            found.append(spelled)
            if bare is bool and not any("Flag" in str(mark) for mark in marks):  # a pair
                found.append(f"{prefix}no-{spelled.removeprefix(prefix)}")
    return found


def picture_file(text: str, command: str) -> Path:
    """Where `--plot` writes, its folder made: what forbids it is said before the work.

    Raises UsageError for a name that is no picture's.
    """
    file = Path(text)
    if file.suffix not in (".png", ".svg"):
        raise UsageError(f"{command}: --plot {text} must end in .png or .svg")
    make_folder(file.parent)
    return file


def form_of(
    source: type,
    name: str,
    *,
    leave_out: Sequence[str] = (),
    lanes: bool = False,
    replaced: dict[str, tuple[Any, Any]] | None = None,
    spelled: dict[str, str] | None = None,
    defaults: dict[str, Any] | None = None,
    added: dict[str, tuple[Any, Any]] | None = None,
) -> type:
    """A dataclass to parse that has the fields of dataclass `source`, their trailing comments as
    help, and comma lists for tuples.

    With `lanes`, float fields take a comma list too, one value a lane, and flags take True or
    False. `replaced` gives fields another type and a maker of the default, `spelled` another name,
    `defaults` another default; `added` are further fields, each a type and a default.
    """
    helps, kinds = comments(source), get_type_hints(source)
    fields: list[Any] = []
    for field in dataclasses.fields(source):
        if field.name in leave_out:
            continue
        default = dataclasses.field(default=field.default)
        if replaced and field.name in replaced:
            kind, make_default = replaced[field.name]
            default = dataclasses.field(default_factory=make_default)
        else:
            kind = _kind(kinds[field.name], lanes)
            if defaults and field.name in defaults:
                default = dataclasses.field(default=defaults[field.name])
                if kinds[field.name] is bool and not lanes and defaults[field.name]:
                    kind = bool  # on by default: it can be put off, as a pair of flags
            elif field.default_factory is not dataclasses.MISSING:
                default = dataclasses.field(default_factory=field.default_factory)
        if not dataclasses.is_dataclass(kind):
            name_given = (spelled or {}).get(field.name)
            mark = tyro.conf.arg(help=helps.get(field.name, ""), name=name_given)
            kind = Annotated[kind, mark]  # type: ignore[valid-type]
        fields.append((field.name, kind, default))
    for field_name, (kind, value) in (added or {}).items():
        fields.append((field_name, kind, dataclasses.field(default=value)))
    return dataclasses.make_dataclass(name, fields, frozen=True)


def comments(source: type) -> dict[str, str]:
    """The comment behind each field of a dataclass, its bases' included."""
    found: dict[str, str] = {}
    for kind in reversed(source.__mro__[:-1]):
        with contextlib.suppress(OSError):  # made at run time, or without its source
            text = inspect.getsource(kind)
            found |= re.findall(r"^\s+(\w+):[^#\n]*#\s*(.+)$", text, re.MULTILINE)
    return found


def _list_of(kind: type, metavar: str, single: bool) -> Any:
    """A parser of "1,2,3"; one value alone stays a number when `single`."""

    def read(words: list[str]) -> Any:
        text = words[0].strip()
        if text[:1] + text[-1:] in ("[]", "()"):  # as Python, JSON and TOML write it
            text = text[1:-1].strip().removesuffix(",")
        values = tuple(_READ.get(kind, kind)(word.strip()) for word in text.split(","))
        return values[0] if single and len(values) == 1 else values

    def show(value: Any) -> list[str]:
        values = value if isinstance(value, tuple) else (value,)
        return [",".join(str(v) for v in values)]

    return tyro.constructors.PrimitiveConstructorSpec(
        nargs=1,
        metavar=metavar,
        instance_from_str=read,
        is_instance=lambda value: True,
        str_from_instance=show,
    )


def _seed_list() -> Any:
    return tyro.constructors.PrimitiveConstructorSpec(
        nargs=1,
        metavar="A:B|A,B,..",
        instance_from_str=lambda words: read_seeds(words[0]),
        is_instance=lambda value: True,
        str_from_instance=lambda value: [",".join(str(v) for v in value)],
    )


def _truth() -> Any:
    """A parser of "true" and "false", in capitals or not: Python, JSON and TOML differ."""

    def read(words: list[str]) -> bool:
        if (word := words[0].strip().lower()) not in ("true", "false"):
            raise ValueError(f"{words[0]!r} is neither True nor False")
        return word == "true"

    return tyro.constructors.PrimitiveConstructorSpec(
        nargs=1,
        metavar="{True,False}",
        instance_from_str=read,
        is_instance=lambda value: isinstance(value, bool),
        str_from_instance=lambda value: [str(value)],
    )


Seeds = Annotated[tuple[int, ...], _seed_list()]


def _kind(kind: Any, lanes: bool) -> Any:
    if lanes and kind is float:
        return Annotated[Any, _list_of(float, "FLOAT[,FLOAT,..]", single=True)]
    if lanes and kind is bool:
        return Annotated[Any, _truth()]  # of a bool tyro makes a flag
    if get_origin(kind) is tuple:
        inner = get_args(kind)[0]
        return Annotated[kind, _list_of(inner, f"{inner.__name__.upper()},..", single=False)]
    if kind is bool:
        return tyro.conf.FlagCreatePairsOff[bool]
    if get_origin(kind) is Literal or kind in (int, float, str):
        return kind
    if kind in (str | None, int | None, float | None):
        return Annotated[kind, tyro.conf.arg(metavar=get_args(kind)[0].__name__.upper())]
    return kind


def _is_positional(kind: Any) -> bool:
    marks = getattr(kind, "__metadata__", ())
    return any("Positional" in str(mark) for mark in marks)


def _apart(argv: Sequence[str]) -> str:
    """How several values are written, where numbers stand side by side."""
    for first, second, third in zip(argv, argv[1:], argv[2:], strict=False):
        if first.startswith("-") and _NUMBER.fullmatch(second) and _NUMBER.fullmatch(third):
            return f"; several values are written with commas: {first} {second},{third}"
    return ""


def _first_words(box: str) -> str:
    """The message in a box that tyro has drawn, without frame, title and the rest.

    Where the terminal has no Unicode the box is of spaces, with a rule below its title.
    """
    lines = [line.strip(" │") for line in box.splitlines() if not line.startswith(("╭", "╰"))]
    rules = [k for k, line in enumerate(lines) if line and not line.strip("─-")]
    first = rules.pop(0) + 1 if rules and "╭" not in box else 0
    words = [line for line in lines[first : rules[0] if rules else None] if line]
    text = " ".join(words) or "cannot read the arguments"
    # of an option that may be None, tyro tells what each type says
    return re.sub(r"no type matching .*<class '(?:int|float)'>: ", "", text)

"""Settings by name, which a training begins from; whatever is given besides outranks them.

An algorithm's file has those of its papers (`PRESETS`: redq, droq, ...). `rlkit/presets/*.toml` has
those that suit an algorithm on a task, a dataset or an environment to learn in: "recommended" was
measured there, "published" is what others print for it. "none" is the algorithm's own defaults.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from rlkit.core.errors import UsageError
from rlkit.core.words.nearest import suggestion
from rlkit.run.settings import task_presets
from rlkit.run.settings.algorithms import algorithm

if TYPE_CHECKING:
    from rlkit.run.settings.options import Options

RECOMMENDED = "recommended"
_NONE = "none"


class Preset(NamedTuple):
    """Values of the algorithm's Config and of the run's options."""

    config: dict[str, Any]
    run: dict[str, Any]
    source: str = ""

    def within(self, other: Preset) -> bool:
        """Whether another preset says all of this, and more."""
        return self != other and self.items() <= other.items()

    def items(self) -> set[tuple[str, str]]:
        """Names of the options, those of the config as config.NAME, and the values as text."""
        config = {(f"config.{name}", _shown(x)) for name, x in self.config.items()}
        return config | {(name, _shown(x)) for name, x in self.run.items()}

    def __str__(self) -> str:
        fields = [f"config.{name} {_shown(x)}" for name, x in self.config.items()]
        return ", ".join([*fields, *(f"{name} {_shown(x)}" for name, x in self.run.items())])


def of(algo: str, dataset: str | None = None, env: str | None = None) -> dict[str, Preset]:
    """The presets of an algorithm by name: its own, and those for the dataset, or without one for
    the environment. Raises UsageError for an unknown algorithm."""
    own: Mapping[str, Any] = getattr(algorithm(algo), "PRESETS", {})
    found = {name: Preset(*values) for name, values in own.items()}
    task = dataset if dataset is not None else env
    for name, one in task_presets.every().get((str(task), algo), {}).items():
        found[name] = Preset(one.config, one.run, one.source)
    return found


def find(name: str, algo: str, dataset: str | None = None, env: str | None = None) -> Preset:
    """The preset of that name. Raises UsageError naming those that there are."""
    known = of(algo, dataset, env)
    if name == _NONE:
        return Preset({}, {})
    if name not in known:
        offered = f"it has {', '.join([*known, _NONE])}" if known else "it has none"
        where = " on ".join(word for word in (algo, dataset or env) if word)
        raise UsageError(f"{where} has no preset {name!r}{suggestion(name, known)}; {offered}")
    return known[name]


def applied(given: Mapping[str, Any]) -> dict[str, Any]:
    """`given` options as keywords or from a file, with those that their "preset" asks for.

    Raises UsageError for a preset that there is not, and for a `config` that is no dict beside one:
    a Config does not tell which of its fields were given.
    """
    values = dict(given)
    if (name := values.pop("preset", None)) is None:
        return values
    preset = find(str(name), str(values.get("algo")), values.get("dataset"), values.get("env"))
    config = values.get("config")
    if not isinstance(config, dict | None):
        raise UsageError(f"beside preset {name!r}, give config as a dict of the fields to change")
    return preset.run | values | {"config": preset.config | (config or {})}


def options(preset: str, algo: str, **given: Any) -> Options:
    """The options that begin from a preset; `given` outranks it, with `config` a dict. Raises what
    `applied` does."""
    from rlkit.run.settings.options import Options

    return Options(**applied({"algo": algo, "preset": preset, **given}))


def told(options: Options) -> list[str]:
    """Lines for the beginning of a training (whose options are resolved): the preset it equals, or
    how it differs from what is recommended for its data."""
    known = of(options.algo, options.dataset, options.env)
    apart = {name: _apart(options, preset) for name, preset in known.items()}
    equal = [name for name in known if not apart[name]]
    whole = [a for a in equal if not any(known[a].within(known[b]) for b in equal if b != a)]
    lines = [f"preset  {name}{_source(known[name])}: {known[name]}" for name in whole]
    if not whole and (changed := apart.get(RECOMMENDED)):
        preset = known[RECOMMENDED]
        some = len(changed) < len(preset.items())  # begun from it, with options of one's own
        lines.append(
            f"preset  {'' if some else 'none; '}{RECOMMENDED} for {options.algo} on "
            f"{options.dataset or options.env}{_source(preset)}{' but for' if some else ''}: "
            f"{', '.join(changed)}"
        )
    return lines


def _source(preset: Preset) -> str:
    return f" ({preset.source})" if preset.source else ""


def _apart(options: Options, preset: Preset) -> list[str]:
    """What of the preset the options have otherwise."""
    has = [
        (f"config.{name}", getattr(options.config, name), x) for name, x in preset.config.items()
    ]
    has += [(name, getattr(options, name), x) for name, x in preset.run.items()]
    return [
        f"{name} {_shown(wanted)} (here {_shown(own)})"
        for name, own, wanted in has
        if own != wanted
    ]


def _shown(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ",".join(str(x) for x in value)
    return f"{value:,}" if type(value) is int else str(value)

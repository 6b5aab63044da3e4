"""A page for each algorithm: what is written by hand about it, and what its file says."""

from __future__ import annotations

import json
import re
from typing import Any

import sources

WHERE = {
    "offline": "a dataset",
    "online": "an environment",
    "then-online": "a dataset, then an environment",
}
FAMILIES = {  # heading -> algorithms; what is not named here is listed under the last
    "Offline": (
        *("bc", "iql", "td3_bc", "rebrac", "a2pr", "cql", "cql_discrete", "cal_ql", "odice"),
        *("decision_transformer", "ss_orl", "history_cql"),
    ),
    "Online": ("sac", "td3", "dqn", "srl", "stock_dqn", "wsrl"),
    "With a model": ("mbpo", "vagram", "lipschitz_model", "pets", "mopo", "combo", "ravl", "morec"),
    "From preferences or an expert": (
        "pebble",
        "p_iql",
        "cpl",
        "heron",
        "spo",
        "vpl",
        "sf_regret",
        "gail",
    ),
    "Others": (),
}
_GOLDEN = sources.ROOT / "tests/golden/README.md"
_SYSTEMS = sources.ROOT / "docs/systems.md"
_RESULTS = sources.ROOT / "benchmarks/results"


def index() -> str:
    """The table of all algorithms, family by family."""
    lines = [
        "# Algorithms",
        "",
        "One file each, in the notation of its paper. Every page has the equations, the settings "
        "with their ranges, the differences from the paper and the command. `rlkit list` prints "
        "the same table. [Bandits](bandits.md) and [tabular methods](tabular.md) have a page each.",
        "",
    ]
    named = {name for names in FAMILIES.values() for name in names}
    for family, names in FAMILIES.items():
        present = [name for name in names if name in sources.algorithms()]
        if family == "Others":
            present = [name for name in sources.algorithms() if name not in named]
        if not present:
            continue
        lines += [f"## {family}", "", "| | learns from | actions | |", "|---|---|---|---|"]
        for name in present:
            fits = sources.constant(sources.ALGOS / f"{name}.py", "FITS") or ()
            where = "; ".join(text for word, text in WHERE.items() if word in fits)
            actions = ", ".join(word for word in ("continuous", "discrete") if word in fits)
            said = sources.title(name)
            lines.append(f"| [`{name}`]({name}.md) | {where} | {actions} | {said} |")
        lines.append("")
    lines += [
        "Agents of stable-baselines3 (`sb3:ppo`, `sb3:a2c`, `sb3:sac`, `sb3:td3`, `sb3:ddpg`, "
        "`sb3:dqn`) run in the same kind of run folder; see "
        "[coming from stable-baselines3](../coming-from.md#stable-baselines3).",
        "",
    ]
    return "\n".join(lines)


def page(name: str) -> str:
    """The page of one algorithm."""
    path = sources.ALGOS / f"{name}.py"
    written = sources.ROOT / f"docs/algorithms/{name}.md"
    head = written.read_text(encoding="utf-8") if written.exists() else f"# `{name}`\n"
    fits = sources.constant(path, "FITS") or ()
    parts = [head.rstrip(), "", *_fits(fits), *_commands(name, fits), *_settings(name)]
    parts += [*_run(path), *_presets(name, path), *_parity(name), *_measured(name)]
    text = sources.docstring(path)
    parts += ["## What the file says", "", "```text", text, "```", ""]
    parts += [
        f'??? note "rlkit/algos/{name}.py, whole"',
        "",
        '    ```python title="' + name + '.py"',
    ]
    parts += [f"    {line}".rstrip() for line in sources.source(path).splitlines()]
    parts += ["    ```", ""]
    return "\n".join(parts)


def _fits(fits: tuple[str, ...]) -> list[str]:
    where = "; or ".join(text for word, text in WHERE.items() if word in fits)
    actions = " or ".join(word for word in ("continuous", "discrete") if word in fits)
    seen = "Images too. " if "pixels" in fits else ""
    return [f"Learns from {where}. {seen}Actions: {actions}.", ""] if fits else []


def _commands(name: str, fits: tuple[str, ...]) -> list[str]:
    discrete = "continuous" not in fits
    data = "rlkit/minigrid/doorkey-5x5-mixed-v0" if discrete else "rlkit/pendulum/medium-v0"
    env = "CartPole-v1" if discrete else "Pendulum-v1"
    data_env = "MiniGrid-DoorKey-5x5-v0" if discrete else "Pendulum-v1"
    start = sources.constant(sources.ALGOS / f"{name}.py", "NEEDS_START")
    lines = []
    if start:
        lines.append(f"rlkit train {name} --from runs/NAME --env {env}")
    elif "offline" in fits:
        lines.append(f"rlkit train {name} --dataset {data}")
    if "online" in fits and not start:
        lines.append(f"rlkit train {name} --env {env}")
    if "then-online" in fits and not start:
        lines.append(f"rlkit train {name} --dataset {data} --env {data_env} --online")
    if not lines:
        lines.append(f"rlkit train {name} --help")
    return ["## Command", "", "```bash", *lines, "```", ""]


def _settings(name: str) -> list[str]:
    out = [
        "## Settings",
        "",
        "Fields of `Config`: `--config.NAME VALUE` on the command line (with `-` for `_`), "
        '`config={"NAME": value}` in Python, `config = { NAME = value }` in a sweep. A number '
        "that is not whole may be given once for each seed. A value outside its range is refused "
        "before anything is written.",
        "",
        "| field | default | takes | |",
        "|---|---|---|---|",
    ]
    for one in sources.settings(sources.ALGOS / f"{name}.py"):
        remark = one.remark.replace("|", "\\|")
        out.append(f"| `{one.name}` | `{one.default}` | {one.allowed} | {remark} |")
    return [*out, ""]


def _run(path: sources.Path) -> list[str]:
    own = sources.constant(path, "RUN")
    if not own:
        return []
    said = ", ".join(f"`--{key.replace('_', '-')} {value}`" for key, value in own.items())
    return [f"Unless the command says otherwise, a run of it has {said}.", ""]


def _presets(name: str, path: sources.Path) -> list[str]:
    own = sources.constant(path, "PRESETS")
    if not own:
        return []
    out = ["## Presets", "", "| `--preset` | settings |", "|---|---|"]
    for preset, (config, run) in own.items():
        said = [f"`config.{key} = {value!r}`" for key, value in config.items()]
        said += [f"`{key} = {value!r}`" for key, value in run.items()]
        out.append(f"| `{preset}` | {', '.join(said)} |")
    return [*out, "", "Whatever is given beside a preset outranks it.", ""]


def _parity(name: str) -> list[str]:
    """What the golden files hold for an algorithm: the difference from published code."""
    table = re.findall(r"^\| (\w+)\.npz \| (.+?) \| (.+?) \| (\d+) \| (.+?) \|", *_golden())
    also = {"sac": ("sac", "edac"), "cql": ("cql",), "dqn": ("dqn",)}.get(name, (name,))
    rows = [row for row in table if any(_is_of(row[0], prefix) for prefix in also)]
    if not rows:
        return []
    out = [
        "## Beside published code",
        "",
        "Parameters after so many updates from the same weights, rows and noise, in float64; the "
        "codes, their versions and what was adapted are in `tests/golden/README.md`, and the test "
        "suite holds the tolerances.",
        "",
        "| system | variant | updates | largest difference seen |",
        "|---|---|---|---|",
    ]
    return [
        *out,
        *(f"| {system} | {variant} | {k} | {seen} |" for _, system, variant, k, seen in rows),
        "",
    ]


def _measured(name: str) -> list[str]:
    """The records of `benchmarks/results` in which an algorithm takes part: by their names, by
    those of their tables, or because the page of systems says so of its file."""
    said_so = set(re.findall(rf"<br>`{name}\.py` \|.*?\| `([\w-]+)` \|", sources.source(_SYSTEMS)))
    lines = []
    for path in sorted(_RESULTS.glob("*.json")):
        record = json.loads(path.read_text(encoding="utf-8"))
        named = path.stem in said_so or any(_means(word, name) for word in path.stem.split("-"))
        if named or name in _keys(record.get("results")):
            said = record.get("claim", "")
            withdrawn = " (withdrawn; the page says why)" if record.get("withdrawn") else ""
            told = f": {said}" if said else ""
            lines.append(f"- [{path.stem}](../results.md#{path.stem}){told}{withdrawn}")
            if not withdrawn and path.with_suffix(".png").exists():
                lines += ["", f"    ![{path.stem}](../assets/results/{path.stem}.png)", ""]
    return ["## Measured", "", *lines, ""] if lines else []


def _means(word: str, name: str) -> bool:
    """Whether a word of a record's name is an algorithm's, or its beginning and no other's name."""
    return word == name or (name.startswith(f"{word}_") and word not in sources.algorithms())


def _keys(value: Any) -> set[str]:
    """Names of the tables within a record."""
    if isinstance(value, list):
        return set().union(*map(_keys, value))
    if isinstance(value, dict):
        return set(value).union(*map(_keys, value.values()))
    return set()


def _golden() -> tuple[str, re.RegexFlag]:
    return sources.source(_GOLDEN), re.M


def _is_of(file: str, name: str) -> bool:
    longer = [other for other in sources.algorithms() if other.startswith(f"{name}_")]
    own = file == name or file.startswith(f"{name}_")
    return own and not any(file == o or file.startswith(f"{o}_") for o in longer)

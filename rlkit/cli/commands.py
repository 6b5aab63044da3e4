"""`rlkit train | resume | eval | export | list`: arguments in, printed lines out.

The work is done by plain functions elsewhere; heavy packages are imported once arguments are
known to be valid.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import FlagCreatePairsOff, Positional, arg

from rlkit.cli.arguments import TRUST, Seeds, form_of, parse
from rlkit.core.errors import DivergedError, UsageError
from rlkit.core.files.replacing import make_folder, replacing
from rlkit.core.files.trust import trusting
from rlkit.core.words.ranges import playable
from rlkit.envs.pools import Split
from rlkit.run.settings import presets
from rlkit.run.settings.algorithms import algorithm
from rlkit.run.settings.fits import ACTIONS, SB3, WHERE, algorithms, shipped, title
from rlkit.run.settings.options import Options, run_defaults

if TYPE_CHECKING:
    from rlkit.eval.records import Episode
    from rlkit.run.policies.critics import Guide
    from rlkit.run.train import Result

_RunFolder = Annotated[Positional[str], arg(metavar="DIR", help="run folder")]
_Quiet = Annotated[FlagCreatePairsOff[bool], arg(help="show no progress")]
_Lane = Annotated[int | None, arg(metavar="INT", help="lane, from 0; None: the best one")]
_Trust = Annotated[FlagCreatePairsOff[bool], arg(help=TRUST)]
_Checkpoint = Annotated[str, arg(metavar="STR", help="best, last or a step")]


# --- train and resume -------------------------------------------------------------------------
def train(argv: Sequence[str]) -> None:
    """`rlkit train NAME [options]`."""
    if not argv or (argv[0].startswith("-") and argv[0] not in ("-h", "--help")):
        raise UsageError(
            f"which algorithm? rlkit train NAME [options], NAME one of {', '.join(algorithms())} "
            "or package.module of your own"
        )
    name = "NAME" if argv[0].startswith("-") else argv[0]
    if name == "NAME":
        form = form_of(
            Options,
            "Train",
            leave_out=("algo", "config"),
            replaced={"seeds": _SEEDS},
            spelled=_SPELLED,
            added={"trust": (_Trust, False)},
        )
        print(f"{catalogue()}\n")
        parse(form, argv, "rlkit train NAME", _TRAIN + " --config.FIELD VALUE sets a field.")
    preset, words = _preset(name, argv[1:])
    kind = algorithm(name).Config
    config_form = form_of(kind, "Config", lanes=True, defaults=preset.config)
    replaced: dict[str, tuple[Any, Any]] = {"seeds": _SEEDS, "config": (config_form, config_form)}
    form = form_of(
        Options,
        "Train",
        leave_out=("algo",),
        replaced=replaced,
        spelled=_SPELLED,
        # so that the help tells them; a warm-up follows from the steps
        defaults=run_defaults(Options(name)) | {"warmup": None} | preset.run,
        added={"trust": (_Trust, False)},
    )
    given: Any = parse(form, words, f"rlkit train {name}", f"{_purpose(name)} {_TRAIN}")
    values = {f.name: getattr(given, f.name) for f in dataclasses.fields(form)}
    trust = values.pop("trust")
    values["config"] = kind(**dataclasses.asdict(values["config"]))
    from rlkit.run.train import train as run_training

    with trusting(trust):
        _reported(lambda: run_training(Options(algo=name, **values)))


def _preset(name: str, words: Sequence[str]) -> tuple[presets.Preset, list[str]]:
    """What `--preset NAME` asks for, else what is recommended for the dataset or the environment,
    and the other words."""
    rest, asked = _taken(list(words), "--preset")
    task = _taken(rest, "--dataset")[1], _taken(rest, "--env")[1]
    if asked is None:
        known = presets.of(name, *task)
        return known.get(presets.RECOMMENDED, presets.Preset({}, {})), rest
    return presets.find(asked, name, *task), rest


def _taken(words: list[str], option: str) -> tuple[list[str], str | None]:
    """The words without an option and its value, and that value; None where it is not given."""
    at = next((i for i, word in enumerate(words) if word.split("=")[0] == option), None)
    if at is None:
        return words, None
    _, equals, value = words[at].partition("=")
    end = at + 1 if equals else at + 2
    return words[:at] + words[end:], value if equals else "".join(words[at + 1 : end])


_SEEDS = (Seeds, lambda: (0,))
_SPELLED = {"from_run": "from"}  # a word no Python name can be
_TRAIN = (
    "Train agents, one lane a seed. A comma list in a number of the config gives one a lane. "
    "--preset NAME begins from settings by name: of the algorithm (sac: redq, droq, rlpd) or for "
    "the task (published; recommended, which is taken unless another is named); none: its own."
)


@dataclass(frozen=True)
class Resume:
    folder: _RunFolder
    steps: Annotated[int | None, arg(metavar="INT", help="in all; more than before extends")] = None
    quiet: _Quiet = False
    trust: _Trust = False


def resume(argv: Sequence[str]) -> None:
    """`rlkit resume DIR [--steps N]`."""
    form = parse(Resume, argv, "rlkit resume", "Continue a run from its newest checkpoint.")
    from rlkit.run.train import resume as resume_training

    with trusting(form.trust):
        _reported(lambda: resume_training(form.folder, form.steps, quiet=form.quiet))


def _reported(training: Callable[[], Result]) -> None:
    """Run it and print what it has come to, where lanes have diverged too."""
    try:
        folder = training().folder
    except DivergedError as error:
        report(error.folder)
        raise
    report(folder)


def report(folder: Path) -> None:
    """Print what a run has come to, and draw its learning curve."""
    from rlkit.cli.summary import learning_curve, summarise
    from rlkit.eval import records
    from rlkit.run.records import folder as run_folder

    config = run_folder.read_config(folder)
    options = Options.from_json(config["options"])
    rows = records.read_episodes(folder / run_folder.EPISODES)
    steps = run_folder.steps(folder)
    unit = "updates" if options.kind == "offline" else "steps"
    print(f"run    {folder}  ({steps[-1] if steps else 0:,} {unit} of {options.algo})")
    if len(rows):
        dataset = config["task"]["dataset"]
        step = int(rows["step"].max())
        print(summarise(rows, f"scores after {step:,} {unit}:", dataset))
        behaviour = None if dataset is None else dataset["behaviour_return"]
        print(f"curve  {learning_curve(folder, rows, options, behaviour)}")


# --- eval ---------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Evaluate:
    policy: Annotated[Positional[str], arg(metavar="DIR|FILE", help="run folder or policy file")]
    episodes: Annotated[int, arg(help="of each lane")] = 100
    checkpoint: _Checkpoint = "best"
    lane: Annotated[int | None, arg(metavar="INT", help="one lane; None: all")] = None
    env: Annotated[str | None, arg(metavar="ID", help="another environment of like spaces")] = None
    seed: Annotated[int, arg(help="of the start states; 0 repeats those of the training")] = 1
    levels: Annotated[Split, arg(help="which levels of a run that has a pool")] = "test"
    gap: Annotated[FlagCreatePairsOff[bool], arg(help="and less training levels")] = False
    frequencies: Annotated[
        FlagCreatePairsOff[bool], arg(help="and deciding once in 1, 2, 4 .. 30 steps")
    ] = False
    out: Annotated[str | None, arg(metavar="FILE", help="write every episode to this .csv")] = None
    critic: Annotated[str | None, arg(metavar="DIR", help="run whose critic ranks actions")] = None
    samples: Annotated[int, arg(help="with --critic: actions drawn, of which one is taken")] = 10
    beta: Annotated[float, arg(help="with --critic: softmax(Q / beta) chooses; 0: the best")] = 0.0
    trust: _Trust = False


def evaluate(argv: Sequence[str]) -> None:
    """`rlkit eval DIR|FILE`."""
    form = parse(Evaluate, argv, "rlkit eval", "Evaluate policies on fresh start states.")
    playable(form.episodes, form.seed)
    if form.out is not None and (Path(form.out).suffix != ".csv" or Path(form.out).exists()):
        raise UsageError(f"rlkit eval: --out {form.out} must be a new file that ends in .csv")
    from rlkit.cli.summary import summarise
    from rlkit.eval import records
    from rlkit.run.policies.evaluation import evaluate_file, evaluate_run

    path, dataset = Path(form.policy), None
    if path.is_file() and (form.lane is not None or form.checkpoint != "best"):
        raise UsageError(
            f"rlkit eval: {path} holds one lane at one step: --lane and --checkpoint are for the "
            "folder of a run"
        )
    lanes = None if form.lane is None else [form.lane]
    with trusting(form.trust):
        if form.gap or form.levels != "test":
            _check_pool(form)
        guide = _guide(form)
        if path.is_dir():
            episodes, dataset = evaluate_run(
                path, form.episodes, form.checkpoint, lanes, form.env, form.seed, guide, form.levels
            )
        else:
            episodes = evaluate_file(path, form.episodes, form.env, form.seed, guide)
    if form.out is not None:
        out = Path(form.out)
        make_folder(out.parent)
        with replacing(out) as temporary:
            records.append_episodes(temporary, episodes)
    print(summarise(_rows(episodes), f"{path}:", dataset))
    if form.gap:
        from rlkit.eval.gap import gap

        with trusting(form.trust):
            trained, _ = evaluate_run(
                path, form.episodes, form.checkpoint, lanes, form.env, form.seed, guide, "train"
            )
        print(f"gap    {gap(trained, episodes)}")
    if form.frequencies:
        with trusting(form.trust):
            print(_over_frequencies(form, lanes))


def _over_frequencies(form: Evaluate, lanes: list[int] | None) -> str:
    """Returns by the steps between decisions, and their score."""
    from rlkit.eval.frequency import LENGTHS, by_lane, summarise
    from rlkit.run.policies.evaluation import evaluate_run
    from rlkit.run.records import folder as run_folder

    path = Path(form.policy)
    if not path.is_dir() or form.critic is not None:
        raise UsageError("rlkit eval: --frequencies is for the folder of a run, without --critic")
    env = form.env or run_folder.read_config(path)["task"]["env"]
    played = {
        every: evaluate_run(
            path,
            form.episodes,
            form.checkpoint,
            lanes,
            form.env,
            form.seed,
            levels=form.levels,
            every=every,
        )[0]
        for every in LENGTHS
    }
    return summarise(by_lane(played), env)


def _check_pool(form: Evaluate) -> None:
    from rlkit.run.records import folder as run_folder

    path = Path(form.policy)
    options = run_folder.read_config(path)["options"] if path.is_dir() else {}
    if not options.get("levels"):
        raise UsageError(
            f"rlkit eval: {path} was not trained on a pool of levels (--levels N of rlkit train)"
        )
    if form.gap and form.levels == "train":
        raise UsageError("rlkit eval: --gap compares training levels with others: test, validation")


def _guide(form: Evaluate) -> Guide | None:
    """What `--critic`, `--samples` and `--beta` ask for."""
    if form.critic is None:
        if (form.samples, form.beta) != (Evaluate.samples, Evaluate.beta):
            raise UsageError("rlkit eval: --samples and --beta need --critic DIR, a run's folder")
        return None
    from rlkit.run.policies.critics import Guide

    return Guide(form.critic, form.samples, form.beta)


def _rows(episodes: Sequence[Episode]) -> Any:
    import numpy as np

    from rlkit.eval.records import DTYPE

    return np.array([tuple(e) for e in episodes], DTYPE)


# --- export and list ------------------------------------------------------------------------------
@dataclass(frozen=True)
class Export:
    folder: _RunFolder
    out: Annotated[str | None, arg(metavar="FILE", help="None: policy.* in the run folder")] = None
    onnx: Annotated[FlagCreatePairsOff[bool], arg(help="write ONNX")] = False
    lane: _Lane = None
    checkpoint: _Checkpoint = "best"
    trust: _Trust = False


def export(argv: Sequence[str]) -> None:
    """`rlkit export DIR`."""
    form = parse(Export, argv, "rlkit export", "Write one lane's policy to one file.")
    from rlkit.run.policies.export import export as export_policy

    with trusting(form.trust):
        made = export_policy(
            form.folder, form.out, lane=form.lane, checkpoint=form.checkpoint, onnx=form.onnx
        )
    card = made.card
    found = "equal to torch's" if made.difference == 0 else f"within {made.difference:.0e} of torch"
    print(
        f"policy {made.path}  ({card.algo}, seed {card.seed}, step {card.step:,}; actions {found})"
    )


@dataclass(frozen=True)
class Listing:
    pass


def listing(argv: Sequence[str]) -> None:
    """`rlkit list`."""
    parse(Listing, argv, "rlkit list", "Algorithms, recipes and local datasets.")
    from rlkit.cli.dataset_commands import listing as list_datasets

    print(catalogue())
    print("\ndatasets (rlkit dataset build NAME makes one of a recipe)")
    list_datasets([], indent="  ")


def _purpose(name: str) -> str:
    """What an algorithm is for, in a sentence; nothing where its file does not say."""
    fits = getattr(algorithm(name), "FITS", ())
    where = ", ".join(WHERE[word] for word in fits if word in WHERE)
    actions = " and ".join(word for word in ACTIONS if word in fits)
    seen = ", from images too" if "pixels" in fits else ""
    return f"{name} learns from {where}{seen}; with {actions} actions." if fits else ""


def catalogue() -> str:
    """Every algorithm: where it learns, which actions it takes, and its paper."""
    rows = [("algorithm", "learns", "actions, images", "")]
    for name in [*algorithms(), *SB3]:
        fits = shipped(name)
        where, actions = (
            ", ".join(word for word in fits if (word in WHERE) == is_where)
            for is_where in (True, False)
        )
        rows.append((name, where, actions, title(name)))
    wide = [max(len(row[k]) for row in rows) for k in range(3)]
    lines = [
        "  ".join([*(f"{cell:{w}}" for cell, w in zip(row[:3], wide, strict=True)), row[3]])
        for row in rows
    ]
    legend = [f"{word}: from {text}" for word, text in WHERE.items()]
    return "\n".join([*(line.rstrip() for line in lines), "; ".join(legend)])

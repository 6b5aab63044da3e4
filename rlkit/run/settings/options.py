"""What one training is: every option, checked, hashed, and to and from JSON."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args, get_type_hints

from rlkit.algos.behind.agents import draws_itself
from rlkit.core.errors import UsageError
from rlkit.core.files import trust
from rlkit.core.files.reading import fit
from rlkit.core.words.nearest import suggestion
from rlkit.core.words.ranges import (
    Count,
    Natural,
    Naturals,
    NonNegative,
    OpenShare,
    Positive,
    Threads,
    checked,
    declared,
)
from rlkit.envs.pools import check as check_levels
from rlkit.exploration.bonus import read as read_bonus
from rlkit.run.settings.algorithms import algorithm
from rlkit.run.settings.fits import check_goals, check_where

RewardScaling = Literal["raw", "return_range", "minus_one"]
Weighting = Literal["uniform", "return", "advantage", "top"]
Mode = Literal["auto", "eager", "compile", "graph"]
Backend = Literal["gymnasium", "envpool"]

# Fields that decide where and how a run is shown and kept, not what it computes.
NOT_HASHED = {
    "out",
    "steps",  # a run may be extended
    "quiet",
    "track",
    "video_every",
    "log_every",
    "checkpoint_every",
    "keep",
    "workers",
    "threads",
}


@checked(lanes=False)
@dataclass(frozen=True)
class Options:
    """One training. From a dataset it is offline, in an environment alone online.

    With both it learns from the dataset and is evaluated in the environment; with `online` it goes
    on in the environment (fine-tuning).
    """

    algo: str  # a module of rlkit.algos, or package.module of another project
    dataset: str | None = None  # Minari id or directory
    env: str | None = None  # gymnasium id; beside a dataset: where to evaluate
    online: bool = False  # dataset and environment: act and learn in the environment too
    steps: Count = 100_000  # updates offline, environment steps a lane online
    seeds: Naturals = (0,)  # one lane each
    out: str | None = None  # run folder; None: runs/<algo>-<task>-<hash>
    device: str = "cpu"  # as torch names it
    engine: Mode = "auto"  # of updates: auto chooses
    eval_every: Natural = 5_000  # steps between evaluations; 0: at the end only
    eval_episodes: Natural = 10  # a lane; 0: never evaluate
    frequencies: bool = False  # at the end also evaluate deciding once in 1, 2, 4 .. 30 steps
    checkpoint_every: Natural = 0  # steps between checkpoints; 0: at every evaluation
    keep: Count = 2  # newest checkpoints kept whole; of older ones each lane's best policy stays
    log_every: Count = 1_000  # steps between records of the losses
    quiet: bool = False  # no progress and no notes
    track: tuple[str, ...] = ()  # trackers: tensorboard, wandb, mlflow, module:Name
    video_every: Natural = 0  # steps between clips of the policy, in video/; 0: none
    config: Any = None  # Config of the algorithm, or a dict of its fields; None: its defaults
    normalise_obs: bool = False  # by the dataset's mean and deviation; with none by running ones
    reward: RewardScaling = "raw"  # scaling of the rewards an agent sees
    weighting: Weighting = "uniform"  # which episodes of the dataset are drawn more often
    weighting_alpha: Positive = 0.1  # α of return and advantage weights, best share of top
    shift: Natural = 0  # images: pixels by which a minibatch's are shifted at random; 0: none
    hindsight: Natural = 0  # rows with another goal for each true one a minibatch has; 0: none
    from_run: str | None = None  # run folder whose agent is where this one starts
    levels: Natural = 0  # of a pool that episodes are drawn from (rlkit.envs.pools); 0: no pool
    curriculum: str = ""  # teacher of the tasks collected: alp_gmm, covar_gmm, riac, random
    # what explores: see rlkit.exploration.bonus
    bonus: str = ""  # for what is new, added to the rewards collected: count*episode, ...
    bonus_scale: NonNegative = 0.1  # by how much
    # online and fine-tuning; None is the algorithm's own default, else 1, 1 and 5000 of warm-up
    envs: Count = 1  # environments a lane
    envs_backend: Backend = "gymnasium"  # whose environments collect; envpool: compiled, its own
    utd: NonNegative | None = None  # updates per environment step; 0: none, collect and evaluate
    update_every: Count | None = None  # steps (of each environment) between rounds of updates
    warmup: Natural | None = None  # steps a lane before the first update; None: at most a quarter
    utd_later: NonNegative = 0.0  # utd once the critics' active units settle; 0: no change
    capacity: Count = 1_000_000  # transitions a lane the replay holds
    pretrain: Natural = 0  # fine-tuning: updates on the dataset before the first environment step
    mix: OpenShare = 0.5  # fine-tuning: share of each minibatch drawn from the dataset
    # the machine
    workers: Natural = 0  # processes the lanes are split over; 0 chooses
    threads: Threads = 1  # CPU threads of each process

    @property
    def kind(self) -> Literal["offline", "online", "finetune"]:
        """Which loop trains it."""
        if self.dataset is None:
            return "online"
        return "finetune" if self.online else "offline"

    @property
    def where(self) -> str:
        """Where it learns, in the words of `rlkit.run.settings.fits`."""
        return "then-online" if self.kind == "finetune" else self.kind

    @property
    def total_steps(self) -> int:
        """Steps a run counts to: fine-tuning counts its `pretrain` updates first."""
        return self.steps + (self.pretrain if self.kind == "finetune" else 0)

    @property
    def updates_ahead(self) -> int:
        """About how many updates the run will make."""
        if self.kind == "offline":
            return self.steps
        return int(self.steps * (1 if self.utd is None else self.utd))

    @property
    def saves_every(self) -> int:
        """Steps between checkpoints; 0 is at the end only."""
        return self.checkpoint_every or self.eval_every

    def hash(self) -> str:
        """Eight hexadecimal digits of all that decides the results; the same for any `out`."""
        values = {k: v for k, v in self.to_json().items() if k not in NOT_HASHED}
        return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:8]

    def folder(self) -> Path:
        """The run folder: `out`, or `runs/<algo>-<task>-<hash>`."""
        if self.out is not None:
            return Path(self.out)
        task = (self.dataset if self.kind == "offline" else self.env) or ""
        if self.kind == "offline" and Path(task).exists():
            task = Path(task).stem
        words = f"{self.algo.rpartition('.')[2]}-{task}".replace("/", "_").replace(":", "_")
        return Path("runs") / f"{words}-{self.hash()}"

    def to_json(self) -> dict[str, Any]:
        """JSON-able values of every field, the algorithm's `config` resolved to a dict."""
        values = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        values |= run_defaults(self)
        config = algorithm_config(self.algo, self.config)
        values["config"] = dataclasses.asdict(config)
        return json.loads(json.dumps(values))

    @staticmethod
    def from_json(values: dict[str, Any]) -> Options:
        """The options whose `to_json` this is, with `config` an instance of the algorithm's
        Config. Raises UsageError naming a field of another type, and for an algorithm or a
        function of a setting that only the file has named."""
        algo = str(values.get("algo"))
        if "." in algo and not trust.allows(algo):
            raise UsageError(
                f"the algorithm {algo!r} is no part of rlkit, and importing it runs its code: "
                f"{trust.REMEDY}"
            )
        values = _of_old(values)
        known = {f.name for f in dataclasses.fields(Options)}
        for name in values:
            if name not in known:
                inside = [f"config.{f.name}" for f in dataclasses.fields(algorithm(algo).Config)]
                near = suggestion(name, [*sorted(known), *inside])
                raise UsageError(f"unknown option {name!r}{near}")
        values = {name: _whole(name, value) for name, value in values.items()}
        fit(values, Options, "options", UsageError)
        for name, value, module in code_of(algorithm_config(algo, values.get("config"))):
            if not trust.allows(module):
                raise UsageError(
                    f"config.{name} names {value!r}, and importing it runs its code: {trust.REMEDY}"
                )
        return resolve(Options(**values))


def _of_old(values: dict[str, Any]) -> dict[str, Any]:
    """The options of a run folder from before trackers had names."""
    if type(values.get("tensorboard")) is not bool:
        return values
    others = {name: value for name, value in values.items() if name != "tensorboard"}
    return others | {"track": ["tensorboard"] if values["tensorboard"] else []}


def _whole(name: str, value: Any) -> Any:
    """A count that TOML or JSON has as 1e5 as a whole number."""
    if type(value) is not float or not value.is_integer():
        return value
    return int(value) if int in get_args(declared(Options)[name]) else value


def resolve(options: Options) -> Options:
    """`options` checked, with `config` an instance of the algorithm's Config.

    Raises UsageError naming the option that is wrong and what it may be.
    """
    if options.dataset is None and options.env is None:
        raise UsageError("give a dataset (offline), an environment (online), or both")
    if not (seeds := options.seeds):
        raise UsageError("seeds is (); there must be at least one")
    options = dataclasses.replace(options, **run_defaults(options))
    if options.dataset is None:
        for name in ("reward", "weighting", "weighting_alpha", "pretrain", "mix"):
            if getattr(options, name) != getattr(Options, name):
                raise UsageError(f"{name} needs a dataset; this training has an environment only")
        if options.normalise_obs and options.algo.startswith("sb3:"):
            raise UsageError(
                f"{options.algo} sees observations as they are: normalise_obs is for rlkit's own "
                "agents; give an environment that normalises (gymnasium's NormalizeObservation)"
            )
    if options.frequencies and options.algo.startswith("sb3:"):
        raise UsageError(
            f"frequencies of {options.algo} are evaluated afterwards: rlkit eval RUN --frequencies"
        )
    if options.shift and options.algo.startswith("sb3:"):
        raise UsageError(f"{options.algo} draws minibatches of its own: it has no shift of images")
    if options.levels:
        if options.kind == "offline":
            raise UsageError("levels are drawn where an agent collects; a dataset has its own")
        check_levels(options.levels)
    if options.curriculum:
        _check_curriculum(options)
    if options.hindsight:
        _check_hindsight(options)
    if options.envs_backend != "gymnasium":
        if options.kind == "offline":
            raise UsageError("envs_backend is for what collects: give an environment")
        if options.levels:
            raise UsageError("levels need --envs-backend gymnasium: envpool draws its own")
        if options.algo.startswith("sb3:"):
            raise UsageError(f"{options.algo} collects by itself: envs_backend has no effect")
    if options.bonus:
        if options.kind == "offline":
            raise UsageError("bonus is for what collects: give an environment, and no dataset only")
        read_bonus(options.bonus)
    if options.online and options.env is None:
        raise UsageError("online needs an environment; this training has a dataset only")
    if options.kind == "offline":
        for name in ("pretrain", "utd_later"):
            if getattr(options, name):
                raise UsageError(
                    f"{name} is for what goes online after the data: give an environment and "
                    "--online as well"
                )
    if options.kind != "offline" and options.envs > options.steps:
        raise UsageError(
            f"envs is {options.envs}, which take a step together: more than the {options.steps} "
            "steps of a lane; give fewer --envs or more --steps"
        )
    if options.utd_later and not options.utd:
        raise UsageError("utd_later follows updates; with utd 0 there are none")
    module = algorithm(options.algo)
    if options.from_run is None:  # what goes on has learnt already
        check_where(options.algo, getattr(module, "FITS", ()), options.where)
    if options.algo.startswith("sb3:") and options.dataset is not None:
        _check_imitation(options)
    if options.from_run is not None and options.algo.startswith("sb3:"):
        raise UsageError(f"{options.algo} begins afresh: --from is for agents of rlkit's own")
    if getattr(module, "NEEDS_START", False) and options.from_run is None:
        raise UsageError(f"{options.algo} goes on from another run: give --from RUN_DIR")
    if options.bonus and getattr(module, "LEARNS_REWARD", False):
        raise UsageError(
            f"{options.algo} learns from rewards of its own making, and whoever it asks judges the "
            "task's: a bonus would be in neither; leave --bonus out"
        )
    if options.bonus and getattr(module, "COUNTS_REWARD", False):
        raise UsageError(
            f"{options.algo} counts the rewards that an environment has paid in its observations: "
            "a bonus would be in the one and not in the other; leave --bonus out"
        )
    config = algorithm_config(options.algo, options.config)
    if options.hindsight and draws_itself(module, config):
        check_goals(str(options.env))  # no other algorithm would do where there are none
        raise UsageError(
            f"{options.algo} draws its minibatches itself, and hindsight relabels single "
            "transitions drawn uniformly: give sac, td3, or dqn with --config.n-step 1"
        )
    if options.dataset is None and _imitates(config):
        raise UsageError("cloning and imitation are of a dataset's actions: give --dataset")
    for _, _, named in code_of(config):
        trust.name(named)  # by a person, or what a file named was allowed
    if options.weighting != "uniform" and draws_itself(module, config):
        raise UsageError(f"{options.algo} draws its minibatches itself; weighting has no effect")
    laned = {}
    for field in dataclasses.fields(config):
        value, kind = getattr(config, field.name), get_type_hints(type(config))[field.name]
        if kind is float and isinstance(value, tuple):
            laned[field.name] = value
            if len(value) != len(seeds):
                raise UsageError(
                    f"config field {field.name!r} has {len(value)} values for {len(seeds)} seeds; "
                    "give one value, or one for each seed"
                )
    if len(set(zip(seeds, *laned.values(), strict=True))) != len(seeds):
        raise UsageError(f"seeds {seeds} must be distinct, or their lanes differ in the config")
    return dataclasses.replace(options, config=config)


def _check_curriculum(options: Options) -> None:
    """What a teacher of tasks goes with."""
    from rlkit.algos.bandits.teachers.by_name import read

    if options.kind == "offline":
        raise UsageError("curriculum is for what collects: give an environment, no dataset only")
    if options.levels:
        raise UsageError("levels and curriculum both choose what an episode is of: give one")
    if options.envs_backend != "gymnasium" or options.algo.startswith("sb3:"):
        raise UsageError(
            "curriculum is for rlkit's own agents in gymnasium's environments, whose resets take a "
            "task; around others goes rlkit.envs.Taught"
        )
    read(options.curriculum)


def _check_hindsight(options: Options) -> None:
    """What relabelled goals go with."""
    if options.kind != "online":
        raise UsageError("hindsight relabels what is collected: give an environment and no dataset")
    if options.algo.startswith("sb3:") or options.shift:
        raise UsageError("hindsight is for rlkit's own agents and for vectors")


def code_of(config: Any) -> Iterator[tuple[str, str, str]]:
    """Field, value and module of each setting that names code of one's own, in the Config of an
    algorithm and in that of the agent behind it."""
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        for module in trust.modules_in(value):
            yield field.name, value, module
    inner = getattr(config, "own", None)
    if dataclasses.is_dataclass(inner):
        for name, value, module in code_of(inner):
            yield f"given, {name}", value, module


def _imitates(config: Any) -> bool:
    weights = [getattr(config, name, 0) for name in ("cloning", "imitation")]
    return any(any(w) if isinstance(w, tuple) else bool(w) for w in weights)


def _check_imitation(options: Options) -> None:
    """What stable-baselines3's agents do with a dataset is clone it."""
    if not _imitates(algorithm_config(options.algo, options.config)):
        raise UsageError(
            f"{options.algo} does one thing with a dataset: it clones it; give its config a number "
            "of updates before the first step, cloning, or a weight beside its own loss, imitation"
        )
    for name in ("pretrain", "normalise_obs", "weighting"):
        if getattr(options, name) != getattr(Options, name):
            raise UsageError(f"{name} is not for {options.algo}; it has cloning and imitation")


def run_defaults(options: Options) -> dict[str, Any]:
    """Values of the options that were left to the algorithm (its `RUN`).

    A warm-up that nobody asked for takes at most a quarter of an online training.
    """
    general = {"utd": 1.0, "update_every": 1, "warmup": 5_000}
    own = general | getattr(algorithm(options.algo), "RUN", {})
    if unknown := own.keys() - general.keys():
        raise UsageError(f"RUN of {options.algo} sets {min(unknown)!r}; it may set {[*general]}")
    if options.kind != "offline":
        own["warmup"] = min(own["warmup"], options.steps // 4)
    return {name: value for name, value in own.items() if getattr(options, name) is None}


def algorithm_config(algo: str, config: Any) -> Any:
    """An instance of the algorithm's Config from an instance, a dict of fields, or None."""
    kind = algorithm(algo).Config
    if config is None:
        return kind()
    if isinstance(config, kind):
        return config
    if not isinstance(config, dict):
        raise UsageError(f"config is {type(config).__name__}; {algo} takes its Config or a dict")
    fields = [f.name for f in dataclasses.fields(kind)]
    for name in config:
        if name not in fields:
            beside = [f.name for f in dataclasses.fields(Options)]
            near = suggestion(name, [*fields, *beside])
            raise UsageError(f"{algo} has no config field {name!r}{near}")
    return kind(**{k: tuple(v) if isinstance(v, list) else v for k, v in config.items()})

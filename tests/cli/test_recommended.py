"""Settings by name: for a task, an algorithm's own; on the command line, in Python, in
sweeps, and said when a training begins."""

from __future__ import annotations

from pathlib import Path

import pytest

import rlkit
from rlkit.cli import commands
from rlkit.cli.main import main
from rlkit.core.errors import FileError, UsageError
from rlkit.data.recipes import cards
from rlkit.run.settings import presets, task_presets
from rlkit.run.settings.options import Options, resolve
from rlkit.sweeps import plan

NAME = "rlkit/hopper/medium-replay-small-v1"
MAZE = "rlkit/pointmaze/umaze-v1"
PENDULUM = "InvertedPendulum-v5"
ROOT = Path(rlkit.__file__).parents[1]
ONE = "[[preset]]\nname = 'published'\nalgo = 'iql'\ntask = 't'\nconfig = {}\nsource = 's'\n"


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Options]:
    """What trainings are asked for; none is run."""
    found: list[Options] = []
    monkeypatch.setattr("rlkit.run.train.train", lambda options, *_: found.append(options))
    monkeypatch.setattr(commands, "_reported", lambda training: training())
    return found


@pytest.mark.parametrize(
    ("given", "beta", "normalised"),
    [
        ([], 0.3, True),
        (["--config.beta", "2"], 2.0, True),
        (["--no-normalise-obs"], 0.3, False),
        (["--normalise-obs"], 0.3, True),
        (["--preset", "recommended"], 0.3, True),
        (["--preset=none"], 3.0, False),
    ],
)
def test_settings_of_a_recipe_are_defaults_of_the_command_line(
    given: list[str], beta: float, normalised: bool, asked: list[Options]
) -> None:
    commands.train(["iql", f"--dataset={NAME}", *given])
    assert asked[0].config.beta == beta
    assert asked[0].normalise_obs == normalised


def test_they_are_asked_for_in_python(asked: list[Options]) -> None:
    rlkit.train("iql", dataset=NAME)
    rlkit.train("iql", dataset=NAME, preset="recommended")
    rlkit.train("iql", dataset=NAME, preset="recommended", normalise_obs=False, config={"tau": 0.9})
    rlkit.train("sac", env="Hopper-v5", preset="redq", utd=5.0)
    plain, whole, changed, redq = (resolve(options) for options in asked)
    assert plain == resolve(Options("iql", dataset=NAME))
    assert (whole.config.beta, whole.normalise_obs) == (0.3, True)
    assert (changed.config.beta, changed.config.tau, changed.normalise_obs) == (0.3, 0.9, False)
    assert (redq.config.n_critics, redq.config.subset, redq.utd) == (10, 2, 5.0)
    assert whole == resolve(presets.options("recommended", "iql", dataset=NAME))


def test_and_in_sweeps(tmp_path: Path) -> None:
    path = tmp_path / "one.toml"
    path.write_text(f"""
seeds = "0:2"
tasks.hopper = {{ dataset = "{NAME}" }}
systems.own = {{ algo = "iql" }}
systems.suited = {{ algo = "iql", preset = "recommended", config = {{ tau = 0.9 }} }}
systems.plain = {{ algo = "iql", preset = "recommended" }}
[[overrides]]
system = "plain"
preset = "none"
""")
    own, suited, plain = (variant.options for variant in plan.read(path).variants)
    assert (suited["normalise_obs"], suited["config"]["beta"]) == (True, 0.3)
    assert suited["config"]["tau"] == 0.9
    assert own == plain == {**suited, "normalise_obs": False, "config": own["config"]}
    assert own["config"]["beta"] == 3.0


@pytest.mark.parametrize(
    ("algo", "preset", "config", "message"),
    [
        ("iql", "recomended", None, r"did you mean 'recommended'\?; it has recommended, none"),
        ("bc", "recommended", None, f"bc on {NAME} has no preset 'recommended'; it has none"),
        ("iql", "recommended", "Config", "give config as a dict of the fields to change"),
    ],
)
def test_what_is_no_preset_is_refused(
    algo: str, preset: str, config: str | None, message: str, asked: list[Options]
) -> None:
    from rlkit.algos import iql

    given = iql.Config() if config else None
    with pytest.raises(UsageError, match=message):
        rlkit.train(algo, dataset=NAME, preset=preset, config=given)
    assert not asked
    with pytest.raises(UsageError, match="not both"):
        rlkit.train(Options(algo, dataset=NAME), preset=preset)


def test_the_beginning_of_a_training_says_which() -> None:
    def told(preset: str | None = None, algo: str = "iql", **given: object) -> list[str]:
        values = presets.applied({"algo": algo, "preset": preset, **given})
        return presets.told(resolve(Options(**values)))

    assert told("recommended", dataset=NAME) == [
        f"preset  recommended ({task_presets.every()[NAME, 'iql']['recommended'].source}): "
        "config.beta 0.3, normalise_obs True"
    ]
    (apart,) = told("recommended", dataset=NAME, config={"beta": 2.0})
    assert apart.startswith(f"preset  recommended for iql on {NAME} (return ")
    assert apart.endswith("recipes-short.json) but for: config.beta 0.3 (here 2.0)")
    assert "normalise_obs True (here False)" in told(dataset=NAME)[0]
    (maze,) = told("published", dataset=MAZE)
    assert maze.startswith("preset  published (CORL's for maze2d, not measured here): ")
    (known,) = told(dataset=MAZE)  # what is recommended there is told, not taken, in Python
    assert known.startswith("preset  none; recommended for iql on")
    assert told(algo="bc", dataset=NAME) == []
    (edac,) = told("edac", "sac", dataset=MAZE)  # whose settings begin with those of sac_n
    assert edac.startswith("preset  edac: ")


EVERY = [
    (task, algo, name) for (task, algo), named in task_presets.every().items() for name in named
]


@pytest.mark.parametrize(("task", "algo", "name"), EVERY)
def test_every_preset_of_a_task_can_be_asked_for_everywhere(
    task: str, algo: str, name: str, asked: list[Options]
) -> None:
    """Lists of the files too: they are tuples of a Config."""
    kind = "dataset" if task in cards.all_recipes() else "env"
    commands.train([algo, f"--{kind}={task}", "--preset", name])
    rlkit.train(algo, preset=name, **{kind: task})
    shell, script = (resolve(options) for options in asked)
    assert shell == script
    assert any(line.startswith(f"preset  {name}") for line in presets.told(shell))


def test_a_preset_that_puts_a_flag_on_leaves_it_to_the_user(asked: list[Options]) -> None:
    both = ["sac", "--preset", "rlpd", "--dataset", "x", "--env", "Hopper-v5"]
    for more, online in ([], True), (["--online"], True), (["--no-online"], False):
        commands.train([*both, *more])
        assert asked.pop().online == online


def test_what_is_recommended_for_an_environment_is_taken_and_said(asked: list[Options]) -> None:
    commands.train(["sac", "--env", PENDULUM])
    commands.train(["sac", "--env", PENDULUM, "--preset", "none"])
    commands.train(["sac", "--env", "Hopper-v5"])
    suited, plain, other = (resolve(options) for options in asked)
    assert suited.config.hidden == (64, 64)
    assert plain.config.hidden == other.config.hidden == (256, 256)
    (line,) = presets.told(suited)
    assert line.startswith("preset  recommended (return 1000, the most there is")
    assert presets.told(plain)[0].startswith(f"preset  none; recommended for sac on {PENDULUM}")
    commands.train(
        ["sac", "--env", PENDULUM, "--config.lr", "0.002"]
    )  # begins from it nevertheless
    (own,) = presets.told(resolve(asked[3]))
    assert own.startswith(f"preset  recommended for sac on {PENDULUM}")
    assert own.endswith(" but for: config.lr 0.001 (here 0.002)")


def test_beside_a_dataset_the_environment_is_where_to_evaluate(asked: list[Options]) -> None:
    commands.train(["sac", "--dataset", "x", "--env", PENDULUM])
    assert asked[0].config.hidden == (256, 256)


def test_what_is_recommended_names_a_record_of_its_task_that_is_there() -> None:
    for (task, _), named in task_presets.every().items():
        for name, preset in named.items():
            assert preset.source
            if name == "recommended":
                path = ROOT / preset.record
                assert path.is_file(), preset.record
                short = task.split("/")[-1].removesuffix("-v1")  # as the maze's record calls it
                text = path.read_text()
                assert f'"{task}"' in text or f'"{short}"' in text, (task, preset.record)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (ONE.replace("published", "best"), r"preset: \[0\]\.name .*best"),
        (ONE.replace("task", "tasks"), r"preset: \[0\] has no entry 'task'"),
        ("[other]\n", r"unknown table 'other'; a file of presets has"),
        (ONE + "more = 1\n", r"preset 1 \(iql on t\): unknown entry 'more'"),
        (ONE + ONE, r"preset 2 \(iql on t\): a second one that is called published"),
        (ONE.replace("published", "recommended"), "names the record that shows it"),
        ("[[preset]", "is damaged|not"),
    ],
)
def test_a_file_of_presets_says_what_is_wrong(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "t.toml"
    path.write_text(text)
    with pytest.raises(FileError, match=said) as told:
        task_presets.read(path, {})
    assert str(path) in str(told.value)


def test_the_command_names_what_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "cql", "--dataset", MAZE, "--preset", "recommended"]) == 2
    assert "it has published, none" in capsys.readouterr().err

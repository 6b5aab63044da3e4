"""Values that cannot be are refused before any work; numbers and names as one writes them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from rlkit.algos import sac
from rlkit.cli.main import main
from rlkit.core.errors import UsageError
from rlkit.envs.tabular.families import find_model
from rlkit.run.settings.fits import algorithms
from rlkit.run.settings.options import Options, resolve
from rlkit.sweeps import plan

Output = pytest.CaptureFixture[str]
SAC = "train sac --env Hopper-v5"


def error_of(line: str, capsys: Output) -> str:
    assert main(line.split()) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    return said


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (f"{SAC} --config.lr -1", "lr is -1.0; it must be positive"),
        (f"{SAC} --config.lr nan", "'nan' is not a finite number"),
        (f"{SAC} --config.gamma 1.5", "gamma is 1.5; it must lie in [0, 1]"),
        (f"{SAC} --config.polyak 0", "polyak is 0.0; it must be above 0 and at most 1"),
        (f"{SAC} --config.batch-size 0", "batch_size is 0; it must be at least 1"),
        (f"{SAC} --config.batch-size 2.5", "'2.5' is not a whole number"),
        (f"{SAC} --config.hidden 256,-3", "hidden[1] is -3; it must be at least 1"),
        (f"{SAC} --config.n-critics 0", "n_critics is 0; it must be at least 1"),
        (f"{SAC} --config.subset 3", "subset is 3; it must not exceed n_critics, which is 2"),
        (f"{SAC} --config.dropout 1", "dropout is 1.0; it must be at least 0 and below 1"),
        (f"{SAC} --seeds 0:2 --config.lr 1e-3,-1", "lr[1] is -1.0; it must be positive"),
        ("train iql --dataset x --config.tau 7", "tau is 7.0; it must lie between 0 and 1"),
        ("train dqn --env CartPole-v1 --config.low 9 --config.high 1", "low is 9.0; it must be be"),
        (f"{SAC} --utd inf", "--utd: 'inf' is not a finite number"),
        (f"{SAC} --utd -1", "utd is -1.0; it must not be negative"),
        (f"{SAC} --eval-every -1", "eval_every is -1; it must not be negative"),
        (f"{SAC} --steps 0.5", "'0.5' is not a whole number"),
        ("solve forest --gamma nan", "'nan' is not a finite number"),
        ("bandit --horizon 1e3.5", "'1e3.5' is not a whole number"),
        (f"{SAC} --config.hidden 8 8", "written with commas: --config.hidden 8,8"),
        (f"{SAC} --seeds {2**64}", "seeds[0] has 20 digits; it must be below 2**63"),
        (f"{SAC} --steps {'9' * 400}", "steps has 400 digits; it must be below 2**63"),
        (f"{SAC} --threads 100000", "threads is 100000; it must lie in 1..1024"),
        (f"{SAC} --steps 40 --envs 64", "envs is 64"),
        (f"{SAC} --mix 0.3", "mix needs a dataset"),
        ("train sac --env Pendulum-v1 --device meta", "device 'meta' cannot be used here"),
        ("train sac --env Pendulum-v1 --device gpu", "device 'gpu' cannot be used here"),
        ("train sac --env Pendulum-v1 --capacity 1e15", "capacity 1,000,000,000,000,000 would"),
        ("train sac --env Pendulum-v1 --config.batch-size 1e15", "batch_size 1,000,000,000"),
        ("train sac --env Pendulum-v1 --config.hidden 1e7,1e7", "hidden 10000000, 10000000"),
    ],
)
def test_impossible_values(line: str, says: str, capsys: Output, tmp_path: Path) -> None:
    assert says in error_of(line, capsys)


@pytest.mark.parametrize(
    ("line", "ours"),
    [
        (f"{SAC} --learning-rate 1e-3", "--config.lr"),
        (f"{SAC} --lr 1e-3", "--config.lr"),
        (f"{SAC} --config.tau 0.01", "--config.polyak"),
        (f"{SAC} --config.learning_rate 0.01", "--config.lr"),
        (f"{SAC} --config.total_timesteps 10", "--steps"),
        (f"{SAC} --discount 0.9", "--config.gamma"),
        (f"{SAC} --batch-size 9", "--config.batch-size"),
        (f"{SAC} --n_envs 9", "--envs"),
        (f"{SAC} --learning_starts 9", "--warmup"),
        (f"{SAC} --total-timesteps=9", "--steps"),
        (f"{SAC} --seed 9", "--seeds"),
        ("solve forest --discount 0.9", "--gamma"),
    ],
)
def test_options_of_other_libraries(line: str, ours: str, capsys: Output) -> None:
    assert f"did you mean '{ours}'?" in error_of(line, capsys)


@pytest.mark.parametrize(
    ("line", "ours"),
    [
        ("train redq", "sac --preset redq"),
        ("train SAC-N", "sac --preset sac_n"),
        ("bandit --policies thompson", "'ts_beta'"),
        ("solve forest --method value_iteration", "'vi'"),
    ],
)
def test_names_of_other_libraries(line: str, ours: str, capsys: Output) -> None:
    assert ours in error_of(line, capsys)


@pytest.mark.parametrize("widths", ["[8, 8]", "(8,8)", "[8,8,]", " 8, 8"])
def test_lists_as_other_languages_write_them(
    widths: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[Options] = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("rlkit.run.train.train", asked.append)
    assert main([*SAC.split(), "--config.hidden", widths]) == 1  # there is no result to print
    assert asked[0].config.hidden == (8, 8)


def test_a_terminal_without_unicode() -> None:
    environment = os.environ | {"PYTHONIOENCODING": "ascii"}
    command = [sys.executable, "-m", "rlkit"]
    wrong = subprocess.run(
        [*command, *SAC.split(), "--steps", "nan"], env=environment, capture_output=True, text=True
    )
    said = "rlkit: error: rlkit train sac: Error parsing --steps: 'nan' is not a whole number\n"
    assert wrong.stderr == said
    helped = subprocess.run(
        [*command, "train", "--help"], env=environment, capture_output=True, text=True
    )
    assert helped.returncode == 0
    assert "--weighting-alpha" in helped.stdout


@pytest.mark.parametrize(
    ("theirs", "ours"), [("learning_rate", "config.lr"), ("discount", "config.gamma"),
                         ("n_envs", "envs"), ("total_timesteps", "steps")]
)  # fmt: skip
def test_keywords_of_other_libraries(theirs: str, ours: str) -> None:
    with pytest.raises(TypeError, match=f"did you mean '{ours}'"):
        Options("sac", env="Hopper-v5", **{theirs: 1})
    with pytest.raises(UsageError, match=f"did you mean '{ours}'"):
        Options.from_json({"algo": "sac", "env": "Hopper-v5", theirs: 1})
    with pytest.raises(UsageError, match=f"did you mean '{ours.removeprefix('config.')}'"):
        resolve(Options("sac", env="Hopper-v5", config={theirs: 1}))


def test_counts_as_one_writes_them() -> None:
    options = Options("sac", env="Hopper-v5", steps=1e5, seeds=range(2), config={"batch_size": 1e2})  # type: ignore[arg-type]
    resolved = resolve(options)
    assert (resolved.steps, resolved.seeds, resolved.config.batch_size) == (100_000, (0, 1), 100)
    assert (
        resolved.hash()
        == Options("sac", env="Hopper-v5", seeds=(0, 1), config=sac.Config(batch_size=100)).hash()
    )


SWEEP = """
seeds = "0:2"
retries = 1e0
[defaults]
steps = {steps}
[tasks.bandit]
bandit = "armed"
[tasks.pendulum]
env = "Pendulum-v1"
[systems.ucb]
policy = "ucb1"
tasks = ["bandit"]
[systems.sac]
algo = "sac"
tasks = ["pendulum"]
{more}
"""


def test_counts_in_a_sweep_file(tmp_path: Path) -> None:
    file = tmp_path / "sweep.toml"
    file.write_text(SWEEP.format(steps="1e3", more="config = { batch_size = 1e2 }"))
    asked = plan.read(file)
    assert {(v.steps, type(v.steps)) for v in asked.variants} == {(1000, int)}
    assert asked.variants[1].options["config"]["batch_size"] == 100
    assert asked.retries == 1
    for steps in ("0", "1.5", '"1e3"', "nan"):
        file.write_text(SWEEP.format(steps=steps, more=""))
        with pytest.raises(UsageError, match="steps is"):
            plan.read(file)
    for more, ours in (("learning_rate = 1.0", "config.lr"), ("config = { lrate = 1.0 }", "lr")):
        file.write_text(SWEEP.format(steps="1e3", more=more))
        with pytest.raises(UsageError, match=f"systems.sac on tasks.pendulum: .*'{ours}'"):
            plan.read(file)


def test_options_reach_training_as_whole_numbers(capsys: Output, tmp_path: Path) -> None:
    line = (
        f"train sac --env Pendulum-v1 --steps 2e1 --warmup 1_0 --eval-every 1e1 --out {tmp_path}/a"
    )
    line += " --eval-episodes 1 --config.hidden 8,8e0 --config.batch-size 8 --quiet --engine eager"
    assert main(line.split()) == 0
    assert "(20 steps of sac)" in capsys.readouterr().out


@pytest.mark.parametrize("name", algorithms())
def test_no_algorithm_takes_the_impossible(name: str) -> None:
    for field, value in (("batch_size", 0), ("lr", -1.0), ("hidden", (0,))):
        with pytest.raises(UsageError, match=field):
            resolve(Options(name, dataset="x", from_run="y", config={field: value}))


@pytest.mark.parametrize(
    ("model", "says"),
    [
        (
            "garnet:states=-1,actions=2,successors=1",
            "garnet: states must be a whole number of at least 1, got -1",
        ),
        ("garnet:states=1.5,actions=2,successors=1", "garnet: "),
        ("garnet:states=9,actions=2,successors=1,states=8", "states is given twice"),
    ],
)
def test_sizes_of_a_family_that_cannot_be(model: str, says: str, capsys: Output) -> None:
    assert says in error_of(f"solve {model}", capsys)


def test_sizes_of_a_family_as_one_writes_them() -> None:
    assert find_model("garnet:states=1e1,actions=2,successors=2").num_states == 10

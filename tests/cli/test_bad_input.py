"""README: "Bad input gets one line before work begins": every command, tried as one would err."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

import pytest

from rlkit.cli.main import main

LINES = """
train
train nope
train sac
train sac --env
train sac --env Nope-v0
train sac --env no.such:Env-v0
train sac --env CartPole-v1
train sac --env Pendulum-v1 --steps x
train sac --env Pendulum-v1 --steps 0
train sac --env Pendulum-v1 --steps 1e400
train sac --env Pendulum-v1 --seeds a
train sac --env Pendulum-v1 --seeds 3:1
train sac --env Pendulum-v1 --seeds -1
train sac --env Pendulum-v1 --config.hidden 0
train sac --env Pendulum-v1 --config.hidden a,b
train sac --env Pendulum-v1 --config.gamma 1.5
train sac --env Pendulum-v1 --device cuda:9
train sac --env Pendulum-v1 --device nope
train sac --env Pendulum-v1 --engine fast
train sac --env Pendulum-v1 --out file
train sac --env Pendulum-v1 --from empty
train sac --env Pendulum-v1 --preset nope
train sac --env Pendulum-v1 --envs 0
train sac --env Pendulum-v1 extra words
train iql --dataset nope-v0
train iql --dataset nope
train iql --dataset empty
train iql --dataset file
train iql --dataset ""
train iql --env Pendulum-v1
train iql --dataset x-v0 --weighting nope
train wsrl --env Pendulum-v1
train sb3:nope --env Pendulum-v1
train sb3:ppo --dataset x
train sb3:ppo --env Pendulum-v1 --config.n-steps 0
train sb3:ppo --env Pendulum-v1 --device nope
train rlkit.nope --env Pendulum-v1
train os --env Pendulum-v1
train os.path --env Pendulum-v1
train ../x --env Pendulum-v1
resume
resume nope
resume file
resume empty
resume empty --steps -1
eval
eval nope
eval empty
export nope
export empty --out x.txt
export empty --lane 9
video nope
video empty
dataset nope
dataset build
dataset build nope
dataset show nope
dataset check nope
dataset import-d4rl junk.hdf5
dataset import-d4rl nope.hdf5
dataset record
dataset download nope
bandit --env nope
bandit --env armed(means=[2])
bandit --env armed(means=[0.1,0.2]) --policies nope
bandit --env armed(means=[0.1,0.2]) --policies ucb1(
bandit --env armed(means=[0.1,0.2]) --policies ucb1 --runs 0
bandit --env armed(means=[0.1,0.2]) --policies ucb1 --horizon -3
solve
solve nope
solve river_swim --gamma 2
solve river_swim --methods nope
solve river_swim --eps 0
sweep
sweep nope.toml
sweep junk.toml
sweep e.toml
sweep empty
status nope
status empty
report nope
report empty
compare
compare nope nope2
compare empty empty
plot
plot nope
plot empty --out x.txt
list extra
nope
--nope
solve river_swim --max-backups .5
solve river_swim --max-backups nan
solve river_swim --threads 0
solve river_swim:states=-3
solve nope.npz
train sac --env Pendulum-v1 --from nope
train sac --env Pendulum-v1 --from file
train iql --dataset nope.hdf5
train iql --dataset empty --from nope
eval nope.onnx
eval nope.safetensors
eval empty --critic nope
eval empty --samples 3
video nope.safetensors
video empty --episodes 0
watch
watch nope
watch empty --port 99999999
report empty nope
report file
export file
export file --out x.safetensors
dataset show ../x
dataset show empty
dataset check empty
dataset check nope.hdf5
dataset check rlkit/hopper/medium-replay-small-v1
dataset record --policy nope --out x-v0
dataset record --policy empty --out x
dataset record --policy empty --out ../x-v0
dataset record --policy empty --out x-v0 --episodes 0
dataset from-csv nope.csv
dataset from-parquet nope.parquet
dataset export nope
dataset export nope --out x.txt
dataset build rlkit/nope/v0
status file
video empty --size nan
video empty --out LONG.txt
eval empty --episodes 1e30
eval empty --seed 1e30
eval empty --seed -1
zoo nope
zoo get
zoo get ""
zoo get nope
zoo get ../../etc/passwd
zoo get sac-hopper-v5 --out empty
zoo get sac-hopper-v5 --out x.onnx
zoo get sac-hopper-v5 --revision main
zoo eval ""
zoo eval sac-hopper-v5 --episodes 0
zoo eval sac-hopper-v5 --episodes 1e30
zoo eval sac-hopper-v5 --seed -1
zoo eval sac-hopper-v5 --env Pendulum-v1
zoo push nope --repo ""
dataset import-d4rl junk.hdf5 ""
dataset import-d4rl junk.hdf5 /abs/x-v0
dataset import-d4rl junk.hdf5 x-v0 --time-limit -5
dataset record --policy empty --out x-v0 --episodes 1e30
dataset record --policy empty --out x-v0 --seed 1e30
dataset from-csv junk.toml x-v0 --observation x --action x --reward x
dataset from-csv log.csv x-v0 --observation o --action a --reward r --terminal end --actions 0
dataset from-csv log.csv x-v0 --observation o --action a --reward r --terminal end --actions 1e30
dataset from-csv log.csv x-v0 --observation o --action a --reward r --terminal end --env Nope-v0
dataset from-csv log.csv x-v0 --observation zz --action a --reward r --terminal end
dataset from-csv log.csv x-v0 --observation o --action a --reward r --terminal end --action-low nan
dataset download x-v0 --remote nope
bandit --env "armed(means=[0.9,nan])"
bandit --env "armed(means=[])"
bandit --env LONG
bandit --policies ucb1 --runs 1 --horizon 1e15
bandit --policies ucb1 --runs 1e15
bandit --policies ucb1 --threads 1e9
solve forest:states=0
solve forest:nope=1
solve forest:
solve FrozenLake-v1:map_name=9x9
solve CartPole-v1:nope=1
plot empty --out .png
plot ""
compare "" empty
report ""
report empty --baseline nope
status ""
status empty --watch nan
train "" --env Pendulum-v1
train LONG --env Pendulum-v1
"""
FAULTS = """
eval file
eval junk.safetensors
eval junk.onnx
eval junk.npz
video junk.safetensors
dataset check junk.hdf5
train iql --dataset junk.hdf5
solve junk.npz
train sac --env Pendulum-v1 --out /proc/x/y
train sac --env Pendulum-v1 --steps 2000 --out LONG
train sac --env Pendulum-v1 --steps 2000 --out file/x
video LONG
eval LONG
eval DEEP
eval empty --out LONG.csv
resume LONG
export LONG
plot LONG
compare empty LONG
report LONG
status LONG
solve LONG
dataset show LONG
dataset show DEEP
dataset import-d4rl junk.hdf5 LONG-v0
dataset import-d4rl empty x-v0
dataset from-csv log.csv x-v0 --observation o --action a --reward r --terminal end --actions 2
zoo get sac-hopper-v5 --out LONG.safetensors
zoo get sac-hopper-v5 --out DEEP.safetensors
zoo get sac-hopper-v5 --out file/x.safetensors
"""  # of files and of the system: exit code 1, not 2


@pytest.fixture
def around(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current directory with things that are not what they are taken for."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "minari"))
    (tmp_path / "minari").mkdir()
    (tmp_path / "empty").mkdir()
    for name in ("file", "e.toml"):
        (tmp_path / name).touch()
    for ending in ("safetensors", "onnx", "hdf5", "npz"):
        (tmp_path / f"junk.{ending}").write_text("x")
    (tmp_path / "junk.toml").write_text("x =")
    (tmp_path / "log.csv").write_text("o,a,r,end\n1,0.5,1,0\n2,-0.5,1,1\n")
    return tmp_path


def held(folder: Path) -> list[str]:
    return sorted(str(Path(at, name)) for at, names, files in os.walk(folder) for name in files)


@pytest.mark.parametrize("line", (LINES.strip() + FAULTS).splitlines())
def test_bad_input_gets_one_line_and_nothing_is_begun(
    line: str, around: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = held(around)
    long = line.replace("LONG", "x" * 300).replace("DEEP", "a/" * 2100)
    assert main(shlex.split(long)) == (1 if line in FAULTS.splitlines() else 2)
    said = capsys.readouterr().err.strip()
    assert len(said.splitlines()) == 1
    assert said.startswith("rlkit: error: ")
    for raw in ("--debug shows where", "─", "---", "Traceback"):
        assert raw not in said
    assert held(around) == before

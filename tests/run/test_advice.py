"""What a message advises exists, and what a damaged run says leads out of it."""

from __future__ import annotations

import ast
import contextlib
import io
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import rlkit
from rlkit.cli import main as cli
from rlkit.core.errors import CheckpointError, FileError, RlkitError, RunError
from rlkit.core.files import checkpoint
from rlkit.eval import records
from rlkit.run import train
from rlkit.run.records import folder as run_folder
from rlkit.run.settings.options import Options
from tests.run.edited import edit

ROOT = Path(rlkit.__file__).parent


@pytest.fixture(scope="module")
def offered() -> set[str]:
    """Every option that the help of a command shows."""
    text = io.StringIO()
    with contextlib.redirect_stdout(text):
        for name in cli.COMMANDS:
            places = [[name]]
            if name == "dataset":  # whose help lists its commands
                listed = io.StringIO()
                with contextlib.redirect_stdout(listed):
                    cli.run([name, "--help"])
                subs = re.findall(r"^  (\S+)", listed.getvalue(), re.MULTILINE)
                places += [[name, sub] for sub in subs]
            for words in places:
                with contextlib.suppress(SystemExit):
                    cli.run([*words, "--help"])
    return set(re.findall(r"--[a-z][a-z-]*", text.getvalue()))


def said(room: str) -> Iterator[tuple[str, str]]:
    """Texts of more than one word in the code of a room, docstrings apart, and where they are."""
    for path in sorted((ROOT / room).glob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        described = {id(n.value) for n in ast.walk(tree) if isinstance(n, ast.Expr)}
        for node in ast.walk(tree):
            if not isinstance(node, ast.Constant) or id(node) in described:
                continue
            if isinstance(node.value, str) and " " in node.value:
                yield f"{path.name}:{node.lineno}", node.value


@pytest.mark.parametrize("room", ["run", "core", "policy", "data", "envs", "eval"])
def test_every_advised_option_and_command_exists(room: str, offered: set[str]) -> None:
    assert {"--steps", "--out", "--trust"} <= offered
    for where, text in said(room):
        for option in re.findall(r"(?<![\w-])--[a-z][a-z-]*", text):
            known = option in offered or any(one.startswith(option) for one in offered)
            assert known, f"{where} advises {option}: {text}"
        for command in re.findall(r"(?:with: |`|run )rlkit ([a-z]+)", text):
            assert command in cli.COMMANDS, f"{where} advises rlkit {command}: {text}"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("advice") / "run"
    options = Options(
        "sac", env="Pendulum-v1", steps=40, warmup=30, eval_every=20, eval_episodes=1,
        keep=3, config={"hidden": (4,), "batch_size": 4}, quiet=True, out=str(out),
    )  # fmt: skip
    train.train(options)
    assert run_folder.steps(out) == [20, 40]
    return out


@pytest.mark.parametrize("name", ["checkpoint.json", "agent.safetensors", "replay.safetensors"])
def test_following_the_advice_of_a_damaged_checkpoint(
    trained: Path, tmp_path: Path, name: str
) -> None:
    folder = tmp_path / "run"
    shutil.copytree(trained, folder)
    newest = run_folder.step_folder(folder, 40)
    file = next(newest.rglob(name))
    file.write_bytes(file.read_bytes()[:-7] + b"damaged")
    with pytest.raises(CheckpointError) as error:
        train.resume(folder, 60)
    text = str(error.value)
    assert str(file) in text
    assert text.endswith(f"remove {newest}, which goes back to step 20")
    assert "--" not in text
    shutil.rmtree(newest)
    assert train.resume(folder, 60).step == 60


def test_the_only_checkpoint_goes_back_to_the_beginning(trained: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(trained, folder)
    shutil.rmtree(run_folder.step_folder(folder, 40))
    file = next(run_folder.step_folder(folder, 20).rglob("agent.safetensors"))
    file.unlink()
    with pytest.raises(CheckpointError, match="which goes back to the beginning"):
        run_folder.restore(folder)


WRONG: dict[tuple[str, ...], Any] = {
    ("options", "steps"): "many",
    ("options", "seeds"): "0",
    ("options", "seeds", ""): {"0": 0},
    ("options", "algo"): 3,
    ("options", "utd"): [1.0],
    ("options", "quiet"): 1,
    ("options", "out"): {"a": 1},
    ("task", "obs"): 3,
    ("task", "obs", ""): ["3"],
    ("task", "act"): [],
    ("task", "act", "kind"): "sphere",
    ("task", "act", "size"): None,
    ("task", "transforms"): None,
    ("task", "env_spec"): {},
    ("task", "action_start"): "0",
    ("task", "dataset"): [1],
    ("task", "spaces"): "none",
}


@pytest.mark.parametrize("place", WRONG)
def test_a_config_of_another_shape_names_file_and_field(
    trained: Path, tmp_path: Path, place: tuple[str, ...]
) -> None:
    names = [name for name in place if name]

    def change(config: dict[str, Any]) -> None:
        for name in names[:-1]:
            config = config[name]
        config[names[-1]] = WRONG[place]

    shutil.copy(trained / "config.json", tmp_path)
    edit(tmp_path / "config.json", change)
    with pytest.raises(RunError) as error:
        run_folder.read(tmp_path)
    assert str(tmp_path / "config.json") in str(error.value)
    assert names[0] in str(error.value)
    assert names[1] in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("content", [b"a,b\n1,2\n", b"\xff\xfe\n", b"[1]\n", b"\x00\n"])
def test_damaged_records_are_errors_of_files(tmp_path: Path, content: bytes) -> None:
    readers = {"episodes.csv": records.read_episodes, "progress.jsonl": records.read_progress}
    for name, read in readers.items():
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(FileError, match=name):
            read(path)
        path.unlink()
        path.mkdir()
        with pytest.raises(FileError, match=f"{name} cannot be read"):
            read(path)
        path.rmdir()


def test_lanes_without_a_step_name_the_file(trained: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(trained, folder)
    rows = [records.Episode(lane, lane, step, 0, 1.0, 3, True) for lane, step in ((0, 20), (1, 40))]
    (folder / "episodes.csv").unlink()
    records.append_episodes(folder / "episodes.csv", rows)
    with pytest.raises(RlkitError, match=r"episodes\.csv"):
        run_folder.best_steps(folder)


def test_an_index_alone_gives_the_fact(tmp_path: Path) -> None:
    checkpoint.save(tmp_path / "x", {"agent": {"w": torch.ones(2)}}, {})
    (tmp_path / "x" / "agent.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"agent\.safetensors is missing$"):
        checkpoint.load(tmp_path / "x")

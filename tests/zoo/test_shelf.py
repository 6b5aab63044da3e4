"""The policies that ship: sums, sizes, returns; copies, damage and names that are not there."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

import rlkit
from rlkit import zoo
from rlkit.cli.main import main
from rlkit.core.errors import FileError, RlkitError, UsageError
from rlkit.zoo import entry, shelf

NAMES = sorted(shelf.shipped())
SAC = "sac-hopper-v5"


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The shelf, in a folder where it may be damaged."""
    place = tmp_path / "shelf"
    shutil.copytree(shelf.SHELF, place)
    monkeypatch.setattr(shelf, "SHELF", place)
    return place


def write(place: Path, **changes: object) -> None:
    """Change fields of the entry of SAC's policy."""
    index = json.loads((place / entry.INDEX).read_text())
    index["policies"][SAC] |= changes
    (place / entry.INDEX).write_text(json.dumps(index))


def test_index_and_files_are_the_same_set_and_small() -> None:
    files = {path.name for path in shelf.SHELF.iterdir()}
    assert files == {entry.INDEX, *(f"{name}{entry.ENDING}" for name in NAMES)}
    assert len(NAMES) >= 2
    for name, one in shelf.shipped().items():
        assert (shelf.SHELF / f"{name}{entry.ENDING}").stat().st_size == one["bytes"] < 1_000_000
        assert one["returns"]["lowest"] <= one["returns"]["mean"] <= one["returns"]["highest"]
        assert one["command"] is not None
        assert one["trained_with"]["rlkit"]


def test_an_index_is_written_as_it_is_read() -> None:
    assert entry.index_text(shelf.shipped()) == (shelf.SHELF / entry.INDEX).read_text()


@pytest.mark.parametrize("name", NAMES)
def test_a_policy_returns_what_its_entry_says(name: str) -> None:
    """The first episodes of those that were measured; on another machine within their range."""
    path, one = shelf.take(name)
    found = np.array([e.return_ for e in rlkit.evaluate(path, 2, seed=one["returns"]["seed"])])
    known = one["returns"]
    slack = max(4 * known["std"], 0.05 * abs(known["mean"]))
    assert (found > known["lowest"] - slack).all()
    assert (found < known["highest"] + slack).all()


def test_a_policy_acts_as_its_file() -> None:
    policy = zoo.load(SAC)
    obs = np.linspace(-1, 1, 11)
    np.testing.assert_array_equal(
        policy.act(obs), rlkit.load(shelf.SHELF / f"{SAC}.safetensors").act(obs)
    )
    assert (policy.card.algo, policy.card.env) == ("sac", "Hopper-v5")


def test_a_copy_is_the_file_and_replaces_nothing_unasked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = (shelf.SHELF / f"{SAC}.safetensors").read_bytes()
    monkeypatch.chdir(tmp_path)
    assert zoo.get(SAC) == Path(f"{SAC}.safetensors")
    out = tmp_path / "new" / "policy.safetensors"
    assert zoo.get(SAC, out).read_bytes() == Path(f"{SAC}.safetensors").read_bytes() == content
    out.write_text("mine")
    with pytest.raises(UsageError, match="stands already; --force"):
        zoo.get(SAC, out)
    assert out.read_text() == "mine"
    assert zoo.get(SAC, out, force=True).read_bytes() == content
    assert os.listdir(out.parent) == [out.name]
    with pytest.raises(UsageError, match="is a folder"):
        zoo.get(SAC, tmp_path, force=True)
    with pytest.raises(UsageError, match="must end in"):
        zoo.get(SAC, tmp_path / "policy.onnx")


@pytest.mark.parametrize("name", ["sac-hopper-v4", "sac-hoper", "SAC-Hopper-v5"])
def test_an_unknown_name_finds_its_neighbour(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=f"no policy '{name}'; did you mean '{SAC}'"):
        zoo.get(name, tmp_path / "policy.safetensors")
    assert not os.listdir(tmp_path)


def test_a_damaged_file_is_not_handed_out(copy: Path, tmp_path: Path) -> None:
    path = copy / f"{SAC}.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(FileError, match="its size or its SHA-256 sum differs"):
        zoo.get(SAC, tmp_path / "policy.safetensors")
    assert not (tmp_path / "policy.safetensors").exists()
    path.unlink()
    with pytest.raises(FileError, match="there is no"):
        zoo.load(SAC)


def test_a_file_with_the_right_sum_that_is_no_policy_or_another_one(copy: Path) -> None:
    import hashlib

    path = copy / f"{SAC}.safetensors"
    write(copy, step=5)
    with pytest.raises(RlkitError, match=r"step 5 for 'sac-hopper-v5'.*has 280000"):
        zoo.load(SAC)
    path.write_bytes(b"no policy")
    write(copy, bytes=9, sha256=hashlib.sha256(b"no policy").hexdigest())
    with pytest.raises(RlkitError, match="is damaged, or is not a policy file"):
        zoo.load(SAC)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"bytes": "many"}, f"policies.{SAC}.bytes is 'many'"),
        ({"returns": {"mean": 1.0}}, f"policies.{SAC}.returns has no entry"),
        ({"sha256": "0"}, "has no SHA-256 sum"),
        ({"step": True}, "step is True"),
    ],
)
def test_an_index_that_is_wrong_names_the_field(copy: Path, changes: dict, words: str) -> None:
    write(copy, **changes)
    with pytest.raises(FileError) as told:
        zoo.entries()
    assert words in str(told.value)


def test_names_in_an_index_lead_nowhere_else(copy: Path) -> None:
    index = json.loads((copy / entry.INDEX).read_text())
    for name in ("../policy", ".hidden", "A", "a b", ""):
        changed = index | {"policies": {name: index["policies"][SAC]}}
        (copy / entry.INDEX).write_text(json.dumps(changed))
        with pytest.raises(FileError, match=r"leads out of the folder|is not a name"):
            zoo.entries()
    (copy / entry.INDEX).write_text(json.dumps(index | {"format": 2}))
    with pytest.raises(FileError, match="by a later rlkit, in format 2"):
        zoo.entries()


def test_the_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["zoo", "list"]) == 0
    said = capsys.readouterr().out
    assert all(name in said for name in NAMES)
    assert "3,508 ± 10 (20 episodes)" in said
    out = tmp_path / "policy.safetensors"
    assert main(["zoo", "get", SAC, "--out", str(out)]) == 0
    assert rlkit.load(out).card.step == 280_000
    assert main(["zoo", "get", SAC, "--out", str(out)]) == 2
    assert main(["zoo", "eval", SAC, "--episodes", "1"]) == 0
    said = capsys.readouterr().out
    assert "1 episodes at step 280,000" in said
    assert "recorded in Hopper-v5: 3,508 ± 10 (20 episodes), of start seed 1" in said
    assert main(["zoo", "eval", SAC, "--episodes", "0"]) == 2
    assert main(["zoo", "gte", SAC]) == 2
    assert "did you mean 'get'" in capsys.readouterr().err
    assert main(["zoo"]) == 0
    assert main(["zoo", "get", SAC, "--revision", "main", "--out", str(tmp_path / "b.safetensors")])
    assert "a revision is for a policy of the Hub" in capsys.readouterr().err

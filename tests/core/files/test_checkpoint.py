"""Checkpoints are whole or absent, and damage is told from change."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import safetensors.torch
import torch

from rlkit.core.errors import CheckpointError
from rlkit.core.files import checkpoint


def tensors() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    buffer = torch.randn(12, generator=generator)
    return {
        "flat": buffer,
        "view": buffer[3:9].view(2, 3),  # shares storage with flat
        "transposed": buffer.view(3, 4).T,
        "double": torch.randn(2, 2, generator=generator, dtype=torch.float64),
        "half": torch.randn(3, generator=generator).bfloat16(),
        "count": torch.tensor(7),
        "mask": torch.tensor([True, False]),
        "empty": torch.zeros(0, 3),
        "unsigned": torch.tensor([2**40], dtype=torch.int64).to(torch.uint64),
    }


def test_what_was_saved_is_loaded_bit_for_bit(tmp_path: Path) -> None:
    saved = {"agent": tensors(), "replay": {"rows": torch.arange(5.0)}}
    checkpoint.save(tmp_path / "step_1", saved, {"step": 1})
    parts, meta = checkpoint.load(tmp_path / "step_1")
    assert meta == {"step": 1}
    assert parts.keys() == saved.keys()
    for name, tensor in saved["agent"].items():
        assert parts["agent"][name].dtype == tensor.dtype
        assert torch.equal(parts["agent"][name], tensor)
    assert torch.equal(parts["replay"]["rows"], torch.arange(5.0))


def test_files_are_what_the_safetensors_library_writes_and_reads(tmp_path: Path) -> None:
    plain = {"a": torch.arange(6.0).view(2, 3), "b": torch.tensor([1, 2])}
    checkpoint.save(tmp_path / "ours", {"part": plain}, {})
    loaded = safetensors.torch.load_file(tmp_path / "ours" / "part.safetensors")
    assert all(torch.equal(loaded[name], plain[name]) for name in plain)


def test_only_the_named_parts_are_read(tmp_path: Path) -> None:
    checkpoint.save(tmp_path / "c", {"agent": tensors(), "replay": tensors()}, {})
    (tmp_path / "c" / "replay.safetensors").unlink()
    parts, _ = checkpoint.load(tmp_path / "c", ["agent"])
    assert set(parts) == {"agent"}
    with pytest.raises(CheckpointError, match=r"replay\.safetensors is missing"):
        checkpoint.load(tmp_path / "c")


@pytest.mark.parametrize("damage", ["flip", "cut"])
def test_a_damaged_file_is_refused_by_name(tmp_path: Path, damage: str) -> None:
    checkpoint.save(tmp_path / "c", {"agent": tensors()}, {})
    path = tmp_path / "c" / "agent.safetensors"
    content = bytearray(path.read_bytes())
    if damage == "flip":
        content[-1] ^= 1
    else:
        del content[-8:]
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"agent\.safetensors (is damaged|has \d+ bytes)"):
        checkpoint.load(tmp_path / "c")


def test_a_damaged_or_missing_index_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="is no checkpoint"):
        checkpoint.load(tmp_path)
    checkpoint.save(tmp_path / "c", {"agent": tensors()}, {})
    index = tmp_path / "c" / checkpoint.INDEX
    index.write_text(index.read_text()[:20])
    with pytest.raises(CheckpointError, match=r"checkpoint\.json is damaged"):
        checkpoint.load(tmp_path / "c")
    index.write_text("[]")
    with pytest.raises(CheckpointError, match=r"checkpoint\.json: the whole is \[\]; an object"):
        checkpoint.load(tmp_path / "c")


def test_every_change_of_the_index_is_found(tmp_path: Path) -> None:
    checkpoint.save(tmp_path / "c", {"agent": {"w": torch.ones(2)}}, {"step": 7, "at": {"3": 0.1}})
    path = tmp_path / "c" / checkpoint.INDEX
    good = path.read_text()
    for old, new in (('"step": 7', '"step": 8'), ("0.1", "0.2"), ('"agent"', '"agend"')):
        assert old in good
        path.write_text(good.replace(old, new))
        with pytest.raises(CheckpointError, match=r"checkpoint\.json is damaged \(its SHA-256"):
            checkpoint.read_index(tmp_path / "c")
    path.write_text(good.replace('"sha256": "', '"sha257": "'))
    with pytest.raises(CheckpointError, match=r"checkpoint\.json"):
        checkpoint.read_index(tmp_path / "c")
    path.write_text(good)
    assert checkpoint.read_index(tmp_path / "c")["meta"] == {"step": 7, "at": {"3": 0.1}}


def test_an_index_of_an_earlier_version_is_read(tmp_path: Path) -> None:
    checkpoint.save(tmp_path / "c", {"agent": tensors()}, {"step": 7})
    path = tmp_path / "c" / checkpoint.INDEX
    index = json.loads(path.read_text())
    del index["sha256"], index["format"]
    path.write_text(json.dumps(index))
    assert checkpoint.load(tmp_path / "c")[1] == {"step": 7}


def test_an_index_of_this_version_has_its_sum(tmp_path: Path) -> None:
    checkpoint.save(tmp_path / "c", {"agent": tensors(), "replay": tensors()}, {"step": 7})
    checkpoint.drop(tmp_path / "c", ["replay"])
    path = tmp_path / "c" / checkpoint.INDEX
    index = json.loads(path.read_text())
    for change, words in (
        ({"sha256": None}, "sha256 is None; a text is expected"),
        ({"format": 3}, "has format 3; this rlkit reads 2"),
        ({"format": "2"}, "format is '2'; an integer is expected"),
    ):
        path.write_text(json.dumps(index | change))
        with pytest.raises(CheckpointError) as told:
            checkpoint.read_index(tmp_path / "c")
        assert words in str(told.value)
    del index["sha256"]
    path.write_text(json.dumps(index))
    with pytest.raises(CheckpointError, match="its SHA-256 sum is missing"):
        checkpoint.load(tmp_path / "c", ["agent"])


@pytest.mark.parametrize("name", ["../outside", "/etc/outside", "deep/er", "..", ""])
def test_names_in_an_index_stay_in_their_folder(tmp_path: Path, name: str) -> None:
    checkpoint.save(tmp_path / "c", {"agent": tensors()}, {})
    outside = tmp_path / "outside.safetensors"
    outside.write_bytes((tmp_path / "c" / "agent.safetensors").read_bytes())
    index = checkpoint.read_index(tmp_path / "c")
    index["files"][name] = index["files"].pop("agent")
    (tmp_path / "c" / checkpoint.INDEX).write_text(json.dumps(index))
    for use in (
        lambda: checkpoint.read_index(tmp_path / "c"),
        lambda: checkpoint.load(tmp_path / "c", ["agent"]),  # whatever is asked of it
        lambda: checkpoint.load(tmp_path / "c"),
        lambda: checkpoint.drop(tmp_path / "c", [name]),
    ):
        with pytest.raises(CheckpointError, match="leads out of the folder"):
            use()
    assert outside.exists()


def test_a_refusal_of_the_system_is_not_called_damage(tmp_path: Path) -> None:
    checkpoint.save(tmp_path / "c", {"agent": tensors()}, {})
    path = tmp_path / "c" / checkpoint.INDEX
    path.unlink()
    path.mkdir()
    with pytest.raises(CheckpointError, match=r"checkpoint\.json is a folder"):
        checkpoint.read_index(tmp_path / "c")


@pytest.mark.parametrize("at", ["fsync", "rename"])
def test_a_full_disk_leaves_nothing_behind_and_older_checkpoints_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    checkpoint.save(tmp_path / "step_1", {"agent": tensors()}, {"step": 1})

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, at, full)
    with pytest.raises(CheckpointError, match="the disk is full"):
        checkpoint.save(tmp_path / "step_2", {"agent": tensors()}, {"step": 2})
    monkeypatch.undo()
    assert [path.name for path in tmp_path.iterdir()] == ["step_1"]
    assert checkpoint.load(tmp_path / "step_1")[1] == {"step": 1}


def test_a_checkpoint_is_never_overwritten(tmp_path: Path) -> None:
    checkpoint.save(tmp_path / "c", {"agent": tensors()}, {"step": 1})
    with pytest.raises(CheckpointError, match="exists already"):
        checkpoint.save(tmp_path / "c", {"agent": tensors()}, {"step": 2})
    assert checkpoint.load(tmp_path / "c")[1] == {"step": 1}


def test_a_dropped_part_is_gone_and_the_rest_is_valid(tmp_path: Path) -> None:
    checkpoint.save(tmp_path / "c", {"agent": tensors(), "replay": tensors()}, {"step": 1})
    checkpoint.drop(tmp_path / "c", ["replay", "envs"])
    assert not (tmp_path / "c" / "replay.safetensors").exists()
    parts, meta = checkpoint.load(tmp_path / "c")
    assert set(parts) == {"agent"}
    assert meta == {"step": 1, "dropped": ["replay"]}
    with pytest.raises(CheckpointError, match="no 'replay'"):
        checkpoint.load(tmp_path / "c", ["replay"])


def test_what_a_killed_drop_left_goes_with_the_next(tmp_path: Path) -> None:
    """Killed while it wrote the index, and after it: before the parts went."""
    checkpoint.save(tmp_path / "c", {"agent": tensors(), "replay": tensors()}, {})
    part = tmp_path / "c" / "replay.safetensors"
    kept = part.read_bytes()
    checkpoint.drop(tmp_path / "c", ["replay"])
    whole = {path.name for path in (tmp_path / "c").iterdir()}
    part.write_bytes(kept)
    code = (
        "import sys; from pathlib import Path;"
        "from rlkit.core.files.replacing import temporary_name;"
        "temporary_name(Path(sys.argv[1])).write_text('half')"
    )
    path = str(tmp_path / "c" / checkpoint.INDEX)
    subprocess.run([sys.executable, "-c", code, path], check=True)
    assert len(list((tmp_path / "c").iterdir())) == len(whole) + 2
    checkpoint.drop(tmp_path / "c", ["replay"])
    assert {path.name for path in (tmp_path / "c").iterdir()} == whole
    assert set(checkpoint.load(tmp_path / "c")[0]) == {"agent"}


def test_an_interrupted_drop_leaves_a_valid_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint.save(tmp_path / "c", {"agent": tensors(), "replay": tensors()}, {})

    def refused(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "replace", refused)
    with pytest.raises(CheckpointError, match="Input/output error"):
        checkpoint.drop(tmp_path / "c", ["replay"])
    monkeypatch.undo()
    assert set(checkpoint.load(tmp_path / "c")[0]) == {"agent", "replay"}
    assert not list((tmp_path / "c").glob("*.tmp"))


def test_the_index_holds_checksums_that_other_tools_can_verify(tmp_path: Path) -> None:
    import hashlib

    checkpoint.save(tmp_path / "c", {"agent": tensors()}, {})
    index = json.loads((tmp_path / "c" / checkpoint.INDEX).read_text())
    content = (tmp_path / "c" / "agent.safetensors").read_bytes()
    assert index["files"]["agent"] == {
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
    }

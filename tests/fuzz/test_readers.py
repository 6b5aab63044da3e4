"""Damaged files: every reader answers with an error of ours that names the file, or reads it."""

from __future__ import annotations

import json
import random
import warnings
from typing import Any

import pytest

from tests.fuzz.damage import damaged
from tests.fuzz.reader import ERRORS, Reader
from tests.fuzz.readers import readers

NAMES = [
    "d4rl",
    "minari metadata",
    "minari rows",
    "list of datasets",
    "recipe",
    "log as CSV",
    "log as Parquet",
    "page of a run config.json",
    "page of a run versions.json",
    "page of a run progress.jsonl",
    "page of a run episodes.csv",
    "page of a run clips.json",
    "model",
    "preferences",
    "advantages",
    "decisions",
    "checkpoint checkpoint.json",
    "checkpoint agent.safetensors",
    "policy",
    "policy as ONNX",
    "episodes",
    "progress",
    "cache of a report",
    "report cell.json",
    "report config.json",
    "report versions.json",
    "report episodes.csv",
    "sweep file",
    "run config.json",
    "run versions.json",
    "run progress.jsonl",
    "run episodes.csv",
    "run checkpoint.json",
    "run agent.safetensors",
    "run envs.safetensors",
    "run replay.safetensors",
    "policy of a run config.json",
    "policy of a run episodes.csv",
    "policy of a run checkpoint.json",
    "state of a sweep",
    "cell of a sweep cell.json",
    "cell of a sweep config.json",
    "cell of a sweep sweep.toml",
    "report sweep.toml",
]


@pytest.fixture(scope="module")
def all_readers(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("fuzz")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MINARI_DATASETS_PATH", str(folder / "minari"))
        (folder / "minari").mkdir()
        yield dict(readers(folder))


def attempt(reader: Reader, content: bytes) -> None:
    """Reads `content` in the place of the file; raises AssertionError for any other outcome."""
    good = reader.path.read_bytes()
    reader.path.write_bytes(content)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            reader.read()
        assert not reader.sealed or same(content, good), "a change went unnoticed"
    except ERRORS as error:
        text = str(error)
        assert reader.path.name in text or reader.path.parent.name in text, text
        assert "\n" not in text.strip(), text
    finally:
        reader.path.write_bytes(good)


def same(content: bytes, good: bytes) -> bool:
    """White space of JSON decides nothing; an index whose sum was taken away is an older one's."""
    try:
        left, right = json.loads(content), json.loads(good)
        return left == right or "sha256" not in left
    except (ValueError, TypeError):
        return content == good


def test_all_readers_are_here(all_readers: dict[str, Reader]) -> None:
    assert list(all_readers) == NAMES
    for reader in all_readers.values():
        reader.read()


@pytest.mark.parametrize("name", NAMES)
def test_damage_gives_an_error_of_ours_with_the_files_name(
    all_readers: dict[str, Reader], name: str
) -> None:
    draw = random.Random(name)
    reader = all_readers[name]
    good = reader.path.read_bytes()
    for _ in range(reader.cases):
        attempt(reader, damaged(good, draw))


@pytest.mark.parametrize("content", [b"", b"\0", b"\xff" * 100, b"[" * 100_000, b"PK\3\4", b"{}"])
@pytest.mark.parametrize("name", NAMES)
def test_contents_of_another_kind(
    all_readers: dict[str, Reader], name: str, content: bytes
) -> None:
    attempt(all_readers[name], content)

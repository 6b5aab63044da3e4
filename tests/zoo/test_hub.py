"""Pushing to and pulling from the Hub, in a stand-in: of its package, and of its HTTP where the
package is installed."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import rlkit
from rlkit import zoo
from rlkit.cli.main import main
from rlkit.core.errors import FileError, RlkitError, UsageError
from rlkit.zoo import entry, hub, shelf

from .hub_server import Hub, module, served

REPO, SAC = "somebody/policies", "sac-hopper-v5"


@pytest.fixture(params=["package", "http"])
def there(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """What the Hub holds."""
    found = Hub()
    if request.param == "package":
        monkeypatch.setitem(sys.modules, "huggingface_hub", module(found))
        yield found
        return
    real = pytest.importorskip("huggingface_hub")
    with served(found) as address:

        class Here(real.HfApi):  # type: ignore[name-defined, misc]
            def __init__(self) -> None:
                super().__init__(endpoint=address, token="hf_token")

        monkeypatch.setattr(real, "HfApi", Here)
        yield found


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A policy of one's own, as `rlkit export` writes it."""
    run = rlkit.train(
        "sac", env="InvertedPendulum-v5", steps=8, warmup=4, eval_every=8, eval_episodes=1,
        engine="eager", quiet=True, out=tmp_path / "run", config={"hidden": (8,), "batch_size": 4},
    )  # fmt: skip
    return rlkit.export(run.folder, tmp_path / "mine.safetensors").path


def test_a_policy_comes_back_as_it_was_pushed(there: Hub, tmp_path: Path) -> None:
    done = zoo.push(SAC, REPO)
    assert done.name == f"{REPO}/{SAC}"
    assert done.commit == there.head(REPO)
    assert zoo.entries(REPO) == {SAC: shelf.shipped()[SAC]}
    out = zoo.get(done.name, tmp_path / "policy.safetensors")
    assert out.read_bytes() == (shelf.SHELF / f"{SAC}.safetensors").read_bytes()
    assert zoo.load(done.name).card.step == 280_000
    with pytest.raises(UsageError, match="stands already"):
        zoo.get(done.name, out)


@pytest.mark.filterwarnings("ignore:one run a task")
def test_a_file_of_ones_own_is_measured_and_stands_beside_others(there: Hub, file: Path) -> None:
    zoo.push(SAC, REPO)
    done = zoo.push(file, REPO, episodes=3)
    assert done.name == f"{REPO}/mine"
    assert set(zoo.entries(REPO)) == {"mine", SAC}
    returns = [e.return_ for e in rlkit.evaluate(file, 3)]
    assert done.entry["returns"]["mean"] == pytest.approx(sum(returns) / 3)
    assert done.entry["command"] is None
    with pytest.raises(UsageError, match="has a policy 'mine' already"):
        zoo.push(file, REPO, episodes=1)
    assert zoo.push(file, REPO, episodes=1, force=True).entry["returns"]["episodes"] == 1
    with pytest.raises(UsageError, match="a policy's name has lower-case letters"):
        zoo.push(file, REPO, episodes=1, name="Mine!")


def test_an_older_revision_is_still_there(there: Hub, tmp_path: Path) -> None:
    first = zoo.push(SAC, REPO).commit
    (other,) = [name for name in shelf.shipped() if name != SAC][:1]
    zoo.push(other, REPO)
    assert set(zoo.entries(REPO)) == {SAC, other}
    assert set(zoo.entries(REPO, revision=first)) == {SAC}
    with pytest.raises(UsageError, match=f"has no policy '{other}'"):
        zoo.load(f"{REPO}/{other}", revision=first)


def test_what_is_not_there_is_said(there: Hub, tmp_path: Path) -> None:
    with pytest.raises(RlkitError, match=r"somebody/policies on the Hugging Face Hub: .*404"):
        zoo.entries(REPO)
    there.create(REPO, exist_ok=False)
    with pytest.raises(UsageError, match=r"has no index\.json: rlkit zoo push"):
        zoo.entries(REPO)
    zoo.push(SAC, REPO)
    with pytest.raises(UsageError, match=f"has no policy 'sac-hoper'; did you mean '{SAC}'"):
        zoo.get(f"{REPO}/sac-hoper", tmp_path / "policy.safetensors")
    del there.repos[REPO][-1][f"{SAC}.safetensors"]
    with pytest.raises(RlkitError, match=r"has no file sac-hopper-v5\.safetensors"):
        zoo.get(f"{REPO}/{SAC}", tmp_path / "policy.safetensors")
    for wrong in ("somebody/thing", "a/b/c/d", "a b/c/d"):
        with pytest.raises(UsageError, match="reads OWNER/REPO"):
            zoo.get(wrong, tmp_path / "policy.safetensors")
    assert not os.listdir(tmp_path)


def test_another_file_than_the_index_names_is_refused(there: Hub, tmp_path: Path) -> None:
    zoo.push(SAC, REPO)
    files, out = there.repos[REPO][-1], tmp_path / "policy.safetensors"
    content = files[f"{SAC}.safetensors"]
    files[f"{SAC}.safetensors"] = content[:-1] + bytes([content[-1] ^ 1])
    with pytest.raises(FileError, match="its size or its SHA-256 sum differs"):
        zoo.get(f"{REPO}/{SAC}", out)
    there.asked.clear()
    files[f"{SAC}.safetensors"] = content + b"more"
    with pytest.raises(RlkitError, match="has 285,732 bytes, not 285,728"):
        zoo.get(f"{REPO}/{SAC}", out)
    assert f"{SAC}.safetensors" not in there.asked  # told before anything is fetched
    index = json.loads(files[entry.INDEX])
    index["policies"]["../out"] = index["policies"].pop(SAC)
    files[entry.INDEX] = json.dumps(index).encode()
    with pytest.raises(FileError, match="leads out of the folder"):
        zoo.get(f"{REPO}/{SAC}", out)
    files[entry.INDEX] = b" " * (1 << 23)
    with pytest.raises(RlkitError, match="has 8,388,608 bytes, not at most"):
        zoo.entries(REPO)
    assert not out.exists()


def test_a_push_upon_another_one_is_refused_and_loses_nothing(
    there: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    zoo.push(SAC, REPO)
    written = hub.index_text

    def meanwhile(entries: dict[str, entry.Entry]) -> str:
        there.commit(REPO, {"other": b""}, None)
        return written(entries)

    monkeypatch.setattr(hub, "index_text", meanwhile)
    with pytest.raises(RlkitError, match=r"412.*a commit has happened since"):
        zoo.push(SAC, REPO, name="second")
    assert set(zoo.entries(REPO)) == {SAC}


def test_the_commands(there: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["zoo", "push", SAC, "--repo", REPO, "--name", "hopper"]) == 0
    assert f"pushed {REPO}/hopper  (commit {there.head(REPO)[:12]}" in capsys.readouterr().out
    assert main(["zoo", "list", REPO]) == 0
    assert "hopper  sac, step 280,000  Hopper-v5" in capsys.readouterr().out
    out = tmp_path / "policy.safetensors"
    assert main(["zoo", "get", f"{REPO}/hopper", "--out", str(out)]) == 0
    assert rlkit.load(out).card.env == "Hopper-v5"
    assert main(["zoo", "eval", f"{REPO}/hopper", "--episodes", "1"]) == 0
    assert "recorded in Hopper-v5: 3,508" in capsys.readouterr().out


def test_without_the_package_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    for call in (lambda: zoo.entries(REPO), lambda: zoo.push(SAC, REPO)):
        with pytest.raises(UsageError, match=r"pip install .*\[hub\]"):
            call()

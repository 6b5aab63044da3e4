import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from rlkit.core.errors import FileError
from rlkit.core.files import replacing as replacing_module
from rlkit.core.files.replacing import clear, make_folder, replacing, temporary_name


def test_a_file_and_a_folder_get_their_names_when_complete(tmp_path: Path) -> None:
    file, folder = tmp_path / "file", tmp_path / "folder"
    for text in ("first", "second"):  # the second takes the place of the first
        with replacing(file) as there:
            there.write_text(text)
            assert not file.exists() or file.read_text() != text
        with replacing(folder) as there:
            there.mkdir()
            (there / text).touch()
        assert file.read_text() == text
        assert [path.name for path in folder.iterdir()] == [text]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]


def test_an_error_leaves_what_was_there_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError), replacing(path) as there:
        there.write_text("half") / 0
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("letter", ["a", "ä"])
def test_long_names(tmp_path: Path, letter: str) -> None:
    """As long as the system takes them, and no longer: said with file and cause, nothing left."""
    longest = letter * (255 // len(letter.encode()))
    for name in (longest, longest[:100]):
        for text in ("first", "second"):
            with replacing(tmp_path / name) as there:
                there.write_text(text)
        assert (tmp_path / name).read_text() == "second"
    with (
        pytest.raises(FileError, match=f"{letter} cannot be written: File name too long"),
        replacing(tmp_path / (longest + letter)) as there,
    ):
        there.write_text("x")
    assert {path.name for path in tmp_path.iterdir()} == {longest, longest[:100]}


def test_a_file_never_takes_the_place_of_a_folder(tmp_path: Path) -> None:
    folder = tmp_path / "precious"
    folder.mkdir()
    (folder / "data").touch()
    with pytest.raises(OSError), replacing(folder) as there:  # noqa: PT011
        there.write_text("a file")
    assert (folder / "data").exists()
    assert list(tmp_path.iterdir()) == [folder]


# --- kills and refusals ---------------------------------------------------------------------------
def tree(folder: Path) -> dict[str, str]:
    return {str(p.relative_to(folder)): p.read_text() for p in folder.rglob("*") if p.is_file()}


def killed_at(path: Path, place: str) -> None:
    """Replaces folder `path` in another process, which ends without a word before `place`."""
    code = f"""
import os, shutil
from pathlib import Path
from rlkit.core.files import replacing
def stop(*_, **__): os._exit(9)
if {place!r} == "write":
    pass
elif {place!r} == "exchange":
    replacing._exchange = stop
elif {place!r} == "remove":
    shutil.rmtree = stop
else:  # a system without an exchange: between two renames, and after them
    replacing._exchange = lambda *_: False
    rename, count = os.rename, []
    def counted(a, b):
        if len(count) == {int(place) if place.isdigit() else 9}:
            stop()
        count.append(1)
        rename(a, b)
    os.rename = counted
    shutil.rmtree = stop
with replacing.replacing(Path({str(path)!r})) as there:
    there.mkdir()
    (there / "data").write_text("new")
    if {place!r} == "write":
        stop()
"""
    done = subprocess.run([sys.executable, "-c", code], check=False, timeout=60)
    assert done.returncode == 9


@pytest.mark.parametrize("place", ["write", "exchange", "remove", "0", "1", "2"])
def test_a_kill_never_loses_the_old_folder_and_the_next_call_tidies_up(
    tmp_path: Path, place: str
) -> None:
    path = tmp_path / "folder"
    path.mkdir()
    (path / "data").write_text("old")
    killed_at(path, place)
    clear(path)
    assert tree(tmp_path) in ({"folder/data": "old"}, {"folder/data": "new"})
    assert [p.name for p in tmp_path.iterdir()] == ["folder"]
    with replacing(path) as there:
        there.mkdir()
        (there / "data").write_text("newer")
    assert tree(tmp_path) == {"folder/data": "newer"}


def test_without_an_exchange_a_folder_is_replaced_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replacing_module, "_exchange", lambda *_: False)
    test_a_file_and_a_folder_get_their_names_when_complete(tmp_path)


def test_only_what_is_dead_is_cleared(tmp_path: Path) -> None:
    path = tmp_path / "file"
    mine, ours = temporary_name(path), temporary_name(path)
    assert mine != ours  # two threads may write at once
    machine, pid, start, _ = mine.name.removeprefix(".file.").split("-")
    parent = f"{machine}-{os.getppid()}-{replacing_module._start(os.getppid())}-0.tmp"
    kept = [
        mine,
        tmp_path / f".file.{parent}",
        tmp_path / f".file.other1-{2**22 + 1}-{start}-0.tmp",
    ]
    kept += [tmp_path / ".file.notes.tmp", tmp_path / ".fil.tmp", tmp_path / "file.tmp"]
    dead = [
        tmp_path / f".file.{machine}-{2**22 + 1}-{start}-0.tmp",  # no such process can be
        tmp_path / f".file.{machine}-{pid}-1-0.tmp",  # its number went to this process
    ]
    for one in (*kept, *dead):
        one.touch()
    with replacing(path) as there:
        there.touch()
    assert sorted(tmp_path.iterdir()) == sorted([*kept, path])


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_link_is_replaced_and_not_followed(tmp_path: Path, kind: str) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "data").write_text("precious")
    link = tmp_path / "link"
    link.symlink_to(elsewhere if kind == "folder" else elsewhere / "data")
    with replacing(link) as there:
        if kind == "folder":
            there.mkdir()
        (there / "data" if kind == "folder" else there).write_text("new")
    assert not link.is_symlink()
    assert (elsewhere / "data").read_text() == "precious"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["elsewhere", "link"]


def test_a_refusal_of_the_system_names_file_and_cause(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    with (
        pytest.raises(FileError, match=r"/file cannot be written: the disk is full"),
        replacing(path),
    ):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert tree(tmp_path) == {"file": "old"}
    none = tmp_path / "none" / "file"
    with pytest.raises(FileError, match="/none/file cannot be written: No"), replacing(none) as at:
        at.touch()
    with pytest.raises(FileNotFoundError), replacing(path):  # of another file: passes unchanged
        (tmp_path / "other").read_text()


def test_a_read_only_place_is_named_without_the_hidden_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such a file system refuses to remove what is not there, too."""

    def refuse(path: Path, *args: object, **more: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

    monkeypatch.setattr(Path, "unlink", refuse)
    with (
        pytest.raises(FileError, match=r"out\.csv cannot be written: Read-only file system$"),
        replacing(tmp_path / "out.csv") as temporary,
    ):
        refuse(temporary)


def test_a_folder_that_nobody_may_write_to_is_told_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may write anywhere
    with pytest.raises(FileError, match=r"folder .*here cannot be written to: Permission denied$"):
        make_folder(tmp_path / "here")


def test_errors_name_the_file_that_was_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "episodes.csv"
    with pytest.raises(FileError) as told, replacing(path) as there:
        raise FileError(f"{there} cannot be written: File too large")
    assert str(told.value) == f"{path} cannot be written: File too large"


def test_a_file_in_the_way_of_a_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(FileError, match=f"the folder {folder} cannot be made: "):
            make_folder(folder)
    path = tmp_path / "file" / "x.npz"
    refused = pytest.raises(FileError, match=f"{path} cannot be written: Not a directory")
    with refused, replacing(path) as there:
        there.write_text("")

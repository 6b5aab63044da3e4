from pathlib import Path

import pytest

from rlkit.core.replacing import replacing


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


def test_a_file_never_takes_the_place_of_a_folder(tmp_path: Path) -> None:
    folder = tmp_path / "precious"
    folder.mkdir()
    (folder / "data").touch()
    with pytest.raises(OSError), replacing(folder) as there:  # noqa: PT011
        there.write_text("a file")
    assert (folder / "data").exists()
    assert list(tmp_path.iterdir()) == [folder]

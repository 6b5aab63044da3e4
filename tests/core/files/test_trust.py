"""What may be imported for a file's sake, and what for a person's."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from rlkit.core.files import trust


@pytest.fixture(autouse=True)
def forgetful(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trust, "_named", {})
    monkeypatch.setattr(sys, "path", list(sys.path))


def test_a_package_is_known_by_its_whole_name() -> None:
    assert trust.allows("gymnasium.envs.classic_control")
    for module in ("gymnasium_evil", "rlkitten.algos", "os", ""):
        assert not trust.allows(module)


def test_trust_ends_with_its_block_and_no_inner_block_takes_it_away() -> None:
    with trust.trusting():
        with trust.trusting(False):
            assert trust.allows("anything")
        assert trust.trusted()
    assert not trust.allows("anything")
    with trust.trusting(False):
        assert not trust.allows("anything")


def test_a_module_in_the_current_directory_is_found_and_then_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "rlkit_test_here.py").write_text("x = 3\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [p for p in sys.path if p])
    assert not trust.allows("rlkit_test_here")
    assert trust.load("rlkit_test_here").x == 3
    assert trust.allows("rlkit_test_here")
    assert trust.named() == ["rlkit_test_here"]
    del sys.modules["rlkit_test_here"]


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("import rlkit_test_absent\n", "No module named 'rlkit_test_absent'"),
        ("x = 1 / 0\n", "ZeroDivisionError: division by zero"),
        ("def f(:\n", "SyntaxError"),
    ],
)
def test_why_an_import_failed_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, cause: str
) -> None:
    (tmp_path / "rlkit_test_broken.py").write_text(text)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ImportError, match=f"cannot import 'rlkit_test_broken': {cause}"):
        trust.load("rlkit_test_broken")
    assert trust.named() == []


@pytest.mark.parametrize(
    "value",
    ["evil:1", "evil-er:f", "\u00e9vil:f", "evil:f:g", "evil :f", "columns:f", ":f", "evil:"],
)
def test_what_is_no_name_of_a_function_names_no_module(value: str) -> None:
    assert trust.module_of(value) is None


def test_every_word_of_a_setting_is_looked_at() -> None:
    assert trust.modules_in("my.own:judge+mistaken:0.1 + other:poll") == ["my.own", "other"]
    for value in ("regret+noisy:1", "columns:right", 3, None, ("a:b",)):
        assert trust.modules_in(value) == []

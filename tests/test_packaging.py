"""What a stranger meets first: the Makefile, the pinned versions, the entry point."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tomllib
from importlib.metadata import entry_points
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import rlkit

ROOT = Path(rlkit.__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def pinned() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pairs = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(name): version for name, version in pairs}


def test_every_requirement_is_pinned_within_its_bounds() -> None:
    extras = PROJECT["optional-dependencies"]
    wanted = [*PROJECT["dependencies"], *extras["test"], *extras["onnx"], *extras["tensorboard"]]
    versions = pinned()
    for text in wanted:
        requirement = Requirement(text)
        assert versions[canonicalize_name(requirement.name)] in requirement.specifier, text


def test_versions_agree() -> None:
    assert PROJECT["version"] == rlkit.__version__
    (script,) = entry_points(group="console_scripts", name="rlkit")
    assert script.value == PROJECT["scripts"]["rlkit"]
    assert (ROOT / "rlkit" / "py.typed").exists()


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_make_help_explains_every_target() -> None:
    text = (ROOT / "Makefile").read_text()
    phony = re.search(r"^\.PHONY: (.+)$", text, re.MULTILINE)
    assert phony is not None
    done = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True)
    shown = dict(re.findall(r"^  make (\w+) +(.+)$", done.stdout, re.MULTILINE))
    assert shown.keys() == set(phony.group(1).split())


def test_ci_runs_tests_and_lint() -> None:
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    assert re.findall(r"^make (\w+)$", script.read_text(), re.MULTILINE) == ["test", "lint"]

"""What a stranger meets first: the Makefile, the pinned versions, the entry point."""

from __future__ import annotations

import json
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
from rlkit.core.words import extras
from rlkit.core.words.extras import DISTRIBUTION
from rlkit.run.trackers.by_name import TRACKERS

ROOT = Path(rlkit.__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def pinned() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pairs = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(name): version for name, version in pairs}


def test_every_requirement_is_pinned_within_its_bounds() -> None:
    extras = PROJECT["optional-dependencies"]
    wanted = [*PROJECT["dependencies"], *extras["test"], *extras["onnx"], *extras["tensorboard"]]
    wanted += extras["docs"]
    versions = pinned()
    for text in wanted:
        requirement = Requirement(text)
        assert versions[canonicalize_name(requirement.name)] in requirement.specifier, text


def test_versions_agree() -> None:
    assert PROJECT["version"] == rlkit.__version__
    (script,) = entry_points(group="console_scripts", name="rlkit")
    assert script.value == PROJECT["scripts"]["rlkit"]
    assert (ROOT / "rlkit" / "py.typed").exists()


def test_the_distribution_has_a_name_and_a_licence_of_its_own() -> None:
    """`rlkit` on the package index is another project."""
    assert PROJECT["name"] == DISTRIBUTION == "rlkit-classical"
    assert PROJECT["license"] == "MIT"
    (name,) = PROJECT["license-files"]
    text = (ROOT / name).read_text()
    assert text.startswith("MIT License")
    assert "2026 rlkit contributors" in text


def test_hints_name_extras_that_there_are() -> None:
    """One function makes them all; nothing else tells what to install."""
    asked = set()
    for path in (ROOT / "rlkit").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        asked |= set(re.findall(r'missing\(.*, "(\w+)"\)', text))
        assert "pip install" not in text or path.name == "extras.py", path
    asked |= TRACKERS.keys()  # `--track NAME` asks for the extra of that name
    assert asked >= {"hub", "onnx", "ray", "search", "tensorboard"}
    assert asked <= set(PROJECT["optional-dependencies"])


def test_a_hint_adds_to_what_is_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """To a checkout by its path, to an installed distribution by the name that is ours."""
    assert extras.how_to_add("ray") == f"pip install -e '{ROOT}[ray]'"
    elsewhere = tmp_path / "rlkit" / "core" / "words" / "extras.py"
    monkeypatch.setattr(extras, "__file__", str(elsewhere))
    assert extras.how_to_add("ray") == "pip install 'rlkit-classical[ray]'"
    assert str(extras.missing("it", "ray")).startswith("it needs more packages: pip install")


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_make_help_explains_every_target() -> None:
    text = (ROOT / "Makefile").read_text()
    phony = re.search(r"^\.PHONY: (.+)$", text, re.MULTILINE)
    assert phony is not None
    done = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True)
    shown = dict(re.findall(r"^  make ([\w-]+) +(.+)$", done.stdout, re.MULTILINE))
    assert shown.keys() == set(phony.group(1).split())


def test_ci_runs_tests_lint_and_documents() -> None:
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    assert re.findall(r"^make (\w+)$", script.read_text(), re.MULTILINE) == [
        "test",
        "lint",
        "docs",
    ]


def test_files_for_forges_and_containers_name_what_there_is() -> None:
    """Versions agree, chores exist, and what the image copies is there."""
    yaml = pytest.importorskip("yaml")
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert (citation["version"], citation["license"]) == (PROJECT["version"], PROJECT["license"])
    workflow = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())
    steps = [step for job in workflow["jobs"].values() for step in job["steps"]]
    chores = [step["run"] for step in steps if step.get("run", "").startswith("make ")]
    assert sorted(chores) == ["make docs", "make lint", "make test"]
    for python in workflow["jobs"]["tests"]["strategy"]["matrix"]["python"]:
        assert tuple(map(int, python.split("."))) >= (3, 11)
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    assert {hook["entry"].split()[0] for hook in hooks} == {".venv/bin/ruff", ".venv/bin/mypy"}
    image = (ROOT / "Dockerfile").read_text()
    for line in re.findall(r"^COPY (.+) \S+$", image, re.MULTILINE):
        assert all((ROOT / name).exists() for name in line.split()), line
    (extras_of_image,) = re.findall(r"^ARG EXTRAS=(\S+)$", image, re.MULTILINE)
    assert set(extras_of_image.split(",")) <= set(PROJECT["optional-dependencies"])
    container = json.loads((ROOT / ".devcontainer/devcontainer.json").read_text())
    assert (ROOT / ".devcontainer" / container["build"]["dockerfile"]).exists()

"""What a run was made with: packages, commit, hardware."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

import torch

import rlkit
from rlkit.core.errors import MissingFileError
from rlkit.core.files.reading import read_json

_PACKAGES = (
    "torch",
    "numpy",
    "scipy",
    "numba",
    "gymnasium",
    "mujoco",
    "minigrid",
    "minari",
    "safetensors",
    "stable-baselines3",
)
_DECISIVE = ("python", "torch", "numpy", "gymnasium", "mujoco", "minigrid")  # for equal digits


def collect(device: str = "cpu") -> dict[str, Any]:
    """Versions of packages, git commit of the package's checkout, and hardware."""
    found: dict[str, Any] = {
        "python": platform.python_version(),
        "rlkit": rlkit.__version__,
    }
    for name in _PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = None
    cuda = torch.device(device).type == "cuda"
    return found | {
        "commit": _commit(),
        "platform": platform.platform(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "device": torch.cuda.get_device_name(device) if cuda else device,
    }


def read(path: Path) -> dict[str, Any]:
    """The versions in a run folder; empty when they are gone. Raises FileError for a damaged
    file."""
    try:
        return read_json(path, "the versions a run was begun with", dict[str, Any])
    except MissingFileError:
        return {}


def differences(then: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """`name then (now: version)` of whatever decides the digits and has changed."""
    names = (*_DECISIVE, "processor", "device")
    return [
        f"{name} {then[name]} (now {now[name]})"
        for name in names
        if name in then and then[name] != now[name]
    ]


def _commit() -> str | None:
    here = Path(__file__).resolve().parents[3]
    if not (here / ".git").exists():
        return None
    try:
        command = ["git", "-C", str(here), "describe", "--always", "--dirty", "--abbrev=12"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=5, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()

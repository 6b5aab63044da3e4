"""Packages that only some commands need: how to add them to the rlkit that is installed."""

from __future__ import annotations

from pathlib import Path

from rlkit.core.errors import UsageError

DISTRIBUTION = "rlkit-classical"  # `rlkit` on the Python package index is another project


def missing(what: str, extra: str) -> UsageError:
    """The error that `what` needs an extra of pyproject.toml, and the command that adds it."""
    return UsageError(f"{what} needs more packages: {how_to_add(extra)}")


def how_to_add(extra: str) -> str:
    """The pip command: to the checkout where this is one, else to the installed distribution."""
    root = Path(__file__).resolve().parents[3]
    if (root / "pyproject.toml").is_file():
        return f"pip install -e '{root}[{extra}]'"
    return f"pip install '{DISTRIBUTION}[{extra}]'"

"""Sweeps: systems x tasks x seeds from a TOML file, their state in SQLite, and their engines."""

from typing import TYPE_CHECKING

from rlkit.lazy import lazily

if TYPE_CHECKING:
    from rlkit.sweeps.engines import Local as Local
    from rlkit.sweeps.plan import read as read

__getattr__, __dir__ = lazily(__name__, __file__)

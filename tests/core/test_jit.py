"""Kernels work where numba's cache can be neither written nor found a place for."""

from __future__ import annotations

import errno
import importlib.util
from pathlib import Path
from typing import Any

import numba
import pytest

from rlkit.core.jit import njit

SOURCE = "def twice(x):\n    return 2 * x\n"


def function_of(path: Path) -> Any:
    path.write_text(SOURCE)
    spec = importlib.util.spec_from_file_location("kernels_of_test", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.twice


def test_nowhere_to_keep_a_cache() -> None:
    space: dict[str, Any] = {}
    exec(compile(SOURCE, "/nowhere/kernels.py", "exec"), space)
    with pytest.raises(RuntimeError, match="no locator"):
        numba.njit(cache=True)(space["twice"])
    assert njit(cache=True)(space["twice"])(21) == 42
    assert njit(space["twice"])(21) == 42


def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Any, key: Any, data: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("numba.core.caching.IndexDataCacheFile.save", full)
    twice = function_of(tmp_path / "kernels.py")
    with pytest.raises(OSError, match="No space left"):
        numba.njit(cache=True)(twice)(21)
    assert njit(cache=True)(twice)(21) == 42


def test_the_cache_is_used(tmp_path: Path) -> None:
    twice = function_of(tmp_path / "kernels.py")
    assert njit(cache=True)(twice)(21) == 42
    again = njit(cache=True)(twice)
    assert again(21) == 42
    assert sum(again.stats.cache_hits.values()) == 1

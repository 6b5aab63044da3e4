"""Environments that are registered for one test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import gymnasium
import pytest


@pytest.fixture
def register() -> Iterator[Callable[..., str]]:
    names: list[str] = []

    def put(kind: Any, **kwargs: Any) -> str:
        names.append(f"rlkit-test/Own{len(names)}-v0")
        gymnasium.register(names[-1], entry_point=kind, kwargs=kwargs)
        return names[-1]

    yield put
    for name in names:
        del gymnasium.registry[name]

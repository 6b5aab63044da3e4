"""Algorithms put together from parts, and the complaint of a check about one."""

from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from rlkit.algos import iql
from rlkit.testing import CHECKS, Case


@pytest.fixture
def algorithm() -> Callable[..., ModuleType]:
    """Makes an algorithm's module; what is not given is IQL's."""

    def make(agent: type = iql.Agent, config: type = iql.Config) -> ModuleType:
        module = ModuleType("faulty")
        module.Agent, module.Config = agent, config  # type: ignore[attr-defined]
        return module

    return make


@pytest.fixture
def faulty(algorithm: Callable[..., ModuleType]) -> Callable[..., str]:
    """Returns the complaint of a check about an algorithm; fails the test when there is none."""

    def complaint(
        check: str, agent: type = iql.Agent, config: type = iql.Config, **case: Any
    ) -> str:
        module = algorithm(agent, config)
        with pytest.raises(AssertionError) as caught:
            CHECKS[check](Case(module, **case))
        return str(caught.value)

    return complaint

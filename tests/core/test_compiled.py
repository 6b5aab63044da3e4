"""What compiled code still looks at before each call, and what it must never share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from rlkit.core.batch import Batch
from rlkit.core.compiled import Compiled


class Adding:
    """An agent of one number, to which every update adds the mean reward times `scale`."""

    scale = 1.0

    def __init__(self) -> None:
        self.sum = torch.zeros(1)

    def update(self, b: Batch, c: object, late: bool = False) -> dict[str, Tensor]:
        self.sum.add_(b.r.mean() * self.scale)
        rows = b.r.new_full((1,), float(b.r.shape[1]))
        return {"sum": self.sum.clone(), "rows": rows, "late": rows * 0 + float(late)}


@pytest.fixture(autouse=True)
def no_code_generator(monkeypatch: pytest.MonkeyPatch) -> None:
    original = torch.compile

    def compile_(update: Callable[..., Any], **options: Any) -> Any:
        del options["options"]["cpp_wrapper"]  # its own
        return original(update, backend="aot_eager", **options)

    monkeypatch.setattr(torch, "compile", compile_)


def batch(rows: int, reward: float = 1.0) -> Batch:
    x = torch.full((1, rows), reward)
    return Batch(x, x, x, x, x)


def test_each_agent_has_code_of_its_own() -> None:
    """Nothing watches whose numbers they are."""
    first, second = Adding(), Adding()
    one, other = Compiled(first.update), Compiled(second.update)
    config = object()
    for _ in range(3):
        one(batch(4), config)
    other(batch(4), config)
    assert (float(first.sum), float(second.sum)) == (3.0, 1.0)


@pytest.mark.parametrize("hides", [False, True])
def test_a_plain_value_may_change(hides: bool) -> None:
    """The agent's own attribute, or one that comes to hide its class's."""
    agent, config = Adding(), object()
    if not hides:
        agent.scale = 1.0
    update = Compiled(agent.update)
    assert float(update(batch(4), config)["sum"]) == 1.0
    agent.scale = 10.0
    assert float(update(batch(4), config)["sum"]) == 11.0


def test_shapes_and_due_parts_are_told_apart() -> None:
    agent, config = Adding(), object()
    update = Compiled(agent.update)
    assert float(update(batch(4), config)["rows"]) == 4.0
    assert float(update(batch(2), config)["rows"]) == 2.0
    assert float(update(batch(2), config, late=True)["late"]) == 1.0
    assert float(update(batch(2), config, late=False)["late"]) == 0.0
    assert float(agent.sum) == 4.0

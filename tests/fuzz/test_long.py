"""The same with hypothesis, which searches for the smallest damage that does harm: `make fuzz`."""

from __future__ import annotations

import random

import pytest

from tests.fuzz.damage import damaged
from tests.fuzz.reader import Reader
from tests.fuzz.test_readers import NAMES, all_readers, attempt  # noqa: F401  # a fixture

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("name", NAMES)
def test_no_damage_does_harm(
    all_readers: dict[str, Reader],  # noqa: F811
    name: str,
) -> None:
    hypothesis = pytest.importorskip("hypothesis")
    reader = all_readers[name]
    good = reader.path.read_bytes()

    @hypothesis.settings(max_examples=100 * reader.cases, deadline=None, database=None)
    @hypothesis.given(hypothesis.strategies.randoms(use_true_random=False))
    def search(draw: random.Random) -> None:
        content = good
        for _ in range(draw.choice((1, 1, 1, 2, 3))):
            content = damaged(content, draw) or b"\0"
        attempt(reader, content)

    search()

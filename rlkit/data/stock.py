"""What an algorithm may feed its agent from."""

from __future__ import annotations

from typing import NamedTuple

from rlkit.core.spec import Spec
from rlkit.core.streams import Streams
from rlkit.data.replay import Replay
from rlkit.data.transforms import Transforms


class Stock(NamedTuple):
    """Rows, streams and units of one training: the argument of an algorithm's `source`.

    A source that `core.engine.Source` describes may also have these, each optional: `begin()`,
    once before the first update, announced by the line `beginning`; `advance(step)`, every `every`
    steps before the updates of that step, which returns metrics `[S]`; `learned(index, priority)`,
    after each update whose metrics have an entry "priority" `[S, B]`; `state_dict()` and
    `load_state_dict(state)`, for what a killed run must find again.
    """

    spec: Spec
    streams: Streams
    transforms: Transforms  # agent units to environment units and back
    data: Replay | None = None  # rows of the dataset, shared by all lanes
    replay: Replay | None = None  # rows collected, one ring a lane
    env_id: str | None = None  # gymnasium id where it is known
    mix: float = 0.5  # fine-tuning: share of each minibatch to be drawn from the dataset

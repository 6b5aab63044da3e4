"""Several steps a transition, for every algorithm that asks for it."""

from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from rlkit.algos import dqn, mbpo, pebble, sac, td3, wsrl
from rlkit.algos.behind.agents import draws_itself
from rlkit.core.errors import UsageError
from rlkit.core.spec import Discrete, Spec
from rlkit.core.streams import Streams
from rlkit.data.replay import Replay
from rlkit.data.sampling.samplers import Mixed, NStep, Uniform
from rlkit.data.stock import Stock
from rlkit.data.transforms import Transforms
from rlkit.run.settings.options import Options


def _replay(spec: Spec, steps: int = 30) -> Replay:
    replay, rng = Replay(spec, 40), np.random.default_rng(0)
    for t in range(steps):
        action = rng.integers(2, size=(1, 1)) if spec.discrete else rng.normal(size=(1, 1, 1))
        replay.add(
            rng.normal(size=(1, 1, 2)),
            action,
            rng.normal(size=(1, 1)),
            np.full((1, 1), t % 9 == 8),
            np.full((1, 1), t % 13 == 12),
            rng.normal(size=(1, 1, 2)),
        )
    return replay


@pytest.mark.parametrize("module", [sac, td3, wsrl, dqn])
def test_the_same_source_serves_them_all(module: ModuleType) -> None:
    spec = Spec(2, Discrete(2) if module is dqn else 1, (5,))
    replay, c = _replay(spec), module.Config(n_step=3, batch_size=16)
    stock = Stock(spec, Streams(spec.seeds), Transforms(), None, replay)
    found = module.source(stock, None, c)
    assert isinstance(found, NStep)
    assert found.n == 3
    index = found.indices(2)[0]
    ours = NStep(replay, 16, stock.streams, 3, c.gamma).batch(index)
    assert torch.equal(found.batch(index).r, ours.r)
    both = module.source(stock._replace(data=_replay(spec, 20), mix=0.25), None, c)
    assert isinstance(both, Mixed)
    assert both.batch_size == 16
    assert [part.batch_size for part in (both.first, both.second)] == [4, 12]
    assert all(isinstance(part, NStep) for part in (both.first, both.second))


def test_single_steps_are_the_rows_of_the_run() -> None:
    for module in (sac, td3, wsrl):
        assert not draws_itself(module, module.Config())
        assert draws_itself(module, module.Config(n_step=2))
    assert draws_itself(dqn, dqn.Config())
    spec = Spec(2, 1, (5,))
    stock = Stock(spec, Streams(spec.seeds), Transforms(), None, _replay(spec))
    assert isinstance(sac.source(stock, None, sac.Config()), Uniform)  # type: ignore[arg-type]


def test_weights_of_episodes_go_with_single_steps_only() -> None:
    def ask(n_step: int) -> Options:
        given: dict[str, Any] = {"algo": "sac", "dataset": "rlkit/pendulum/medium-v0"}
        return Options.from_json({**given, "weighting": "return", "config": {"n_step": n_step}})

    ask(1)
    with pytest.raises(UsageError, match="weighting has no effect"):
        ask(3)


def test_where_rows_are_made_step_by_step_several_are_refused() -> None:
    spec = Spec(2, 1, (5,))
    stock = Stock(spec, Streams(spec.seeds), Transforms(), None, _replay(spec))
    with pytest.raises(UsageError, match="n_step is 1"):
        mbpo.source(stock, None, mbpo.Config(n_step=2))  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="n_step is 1"):
        pebble.source(stock, None, pebble.Config(n_step=2))  # type: ignore[arg-type]

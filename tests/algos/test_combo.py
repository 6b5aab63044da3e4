"""COMBO: which rows its penalty is of, its reductions, and a model's promise it does not follow."""

from typing import Any

import pytest
import torch
from torch import Tensor

from rlkit.algos import combo, cql, mbpo, sac
from rlkit.core.batch import Batch
from rlkit.core.errors import UsageError
from rlkit.core.lanes import resolve
from rlkit.core.spec import Spec
from rlkit.core.streams import Streams
from rlkit.data.replay import Replay
from rlkit.data.sampling.samplers import Uniform
from rlkit.data.stock import Stock
from rlkit.data.transforms import Transforms
from rlkit.testing.cases import Case, make_batch
from rlkit.testing.model_toys import promised

CASE = Case(combo, config={"hidden_q": (8, 8), "n_actions": 3})
SPEC = Spec(5, 3, (3, 0), torch.float64)
SMALL: dict[str, Any] = {
    "hidden": (16, 16),
    "hidden_q": (16, 16),
    "n_actions": 3,
    "batch_size": 32,
    "length": 2,
    "rollouts": 40,
    "model_every": 20,
    "hidden_model": (16, 16),
    "decay_model": (1e-5,),
    "n_models": 3,
    "n_elites": 2,
    "max_epochs": 3,
}


# --- the penalty ------------------------------------------------------------------------------


def test_by_hand() -> None:
    """Four rows, the second and the fourth real."""
    soft = torch.tensor([[[1.0, 2.0, 3.0, 6.0]]])
    q = torch.tensor([[[100.0, 0.5, -100.0, 1.5]]])
    zero = torch.zeros(1, 4)
    b = Batch(zero, zero, zero, zero, zero, real=torch.tensor([[0.0, 1.0, 0.0, 1.0]]))
    assert combo.conservative("all")(soft, q, b).item() == pytest.approx(3.0 - 1.0)
    assert combo.conservative("imagined")(soft, q, b).item() == pytest.approx(2.0 - 1.0)


def test_a_constant_added_to_every_value_changes_nothing() -> None:
    b = make_batch(SPEC, None, 0)
    soft, q = b.r.unsqueeze(1), b.mc.unsqueeze(1)  # type: ignore[union-attr]
    for states in ("all", "imagined"):
        average = combo.conservative(states)
        torch.testing.assert_close(average(soft + 7, q + 7, b), average(soft, q, b))


def trained(module: Any, config: Any, real: Tensor | None = None, **rest: Any) -> Any:
    """An agent after ten updates; the rows are all real unless `real` says otherwise."""
    agent = module.Agent(SPEC, config)
    declared = CASE.agent(SPEC, CASE.make_config())  # the same noise for every kind of agent
    for step in range(10):
        agent.update(make_batch(SPEC, declared, step)._replace(real=real, **rest), config)
    return agent


def same(ours: Any, theirs: Any) -> bool:
    return all(
        torch.allclose(mine, its, rtol=0, atol=1e-12)
        for name in ("pi", "q", "q_bar", "log_alpha")
        for mine, its in zip(
            getattr(ours, name).state_dict().values(),
            getattr(theirs, name).state_dict().values(),
            strict=True,
        )
    )


@pytest.mark.parametrize("lagrange", [False, True])
def test_with_real_rows_alone_it_is_cql(lagrange: bool) -> None:
    c = CASE.make_config(lagrange=lagrange)
    own = cql.Config(hidden=(8, 8), hidden_q=(8, 8), n_actions=3, lagrange=lagrange, batch_size=12)
    plain = trained(cql, own)
    assert same(trained(combo, c), plain)
    assert same(trained(combo, c, torch.ones(2, 12).double()), plain)
    assert not same(trained(combo, c, (torch.arange(12) < 6).double().expand(2, -1)), plain)


def test_without_penalty_it_is_sac_without_entropy_in_the_target() -> None:
    c = CASE.make_config(alpha=0.0)
    theirs = sac.Config(
        entropy_backup=False, lr=c.lr, lr_q=c.lr_q, lr_alpha=c.lr, hidden=(8, 8), batch_size=12
    )
    real = (torch.arange(12) < 6).double().expand(2, -1)
    assert same(trained(combo, c, real), trained(sac, theirs))


# --- a model that lies ------------------------------------------------------------------------


def exploited(states: str, alpha: float) -> float:
    """The policy's action where data have a = -0.3 worth 1, and a model imagines that 0.8 is worth
    2."""
    c = combo.Config(
        **{"hidden": (32, 32), "hidden_q": (32, 32), "lr": 3e-3, "lr_q": 3e-3},
        **{"alpha": alpha, "states": states, "batch_size": 32, "n_actions": 5, "entropy": -2.0},
    )
    return float(promised(c, (0,)))


def test_a_models_promise_is_not_followed() -> None:
    assert exploited("all", 0.0) > 0.5
    for states in ("all", "imagined"):
        assert exploited(states, 5.0) == pytest.approx(-0.3, abs=0.25)


# --- its source -------------------------------------------------------------------------------


def stock() -> Stock:
    rows = Replay(SPEC, 96, envs=12)
    for step in range(8):
        b = make_batch(SPEC, None, step)
        no = torch.zeros_like(b.r, dtype=torch.bool)
        rows.add(b.s, b.a, b.r, no, no, b.s2)
    return Stock(SPEC, Streams(SPEC.seeds), Transforms(), rows, None, "HalfCheetah-v5")


def advanced(algorithm: Any, **given: Any) -> tuple[Any, Batch]:
    config = resolve(algorithm.Config(**given), SPEC)
    source = algorithm.source(stock(), algorithm.Agent(SPEC, config), config)
    source.begin()
    for step in (0, 20):
        source.advance(step)
    return source, source.batch(source.indices(20, 1)[0])


def test_its_rows_are_those_of_mbpo_offline_and_say_which_are_real() -> None:
    _, ours = advanced(combo, **SMALL)
    fields = ("length", "hidden_q", "n_actions")
    shared = {name: x for name, x in SMALL.items() if name not in fields}
    _, theirs = advanced(
        mbpo, **shared, real_ratio=0.5, retain=5, rollout_schedule=(0, 1, 2, 2), entropy=-1.0
    )
    for name in ("s", "a", "r", "s2", "cont", "real"):
        assert torch.equal(getattr(ours, name), getattr(theirs, name)), name
    assert ours.real is not None
    assert ours.real.tolist() == [[1.0] * 16 + [0.0] * 16] * 2
    known = {tuple(row) for row in stock().data.rows("s").flatten(0, 1).tolist()}  # type: ignore[union-attr]
    assert all(tuple(row) in known for row in ours.s[:, :16].flatten(0, 1).tolist())


def test_length_matters() -> None:
    one, other = (advanced(combo, **{**SMALL, "length": k})[0] for k in (2, 3))
    assert one.imagined.replay.size != other.imagined.replay.size


def test_settings_that_leave_nothing_to_push_down_are_refused() -> None:
    config = combo.Config(**{**SMALL, "real_ratio": 1.0})
    agent = combo.Agent(SPEC, config)
    assert isinstance(combo.source(stock(), agent, config), Uniform)
    bad = combo.Config(**{**SMALL, "real_ratio": 1.0, "states": "imagined"})
    with pytest.raises(UsageError, match="lower real_ratio, or set states to 'all'"):
        combo.source(stock(), agent, bad)
    with pytest.raises(UsageError, match="real_ratio"):
        combo.Config(real_ratio=0.0)

"""MOREC: the filter against known answers, judges that learn, and its reduction to MOPO."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from rlkit.algos import mopo, morec
from rlkit.algos.imagination.dynamics_reward import (
    Judges,
    below,
    dynamics_reward,
    filtered,
    judge_loss,
)
from rlkit.algos.imagination.noise import LaneNoise
from rlkit.algos.imagination.proposals import Proposal
from rlkit.algos.imagination.rollout import Hooks, Step, never, roll_out
from rlkit.core.lanes import resolve
from rlkit.core.spec import Spec
from rlkit.core.streams import Streams
from rlkit.data.replay import Replay
from rlkit.data.sampling.samplers import Uniform
from rlkit.data.stock import Stock
from rlkit.data.transforms import Transforms
from rlkit.testing.model_toys import plane, proposed

SPEC = Spec(2, 1, (3, 0), torch.float64)


def oracle(s: Tensor, a: Tensor, s2: Tensor) -> Tensor:
    return -(s2 - plane(s, a).unsqueeze(1)).norm(dim=-1)


# --- the filter -------------------------------------------------------------------------------


def test_by_hand() -> None:
    logits = torch.tensor([[0.0, math.log(3)], [0.0, -math.log(3)]]).unsqueeze(0)  # [1, 2, 2]
    got = dynamics_reward(logits, 1.0)
    torch.testing.assert_close(got, torch.tensor([[math.log(2), math.log(2)]]))
    clipped = dynamics_reward(logits, 0.5)  # min(3/4, 1/2) and 1/4
    assert float(clipped[0, 1]) == pytest.approx(-math.log(1 - 0.375))
    sure = dynamics_reward(torch.full((1, 3, 1), 200.0), 1.0)
    assert float(sure) == pytest.approx(-math.log(1e-9), rel=1e-4)
    assert float(judge_loss(torch.zeros(4), torch.zeros(4))) == pytest.approx(2 * math.log(2))


def test_a_judge_without_opinion_draws_evenly() -> None:
    s, a = torch.zeros(2, 4000, 2).double(), torch.zeros(2, 4000, 1).double()
    noise = LaneNoise(SPEC, "x", 0)
    proposal = proposed(s, a, s[..., 0] > -1, noise, 4)
    same = filtered(lambda s, a, s2: torch.full_like(s2[..., 0], 0.7), "softmax", 10.0)
    pick, score = same(proposal, noise)
    counts = torch.stack([(pick == k).double().mean(1) for k in range(4)])
    torch.testing.assert_close(counts, torch.full((4, 2), 0.25).double(), atol=0.025, rtol=0)
    assert (score == 0.7).all()


def test_odds_are_the_softmaxs() -> None:
    s, a = torch.zeros(2, 6000, 2).double(), torch.zeros(2, 6000, 1).double()
    proposal = Proposal(s, a, torch.zeros(2, 2, 6000, 2).double(), torch.zeros(2, 2, 6000).double())
    r = torch.tensor([0.0, 0.1]).double().view(1, 2, 1).expand(2, 2, 6000)
    select = filtered(lambda *_: r, "softmax", torch.tensor([[10.0], [0.0]]))
    pick, _ = select(proposal, LaneNoise(SPEC, "x", 0))
    share = pick.double().mean(1).tolist()
    assert share == pytest.approx([1 / (1 + math.exp(-1)), 0.5], abs=0.025)
    best, score = filtered(lambda *_: r, "best", 0.0 + 1e-9)(proposal, LaneNoise(SPEC, "x", 0))
    assert (best == 1).all()
    assert torch.equal(score, r[:, 1])


def test_a_judge_who_knows_keeps_rollouts_near_the_plane() -> None:
    """Errors along the rollout are smaller than unfiltered ones, by more the longer it is."""

    def errors(select: Any) -> list[float]:
        start = torch.ones(2, 200, 2).double()
        noise = LaneNoise(SPEC, "x", 0)
        hooks = Hooks(proposed, select=select)
        exact, found = start, []
        for row in roll_out(lambda s, n: 0 * s[..., :1], hooks, start, 8, noise):
            exact = plane(exact, 0 * exact[..., :1])
            found.append(float((row.s2 - exact).square().sum(-1).mean()))
        return found

    free = errors(filtered(lambda s, a, s2: 0 * s2[..., 0], "softmax", 1.0))
    kept = errors(filtered(oracle, "best", 1.0))
    assert all(a < 0.5 * b for a, b in zip(kept, free, strict=True))
    assert free[-1] - kept[-1] > 2 * (free[0] - kept[0])


@pytest.mark.parametrize("kind", ["break", "end"])
def test_an_unlikely_step_stops_the_rollout(kind: Any) -> None:
    zeros = torch.zeros(2, 3, 2).double()
    score = torch.tensor([[0.5, 0.6, 0.7]]).double().expand(2, -1)
    step = Step(zeros, zeros, score, zeros, score, None)  # type: ignore[arg-type]
    ended, stopped = below(0.6, kind, never)(step)
    fell, other = (ended, stopped) if kind == "end" else (stopped, ended)
    assert fell.tolist() == [[True, False, False]] * 2
    assert not other.any()
    assert not any(x.any() for x in below(0.0, kind, never)(step))


# --- judges -----------------------------------------------------------------------------------


def rows(count: int = 600) -> Replay:
    rng = torch.Generator().manual_seed(0)
    s, a = (torch.randn(2, count, n, generator=rng).double() for n in (2, 1))
    data = Replay(SPEC, count, envs=count)
    no = torch.zeros(2, count, dtype=torch.bool)
    noise = 0.02 * torch.randn(2, count, 2, generator=rng).double()
    data.add(s, a.clamp(-1, 1), s[..., 0], no, no, plane(s, a.clamp(-1, 1)) + noise)
    return data


def learnt(updates: int = 300, weight: float = 1.0, n: int = 3) -> tuple[Judges, dict[str, Tensor]]:
    judges = Judges(SPEC, (32, 32), n, 1.0)
    return judges, judges.fit(rows(), updates, (32, 32), (16,), 3e-3, weight)


def test_judges_prefer_what_is_near_the_plane() -> None:
    judges, metrics = learnt()
    rng = torch.Generator().manual_seed(1)
    s, a = torch.randn(2, 500, 2, generator=rng).double(), torch.zeros(2, 500, 1).double()
    exact = plane(s, a)
    moved = [exact + d * torch.tensor([0.7, -0.7]).double() for d in (0.0, 0.5, 1.5)]
    r = judges(s, a, torch.stack(moved, 1)).mean(-1)  # [S, 3]
    assert (r[:, 0] > r[:, 1]).all()
    assert (r[:, 1] > r[:, 2]).all()
    assert all(x.shape == (2,) and x.isfinite().all() for x in metrics.values())
    first = next(iter(judges.kept.parameters()))
    assert not torch.equal(first[:, 0], first[:, 1])  # kept at different times
    other = next(iter(learnt(weight=0.0)[0].kept.parameters()))
    assert not torch.equal(first, other)


def test_lanes_do_not_mix() -> None:
    both, _ = learnt(20)
    spec = Spec(2, 1, (0,), torch.float64)
    data, own = rows(), Replay(spec, 600, envs=600)
    fields = [data.rows(n)[1:] for n in ("s", "a", "r")]
    no = torch.zeros(1, 600, dtype=torch.bool)
    own.add(*fields, no, no, data.rows("s2")[1:])
    alone = Judges(spec, (32, 32), 3, 1.0)
    alone.fit(own, 20, (32, 32), (16,), 3e-3, 1.0)
    for x, y in zip(alone.kept.parameters(), both.kept.parameters(), strict=True):
        torch.testing.assert_close(x, y[1:])


# --- its source -------------------------------------------------------------------------------

SMALL: dict[str, Any] = {
    **{"hidden": (8, 8), "batch_size": 16, "length": 3, "rollouts": 30, "model_every": 20},
    **{"hidden_model": (8, 8), "decay_model": (1e-5,), "n_models": 3, "n_elites": 2},
    **{"max_epochs": 2},
}
JUDGED: dict[str, Any] = {
    **{"judges": 2, "judge_updates": 6, "hidden_judge": (8,), "hidden_learner": (8,)},
    **{"threshold": 0.0},
}


def advanced(algorithm: Any, **given: Any) -> tuple[Any, dict[str, Tensor]]:
    config = resolve(algorithm.Config(**{**SMALL, **given}), SPEC)
    stock = Stock(SPEC, Streams(SPEC.seeds), Transforms(), rows(), None, "Pendulum-v1")
    source = algorithm.source(stock, algorithm.Agent(SPEC, config), config)
    source.begin()
    metrics = source.advance(0)
    return source, metrics


def imagined(source: Any) -> Tensor:
    inner = getattr(source, "inner", source)
    return inner.imagined.replay.rows("s2")


BASE: list[Any] = []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("resamples", 1), ("pick", "best"), ("sharpness", 500.0), ("threshold", 0.75)),
        *(("judges", 1), ("judge_clip", 0.3), ("judge_updates", 60), ("hidden_judge", (9,))),
        *(("hidden_learner", (9,)), ("lr_judge", 0.1), ("length", 2), ("judge_weight", 500.0)),
    ],
)
def test_every_setting_of_the_filter_matters(name: str, value: Any) -> None:
    given = JUDGED | {"sharpness": 50.0, "judge_updates": 50, "lr_judge": 3e-3}
    if not BASE:
        BASE.append(advanced(morec, **given))
    ours, theirs = BASE[0], advanced(morec, **{**given, name: value})
    mine, its = imagined(ours[0]), imagined(theirs[0])
    rewarded = [x[0].judges.state_dict()["kept.last.bias"] for x in (ours, theirs)]
    same = mine.shape == its.shape and torch.equal(mine, its)
    assert not same or not torch.equal(*rewarded)


def test_stopping_keeps_or_ends_the_value() -> None:
    found = {}
    for stop in ("break", "end"):
        source, metrics = advanced(morec, **JUDGED | {"threshold": 5.0, "stop": stop})
        data = source.inner.imagined.replay
        kept = data.rows("kept") > 0
        found[stop] = data.rows("cont")[kept]
        assert kept.sum() == 60  # one step each, in two lanes
        assert metrics["likely"].tolist() == pytest.approx([1 / 3, 1 / 3])
    assert (found["break"] == 1).all()
    assert (found["end"] == 0).all()


def test_without_a_filter_it_is_mopo() -> None:
    """One candidate of one elite, no threshold: the same model, penalty and end of episodes."""
    one = {"n_elites": 1, "resamples": 1}
    ours, _ = advanced(morec, **JUDGED | one)
    theirs, _ = advanced(mopo, penalty=0.5, n_elites=1)
    for mine, its in zip(ours.inner.model.parameters(), theirs.model.parameters(), strict=True):
        assert torch.equal(mine, its)
    s, a, alive = torch.ones(2, 5, 2).double(), torch.ones(2, 5, 1).double(), torch.ones(2, 5) > 0
    steps = []
    for source in (ours.inner, theirs):
        p = source.hooks.propose(s, a, alive, LaneNoise(SPEC, "x", 0))
        steps.append(Step(s, a, p.r[:, 0], p.s2[:, 0], p.r[:, 0] + 9, p))
    gaps = [hook.hooks.reward(x) - x.r for hook, x in zip((ours.inner, theirs), steps, strict=True)]
    torch.testing.assert_close(*gaps)
    assert not any(x.any() for x in ours.inner.hooks.terminate(steps[0]))


def test_it_goes_on_where_it_was_saved() -> None:
    first, _ = advanced(morec, **JUDGED)
    saved = {n: x.clone() for n, x in first.state_dict().items()}
    config = resolve(morec.Config(**SMALL, **JUDGED), SPEC)
    stock = Stock(SPEC, Streams(SPEC.seeds), Transforms(), rows(), None, "Pendulum-v1")
    again: Any = morec.source(stock, morec.Agent(SPEC, config), config)
    again.load_state_dict(saved)
    mine, its = again.advance(20), first.advance(20)
    assert mine.keys() == its.keys()
    assert torch.equal(imagined(again), imagined(first))
    index = first.indices(20, 1)[0]
    assert torch.equal(first.batch(index).s2, again.batch(index).s2)


def test_real_rows_alone_and_a_penalty_that_cannot_be() -> None:
    config = resolve(morec.Config(**SMALL, real_ratio=1.0), SPEC)
    stock = Stock(SPEC, Streams(SPEC.seeds), Transforms(), rows(), None, "Pendulum-v1")
    assert isinstance(morec.source(stock, morec.Agent(SPEC, config), config), Uniform)
    with pytest.raises(ValueError, match="has no deviation"):
        morec.source(stock, None, morec.Config(deterministic=True))  # type: ignore[arg-type]

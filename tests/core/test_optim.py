"""Our laned Adam against torch's optimisers, clipping and schedulers, in float64 to 1e-12."""

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from rlkit import nets
from rlkit.core.optim import Adam, Schedule, cosine, linear, step_jointly
from rlkit.core.spec import Spec

SEEDS = (4, 0, 7)
STEPS = 50
TOLERANCE = 1e-12
LRS = (0.03, 0.01, 0.002)


def _net(seeds: tuple[int, ...] = SEEDS) -> nets.MLP:
    return nets.MLP(nets.Init(Spec(3, 2, seeds, torch.float64)), 3, (5,), 2, norm="after")


def _loss(net: nn.Module, step: int, lanes: slice = slice(None)) -> Tensor:
    """Squared error per lane `[S]`; gradients change in size and sign from step to step."""
    grid = torch.arange(len(SEEDS) * 4 * 3, dtype=torch.float64).view(len(SEEDS), 4, 3)
    x = torch.sin(grid * 0.7 + step)[lanes]
    return (net(x) - 3 * torch.cos(x[..., :2] + step)).square().mean((1, 2))


def _train(net: nn.Module, optimiser: Adam, lanes: slice = slice(None)) -> None:
    for step in range(STEPS):
        optimiser(_loss(net, step, lanes))


def _train_torch(
    net: nn.Module,
    optimiser: torch.optim.Optimizer,
    lanes: slice = slice(None),
    clip: float | None = None,
    scheduler: torch.optim.lr_scheduler.LRScheduler | None = None,
) -> None:
    for step in range(STEPS):
        optimiser.zero_grad()
        _loss(net, step, lanes).sum().backward()
        if clip is not None:
            nn.utils.clip_grad_norm_(net.parameters(), clip)
        optimiser.step()
        if scheduler is not None:
            scheduler.step()


def _gap(one: nn.Module, other: nn.Module, lane: slice = slice(None)) -> float:
    pairs = zip(one.parameters(), other.parameters(), strict=True)
    return max(float((p[lane] - q).detach().abs().max()) for p, q in pairs)


@pytest.fixture(params=["fused", "elementwise"])
def path(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways of taking the step; the second is the one compiled code takes."""
    if request.param == "elementwise":
        monkeypatch.setattr(Adam, "_step_fused", Adam._step_elementwise)
    return request.param


REFERENCES: dict[str, tuple[dict, Callable[..., torch.optim.Optimizer]]] = {
    "adam": ({}, lambda p: torch.optim.Adam(p, 0.01)),
    "betas and eps": (
        {"betas": (0.5, 0.9), "eps": 1e-3},
        lambda p: torch.optim.Adam(p, 0.01, betas=(0.5, 0.9), eps=1e-3),
    ),
    "adamw": ({"weight_decay": 0.3}, lambda p: torch.optim.AdamW(p, 0.01, weight_decay=0.3)),
    "l2": (
        {"weight_decay": 0.3, "decoupled": False},
        lambda p: torch.optim.Adam(p, 0.01, weight_decay=0.3),
    ),
}


@pytest.mark.parametrize("name", REFERENCES)
def test_equals_torch(name: str, path: str) -> None:
    options, reference = REFERENCES[name]
    ours, theirs = _net(), _net()
    _train(ours, Adam(ours, 0.01, **options))
    _train_torch(theirs, reference(theirs.parameters()))
    assert _gap(ours, theirs) < TOLERANCE
    assert _gap(ours, _net()) > 0.1  # it went somewhere


@pytest.mark.parametrize(
    "options", [{}, {"weight_decay": 0.3}, {"weight_decay": 0.3, "decoupled": False}]
)
def test_a_rate_per_lane_equals_separate_runs(options: dict) -> None:
    ours = _net()
    _train(ours, Adam(ours, torch.tensor(LRS, dtype=torch.float64).unsqueeze(-1), **options))
    for k, (seed, lr) in enumerate(zip(SEEDS, LRS, strict=True)):
        lane = slice(k, k + 1)
        alone = _net((seed,))
        kind = torch.optim.AdamW if options.get("decoupled", True) else torch.optim.Adam
        decay = options.get("weight_decay", 0.0)
        reference = kind(alone.parameters(), lr, weight_decay=decay)
        _train_torch(alone, reference, lane)
        assert _gap(ours, alone, lane) < TOLERANCE


@pytest.mark.parametrize("clip", [0.05, 1.0, 1e6])
def test_clipping_is_per_lane(clip: float, path: str) -> None:
    ours = _net()
    _train(ours, Adam(ours, 0.01, clip=clip, eps=1e-2))  # eps makes the gradient's size matter
    for k, seed in enumerate(SEEDS):
        lane = slice(k, k + 1)
        alone = _net((seed,))
        reference = torch.optim.Adam(alone.parameters(), 0.01, eps=1e-2)
        _train_torch(alone, reference, lane, clip=clip)
        assert _gap(ours, alone, lane) < TOLERANCE


def test_clip_and_decay_may_differ_from_lane_to_lane(path: str) -> None:
    ours, clips, decays = _net(), torch.linspace(0.05, 1, len(SEEDS)), torch.arange(len(SEEDS)) / 9
    given = {"clip": clips.unsqueeze(-1).double(), "weight_decay": decays.unsqueeze(-1).double()}
    _train(ours, Adam(ours, 0.01, eps=1e-2, **given))
    for k, seed in enumerate(SEEDS):
        alone = _net((seed,))
        decay = float(given["weight_decay"][k])
        reference = torch.optim.AdamW(alone.parameters(), 0.01, eps=1e-2, weight_decay=decay)
        _train_torch(alone, reference, slice(k, k + 1), clip=float(given["clip"][k]))
        assert _gap(ours, alone, slice(k, k + 1)) < TOLERANCE


def _torch_schedule(
    name: str, optimiser: torch.optim.Optimizer
) -> torch.optim.lr_scheduler.LRScheduler:
    kinds = torch.optim.lr_scheduler
    if name == "cosine":
        return kinds.CosineAnnealingLR(optimiser, STEPS)
    final, steps = (0.1, 20) if name == "linear to a tenth" else (0.0, STEPS)
    return kinds.LinearLR(optimiser, 1.0, final, steps)


SCHEDULES: dict[str, Schedule] = {
    "cosine": cosine(STEPS),
    "linear": linear(STEPS),
    "linear to a tenth": linear(20, 0.1),
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedules_equal_torch(name: str, path: str) -> None:
    ours, theirs = _net(), _net()
    _train(ours, Adam(ours, 0.01, schedule=SCHEDULES[name]))
    reference = torch.optim.Adam(theirs.parameters(), 0.01)
    _train_torch(theirs, reference, scheduler=_torch_schedule(name, reference))
    assert _gap(ours, theirs) < TOLERANCE


def test_a_schedule_scales_every_lane_s_own_rate() -> None:
    ours = _net()
    rates = torch.tensor(LRS, dtype=torch.float64).unsqueeze(-1)
    _train(ours, Adam(ours, rates, schedule=cosine(STEPS)))
    for k, (seed, lr) in enumerate(zip(SEEDS, LRS, strict=True)):
        lane = slice(k, k + 1)
        alone = _net((seed,))
        reference = torch.optim.Adam(alone.parameters(), lr)
        _train_torch(alone, reference, lane, scheduler=_torch_schedule("cosine", reference))
        assert _gap(ours, alone, lane) < TOLERANCE


def test_schedules_stay_at_their_end() -> None:
    t = torch.tensor([0.0, 5.0, 10.0, 30.0], dtype=torch.float64)
    assert cosine(10)(t).tolist() == pytest.approx([1, 0.5, 0, 0], abs=1e-15)
    assert linear(10)(t).tolist() == pytest.approx([1, 0.5, 0, 0], abs=1e-15)
    assert linear(10, 0.2)(t).tolist() == pytest.approx([1, 0.6, 0.2, 0.2], abs=1e-15)


def test_float32_paths_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    options = {"clip": 0.5, "weight_decay": 0.1, "schedule": linear(80)}
    results = []
    for step_of in (Adam._step_fused, Adam._step_elementwise):
        monkeypatch.setattr(Adam, "_step_fused", step_of)
        net = nets.MLP(nets.Init(Spec(3, 2, SEEDS)), 3, (5,), 2)
        optimiser = Adam(net, 0.01, **options)
        for step in range(STEPS):
            x = torch.sin(torch.arange(36.0).view(3, 4, 3) + step)
            optimiser((net(x) - 1).square().mean((1, 2)))
        results.append(net)
    assert _gap(*results) < 1e-5  # fifty steps of 0.01 in float32


def test_step_jointly_equals_separate_steps_of_independent_losses() -> None:
    pairs = [(_net(), _net((1, 2, 3))) for _ in range(2)]
    for joint, (one, two) in zip((True, False), pairs, strict=True):
        step_one, step_two = Adam(one, 0.01, clip=0.3), Adam(two, 0.002, weight_decay=0.1)
        for step in range(5):
            target = two(torch.ones(3, 4, 3, dtype=torch.float64)).detach().mean((1, 2))
            losses = _loss(one, step) * target, _loss(two, step + 1)
            if joint:
                result = step_jointly((step_one, losses[0]), (step_two, losses[1]))
            else:
                result = step_one(losses[0]), step_two(losses[1])
            for loss, returned in zip(losses, result, strict=True):
                assert torch.equal(loss, returned)
                assert not returned.requires_grad
    (a, b), (c, d) = pairs
    assert _gap(a, c) == 0
    assert _gap(b, d) == 0


def test_only_its_own_net_moves_and_no_gradient_is_left_behind() -> None:
    actor, critic = _net(), _net((1, 2, 3))
    before = copy.deepcopy(list(critic.parameters()))
    x = torch.ones(3, 4, 3, dtype=torch.float64)
    Adam(actor, 0.01)((critic(torch.cat([actor(x), x[..., :1]], -1))).mean((1, 2)))
    assert all(torch.equal(p, q) for p, q in zip(before, critic.parameters(), strict=True))
    assert all(p.grad is None for net in (actor, critic) for p in net.parameters())
    assert _gap(actor, _net()) > 0


def test_state_has_lanes_first_and_the_parameter_s_name() -> None:
    net = _net()
    optimiser = Adam(net, 0.01)
    optimiser(_loss(net, 0))
    state = optimiser.state_dict()
    assert int(state["steps"]) == 1
    for name, p in net.named_parameters():
        for moment in ("m", "v"):
            assert state[f"{moment}.{name}"].shape == p.shape
    assert len(state) == 2 * len(list(net.parameters())) + 1


def test_loading_copies_into_the_existing_storage_and_continues_bitwise() -> None:
    net, fresh = _net(), _net()
    first, second = Adam(net, 0.01), Adam(fresh, 0.01)
    _train(net, first)
    where = [t.data_ptr() for t in (second.m, second.v, second.steps)]
    second.load_state_dict(first.state_dict())
    fresh.load_state_dict(net.state_dict())
    assert where == [t.data_ptr() for t in (second.m, second.v, second.steps)]
    _train(net, first)
    _train(fresh, second)
    assert _gap(net, fresh) == 0
    assert torch.equal(first.v, second.v)
    assert int(second.steps) == 2 * STEPS


def test_a_loss_that_does_not_reach_the_net_is_an_error() -> None:
    net, other = _net(), _net()
    with pytest.raises(RuntimeError, match="not have been used"):
        Adam(net, 0.01)(_loss(other, 0))

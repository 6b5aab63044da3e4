"""Rollouts and their hooks."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from rlkit.algos.imagination.noise import LaneNoise
from rlkit.algos.imagination.proposals import Proposal, all_members, every_elite, one_elite
from rlkit.algos.imagination.rollout import Hooks, Step, environment_end, never, roll_out, sampled
from rlkit.core.spec import Spec
from rlkit.core.streams import Draw
from rlkit.data.transforms import Transforms
from rlkit.nets.dynamics import Dynamics

SPEC = Spec(3, 2, (3, 0), torch.float64)
ROWS = 40


def inputs(spec: Spec = SPEC) -> tuple[Tensor, Tensor, Tensor]:
    rng = LaneNoise(spec, "test/inputs", 0)
    alive = torch.ones(spec.lanes, ROWS, dtype=torch.bool)
    return rng.normal(ROWS, 3), rng.uniform(ROWS, 2) * 2 - 1, alive


def ensemble(spec: Spec = SPEC, **given: object) -> Dynamics:
    model = Dynamics(spec, (8,), n=4, n_elites=2, **given)  # type: ignore[arg-type]
    elites = torch.tensor([[3, 0], [1, 2], [0, 3]])[: spec.lanes]
    model.elites.copy_(elites)
    return model.requires_grad_(False)


def test_each_row_is_drawn_from_one_elite_and_elites_share_equally() -> None:
    model, (s, a, alive) = ensemble(deterministic=True), inputs()
    proposal = one_elite(model)(s, a, alive, LaneNoise(SPEC, "x", 0))
    change = torch.cat([proposal.s2[:, 0] - s, proposal.r[:, 0].unsqueeze(-1)], -1)
    every = model(s, a).mean  # [S, n, B, D + 1]
    distance = (every - change.unsqueeze(1)).abs().amax(-1)  # [S, n, B]
    assert (distance.amin(1) < 1e-12).all()
    who = distance.argmin(1)
    for k in range(2):
        counts = torch.bincount(who[k], minlength=4)
        expected = torch.zeros(4, dtype=torch.int64)
        expected[model.elites[k]] = ROWS // 2
        assert torch.equal(counts, expected)


@pytest.mark.parametrize("deterministic", [True, False])
def test_one_pass_a_row_equals_passes_of_all_members(deterministic: bool) -> None:
    """The same draws, whether a row goes through one member or through all of them."""
    model, (s, a, alive) = ensemble(deterministic=deterministic), inputs()
    cheap = one_elite(model)(s, a, alive, LaneNoise(SPEC, "x", 0))
    whole = all_members(model)(s, a, alive, LaneNoise(SPEC, "x", 0))
    torch.testing.assert_close(cheap.s2, whole.s2)
    torch.testing.assert_close(cheap.r, whole.r)
    assert cheap.mean is None
    assert cheap.std is None
    assert whole.mean is not None
    torch.testing.assert_close(whole.mean, model(s, a).mean)
    assert whole.std is not None
    torch.testing.assert_close(whole.std, model(s, a).std)


def test_identical_members_are_one_member() -> None:
    """TS1 among copies has the law of a single model: here, its draws."""
    model, (s, a, alive) = ensemble(), inputs()
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(p[:, :1].clone().expand_as(p))
    noise = LaneNoise(SPEC, "x", 0)
    noise.permutation(ROWS)
    eps = noise.normal(ROWS, 4)
    single = model(s, a, torch.zeros(2, 1, dtype=torch.int64))
    expected = (single.mean + single.std * eps.unsqueeze(1)).squeeze(1)
    proposal = one_elite(model)(s, a, alive, LaneNoise(SPEC, "x", 0))
    torch.testing.assert_close(proposal.s2[:, 0], s + expected[..., :3])
    torch.testing.assert_close(proposal.r[:, 0], expected[..., 3])


def test_draws_have_the_models_mean_and_deviation() -> None:
    spec = Spec(3, 2, (5,))
    model = Dynamics(spec, (8,), n=2, n_elites=1).requires_grad_(False)
    s, a = torch.zeros(1, 20_000, 3), torch.zeros(1, 20_000, 2)
    alive = torch.ones(1, 20_000, dtype=torch.bool)
    proposal = one_elite(model)(s, a, alive, LaneNoise(spec, "x", 0))
    one = model(s[:, :1], a[:, :1])
    assert one.log_var is not None
    mean, std = one.mean[0, 0, 0], one.std[0, 0, 0]
    drawn = torch.cat([proposal.s2[0, 0], proposal.r[0, 0].unsqueeze(-1)], -1)
    assert ((drawn.mean(0) - mean).abs() < 4 * std / 20_000**0.5).all()
    torch.testing.assert_close(drawn.std(0), std, rtol=0.03, atol=0)


def test_dead_rows_are_not_computed_and_do_not_move_the_others() -> None:
    model, (s, a, alive) = ensemble(), inputs()
    whole = one_elite(model)(s, a, alive, LaneNoise(SPEC, "x", 0))
    alive[0, ::3], alive[1, 5:] = False, False
    part = one_elite(model)(s, a, alive, LaneNoise(SPEC, "x", 0))
    torch.testing.assert_close(part.s2[:, 0][alive], whole.s2[:, 0][alive])
    assert torch.equal(part.s2[:, 0][~alive], s[~alive])


def test_candidates_of_every_elite() -> None:
    """Without noise candidate k is elite k // resamples; with it, resamples differ."""
    plain, (s, a, alive) = ensemble(deterministic=True), inputs()
    proposal = every_elite(plain, resamples=3)(s, a, alive, LaneNoise(SPEC, "x", 0))
    assert proposal.r.shape == (2, 6, ROWS)
    lanes = torch.arange(2).unsqueeze(-1)
    expected = plain(s, a).mean[lanes, plain.elites].repeat_interleave(3, 1)
    torch.testing.assert_close(proposal.r, expected[..., 3])
    torch.testing.assert_close(proposal.s2, s.unsqueeze(1) + expected[..., :3])
    noisy = ensemble()
    drawn = every_elite(noisy, 2)(s, a, alive, LaneNoise(SPEC, "x", 0))
    assert not torch.equal(drawn.r[:, 0], drawn.r[:, 1])
    known = every_elite(noisy, 2, with_std=True)(s, a, alive, LaneNoise(SPEC, "x", 0))
    torch.testing.assert_close(known.r, drawn.r)
    assert known.std is not None
    assert known.std.shape == (2, 4, ROWS, 4)


def linear(s: Tensor, a: Tensor, alive: Tensor, noise: LaneNoise) -> Proposal:
    """Every row moves by its first action; the reward is the place it leaves."""
    step = torch.zeros_like(s)
    step[..., 0] = a[..., 0]
    return Proposal(s, a, (s + step).unsqueeze(1), s[..., 0].unsqueeze(1))


def forward(s: Tensor, noise: LaneNoise) -> Tensor:
    return torch.ones(*s.shape[:2], 2, dtype=s.dtype)


def beyond(limit: float) -> Callable[[Step], tuple[Tensor, Tensor]]:
    def terminate(step: Step) -> tuple[Tensor, Tensor]:
        return step.s2[..., 0] >= limit, torch.zeros_like(step.r, dtype=torch.bool)

    return terminate


def test_nothing_is_kept_after_an_end_and_nothing_begins_in_an_ended_state() -> None:
    start = torch.zeros(2, 4, 3, dtype=torch.float64)
    start[0, :, 0] = torch.tensor([0.0, 1.0, 2.0, 2.5])
    hooks = Hooks(linear, terminate=beyond(3.0))
    steps = list(roll_out(forward, hooks, start, 10, LaneNoise(SPEC, "x", 0)))
    assert len(steps) == 3  # then every row has ended
    kept = torch.stack([x.kept for x in steps], -1)
    ended = torch.stack([x.terminated & x.kept for x in steps], -1)
    assert kept.sum(-1).tolist() == [[3, 2, 1, 1], [3, 3, 3, 3]]
    assert (ended.sum(-1) == 1).all()
    for x in steps:
        assert (x.s[..., 0][x.kept] < 3).all()
        torch.testing.assert_close(x.r[x.kept], x.s[..., 0][x.kept])
        torch.testing.assert_close(x.s2[..., 0][x.kept], x.s[..., 0][x.kept] + 1)


def test_a_broken_off_row_is_stored_as_going_on() -> None:
    def stop(step: Step) -> tuple[Tensor, Tensor]:
        return torch.zeros_like(step.r, dtype=torch.bool), step.s2[..., 0] >= 2

    start = torch.zeros(2, 4, 3, dtype=torch.float64)
    steps = list(
        roll_out(forward, Hooks(linear, terminate=stop), start, 10, LaneNoise(SPEC, "x", 0))
    )
    assert len(steps) == 2
    assert steps[1].stopped.all()
    assert not steps[1].terminated.any()
    assert steps[1].kept.all()


def test_predictions_that_are_not_finite_are_dropped_with_all_that_follows() -> None:
    def explode(s: Tensor, a: Tensor, alive: Tensor, noise: LaneNoise) -> Proposal:
        p = linear(s, a, alive, noise)
        s2, r = p.s2.clone(), p.r.clone()
        s2[0, 0, 1] = torch.inf
        r[1, 0, 2] = torch.nan
        return p._replace(s2=s2, r=r)

    start = torch.zeros(2, 4, 3, dtype=torch.float64)
    steps = list(roll_out(forward, Hooks(explode), start, 3, LaneNoise(SPEC, "x", 0)))
    for x in steps:
        assert (~x.kept).nonzero().tolist() == [[0, 1], [1, 2]]
        for tensor in (x.s, x.s2, x.r):
            assert tensor.isfinite().all()


def test_select_reward_and_terminate_see_what_was_chosen() -> None:
    def three(s: Tensor, a: Tensor, alive: Tensor, noise: LaneNoise) -> Proposal:
        offset = torch.tensor([1.0, 2.0, 3.0], dtype=s.dtype).view(1, 3, 1)
        offset = offset.expand(2, 3, s.shape[1])
        return Proposal(s, a, s.unsqueeze(1) + offset.unsqueeze(-1), offset)

    def select(p: Proposal, noise: LaneNoise) -> tuple[Tensor, Tensor]:
        pick = torch.arange(p.r.shape[-1]).remainder(3).expand(2, -1)
        return pick, pick.double() * 10

    seen: list[Step] = []

    def reward(step: Step) -> Tensor:
        assert step.score is not None
        return step.r - step.score

    def terminate(step: Step) -> tuple[Tensor, Tensor]:
        seen.append(step)
        return never(step)

    start = torch.zeros(2, 6, 3, dtype=torch.float64)
    hooks = Hooks(three, select, reward, terminate)
    (x,) = roll_out(forward, hooks, start, 1, LaneNoise(SPEC, "x", 0))
    assert x.s2[0, :, 0].tolist() == [1, 2, 3, 1, 2, 3]
    assert x.r[0].tolist() == [1, 2 - 10, 3 - 20] * 2
    assert seen[0].proposal.s2.shape == (2, 3, 6, 3)
    assert seen[0].r[0].tolist() == [1, 2, 3, 1, 2, 3]  # as predicted, before `reward`


def test_a_penalty_may_look_at_every_member() -> None:
    """The reward MOPO asks for, from the deviations of all members, elites or not."""
    model, (s, _, _) = ensemble(), inputs()

    def penalised(step: Step) -> Tensor:
        assert step.proposal.std is not None
        return step.r - 2 * step.proposal.std.norm(dim=-1).amax(1)

    plain = Hooks(all_members(model))
    (x,) = roll_out(forward, plain._replace(reward=penalised), s, 1, LaneNoise(SPEC, "x", 0))
    (y,) = roll_out(forward, plain, s, 1, LaneNoise(SPEC, "x", 0))
    a = torch.ones(2, ROWS, 2, dtype=torch.float64)
    std = model(s, a).std
    torch.testing.assert_close(y.r - x.r, 2 * std.square().sum(-1).sqrt().amax(1))


def test_the_task_is_asked_in_its_own_units() -> None:
    """A hopper of height 1.0 in normalised observations of mean 1.25 and deviation 0.5."""
    spec = Spec(11, 3, (0,))
    mean, std = torch.zeros(11), torch.ones(11)
    mean[0], std[0] = 1.25, 0.5
    transforms = Transforms(obs_mean=mean.numpy(), obs_std=std.numpy())
    x = torch.zeros(1, 3, 11)
    x[0, :, 0] = torch.tensor([-0.5, -1.0, -1.2])  # heights 1.0, 0.75, 0.65
    proposal = Proposal(x, x, x.unsqueeze(1), x[:, None, :, 0])
    step = Step(x, x, x[..., 0], x, None, proposal)
    terminated, stopped = environment_end("Hopper-v5", transforms, spec)(step)
    assert terminated.tolist() == [[False, False, True]]
    assert not stopped.any()
    plain, _ = environment_end("Hopper-v5", Transforms(), spec)(step)
    assert plain.all()
    with pytest.raises(ValueError, match="no termination rule"):
        environment_end("CartPole-v1", Transforms(), spec)


class Walker:
    """An agent whose action is its noise, far too large."""

    act_noise = Draw("normal", "B", "A")

    def act(self, s: Tensor, noise: Tensor) -> Tensor:
        return s[..., :2] + 3 * noise


def test_actions_are_drawn_and_kept_in_the_box() -> None:
    s, _, _ = inputs()
    a = sampled(Walker())(s, LaneNoise(SPEC, "x", 0))
    assert a.abs().max() == 1
    assert not torch.equal(a, sampled(Walker())(s, LaneNoise(SPEC, "x", 1)))


def test_noise_of_a_lane_is_the_same_in_any_company() -> None:
    kinds: list[Callable[[LaneNoise], Tensor]] = [
        lambda n: n.normal(5, 2),
        lambda n: n.uniform(5),
        lambda n: n.of_kind("gumbel", 3),
        lambda n: n.integers(9, 4),
        lambda n: n.permutation(6),
    ]
    together, alone = LaneNoise(SPEC, "x", 4), LaneNoise(Spec(3, 2, (0,), torch.float64), "x", 4)
    for draw in kinds:
        both, own = draw(together), draw(alone)
        assert torch.equal(both[1:], own)
        assert not torch.equal(both[0], both[1])


def test_a_rollout_of_a_lane_is_the_same_in_any_company() -> None:
    """Lanes lose different rows at different steps."""
    specs = [Spec(3, 2, seeds, torch.float64) for seeds in ((3, 0, 7), (0,))]
    runs = []
    for spec in specs:
        model = ensemble(spec)
        model.elites.copy_(torch.tensor([3, 1]))
        start, _, _ = inputs(spec)
        hooks = Hooks(one_elite(model), terminate=beyond(1.0))
        runs.append(list(roll_out(sampled(Walker()), hooks, start, 4, LaneNoise(spec, "x", 0))))
    whole, own = runs
    assert not all(x.kept.all() for x in own)
    for x, y in zip(whole, own, strict=False):
        assert torch.equal(x.kept[1:2], y.kept)
        torch.testing.assert_close(x.s2[1:2], y.s2, rtol=1e-11, atol=1e-11)
        torch.testing.assert_close(x.r[1:2][y.kept], y.r[y.kept], rtol=1e-11, atol=1e-11)

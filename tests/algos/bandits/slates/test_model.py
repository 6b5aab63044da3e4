"""The variational slate model: likelihoods, states and divergences in closed form."""

import numpy as np
import pytest
import torch
from torch.distributions import Normal, kl_divergence

from rlkit.algos.bandits.slates.model import SlateModel, gaussian_kl
from rlkit.algos.bandits.slates.thompson import Config, SlateRecommender
from rlkit.core.spec import Spec
from rlkit.nets.layers import Init
from rlkit.nets.sequences.gru import gru_cell

ITEMS, SLOTS, DIM = 12, 3, 2
SMALL = {"dim": DIM, "dtype": torch.float64, "particles": 2, "batch": 8, "item_steps": 0}


def recommender(groups=None, slots=SLOTS, **options):
    return SlateRecommender(ITEMS, slots, Config(**{**SMALL, **options}), groups)


def sessions(rec, users=6, steps=4, seed=0, slots=SLOTS):
    rng = np.random.default_rng(seed)
    shape = (rec.spec.lanes, users, steps)
    slates = np.argsort(rng.random((*shape, ITEMS)), axis=-1)[..., :slots]
    return rec.sessions(slates, rng.integers(0, slots + 1, shape))


def drawn(rec, particles=2):
    return rec.model.draw(rec._noise("check", 0, particles))


def test_divergence_of_gaussians():
    rng = torch.Generator().manual_seed(0)
    mean, prior_mean = torch.randn(2, 5, generator=rng)
    scale, prior_scale = torch.rand(2, 5, generator=rng) + 0.1
    ours = gaussian_kl(mean, scale, prior_mean, prior_scale)
    torch.testing.assert_close(
        ours, kl_divergence(Normal(mean, scale), Normal(prior_mean, prior_scale))
    )
    assert gaussian_kl(mean, scale, mean, scale).abs().max() == 0


@pytest.mark.parametrize("universal", [False, True])
def test_chances_of_all_clicks_sum_to_one(universal):
    rec = recommender(seeds=(0, 1))
    past, w = sessions(rec), drawn(rec)
    h = torch.randn(2, 2, 6, DIM, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    z = rec.model.states(w, h, past.clicked())[..., :-1, :]
    if universal:
        p = rec.model.scores_of_all(w, z).softmax(-1)
    else:
        p = rec.model.scores(w, z, past.slates).softmax(-1)
    assert p.shape[-1] == 1 + (ITEMS if universal else SLOTS)
    torch.testing.assert_close(p.sum(-1), torch.ones(2, 2, 6, 4, dtype=torch.float64))
    log_p = rec.model.log_likelihood(w, h, past, universal)
    index = (past.clicked() + 1 if universal else past.clicks)[:, None, ..., None]
    torch.testing.assert_close(
        log_p, p.gather(-1, index.expand(2, 2, 6, 4, 1)).squeeze(-1).log()
    )  # fmt: skip


def test_scores_by_hand():
    rec = recommender()
    past, w = sessions(rec), drawn(rec)
    z = torch.zeros(1, 2, 6, 4, DIM, dtype=torch.float64)
    scores = rec.model.scores(w, z, past.slates)
    item = past.slates[0, 3, 2, 1]
    expected = -5.0 * w["vectors"][0, 1, item].norm()
    assert scores[0, 1, 3, 2, 2].item() == pytest.approx(expected.item())
    assert scores[0, 1, 3, 2, 0] == w["bias"][0, 1, SLOTS]
    everything = rec.model.scores_of_all(w, z)
    assert everything[0, 1, 3, 2, 1 + item].item() == pytest.approx(expected.item())


def test_empty_slots_take_no_chance_and_change_the_bias():
    rec = recommender()
    slates = sessions(rec).slates.numpy().copy()
    slates[0, 2, 1, 2] = -1
    clicks = np.zeros(slates.shape[:3], int)
    past, w = rec.sessions(slates, clicks), drawn(rec)
    z = torch.zeros(1, 2, 6, 4, DIM, dtype=torch.float64)
    p = rec.model.scores(w, z, past.slates).softmax(-1)
    assert p[0, :, 2, 1, 3].max() < 1e-30
    scores = rec.model.scores(w, z, past.slates)
    torch.testing.assert_close(scores[0, :, 2, 1, 0], w["bias"][0, :, 2])
    torch.testing.assert_close(scores[0, :, 2, 0, 0], w["bias"][0, :, 3])


def test_users_move_with_clicks_only():
    rec = recommender()
    slates = sessions(rec).slates.numpy()
    clicks = np.tile([2, 0, -1, 1], (1, 6, 1))
    past, w = rec.sessions(slates, clicks), drawn(rec)
    h = torch.randn(1, 2, 6, DIM, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    z = rec.model.states(w, h, past.clicked())
    assert z.shape == (1, 2, 6, 5, DIM)
    torch.testing.assert_close(z[..., 0, :], h @ w["out"])
    torch.testing.assert_close(z[..., 1, :], z[..., 2, :])  # no click
    torch.testing.assert_close(z[..., 2, :], z[..., 3, :])  # not recorded
    v = w["vectors"][0, 1, past.slates[0, 4, 0, 1]]
    moved = gru_cell(v[None] @ w["given"][0, 1], h[0, 1, 4:5], w["recurrent"][0, 1])
    torch.testing.assert_close(z[0, 1, 4, 1], (moved @ w["out"][0, 1])[0])
    likelihood = rec.model.log_likelihood(w, h, past, universal=False)
    assert (likelihood[..., 2] == 0).all()
    assert (likelihood[..., [0, 1, 3]] < 0).all()


def test_where_users_start_follows_their_first_clicks():
    rec = recommender()
    w = drawn(rec)
    clicked = torch.tensor([[[4, -1, 7, 4], [-1, -1, -1, -1], [-1, 9, -1, -1]]])
    mean, scale = rec.model.start(w, clicked)
    share = np.array([1.0, 2.0**-4, 3.0**-4])
    share /= share.sum()
    v = w["vectors"][0, 0, [4, 7, 4]].detach().numpy()
    np.testing.assert_allclose(mean[0, 0, 0].detach(), share @ v)
    variance = share @ (v - share @ v) ** 2
    np.testing.assert_allclose(scale[0, 0, 0].detach(), np.sqrt(variance + 0.25))
    assert (mean[0, :, 1] == 0).all()
    assert (scale[0, :, 1] == 0.5).all()
    torch.testing.assert_close(mean[0, 1, 2], w["vectors"][0, 1, 9])
    torch.testing.assert_close(scale[0, 1, 2], torch.full((DIM,), 0.5, dtype=torch.float64))


def test_one_group_is_the_flat_model():
    """The bound with all items in group 0, against one written without groups."""
    rec = recommender(np.zeros(ITEMS, int), likelihood_weight=2.0)
    past, m = sessions(rec), rec.model
    found, fit = rec.elbo(past, users=30, step=5)
    w = m.draw(rec._noise("learn", 5, 2))
    mean, scale = m.start(w, past.clicked())
    h = mean + scale * rec._normal("learn/start", 5, (2, 6, DIM))
    bound = torch.zeros(2, dtype=torch.float64)
    for particle in range(2):
        total = sum(
            kl_divergence(Normal(p.mean[0], p.scale[0]), Normal(0.0, prior)).sum()
            for p, prior in (
                (m.centres, 5.0), (m.widths, 5.0), (m.bias, 5.0),
                (m.memory.given, 1.0), (m.memory.recurrent, 1.0), (m.memory.out, 1.0),
            )
        )  # fmt: skip
        prior = Normal(w["centres"][0, particle, 0], w["widths"][0, particle, 0].abs())
        total = total + kl_divergence(Normal(m.vectors.mean[0], m.vectors.scale[0]), prior).sum()
        start = Normal(mean[0, particle], scale[0, particle])
        start_kl = kl_divergence(start, Normal(torch.zeros(DIM).double(), 0.5)).sum()
        log_p = m.log_likelihood(w, h, past, universal=False)[0, particle].sum()
        bound[particle] = 2.0 * 30 / 6 * log_p - total - 30 / 6 * start_kl
    assert found.item() == pytest.approx(bound.mean().item())
    assert fit.item() == pytest.approx(
        m.log_likelihood(w, h, past, universal=False).mean().item()
    )  # fmt: skip
    ungrouped = recommender(None, likelihood_weight=2.0)
    assert ungrouped.elbo(past, users=30, step=5)[0].item() == pytest.approx(found.item())


def test_items_of_a_group_share_a_prior():
    groups = np.arange(ITEMS) % 3
    rec = recommender(groups)
    m, w = rec.model, drawn(rec)
    flat = recommender(None).model
    assert m.centres.mean.shape == (1, 3, DIM)
    centre, width = w["centres"][0, 0, groups], w["widths"][0, 0, groups].abs()
    q = Normal(m.vectors.mean[0], m.vectors.scale[0])
    items = [kl_divergence(q, Normal(w["centres"][0, k, groups], w["widths"][0, k, groups].abs()))
             .sum() for k in range(2)]  # fmt: skip
    others = sum(
        kl_divergence(Normal(p.mean, p.scale), Normal(0.0, prior)).sum()
        for p, prior in (
            (m.centres, 5.0), (m.widths, 5.0), (m.bias, 5.0),
            (m.memory.given, 1.0), (m.memory.recurrent, 1.0), (m.memory.out, 1.0),
        )
    )  # fmt: skip
    expected = others + sum(items) / 2
    assert m.shared_kl(w).item() == pytest.approx(expected.item())
    assert centre.shape == width.shape == (ITEMS, DIM)
    assert flat.centres.mean.shape == (1, 1, DIM)


def test_means_begin_apart_by_lane():
    model = SlateModel(Init(Spec(2, 5, (0, 1))), 5, 2, 2, None)
    assert not torch.equal(model.vectors.mean[0], model.vectors.mean[1])
    assert model.shapes()["vectors"] == (5, 2)

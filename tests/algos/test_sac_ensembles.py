"""REDQ, DroQ and RLPD as configurations of SAC."""

from itertools import combinations

import pytest
import torch

from rlkit import nets
from rlkit.algos import sac
from rlkit.core import state
from rlkit.core.streams import Streams
from rlkit.testing.cases import Case, make_batch


def test_the_subset_is_a_uniform_one_of_two() -> None:
    """Every pair of 5 critics is drawn equally often, and nothing outside the pair counts."""
    draws = Streams((0,)).draw("subset", "uniform", 0, (5,), 4000)[:, 0]
    qs = torch.arange(5.0).view(1, 5, 1).expand(len(draws), 5, 2)
    smallest = sac.subset(qs, torch.from_numpy(draws).float(), 2).amin(-2)[:, 0]
    expected = torch.zeros(5)
    for pair in combinations(range(5), 2):
        expected[min(pair)] += len(draws) / 10
    counts = torch.bincount(smallest.long(), minlength=5).float()
    assert counts[4] == 0  # the largest of all is never the smaller of two
    chi_square = ((counts - expected)[:4].square() / expected[:4]).sum()
    assert chi_square < 16.3  # 0.1% of the chi-square of 3 degrees


def test_the_whole_ensemble_as_subset_is_the_plain_minimum() -> None:
    case = Case(sac)
    spec = case.spec()
    agents = []
    for subset in (0, 2):
        config = case.make_config(subset=subset)
        agent = case.agent(spec, config)
        for step in range(3):
            agent.update(make_batch(spec, agent, step), config)
        agents.append(state.tensors(agent))
    assert all(torch.equal(tensor, agents[1][name]) for name, tensor in agents[0].items())


def test_mean_and_minimum_agree_for_equal_critics() -> None:
    qs = torch.tensor([[0.3, -1.0], [0.3, -1.0]])
    log_prob, alpha = torch.tensor([0.1, 0.2]), torch.tensor(0.5)
    assert torch.equal(
        sac.pi_loss(qs, log_prob, alpha), sac.pi_loss(qs, log_prob, alpha, mean_critic=True)
    )
    qs[1] += 2
    gap = sac.pi_loss(qs, log_prob, alpha) - sac.pi_loss(qs, log_prob, alpha, mean_critic=True)
    assert float(gap) == pytest.approx(1.0)


def test_dropout_keeps_the_mean_and_drops_the_share() -> None:
    u = torch.rand(2, 3, 400, 30, generator=torch.Generator().manual_seed(0))
    first, second = nets.dropout(u, 0.25, (10, 20))
    assert (first.shape[-1], second.shape[-1]) == (10, 20)
    masks = torch.cat([first, second], -1)
    assert masks.unique().tolist() == pytest.approx([0.0, 1 / 0.75])
    assert float(masks.mean()) == pytest.approx(1.0, abs=0.01)
    lanes = nets.dropout(u, torch.tensor([[0.0], [0.5]]), (10, 20))[0]
    assert (lanes[0] == 1).all()
    assert (lanes[1] == 0).any()


def test_dropped_units_do_not_count_before_the_layer_norm() -> None:
    """With every unit but one dropped the net sees that unit alone."""
    spec = Case(sac).spec()
    net = nets.MLP(nets.Init(spec), 4, (3,), 1, norm="none")
    x = torch.randn(2, 5, 4, dtype=spec.dtype, generator=torch.Generator().manual_seed(0))
    mask = torch.zeros(2, 5, 3, dtype=spec.dtype)
    mask[..., 1] = 1
    hidden = torch.relu(net.layers[0](x))[..., 1:2]
    weight, bias = net.last.weight[:, 1:2], net.last.bias
    torch.testing.assert_close(net(x, [mask]), hidden * weight + bias)


def test_every_preset_is_a_configuration() -> None:
    for config, run in sac.PRESETS.values():
        made = sac.Config(**config)
        if "shift" not in run:  # DrQ's policy moves in every other update
            assert made.actor_period == run.get("utd", 1)  # once an environment step
        assert made.subset <= made.n_critics


def test_a_subset_larger_than_the_ensemble_is_refused() -> None:
    case = Case(sac)
    with pytest.raises(ValueError, match="subset is 3; it must not exceed n_critics, which is 2"):
        case.make_config(subset=3)


@pytest.mark.parametrize("subset", [2, 10])
def test_a_small_subset_is_less_pessimistic(subset: int) -> None:
    """E min of M standard normals: -0.564 for 2, -1.539 for 10."""
    rng = torch.Generator().manual_seed(0)
    qs = torch.randn(4000, 10, 1, generator=rng)
    u = torch.rand(4000, 10, generator=rng)
    expected = {2: -0.5642, 10: -1.5388}[subset]
    assert float(sac.subset(qs, u, subset).amin(-2).mean()) == pytest.approx(expected, abs=0.05)

"""Rewards from choices by regret: successor features against a solver, and a corridor whose steps
cost, which sums of rewards do not tell."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from rlkit.algos import iql, sf_regret
from rlkit.algos.behind.rows import Completed
from rlkit.algos.preference.models import regret_model
from rlkit.core import state
from rlkit.core.engine import Engine
from rlkit.core.errors import UsageError
from rlkit.core.spec import Discrete, Spec
from rlkit.core.streams import Streams
from rlkit.data.replay import Replay
from rlkit.data.stock import Stock
from rlkit.data.store import EpisodeStore
from rlkit.data.transforms import Transforms
from rlkit.testing.preference_toys import (
    CELLS,
    CORRIDOR_GAMMA,
    CORRIDOR_REWARD,
    corridor,
    corridor_advantages,
    corridor_model,
    corridor_walks,
    rightly_ordered,
)
from rlkit.theory.evaluation import evaluate_policy
from rlkit.theory.planning.solvers import solve

N, GAMMA, TRUE = CELLS, CORRIDOR_GAMMA, CORRIDOR_REWARD
EYE = torch.eye(N).expand(2, -1, -1)
LEARNT: dict[str, Any] = {
    **{"features": "columns:step,coin,goal", "pairs": 300, "length": 3, "gamma_sf": GAMMA},
    **{"policies": 16, "hidden_sf": (), "lr_sf": 0.1, "steps_sf": 800, "polyak_sf": 0.2},
    **{"lr_weights": 0.05, "steps_weights": 500},
    "given": "hidden=() lr=0.02 beta=10.0 batch_size=64 gamma=0.9 tau=0.95",
}
SMALL = {"steps_sf": 5, "steps_weights": 5, "policies": 3, "pairs": 20, "hidden_sf": (4,)}


@pytest.fixture(scope="module")
def walked() -> EpisodeStore:
    return corridor_walks()


def prepared(
    store: EpisodeStore, folder: Path, seeds: tuple[int, ...] = (0, 1), **given: Any
) -> tuple[Completed, Any, sf_regret.Config]:
    np.save(folder / "known.npy", store.extra["known"])
    c = sf_regret.Config(**{**LEARNT, "advantages": str(folder / "known.npy"), **given})
    spec = Spec(N, Discrete(2), seeds)
    agent = sf_regret.Agent(spec, c)
    data = Replay.from_store(sf_regret.select(store, c), spec, Transforms(), columns=agent.columns)
    stock = Stock(spec, Streams(seeds), Transforms(), data)
    return sf_regret.source(stock, agent, c), agent, c


@pytest.fixture(scope="module")
def learnt(walked: EpisodeStore, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Both statistics fitted to the answers of one who never errs."""
    found = {}
    for statistic in ("regret", "return"):
        folder = tmp_path_factory.mktemp(statistic)
        source, agent, c = prepared(walked, folder, statistic=statistic)
        source.begin()
        found[statistic] = (source, agent, c)
    return found


def weights(source: Any) -> np.ndarray:
    """w `[S, 3]` in the features' own units."""
    maker = source.maker
    return (maker.weights.w.detach() / maker.library.scale[:, 0]).double().numpy()


def table(source: Any) -> Tensor:
    """Ã `[S, N, 2]` of every state and action by the learnt weights."""
    psi = source.maker.library.at(EYE)
    w, columns = source.maker.weights.w.detach(), []
    for a in (0, 1):
        chosen = torch.full((2, N), a)
        columns.append(regret_model.advantages(psi, chosen, w, 0.001))
    return torch.stack(columns, -1)


def test_successor_features_are_those_of_a_solver(learnt: dict[str, Any]) -> None:
    library = learnt["regret"][0].maker.library
    psi = library.at(EYE)  # [S, N, K, A, d]
    policies = library.chosen(psi.transpose(1, 2)).numpy()  # [S, K, N]
    phi = corridor()[1]
    for k in range(4):
        for j in range(3):
            mdp = corridor_model(phi[..., j])
            q = mdp.q_table(evaluate_policy(mdp, policies[0, k], GAMMA), GAMMA)
            found = psi[0, :, k, :, j] * library.scale[0, 0, j]
            np.testing.assert_allclose(found.numpy(), q, atol=5e-3)


def test_no_policy_is_better_than_the_best_and_the_best_is_met(learnt: dict[str, Any]) -> None:
    """Values of the library under the true reward are at most V*, and V* where one is best."""
    library = learnt["regret"][0].maker.library
    w = torch.from_numpy(TRUE).float() * library.scale[0, 0].float()
    q = torch.einsum("snkad,d->snka", library.at(EYE), w)
    mdp = corridor_model(corridor()[1] @ TRUE)
    best = torch.from_numpy(mdp.q_table(solve(mdp, GAMMA).value, GAMMA)).float()
    assert (q.amax(2) <= best + 0.05).all()
    torch.testing.assert_close(q.amax(2)[0], best, atol=0.05, rtol=0)
    a = torch.tensor([[0, 1, 0, 1, 0, 1]] * 2)
    found = regret_model.advantages(library.at(EYE), a, w.expand(2, -1), 0.001)
    exact = torch.from_numpy(corridor_advantages()).float()[torch.arange(N), a[0]]
    torch.testing.assert_close(found[0], exact, atol=0.05, rtol=0)


def test_maxima_are_weighted_means() -> None:
    x = torch.randn(2, 5, 3).double()
    torch.testing.assert_close(regret_model.soft_maximum(x, 1e-4, -1), x.amax(-1))
    torch.testing.assert_close(regret_model.soft_maximum(x, 1e6, -1), x.mean(-1), atol=1e-5, rtol=0)
    assert (regret_model.soft_maximum(x, 0.5, -1) <= x.amax(-1)).all()
    lanes = regret_model.soft_maximum(x, torch.tensor([[1e-4], [1e6]]).double(), -1)
    torch.testing.assert_close(lanes[0], x[0].amax(-1))


def test_regret_orders_segments_rightly_and_sums_of_rewards_do_not(
    learnt: dict[str, Any],
) -> None:
    """All pairs of walks of three moves between cells, by their true regret."""
    by_regret, w = table(learnt["regret"][0]), weights(learnt["return"][0])
    for k in range(2):
        assert rightly_ordered(by_regret[k].numpy()) > 0.95
        assert rightly_ordered(corridor()[1] @ w[k]) < 0.75
    for name, (source, _, _) in learnt.items():
        told = source.maker.metrics["regret_accuracy"]
        assert (told > 0.95).all() if name == "regret" else (told < 0.75).all()


def test_the_policy_of_the_reward_by_regret_is_the_best(learnt: dict[str, Any]) -> None:
    """Whatever it costs, everybody is to go right; by the solver and by the agent behind."""
    source, _, c = learnt["regret"]
    phi = corridor()[1]
    for w in weights(source):
        mdp = corridor_model(phi @ w)
        assert (mdp.q_table(solve(mdp, GAMMA).value, GAMMA).argmax(1) == 1).all()
    given = "hidden=() lr=0.02 batch_size=64 gamma=0.9 alpha=0.0 target_period=10"
    behind = dataclasses.replace(c, agent="cql_discrete", given=given)
    stock = source.maker.stock
    agent = sf_regret.Agent(stock.spec, behind)
    feed = Completed(stock, source.rows, agent, behind, source.maker)
    Engine(agent, behind, stock.spec, feed).run(0, 600)
    assert (agent.act(EYE) == 1).all()


def test_chances_tell_the_reward_up_to_what_shaping_may_change(
    walked: EpisodeStore, tmp_path: Path
) -> None:
    """As all walks end at the goal, 1 more for it is 0.1 less for every step (a potential): what
    is told is goal - 10 step, and the coin."""
    source, _, _ = prepared(walked, tmp_path, teacher="regret+noisy:1+poll:0", pairs=400)
    source.begin()
    step, coin, goal = weights(source).T
    np.testing.assert_allclose(goal - step / (1 - GAMMA), 20, rtol=0.15)
    np.testing.assert_allclose(coin, 0.7, atol=0.3)


def test_the_agent_behind_is_the_agent_on_the_learnt_reward(
    walked: EpisodeStore, tmp_path: Path
) -> None:
    source, agent, c = prepared(walked, tmp_path, **SMALL)
    source.begin()
    plain = iql.Agent(source.maker.stock.spec, c.own)
    r = torch.einsum("snd,sd->sn", source.maker.library.phi, source.maker.weights.w.detach())
    torch.testing.assert_close(source.rows.rows("r"), r / r.std(1, keepdim=True, correction=0))
    for step in range(3):
        b = source.batch(source.indices(step, 1)[0])
        agent.update(b, c)
        plain.update(b, c.own)
    mine, its = (state.tensors(x) for x in (agent.inner, plain))
    assert all(torch.equal(mine[name], its[name]) for name in its)


def test_it_goes_on_where_it_was_saved(walked: EpisodeStore, tmp_path: Path) -> None:
    first, _, _ = prepared(walked, tmp_path, **SMALL)
    first.begin()
    second, _, _ = prepared(walked, tmp_path, **SMALL)
    second.load_state_dict({n: x.clone() for n, x in first.state_dict().items()})
    assert torch.equal(first.rows.rows("r"), second.rows.rows("r"))


def test_lanes_are_fitted_as_they_are_alone(walked: EpisodeStore, tmp_path: Path) -> None:
    both, alone = (prepared(walked, tmp_path, seeds, **SMALL)[0] for seeds in ((0, 1), (1,)))
    both.begin()
    alone.begin()
    np.testing.assert_allclose(weights(both)[1], weights(alone)[0], rtol=1e-3)


BASE: list[Tensor] = []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(
            ("features", "columns:coin,goal"),
            ("pairs", 21),
            ("length", 4),
            ("teacher", "regret+noisy:1"),
        ),
        *(("statistic", "return"), ("policies", 4), ("gamma_sf", 0.5), ("hidden_sf", (5,))),
        *(("lr_sf", 1e-2), ("batch_sf", 64), ("steps_sf", 6), ("polyak_sf", 0.9)),
        *(("temperature", 1.0), ("lr_weights", 0.5), ("steps_weights", 1), ("scaling", "none")),
    ],
)
def test_every_setting_of_the_reward_matters(
    walked: EpisodeStore, tmp_path: Path, name: str, value: Any
) -> None:
    def rewards(**given: Any) -> Tensor:
        source, _, _ = prepared(walked, tmp_path, (0,), **SMALL | given)
        source.begin()
        return source.rows.rows("r").clone()

    if not BASE:
        BASE.append(rewards())
    assert not torch.equal(BASE[0], rewards(**{name: value}))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"features": ""}, "name nothing"),
        ({"features": "columns:gaol"}, "no column 'gaol'; did you mean 'goal'"),
        ({"agent": "td3_bc", "given": ""}, "one for discrete, offline is needed"),
        ({"agent": "sf_regret", "given": ""}, "this algorithm itself"),
    ],
)
def test_what_cannot_be_is_refused(
    walked: EpisodeStore, tmp_path: Path, given: dict[str, Any], said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        prepared(walked, tmp_path, **given)


def test_what_sums_of_rewards_do_not_need_is_said() -> None:
    said = sf_regret.notice({}, sf_regret.Config(statistic="return", gamma_sf=0.5, steps_sf=7))
    assert said == "gamma_sf 0.5, steps_sf 7 have no effect beside statistic 'return'"
    fields, _ = sf_regret.PRESETS["published_return"]
    for given in ({}, {"gamma_sf": 0.5}, fields):
        assert sf_regret.notice({}, sf_regret.Config(**given)) == ""

"""Bonuses against closed forms, alone and together, and after a restart."""

import itertools
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch

from rlkit.core.errors import UsageError
from rlkit.core.spec import Discrete, Spec
from rlkit.exploration.bonus import NAMES, Bonus, read
from rlkit.exploration.distillation import Distillation
from rlkit.exploration.elliptical import RIDGE, SIZE, bonus_and_update
from rlkit.exploration.wrapper import BonusReward

Walk = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
PRODUCTS = ("count", "count*episode", "rnd", "noveld*count", "e3b", "e3b*noveld:0.2")


def walk(states: list[int], over: int | None = None) -> list[Walk]:
    """Steps along one-hot states of one environment of one lane; step `over` ends its episode."""
    eye = np.eye(6, dtype=np.float32)
    return [
        (eye[s][None, None], np.zeros((1, 1)), eye[s2][None, None], np.array([[t == over]]))
        for t, (s, s2) in enumerate(itertools.pairwise(states))
    ]


def told(bonus: Bonus, steps: list[Walk]) -> list[float]:
    return [bonus.step(*step).item() for step in steps]


def alone(text: str, envs: int = 1) -> Bonus:
    return Bonus(text, Spec(6, Discrete(2), (3,)), envs)


def random_steps(seeds: tuple[int, ...], steps: int = 30, envs: int = 2) -> list[Walk]:
    """Steps whose lane k depends on seed k alone, ends of episodes among them."""
    rngs = [np.random.default_rng(seed) for seed in seeds]
    found = []
    s = np.stack([np.eye(6, dtype=np.float32)[rng.integers(6, size=envs)] for rng in rngs])
    for _ in range(steps):
        a = np.stack([rng.integers(2, size=envs) for rng in rngs])
        s2 = np.stack([np.eye(6, dtype=np.float32)[rng.integers(6, size=envs)] for rng in rngs])
        over = np.stack([rng.random(envs) < 0.2 for rng in rngs])
        found.append((s, a, s2, over))
        s = s2
    return found


# --- counts -------------------------------------------------------------------------------------
def test_counts_go_on_over_episodes_and_begin_with_the_first_state() -> None:
    states = [0, 1, 1, 0]
    root = [1.0, 2**-0.5, 2**-0.5]
    assert told(alone("count"), walk(states)) == pytest.approx(root)
    bonus = alone("count")
    told(bonus, walk(states, over=2))  # visits: 0 twice, 1 twice
    assert told(bonus, walk(states)) == pytest.approx([3**-0.5, 4**-0.5, 4**-0.5])


def test_what_is_new_to_an_episode_does_not_depend_on_earlier_ones() -> None:
    bonus = alone("episode")
    first = told(bonus, walk([0, 1, 1, 0, 2], over=3))
    assert first == [1, 0, 0, 1]
    assert told(bonus, walk([2, 1, 0])) == [1, 1]
    product = alone("count*episode")
    told(product, walk([0, 1, 1, 0, 2], over=3))
    assert told(product, walk([2, 1, 2])) == pytest.approx([3**-0.5, 0])


def test_environments_of_a_lane_share_what_is_global_only() -> None:
    eye = np.eye(6, dtype=np.float32)
    both = (eye[[0, 3]][None], np.zeros((1, 2)), eye[[1, 1]][None], np.zeros((1, 2), bool))
    assert alone("count", 2).step(*both).tolist() == [[1, pytest.approx(2**-0.5)]]
    assert alone("episode", 2).step(*both).tolist() == [[1, 1]]


def test_numbers_may_be_counted_by_the_cells_they_lie_in() -> None:
    def step(x: float) -> Walk:
        s = np.full((1, 1, 6), 0.05, np.float32)
        return s, np.zeros((1, 1)), np.full((1, 1, 6), x, np.float32), np.zeros((1, 1), bool)

    fine, coarse = alone("episode"), alone("episode:0.5")
    assert [fine.step(*step(x)).item() for x in (0.1, 0.4, 0.6)] == [1, 1, 1]
    assert [coarse.step(*step(x)).item() for x in (0.1, 0.4, 0.6)] == [0, 0, 1]


# --- e3b ----------------------------------------------------------------------------------------
def test_elliptical_bonuses_are_those_of_the_inverse_matrix() -> None:
    rng = np.random.default_rng(0)
    phi = rng.normal(size=(50, SIZE))
    inverse = np.eye(SIZE) / RIDGE
    total = 0.0
    for row in phi:
        expected = row @ np.linalg.inv(RIDGE * np.eye(SIZE) + 0) @ row if total == 0 else None
        b = bonus_and_update(inverse, row)
        assert expected is None or b == pytest.approx(expected)
        total += float(np.log1p(b))
    whole = RIDGE * np.eye(SIZE) + phi.T @ phi
    np.testing.assert_allclose(inverse, np.linalg.inv(whole), atol=1e-9)
    assert total == pytest.approx(np.linalg.slogdet(whole)[1] - SIZE * np.log(RIDGE))


def test_of_one_hot_features_the_bonus_counts_the_episode() -> None:
    inverse = np.eye(4)[None] / RIDGE
    seen = np.zeros(4)
    for state in (0, 1, 0, 0, 3):
        b = bonus_and_update(inverse, np.eye(4)[state][None]).item()
        assert b == pytest.approx(1 / (RIDGE + seen[state]))
        seen[state] += 1


def test_an_episode_has_elliptical_bonuses_of_its_own() -> None:
    part: Any = alone("e3b").parts[0]
    eye, envs, fresh = np.eye(6, dtype=np.float32), np.array([0]), np.array([[True]])

    def episode() -> list[float]:
        part.begin(fresh, eye[0][None, None], envs)
        return [part.step(eye[0][None, None], eye[k][None, None], envs).item() for k in (1, 2, 1)]

    first = episode()
    assert episode() == pytest.approx(first, rel=1e-9)
    assert first[2] < first[0]


# --- rnd, noveld --------------------------------------------------------------------------------
def test_noveld_is_the_gain_of_novelty_where_the_episode_is_new() -> None:
    spec, rng, envs = Spec(6, Discrete(2), (3,)), np.random.default_rng(0), np.arange(4)
    s, s2 = (rng.normal(size=(1, 4, 6)).astype(np.float32) for _ in range(2))
    rnd, zero, half = (Distillation(spec, 4, alpha) for alpha in (None, 0.0, 0.5))
    for part in (rnd, zero, half):
        part.begin(np.ones((1, 4), bool), s, envs)
    after, before = rnd.step(s, s2, envs), rnd.step(s2, s, envs)
    np.testing.assert_allclose(zero.step(s, s2, envs), after)
    np.testing.assert_allclose(half.step(s, s2, envs), np.maximum(after - 0.5 * before, 0))
    assert (half.step(s, s2, envs) == 0).all()  # no longer new to the episode
    whole = Distillation(spec, 4, 1.0)
    assert (whole.step(s, s, envs) == 0).all()


def test_what_was_learnt_from_is_less_novel() -> None:
    part = Distillation(Spec(6, Discrete(2), (3, 4)), 1)
    seen, other = torch.eye(6)[:3].expand(2, 3, 6), torch.eye(6)[3:].expand(2, 3, 6)
    with torch.no_grad():
        before = part.novelty(seen).mean(), part.novelty(other).mean()
    for _ in range(300):
        part.learn(seen, torch.zeros(2, 3), seen)
    with torch.no_grad():
        after = part.novelty(seen).mean(), part.novelty(other).mean()
    assert after[0] < 0.3 * before[0]
    assert after[0] / before[0] < 0.6 * after[1] / before[1]


# --- all ----------------------------------------------------------------------------------------
@pytest.mark.parametrize("text", PRODUCTS)
def test_lanes_are_as_if_alone_and_go_on_after_a_restart(text: str) -> None:
    seeds = (5, 2)
    spec = Spec(6, Discrete(2), seeds, torch.float64)
    steps = random_steps(seeds)
    together = Bonus(text, spec, 2)
    whole = [together.step(*step) for step in steps]
    for k, seed in enumerate(seeds):
        single = Bonus(text, Spec(6, Discrete(2), (seed,), torch.float64), 2)
        for found, step in zip(whole, steps, strict=True):
            own = single.step(*(x[k : k + 1] for x in step))
            np.testing.assert_allclose(own, found[k : k + 1], rtol=1e-9)
    broken = Bonus(text, spec, 2)
    for step in steps[:17]:
        broken.step(*step)
    kept = {name: x.clone() for name, x in broken.state_dict().items()}
    again = Bonus(text, spec, 2)
    again.load_state_dict(kept)
    for found, step in zip(whole[17:], steps[17:], strict=True):
        assert (again.step(*step) == found).all()


def test_a_learnt_product_comes_in_units_of_its_deviation() -> None:
    bonus = alone("rnd", 2)
    raw: list[np.ndarray] = []
    inner = bonus.parts[0].step
    bonus.parts[0].step = lambda *given: raw.append(inner(*given)) or raw[-1]  # type: ignore[method-assign,func-returns-value]
    for step in random_steps((3,)):
        found = bonus.step(*step)
        so_far = np.concatenate(raw, 1)
        np.testing.assert_allclose(found, raw[-1] / so_far.std(), rtol=1e-9)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("counts", "unknown bonus 'counts'; did you mean 'count'"),
        ("count*", "unknown bonus ''"),
        ("rnd:2", "no number that rnd takes"),
        ("noveld:-1", "no number that noveld takes"),
        ("noveld:x", "no number that noveld takes"),
    ],
)
def test_what_is_no_bonus_is_refused(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said.replace("?", r"\?")):
        read(text)


def test_every_name_is_a_bonus() -> None:
    assert [name for name, _ in read("*".join(NAMES))] == list(NAMES)


# --- in an environment --------------------------------------------------------------------------
class Corridor(gymnasium.Env[np.ndarray, np.int64]):
    """Six cells in a row; a reward of 1 and the end in the last."""

    observation_space = gymnasium.spaces.Box(0, 1, (6,), np.float32)
    action_space = gymnasium.spaces.Discrete(2, start=3)

    def reset(self, **_: Any) -> tuple[np.ndarray, dict[str, Any]]:
        self.at = 0
        return np.eye(6, dtype=np.float32)[0], {}

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        self.at = min(max(self.at + 2 * (action - 3) - 1, 0), 5)
        return np.eye(6, dtype=np.float32)[self.at], float(self.at == 5), self.at == 5, False, {}


def test_the_wrapper_adds_the_bonus_and_tells_both_apart() -> None:
    env = BonusReward(Corridor(), "count*episode", scale=0.5)
    for episode in range(2):
        env.reset()
        for cell in range(1, 6):
            _, reward, over, _, info = env.step(4)
            new = (episode + 1) ** -0.5
            assert info["bonus"] == pytest.approx(new)
            assert info["extrinsic"] == float(cell == 5) == float(over)
            assert reward == pytest.approx(info["extrinsic"] + 0.5 * new)
    env.reset()
    assert env.step(3)[4]["bonus"] == 0  # where it began


def test_wrappers_share_a_bonus() -> None:
    shared = Bonus("count", Spec(6, Discrete(2), (0,)), 2)
    envs = [BonusReward(Corridor(), shared, number=k) for k in range(2)]
    for env in envs:
        env.reset()
    assert [env.step(4)[4]["bonus"] for env in envs] == [1, pytest.approx(2**-0.5)]
    with pytest.raises(UsageError, match="number is 2"):
        BonusReward(Corridor(), shared, number=2)

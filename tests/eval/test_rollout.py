"""Evaluation runs every episode whole, and the same in any company."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from numpy.testing import assert_array_equal

from rlkit.eval.rollout import Evaluator, episode_seed, reference_returns, rollout


class RandomLength(gym.Env):
    """Episodes of 1 to 30 steps of reward 1, drawn at reset; odd ones terminate."""

    observation_space = spaces.Box(0, 30, (2,), np.float32)
    action_space = spaces.Discrete(3)
    closed = 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.length = int(self.np_random.integers(1, 31))
        self.t = 0
        return self.observation(), {}

    def observation(self):
        return np.array([self.t, self.length], np.float32)

    def step(self, action):
        assert type(action) is int
        self.t += 1
        over = self.t == self.length
        odd = bool(self.length % 2)
        return self.observation(), 1.0, over and odd, over and not odd, {}

    def close(self):
        RandomLength.closed += 1


def zeros(obs, slots):
    return np.zeros(obs.shape[:2], np.int64)


def balance(obs, slots):
    """A clumsy policy of CartPole: push to where the pole leans."""
    return (obs[..., 2] > 0).astype(np.int64)


def drawn_length(seed, episode):
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence(episode_seed(seed, episode))))
    return int(rng.integers(1, 31))


def test_every_episode_runs_once_and_whole():
    """Lengths are those drawn at reset: nothing is cut, repeated or chosen by how early it ends."""
    found = rollout(zeros, RandomLength, 23, [5, 0], batch=4, step=77)
    assert [(e.lane, e.episode) for e in found] == [(k, i) for k in range(2) for i in range(23)]
    assert [e.length for e in found] == [drawn_length(s, i) for s in (5, 0) for i in range(23)]
    for e in found:
        assert e.return_ == e.length
        assert e.terminated == bool(e.length % 2)
        assert (e.seed, e.step) == ((5, 0)[e.lane], 77)


@pytest.mark.parametrize("batch", [1, 3, 7, 50])
def test_batch_size_changes_nothing(batch):
    def cart_pole():
        return gym.make("CartPole-v1")

    expected = rollout(balance, cart_pole, 7, [3, 4], batch=2)
    assert rollout(balance, cart_pole, 7, [3, 4], batch=batch) == expected
    assert len({e.return_ for e in expected}) > 5


def test_a_lane_is_the_same_in_any_company():
    together = rollout(zeros, RandomLength, 6, [9, 2, 30], batch=4)
    alone = rollout(zeros, RandomLength, 6, [2], batch=4)
    assert [e._replace(lane=0) for e in together if e.lane == 1] == alone


def test_mujoco_episodes_do_not_depend_on_used_environments():
    """Exact to the bit: a reset leaves nothing of earlier episodes in the solver either."""

    def hopper():
        return gym.make("Hopper-v5", max_episode_steps=50)

    def act(obs, slots):
        return np.sin(obs[..., :3] * [[[3.0]], [[7.0]]]).astype(np.float32)

    with Evaluator(hopper, [0, 1], batch=3) as evaluate:
        first = evaluate(act, 5, step=1)
        again = evaluate(act, 5, step=1)
    assert again == first
    assert rollout(act, hopper, 5, [0, 1], step=1, batch=5) == first
    assert len({e.return_ for e in first}) == 10


def test_all_lanes_and_slots_are_passed_in_every_call():
    shapes, starts, idle = set(), 0, 0

    def act(obs, slots):
        nonlocal starts, idle
        shapes.add(obs.shape)
        assert obs.dtype == np.float32
        fresh = slots.active & (slots.t == 0)
        starts += fresh.sum()
        idle += (~slots.active).sum()
        assert_array_equal(obs[slots.active][:, 0], slots.t[slots.active])
        for k, i in np.argwhere(slots.active):
            assert obs[k, i, 1] == drawn_length((1, 2)[k], slots.episode[k, i])
        obs[:] = -1  # what the policy does with its copy does not matter
        slots.t[:] = -1
        return np.zeros(obs.shape[:2], int)

    found = rollout(act, RandomLength, 8, [1, 2], batch=3)
    assert shapes == {(2, 3, 2)}
    assert starts == len(found) == 16
    assert idle > 0


def test_a_policy_may_keep_what_it_is_given():
    kept = []

    def act(obs, slots):
        kept.append((obs, slots))
        return np.zeros(obs.shape[:2], int)

    rollout(act, RandomLength, 1, [6])
    for t, (obs, slots) in enumerate(kept):
        assert obs[0, 0, 0] == slots.t[0, 0] == t


def test_lanes_act_for_themselves():
    class Matching(gym.Env):
        observation_space = spaces.Discrete(5)
        action_space = spaces.Box(-9, 9, (2,), np.float32)

        def reset(self, *, seed=None, options=None):
            super().reset(seed=seed)
            return 3, {}

        def step(self, action):
            return 3, float(action[0] + 10 * action[1]), True, False, {}

    def act(obs, slots):
        assert_array_equal(obs, np.full((2, 2), 3))
        lane = np.arange(2)[:, None] + np.zeros(obs.shape)
        return np.stack([lane, slots.episode + 0.5], -1)

    found = rollout(act, Matching, 2, [0, 1])
    assert [e.return_ for e in found] == [5.0, 15.0, 6.0, 16.0]


def test_max_steps_ends_an_endless_episode_without_terminating_it():
    class Endless(RandomLength):
        def step(self, action):
            return self.observation(), 0.5, False, False, {}

    found = rollout(zeros, Endless, 3, [0], max_steps=11)
    assert [(e.length, e.return_, e.terminated) for e in found] == [(11, 5.5, False)] * 3
    assert_array_equal(reference_returns(Endless, 2, 0, max_steps=4), [2.0, 2.0])


def test_dictionary_observations_need_an_encoder():
    class Dictionary(RandomLength):
        def observation(self):
            return {"t": self.t, "image": np.zeros((3, 3), np.uint8)}

    with pytest.raises(ValueError, match="dict observations; pass encode="):
        rollout(zeros, Dictionary, 1, [0])

    def act(obs, slots):
        assert obs.shape == (1, 2, 10)
        assert_array_equal(obs[slots.active][:, 0], slots.t[slots.active])
        return np.zeros(obs.shape[:2], int)

    def encode(observation):
        return np.append(observation["t"], observation["image"])

    found = rollout(act, Dictionary, 2, [4], encode=encode)
    assert [e.length for e in found] == [drawn_length(4, 0), drawn_length(4, 1)]


def test_a_diverged_lane_does_not_take_the_others_down():
    def make():
        return gym.make("InvertedPendulum-v5", max_episode_steps=10)

    def act(obs, slots):
        actions = np.zeros((*obs.shape[:2], 1), np.float32)
        actions[1][slots.t[1] == 2] = np.nan
        return actions

    with pytest.warns(RuntimeWarning, match=r"lane 1 \(seed 6\).*non-finite action at step 2"):
        found = rollout(act, make, 2, [5, 6])
    assert [e.length for e in found] == [10, 10, 2, 2]
    assert np.isnan([e.return_ for e in found]).tolist() == [False, False, True, True]
    assert not any(e.terminated for e in found)


def test_environments_are_made_once_and_closed():
    made = []

    def make():
        made.append(RandomLength())
        return made[-1]

    RandomLength.closed = 0
    with Evaluator(make, [0, 1, 2], batch=4) as evaluate:
        short = evaluate(zeros, 2)
        assert len(made) == 6
        evaluate(zeros, 9)
        evaluate(zeros, 9)
        assert len(made) == 12
        assert evaluate(zeros, 2) == short
    assert RandomLength.closed == 12


def test_reference_returns_are_of_uniform_actions():
    class OneStep(gym.Env):
        observation_space = spaces.Discrete(1)
        action_space = spaces.Discrete(4)

        def __init__(self):
            self.action_space = spaces.Discrete(4)

        def reset(self, *, seed=None, options=None):
            super().reset(seed=seed)
            return 0, {}

        def step(self, action):
            return 0, float(action), True, False, {}

    returns = reference_returns(OneStep, 2_000, 3)
    counts = np.bincount(returns.astype(int), minlength=4)
    assert (abs(counts - 500) < 80).all()  # four standard deviations
    assert_array_equal(reference_returns(OneStep, 50, 3), returns[:50])
    assert (reference_returns(OneStep, 50, 4) != returns[:50]).any()


def test_seeds_differ_between_lanes_episodes_and_streams():
    seeds = {episode_seed(s, e, k) for s in range(20) for e in range(20) for k in range(2)}
    assert len(seeds) == 800
    assert all(0 <= s < 2**31 for s in seeds)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: rollout(zeros, RandomLength, 0, [0]), "episodes must be at least 1"),
        (lambda: rollout(zeros, RandomLength, 1, []), "seeds must be"),
        (lambda: rollout(zeros, RandomLength, 1, [-1]), "seeds must be"),
        (lambda: rollout(zeros, RandomLength, 1, [0], batch=0), "batch"),
        (lambda: rollout(zeros, RandomLength, 1, [0], max_steps=0), "max_steps"),
        (lambda: reference_returns(RandomLength, 0, 0), "episodes"),
        (
            lambda: rollout(lambda o, s: np.zeros((1, 1, 2), int), RandomLength, 1, [0]),
            r"shape \(1, 1, 2\), expected \(1, 1\)",
        ),
        (
            lambda: rollout(lambda o, s: np.zeros((1, 1)), RandomLength, 1, [0]),
            "float64 actions, but Discrete",
        ),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()

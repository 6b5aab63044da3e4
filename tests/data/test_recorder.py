import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from rlkit.data.recorder import record, record_episode
from rlkit.data.spaces import flatten
from rlkit.data.store import EpisodeStore


class Counting(gymnasium.Env):
    """Observation (episode, t), reward t; ends after `length` steps, by termination in even
    episodes and by truncation in odd ones. With `reuse` it always returns the same array."""

    def __init__(self, length: int = 3, first: int = 0, reuse: bool = False) -> None:
        self.observation_space = spaces.Box(-np.inf, np.inf, (2,), np.float64)
        self.action_space = spaces.Box(-1, 1, (1,), np.float32)
        self.length, self.episode, self.reuse = length, first - 1, reuse
        self.obs = np.zeros(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.episode += 1
        self.obs[:] = self.episode, 0
        return self._show(), {}

    def _show(self):
        return self.obs if self.reuse else self.obs.copy()

    def step(self, action):
        self.obs[1] += 1
        ended = bool(self.obs[1] == self.length)
        odd = bool(self.episode % 2)
        return self._show(), float(self.obs[1]), ended and not odd, ended and odd, {}


class Nested(Counting):
    def __init__(self) -> None:
        super().__init__()
        self.inner = self.observation_space
        self.observation_space = spaces.Dict({"a": self.inner, "n": spaces.Discrete(5)})

    def _nest(self, obs):
        return {"a": obs, "n": int(obs[1])}

    def reset(self, *, seed=None, options=None):
        obs, info = super().reset(seed=seed)
        return self._nest(obs), info

    def step(self, action):
        obs, *rest = super().step(action)
        return self._nest(obs), *rest


def sign(obs):
    """An action that tells from which observation it was taken."""
    return np.clip(obs[:, 1:] / 10, -1, 1).astype(np.float32)


def check(episodes: list[dict], length: int = 3) -> EpisodeStore:
    store = EpisodeStore.from_episodes(episodes)
    # Within an episode its number stays and t counts on, the final observation included.
    np.testing.assert_array_equal(store.next_obs[:, 0], store.obs[:, 0])
    np.testing.assert_array_equal(store.obs[:, 1], store.t)
    np.testing.assert_array_equal(store.next_obs[:, 1], store.t + 1)
    np.testing.assert_array_equal(store.reward, store.t + 1)
    np.testing.assert_allclose(store.action[:, 0], store.t / 10, rtol=1e-6)
    whole = store.ends[store.lengths == length]
    even = store.obs[whole, 0] % 2 == 0
    np.testing.assert_array_equal(store.terminated[whole], even)
    np.testing.assert_array_equal(store.truncated[whole], ~even)
    return store


def vector(mode: AutoresetMode) -> SyncVectorEnv:
    return SyncVectorEnv([lambda: Counting(3, 0), lambda: Counting(4, 100)], autoreset_mode=mode)


def test_one_episode_keeps_its_seed_and_the_true_last_observation() -> None:
    episode = record_episode(Counting(reuse=True), lambda obs: sign(obs[None])[0], seed=7)
    assert episode["obs"].tolist() == [[0, 0], [0, 1], [0, 2], [0, 3]]
    assert episode["level_seed"].tolist() == [7, 7, 7]
    assert episode["reward"].dtype == np.float64
    check([{k: v for k, v in episode.items() if k != "level_seed"}])


def test_a_plain_environment_gives_whole_episodes_and_one_cut_at_the_end() -> None:
    store = check(record(Counting(reuse=True), sign, steps=8))
    assert store.lengths.tolist() == [3, 3, 2]
    assert store.truncated[store.ends].tolist() == [False, True, True]
    assert check(record(Counting(), sign, episodes=4)).lengths.tolist() == [3, 3, 3, 3]


@pytest.mark.parametrize("mode", list(AutoresetMode))
def test_every_autoreset_mode_records_the_same_episodes(mode: AutoresetMode) -> None:
    episodes = record(vector(mode), sign, steps=20)
    by_length = {3: [], 4: []}
    for episode in episodes:
        by_length[4 if episode["obs"][0, 0] >= 100 else 3].append(episode)
    assert check(by_length[3], 3).lengths.tolist() == [3, 3, 3, 1]
    assert check(by_length[4], 4).lengths.tolist() == [4, 4, 2]


@pytest.mark.parametrize("mode", list(AutoresetMode))
def test_asked_for_episodes_each_environment_gives_its_share(mode: AutoresetMode) -> None:
    episodes = record(vector(mode), sign, episodes=5)
    numbers = [int(e["obs"][0, 0]) for e in episodes]
    assert numbers == [0, 1, 2, 100, 101]  # not four or five of the shorter ones
    assert [len(e["reward"]) for e in episodes] == [3, 3, 3, 4, 4]


def test_nested_observations_stay_nested() -> None:
    env = Nested()
    episodes = record(env, lambda obs: sign(obs["a"]), episodes=2)
    assert episodes[0]["obs"]["n"].tolist() == [0, 1, 2, 3]
    assert flatten(env.observation_space, episodes[1]["obs"]).shape == (4, 7)
    both = SyncVectorEnv([Nested, Nested], autoreset_mode=AutoresetMode.SAME_STEP)
    episodes = record(both, lambda obs: sign(obs["a"]), episodes=3)
    assert [e["obs"]["n"].tolist() for e in episodes] == [[0, 1, 2, 3]] * 3


def test_the_same_seed_gives_the_same_recording() -> None:
    def run() -> EpisodeStore:
        env = gymnasium.make("CartPole-v1")
        return EpisodeStore.from_episodes(
            record(env, lambda obs: (obs[:, 2] > 0).astype(int), episodes=3, seed=5)
        )

    first, second = run(), run()
    assert first.discrete
    np.testing.assert_array_equal(first.obs, second.obs)
    assert len(np.unique(first.obs[first.starts], axis=0)) == 3  # not one episode three times


def test_progress_is_reported_in_what_was_asked_for() -> None:
    seen = []
    record(Counting(), sign, episodes=2, on_step=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (2, 2)
    assert seen[0] == (0, 2)


def test_bad_requests_and_bad_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match="either steps or episodes"):
        record(Counting(), sign)
    with pytest.raises(ValueError, match="at least 1"):
        record(Counting(), sign, steps=0)
    with pytest.raises(ValueError, match=r"step 0 of an episode: action .* is not finite"):
        record(Counting(), lambda obs: np.full((1, 1), np.nan, np.float32), steps=1)

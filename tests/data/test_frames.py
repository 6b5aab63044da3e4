"""Images in a replay: every row gives back what was written, and each image is stored once."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from rlkit.core.spec import Discrete, Spec
from rlkit.data.frames import Frames
from rlkit.data.replay import Replay
from rlkit.data.store import EpisodeStore
from rlkit.data.transforms import Transforms

SHAPE = (10, 10)


def image(*numbers: int) -> np.ndarray:
    """An image that no other numbers have."""
    return np.random.default_rng(numbers).integers(0, 256, SHAPE, dtype=np.uint8)


class Game:
    """Steps of every lane and environment; episodes of 3 or 4 steps end in both ways."""

    def __init__(self, lanes: int, envs: int) -> None:
        self.lead, self.t = (lanes, envs), 0
        self.now = np.array([[image(k, e, 0, 0) for e in range(envs)] for k in range(lanes)])

    def step(self, replay: Replay) -> dict[str, Any]:
        self.t += 1
        s, s2 = self.now, np.empty_like(self.now)
        terminated, truncated = np.zeros(self.lead, bool), np.zeros(self.lead, bool)
        for k, e in np.ndindex(self.lead):
            s2[k, e] = image(k, e, self.t, 1)
            terminated[k, e] = (self.t + k) % 3 == 0
            truncated[k, e] = (self.t + e) % 4 == 0
        a = np.full(self.lead, self.t % 3)
        r = np.full(self.lead, float(self.t), np.float32)
        replay.add(s, a, r, terminated, truncated, s2)
        self.now = s2.copy()
        for k, e in np.argwhere(terminated | truncated):
            self.now[k, e] = image(k, e, self.t, 2)
        return {"s": s, "s2": s2, "r": r, "terminated": terminated}


def spec(lanes: int = 2, **more: Any) -> Spec:
    return Spec(SHAPE, Discrete(3), range(lanes), image=True, **more)


def check(replay: Replay, log: list[dict[str, Any]]) -> None:
    index = torch.arange(replay.size).expand(replay.spec.lanes, -1)
    b = replay.gather(index)
    assert b.s.dtype == b.s2.dtype == torch.uint8
    steps = replay.size // replay.envs
    for t, step in list(enumerate(log))[-steps:]:
        rows = slice(t % replay._slots * replay.envs, (t % replay._slots + 1) * replay.envs)
        np.testing.assert_array_equal(b.s[:, rows], step["s"])
        np.testing.assert_array_equal(b.s2[:, rows], step["s2"])
        np.testing.assert_array_equal(b.r[:, rows], step["r"])
        np.testing.assert_array_equal(b.cont[:, rows], ~step["terminated"])
    np.testing.assert_array_equal(replay.column("s2", index), b.s2)


@pytest.mark.parametrize("envs", [1, 3])
def test_every_row_gives_back_its_images(envs: int) -> None:
    replay, game = Replay(spec(), 5 * envs, envs=envs), Game(2, envs)
    log = []
    for _ in range(23):
        log.append(game.step(replay))
        check(replay, log)


def test_an_image_is_stored_once() -> None:
    replay, game = Replay(spec(1), 12), Game(1, 1)
    for _ in range(200):
        game.step(replay)
    frames = replay._frames
    assert frames is not None
    # 12 rows, one step ahead, and the ends of at most 7 episodes under way: not two a row
    assert frames._begun(200) == 13
    assert frames._used[0] <= 7
    assert frames.pool.dtype == torch.uint8
    assert replay.width == 4  # action, reward, cont, last: no number of an image


def test_a_saved_replay_goes_on_the_same() -> None:
    first, second = (Replay(spec(), 10, envs=2) for _ in range(2))
    game, log = Game(2, 2), []
    for _ in range(13):
        log.append(game.step(first))
    state = {name: x.clone() for name, x in first.state_dict().items()}
    second.load_state_dict(state)
    twin = Game(2, 2)
    twin.t, twin.now = game.t, game.now.copy()
    for _ in range(9):
        log.append(game.step(first))
        twin.step(second)
    check(second, log)
    ours, theirs = first.state_dict(), second.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    with pytest.raises(ValueError, match=r"replay state places.0 points at images"):
        second.load_state_dict(state | {"places.0": state["places.0"] + 99})
    with pytest.raises(ValueError, match=r"frames.1 is \(12, 9, 10\)"):
        second.load_state_dict(state | {"frames.1": state["frames.1"][:, 1:]})


def test_a_recording_that_was_broken_off_keeps_its_last_image() -> None:
    replay, game = Replay(spec(1), 6), Game(1, 1)
    log = [game.step(replay) for _ in range(5)]
    replay.cut()
    replay.cut()  # a second one changes nothing
    game.now = np.array([[image(9, 9, 9, 9)]])
    log.append(game.step(replay))
    check(replay, log)
    assert replay.rows("last")[0, 4] == 1


def test_a_dataset_is_read_as_it_is_and_can_be_added_to() -> None:
    def episode(number: int, ended: str) -> dict[str, np.ndarray]:
        flags = {
            name: np.array([False] * 3 + [name == ended]) for name in ("terminated", "truncated")
        }
        seen = np.stack([image(number, t) for t in range(5)])
        return {"obs": seen, "action": np.arange(4) % 3, "reward": np.arange(4.0), **flags}

    store = EpisodeStore.from_episodes([episode(0, "terminated"), episode(1, "truncated")])
    replay = Replay.from_store(store, spec(), Transforms(), shared=False, capacity=11)
    index = torch.arange(8).expand(2, -1)
    b = replay.gather(index)
    for lane in range(2):
        np.testing.assert_array_equal(b.s[lane], store.obs)
        np.testing.assert_array_equal(b.s2[lane], store.next_obs)
    game = Game(2, 1)
    step = game.step(replay)
    after = replay.gather(torch.arange(9).expand(2, -1))
    np.testing.assert_array_equal(after.s2[:, :8], b.s2)
    np.testing.assert_array_equal(after.s[:, 8:], step["s"])
    np.testing.assert_array_equal(after.s2[:, 8:], step["s2"])
    shared = Replay.from_store(store, spec(), Transforms())
    np.testing.assert_array_equal(shared.gather(index).s2, b.s2)


def test_what_is_no_image_is_refused() -> None:
    replay, game = Replay(spec(1), 6), Game(1, 1)
    none = np.zeros((1, 1), bool)
    with pytest.raises(ValueError, match=r"s is float64 of shape \(1, 1, 10, 10\); uint8 of"):
        replay.add(game.now.astype(float), none * 1, none * 1.0, none, none, game.now)
    with pytest.raises(ValueError, match=r"s2 is uint8 of shape \(1, 10, 10\)"):
        replay.add(game.now, none * 1, none * 1.0, none, none, game.now[0])
    with pytest.raises(ValueError, match="images are no part of the rows"):
        replay.rows("s")
    with pytest.raises(ValueError, match="no column 'initial_obs' is kept"):
        Replay(spec(1), 6, columns=("initial_obs",))


def test_a_device_without_room_for_short_episodes_says_so() -> None:
    frames = Frames(spec(1), 4, 1, 1, ends=2)
    over = np.ones((1, 1), bool)
    for t in range(2):
        frames.add(t, image(t, 0)[None, None], image(t, 1)[None, None], over)
    with pytest.raises(ValueError, match="room for 2 ends of episodes beside 4 images"):
        frames.add(2, image(2, 0)[None, None], image(2, 1)[None, None], over)

"""The game of catch: what is seen of it, and its best return."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from rlkit.envs.make import make
from rlkit.envs.snapshot import restore, snapshot
from rlkit.envs.tasks import catch


@pytest.mark.parametrize("name", catch._IDS)
def test_gymnasium_finds_nothing_wrong(name: str) -> None:
    check_env(make(name).unwrapped, skip_render_check=True)
    assert make(name).observation_space.shape in ((10, 10), (2, 10, 10))


def test_an_image_shows_ball_and_paddle() -> None:
    env = catch.Catch(size=7)
    image, _ = env.reset(seed=3)
    assert sorted(zip(*np.nonzero(image), strict=True)) == [(0, env.ball[1]), (6, 3)]
    image, *_ = env.step(0)
    assert image[1, env.ball[1]] == image[6, 2] == 255
    assert image.sum() == 2 * 255


@pytest.mark.parametrize("continuous", [False, True])
@pytest.mark.parametrize("drift", [False, True])
def test_the_best_return_is_reached_by_following_the_ball(continuous: bool, drift: bool) -> None:
    env = catch.Catch(continuous=continuous, drift=drift)
    for seed in range(40):
        env.reset(seed=seed)
        rewards, over = [], False
        while not over:
            column, way = int(env.ball[1]), env.way
            for _ in range(env.size - 1 - env.ball[0]):  # where it will land
                way = way if 0 <= column + way < env.size else -way
                column += way
            move = int(np.sign(column - env.paddle))
            action = np.array([move]) if continuous else move + 1
            _, reward, over, truncated, _ = env.step(action)
            rewards.append(reward)
            assert not truncated
        assert sum(rewards) == catch.BEST
        assert len(rewards) == env.size - 1


def test_a_ball_that_drifts_bounces_and_two_images_show_its_way() -> None:
    env = make("rlkit/CatchPixelsDrift-v0")
    inner = env.unwrapped
    env.reset(seed=1)
    columns = [int(inner.ball[1])]
    for _ in range(9):
        frames, *_ = env.step(1)
        columns.append(int(inner.ball[1]))
        before, after = (int(np.argmax(frames[k].sum(0) * (np.arange(10) != 5))) for k in (0, 1))
        if columns[-2] != 5 and columns[-1] != 5:
            assert (before, after) == (columns[-2], columns[-1])
    assert set(np.abs(np.diff(columns))) == {1}
    assert {0, 9} & set(columns)


def test_a_game_can_be_saved_in_its_middle() -> None:
    for name in catch._IDS:
        one, other = make(name), make(name)
        one.reset(seed=0)
        other.reset(seed=5)
        still = np.zeros(1, np.float32) if isinstance(one.action_space, gymnasium.spaces.Box) else 1
        one.step(still)
        restore(other, snapshot(one))
        for _ in range(3):
            np.testing.assert_array_equal(one.step(still)[0], other.step(still)[0])


def test_a_board_without_room_is_refused() -> None:
    with pytest.raises(ValueError, match="size 2 must be at least 3"):
        catch.Catch(size=2)

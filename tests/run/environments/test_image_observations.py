"""Images are not taken for MiniGrid's tables."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from rlkit.core.errors import UsageError
from rlkit.data import datasets
from rlkit.data.formats import minari_io
from rlkit.envs.checking import check_observations
from rlkit.envs.make import make
from rlkit.envs.minigrid import is_view, spec_is_view
from rlkit.run.preparing import prepare
from rlkit.run.settings.options import Options, resolve


@pytest.mark.parametrize(
    "space",
    [
        spaces.Box(0, 1, (7, 7, 3), np.float32),
        spaces.Box(0, 255, (7, 7, 3), np.uint8),
        spaces.Box(0, 1, (84, 84, 3), np.float32),
        spaces.Box(0, 255, (3, 64, 9), np.uint8),
        spaces.Box(0, 255, (9, 10), np.uint8),
    ],
    ids=str,
)
def test_an_image_is_not_taken_for_a_grid(space: spaces.Box, register: Callable[..., str]) -> None:
    class Picture(gymnasium.Env):
        observation_space = space
        action_space = spaces.Discrete(2)

        def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
            return space.sample(), {}

        def step(self, action: Any) -> Any:
            return space.sample(), 0.0, False, False, {}

    with pytest.raises(UsageError, match=r"are an image or a grid"):
        prepare(Options("dqn", env=register(Picture)))


IMAGE = spaces.Box(0, 255, (16, 16, 3), np.uint8)
SPEED = spaces.Box(-1, 1, (2,), np.float32)


@pytest.mark.parametrize(
    ("space", "named"),
    [
        (spaces.Dict(screen=IMAGE, speed=SPEED), r"\['screen'\]"),
        (spaces.Tuple([SPEED, IMAGE]), r"\[1\]"),
        (spaces.Dict(eyes=spaces.Dict(left=IMAGE), speed=SPEED), r"\['eyes'\]\['left'\]"),
    ],
)
def test_an_image_beside_other_things_is_no_vector(space: spaces.Space, named: str) -> None:
    with pytest.raises(ValueError, match=rf"hold an image of shape \(16, 16, 3\) \({named}\)"):
        check_observations(space, view=False)


@pytest.mark.parametrize(
    "space",
    [
        spaces.Dict(position=SPEED, kind=spaces.Discrete(3)),
        spaces.Dict(cells=spaces.Box(0, 255, (3, 3), np.uint8)),  # too small for an image
        spaces.flatten_space(spaces.Dict(screen=IMAGE, speed=SPEED)),
    ],
)
def test_vectors_of_several_things_stay(space: spaces.Space) -> None:
    assert not check_observations(space, view=False)


def test_minigrid_is_known_by_what_it_is() -> None:
    env = make("MiniGrid-Empty-5x5-v0")
    assert is_view(env)
    assert env.spec is not None
    assert spec_is_view(env.spec)
    assert prepare(Options("dqn", env="MiniGrid-Empty-5x5-v0"))[0].obs == (7, 7, 3)
    from minigrid.wrappers import FullyObsWrapper, ImgObsWrapper, RGBImgPartialObsWrapper

    plain = gymnasium.make("MiniGrid-Empty-5x5-v0")
    assert is_view(ImgObsWrapper(FullyObsWrapper(plain)))
    picture = ImgObsWrapper(RGBImgPartialObsWrapper(plain, tile_size=1))
    assert picture.observation_space.shape == (7, 7, 3)
    assert not is_view(picture)
    with pytest.raises(ValueError, match="image"):
        check_observations(picture.observation_space, is_view(picture))


def test_a_dataset_of_images_is_refused_before_its_rows_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:

    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    picture = spaces.Box(0, 255, (7, 7, 3), np.uint8)
    episode = {
        "obs": np.stack([picture.sample() for _ in range(4)]),
        "action": np.array([0, 1, 1]),
        "reward": np.arange(3.0),
        "terminated": np.array([False, False, True]),
        "truncated": np.zeros(3, bool),
    }
    minari_io.write(
        [episode], "tests/pictures-v0", observation_space=picture, action_space=spaces.Discrete(2)
    )
    checked = datasets.check("tests/pictures-v0")
    monkeypatch.setattr(minari_io, "read", lambda name: pytest.fail("rows were read"))
    with pytest.raises(UsageError, match="are an image or a grid") as caught:
        prepare(resolve(Options("cql", dataset="tests/pictures-v0")))
    assert str(caught.value) in checked.problems

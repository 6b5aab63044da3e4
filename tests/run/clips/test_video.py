"""Clips show the episodes they say they show, and stand whole where they are said to stand."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from itertools import zip_longest
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import rlkit
from rlkit.cli.main import main
from rlkit.core.errors import FileError, RlkitError, UsageError
from rlkit.run.clips import files, opengl, picture, video
from rlkit.run.clips.playing import play, player
from rlkit.run.policies.evaluation import evaluate_run

SMALL = {"steps": 30, "eval_every": 0, "eval_episodes": 1, "quiet": True}
CONFIG = {"hidden": (8,), "batch_size": 4}


@pytest.fixture(scope="module")
def cartpole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "cartpole"
    options = SMALL | {"warmup": 5, "seeds": (3, 4), "config": CONFIG}
    return rlkit.train("dqn", env="CartPole-v1", out=str(out), **options).folder


def pictures(path: Path) -> list[np.ndarray]:
    with Image.open(path) as file:
        found = []
        for number in range(getattr(file, "n_frames", 1)):
            file.seek(number)
            found.append(np.asarray(file.convert("RGB")))
        return found


def test_the_best_the_median_and_the_worst_are_those_of_the_evaluation(cartpole: Path) -> None:
    clip = video.video(cartpole, cartpole / "x.gif", episodes=5, lane=1, size=32)
    rows, _ = evaluate_run(cartpole, 5, lanes=[1], seed=0)
    returns = [row.return_ for row in rows]
    assert clip.returns.tolist() == returns
    order = sorted(returns)
    assert [s.return_ for s in clip.shown] == [order[-1], order[2], order[0]]
    assert [s.place for s in clip.shown] == ["best", "median", "worst"]
    for shown in clip.shown:
        assert shown.length == rows[shown.episode].length
        assert shown.end == "terminated"


def test_a_film_has_every_moment_up_to_the_longest_end_and_holds_it(cartpole: Path) -> None:
    clip = video.video(cartpole, cartpole / "y.gif", episodes=3, size=32)
    stride = 4  # of 50 steps a second at most 15 are shown
    longest = max(shown.length for shown in clip.shown)
    shown = {t for t in range(longest + 1) if t % stride == 0}
    film = pictures(clip.path)
    assert len(film) in range(len(shown), len(shown) + 14)  # equal ones may be joined
    assert len({picture.shape for picture in film}) == 1
    assert (film[0] != film[1]).any()


def test_played_again_an_episode_is_the_same(cartpole: Path) -> None:
    playing = player(cartpole, lane=0)
    runs = []
    for wanted in (lambda t: False, lambda t: True):
        env = playing.make_env(render_mode="rgb_array")
        runs.append([(now.t, now.total, now.end) for now in play(playing, env, 7, wanted)])
        env.close()
    assert runs[0] == runs[1]
    assert runs[0][-1][2] == "terminated"
    assert [t for t, _, _ in runs[0]] == list(range(len(runs[0])))


@pytest.mark.skipif(not files.can_mp4(), reason="needs imageio-ffmpeg")
def test_a_run_keeps_its_clips_and_lists_them(cartpole: Path, capsys) -> None:
    import imageio_ffmpeg

    assert main(["video", str(cartpole), "--episodes", "2", "--size", "32", "--quiet"]) == 0
    said = capsys.readouterr().out
    path = cartpole / "video" / "step_000000030.mp4"
    assert said.endswith(f"clip   {path}\n")
    assert said.count("terminated") == 2
    meta = next(imageio_ffmpeg.read_frames(path))
    assert meta["codec"] == "h264"
    assert all(side % 2 == 0 for side in meta["size"])
    (entry,) = video.listed(cartpole)
    assert (entry["file"], entry["step"], entry["lane"]) == (path.name, 30, entry["lane"])
    assert [shown["place"] for shown in entry["shown"]] == ["best", "worst"]
    main(["video", str(cartpole), "--episodes", "1", "--size", "32", "--quiet"])
    assert [entry["episodes"] for entry in video.listed(cartpole)] == [1]  # in its place
    path.unlink()
    assert video.listed(cartpole) == []
    (path.parent / video.INDEX).write_text("[{}]")
    with pytest.raises(FileError, match=r"clips\.json"):
        video.listed(cartpole)


def test_a_contact_sheet_has_a_row_an_episode(cartpole: Path) -> None:
    one = video.video(cartpole, cartpole / "one.png", episodes=1, size=40)
    three = video.video(cartpole, cartpole / "three.png", episodes=3, size=40)
    (single,), (triple,) = pictures(one.path), pictures(three.path)
    panel = 40 + 2 * 20 + 8  # picture, two lines, gap
    assert len(triple) - len(single) == 2 * panel
    assert single.shape[1] == triple.shape[1] == 6 * (220 + 8) + 8


def test_files_and_worlds_of_ones_own_are_shown_too(cartpole: Path, tmp_path: Path) -> None:
    policy = tmp_path / "policy.safetensors"
    rlkit.export(cartpole, policy, lane=0)
    of_file = rlkit.video(policy, tmp_path / "a.gif", episodes=2, size=32)
    of_run = rlkit.video(cartpole, tmp_path / "b.gif", episodes=2, size=32, lane=0)
    assert of_file.returns.tolist() == of_run.returns.tolist()
    assert not (cartpole / "a.gif").exists()
    with pytest.raises(UsageError, match=r"spaces|shape"):
        rlkit.video(policy, tmp_path / "c.gif", env="Pendulum-v1")


def test_a_model_of_stable_baselines3_needs_trust_and_an_environment(tmp_path: Path) -> None:
    import stable_baselines3

    from rlkit.core.files.trust import trusting

    path = tmp_path / "model.zip"
    stable_baselines3.A2C("MlpPolicy", "CartPole-v1", device="cpu").save(path)
    with pytest.raises(UsageError, match="--env"):
        rlkit.video(path, tmp_path / "a.gif")
    with pytest.raises(UsageError, match="which is code"):
        rlkit.video(path, tmp_path / "a.gif", env="CartPole-v1")
    with trusting(True):
        clip = rlkit.video(path, tmp_path / "a.gif", env="CartPole-v1", episodes=1, size=32)
    assert clip.shown[0].length == len([*clip.returns]) * clip.shown[0].return_


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"episodes": 0}, "must lie in 1"),
        ({"size": 5}, "between 32 and 2000"),
        ({"out": "x.avi"}, r"must end in \.mp4, \.gif, or \.png"),
        ({"out": "."}, "must end in"),
    ],
)
def test_what_cannot_be_asked_is_told(cartpole: Path, given: dict, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        rlkit.video(cartpole, **given)


def test_without_ffmpeg_a_gif_is_made(cartpole: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "can_mp4", lambda: False)
    with pytest.raises(UsageError, match=r"writing x\.mp4 .* pip install .*\[video\]"):
        rlkit.video(cartpole, "x.mp4")
    clip = rlkit.video(cartpole, episodes=1, size=32)
    assert clip.path == cartpole / "video" / "step_000000030.gif"
    clip.path.unlink()


def test_a_world_without_pictures_is_refused(tmp_path: Path) -> None:
    run = tmp_path / "run"
    import gymnasium

    class Dark(gymnasium.Env):
        metadata = {"render_modes": []}
        observation_space = gymnasium.spaces.Box(-1, 1, (2,), np.float32)
        action_space = gymnasium.spaces.Discrete(2)

        def reset(self, *, seed=None, options=None):
            super().reset(seed=seed)
            return np.zeros(2, np.float32), {}

        def step(self, action):
            return np.zeros(2, np.float32), 0.0, False, False, {}

    env = "Dark-v0"
    gymnasium.register(env, Dark, max_episode_steps=5)
    try:
        rlkit.train("dqn", env=env, out=str(run), warmup=5, config=CONFIG, **SMALL)
        with pytest.raises(
            UsageError, match=r"Dark-v0 draws no pictures: its render_modes are \[\]"
        ):
            rlkit.video(run)
        with pytest.raises(UsageError, match="draws no pictures"):
            rlkit.train("dqn", env=env, out=str(tmp_path / "no"), video_every=10, **SMALL)
        assert not (tmp_path / "no").exists()
    finally:
        del gymnasium.registry[env]


# --- while it trains ----------------------------------------------------------------------------
def test_a_training_leaves_clips_of_its_checkpoints(tmp_path: Path) -> None:
    options = SMALL | {"steps": 40, "eval_every": 10, "warmup": 5, "config": CONFIG}
    plain = rlkit.train("dqn", env="CartPole-v1", out=str(tmp_path / "plain"), **options)
    run = rlkit.train(
        "dqn", env="CartPole-v1", out=str(tmp_path / "run"), video_every=20, **options
    )
    assert [entry["step"] for entry in video.listed(run.folder)] == [20, 40]
    assert {entry["lane"] for entry in video.listed(run.folder)} == {0}
    for name in ("episodes.csv",):  # and nothing else of it has changed
        assert (run.folder / name).read_bytes() == (plain.folder / name).read_bytes()


def test_a_clip_that_fails_is_noted_and_the_training_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rlkit.run.clips import training

    def broken(*args, **kwargs):
        raise RuntimeError("no ink\nleft")

    monkeypatch.setattr(training, "video", broken)
    options = SMALL | {"warmup": 5, "config": CONFIG}
    result = rlkit.train(
        "dqn", env="CartPole-v1", out=str(tmp_path / "a"), video_every=9, **options
    )
    assert result.step == 30
    assert "no clip at step 30: no ink left" in result.notes


# --- what draws ---------------------------------------------------------------------------------
def test_the_first_backend_that_works_is_chosen_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opengl.sys, "platform", "linux")
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "MUJOCO_GL"):
        monkeypatch.setenv(name, "")  # so that it is put back as it was, whatever is set below
        monkeypatch.delenv(name)
    tried: list[str] = []

    def works(name: str) -> bool:
        tried.append(name)
        return name == "osmesa"

    monkeypatch.setattr(opengl, "works", works)
    assert opengl.choose() == "osmesa" == opengl.os.environ["MUJOCO_GL"]
    assert tried == ["egl", "osmesa"]
    monkeypatch.setattr(opengl, "works", lambda name: False)
    with pytest.raises(RlkitError, match="draws nothing with MUJOCO_GL=osmesa: install Mesa's"):
        opengl.choose()
    monkeypatch.delenv("MUJOCO_GL")
    with pytest.raises(RlkitError, match=r"none of egl, osmesa, glfw works \(MUJOCO_GL is not set"):
        opengl.choose()
    monkeypatch.setenv("DISPLAY", ":0")
    with pytest.raises(RlkitError, match="none of glfw, egl, osmesa"):
        opengl.choose()
    assert "MUJOCO_GL" not in opengl.os.environ


def test_a_backend_is_tried_in_a_process_of_its_own() -> None:
    opengl.works.cache_clear()
    assert not opengl.works("none-such")


def test_mujoco_is_drawn_where_a_backend_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MUJOCO_GL", raising=False)
    try:
        opengl.choose()
    except RlkitError:
        pytest.skip("no OpenGL on this machine")
    options = SMALL | {"warmup": 5, "config": CONFIG}
    run = rlkit.train("sac", env="InvertedPendulum-v5", out=str(tmp_path / "run"), **options)
    clip = rlkit.video(run.folder, tmp_path / "a.png", episodes=1, size=48)
    (sheet,) = pictures(clip.path)
    assert len(np.unique(sheet.reshape(-1, 3), axis=0)) > 100  # it is no blank


@pytest.mark.parametrize("env", ["MiniGrid-DoorKey-5x5-v0", "rlkit/PointMaze_UMaze-v0"])
def test_grids_and_mazes_are_drawn_without_opengl(
    env: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if env.startswith("rlkit"):
        pytest.importorskip("gymnasium_robotics")
    monkeypatch.setattr(opengl, "works", lambda name: False)
    algo = "sac" if env.startswith("rlkit") else "dqn"
    config = {"batch_size": 4}
    run = tmp_path / "run"
    rlkit.train(
        algo, env=env, out=str(run), warmup=5, config=config, **SMALL | {"eval_episodes": 0}
    )
    clip = rlkit.video(run, tmp_path / "a.png", episodes=1, size=64)
    (sheet,) = pictures(clip.path)
    assert len(np.unique(sheet.reshape(-1, 3), axis=0)) > 10


def test_panels_of_small_and_large_pictures_get_one_height() -> None:
    small, wide = np.zeros((10, 10, 3), np.uint8), np.full((80, 400, 3), 255, np.uint8)
    panels = [picture.Panel("a", "b", small), picture.Panel("long " * 40, "b", wide)]
    whole = picture.grid([panels], "caption", 40)
    assert whole.shape == (40 + 2 * 20 + 8 + 36, 8 + 220 + 8 + 220 + 8, 3)
    assert (whole[77:115, 99:137] == 0).mean() > 0.8  # the small one, enlarged, in its middle


def test_a_film_that_breaks_off_leaves_nothing(tmp_path: Path) -> None:
    frame = np.zeros((16, 16, 3), np.uint8)

    def broken(path: Path) -> None:
        with files.film(path, 10) as film:
            film.add(frame)
            raise KeyboardInterrupt

    for name in ["a.gif", *(["a.mp4"] if files.can_mp4() else [])]:
        with pytest.raises(KeyboardInterrupt):
            broken(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_the_camera_follows_what_runs(tmp_path: Path) -> None:
    """A body moved far away is still in the picture; sizes beyond MuJoCo's buffer are drawn."""
    from rlkit.run.clips import playing

    try:
        opengl.choose()
    except RlkitError:
        pytest.skip("no OpenGL on this machine")
    known = playing.Player(
        "hopper", lambda: lambda *given: 0, partial(rlkit.make, "Hopper-v5"), 0, 0, 0, 30, None
    )
    env = playing.drawn(known, 500)
    env.reset(seed=0)
    inner = env.unwrapped
    brown = []
    for place in (0.0, 40.0):
        state = inner.data.qpos.copy()
        state[0] = place
        inner.set_state(state, inner.data.qvel * 0)
        shown = env.render()
        assert shown.shape == (500, 500, 3)
        brown.append(_brown(shown))
    env.close()
    assert brown[0] > 500
    assert brown[1] == pytest.approx(brown[0], rel=0.2)


def _brown(picture: np.ndarray) -> int:
    """Pixels in the colour of a hopper's leg and foot."""
    red, green, blue = (picture[..., k].astype(int) for k in range(3))
    return int(((red > green + 25) & (green > blue + 5)).sum())


def test_episodes_of_a_policy_that_looks_back_are_drawn_side_by_side(
    tmp_path: Path, dataset: str
) -> None:
    """Each remembers its own: played in turns they are what they were alone."""
    run = rlkit.train(
        "decision_transformer", dataset=dataset, steps=4, eval_episodes=0, quiet=True,
        out=str(tmp_path / "run"), config={"batch_size": 4},
    )  # fmt: skip
    playing, taken = player(run.folder), []

    def begin():
        act, actions = playing.begin(), []
        taken.append(actions)

        def noted(obs, first, reward):
            actions.append(act(obs, first, reward))
            return actions[-1]

        return noted

    noting = replace(playing, begin=begin)

    def rows():
        return [play(noting, playing.make_env(), seed, lambda t: False) for seed in range(3)]

    alone = [list(row)[-1] for row in rows()]
    together = {}
    for moments in zip_longest(*rows()):
        together |= {k: now for k, now in enumerate(moments) if now is not None}
    assert [together[k] for k in range(3)] == alone
    assert len(taken) == 6
    for one, other in zip(taken[:3], taken[3:], strict=True):
        assert np.array_equal(np.array(one), np.array(other))

import json
import os
from pathlib import Path
from typing import Any

import gymnasium
import minari
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.envs.registration import EnvSpec

from rlkit.core.errors import UsageError
from rlkit.core.files.replacing import temporary_name
from rlkit.data.formats import minari_io, minari_local
from rlkit.data.formats.meta import Reference
from rlkit.data.spaces import stack
from rlkit.data.store import EpisodeStore

OBS = spaces.Box(-np.inf, np.inf, (3,), np.float64)
ACT = spaces.Box(-2.0, 2.0, (2,), np.float32)


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "datasets"))
    return tmp_path / "datasets"


def episodes(lengths: tuple[int, ...] = (4, 1, 3)) -> list[dict]:
    rng = np.random.default_rng(0)
    made = []
    for number, length in enumerate(lengths):
        end = np.arange(length) == length - 1
        made.append(
            {
                "obs": rng.normal(size=(length + 1, 3)),
                "action": rng.uniform(-2, 2, (length, 2)).astype(np.float32),
                "reward": rng.normal(size=length),
                "terminated": end & (number % 2 == 0),
                "truncated": end & (number % 2 == 1),
                "level_seed": np.full(length, 100 + number),
            }
        )
    return made


def assert_same(a: EpisodeStore, b: EpisodeStore) -> None:
    for name in ("obs", "action", "reward", "next_obs", "terminated", "truncated", "episode", "t"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name), err_msg=name)
    assert a.extra.keys() == b.extra.keys()
    for name in a.extra:
        np.testing.assert_array_equal(a.extra[name], b.extra[name])


def test_a_written_dataset_reads_back_exactly_with_its_description() -> None:
    reference = Reference(-1.0, 9.0, "the expert", 100)
    minari_io.write(
        episodes(),
        "rlkit/test/small-v0",
        observation_space=OBS,
        action_space=ACT,
        env_spec=gymnasium.spec("Pendulum-v1"),
        reference=reference,
        algorithm="dice",
        description="three episodes",
        details={"seed": 3},
    )
    store, meta = minari_io.read("rlkit/test/small-v0")
    assert_same(store, EpisodeStore.from_episodes(episodes()))
    assert meta.reference == reference
    assert meta.reference.score([-1.0, 4.0, 9.0]).tolist() == [0.0, 0.5, 1.0]
    assert meta.env_id == "Pendulum-v1"
    assert (meta.algorithm, meta.description) == ("dice", "three episodes")
    assert meta.details == {"seed": 3}
    assert meta.behaviour_return == np.mean([e["reward"].sum() for e in episodes()])
    low, high = meta.action_bounds
    assert low.tolist() == [-2, -2]
    assert high.tolist() == [2, 2]


def test_minari_itself_reads_the_dataset_and_its_scores() -> None:
    minari_io.write(
        episodes(),
        "rlkit/test/small-v0",
        observation_space=OBS,
        action_space=ACT,
        reference=Reference(0.0, 2.0),
    )
    theirs = minari.load_dataset("rlkit/test/small-v0")
    assert theirs.total_steps == 8
    assert [len(e) for e in theirs] == [4, 1, 3]
    np.testing.assert_array_equal(theirs[2].observations, episodes()[2]["obs"])
    np.testing.assert_array_equal(theirs[2].rewards, episodes()[2]["reward"])  # float64, exact
    assert minari.get_normalized_score(theirs, np.array([1.0])) == 0.5
    assert "rlkit/test" in minari.namespace.list_local_namespaces()


def test_a_store_writes_what_its_episodes_write_with_further_columns() -> None:
    store = EpisodeStore.from_episodes(episodes()).with_columns("mc_return", gamma=0.9)
    minari_io.write(store, "a-v0", observation_space=OBS, action_space=ACT)
    again, _ = minari_io.read("a-v0")
    assert_same(store, again)
    path = minari_local.dataset_path("a-v0")
    from_directory, _ = minari_io.read(path)
    assert_same(store, from_directory)


def test_a_store_that_jumps_inside_an_episode_is_refused() -> None:
    store = EpisodeStore.from_episodes(episodes())
    store.next_obs[1] += 1
    with pytest.raises(ValueError, match="row 1: next_obs is not obs of row 2"):
        minari_io.write(store, "a-v0", observation_space=OBS, action_space=ACT)


def test_an_episode_without_a_flag_is_stored_as_truncated() -> None:
    open_end = episodes((2,))
    open_end[0]["terminated"][:] = False
    minari_io.write(open_end, "a-v0", observation_space=OBS, action_space=ACT)
    assert minari.load_dataset("a-v0")[0].truncations.tolist() == [False, True]
    assert not open_end[0]["truncated"].any()  # the caller's array stays as it was


def test_composite_observations_and_discrete_actions_survive() -> None:
    obs_space = spaces.Dict(
        {"where": spaces.Box(-1, 1, (2,)), "gear": spaces.Tuple([spaces.Discrete(3)])}
    )
    act_space = spaces.Discrete(4, start=2)
    obs_space.seed(0)
    items = [obs_space.sample() for _ in range(5)]
    episode = {
        "obs": stack(obs_space, items),
        "action": np.array([2, 5, 3, 2]),
        "reward": np.zeros(4),
        "terminated": np.array([0, 0, 0, 1], bool),
        "truncated": np.zeros(4, bool),
    }
    minari_io.write([episode], "a-v0", observation_space=obs_space, action_space=act_space)
    store, meta = minari_io.read("a-v0")
    assert store.discrete
    assert store.action.tolist() == [0, 3, 1, 0]  # counted from 0
    assert meta.act_size == 4
    assert meta.obs_shape == (5,)
    np.testing.assert_array_equal(
        store.obs, [gymnasium.spaces.flatten(obs_space, i) for i in items[:-1]]
    )
    np.testing.assert_array_equal(
        store.next_obs[-1], gymnasium.spaces.flatten(obs_space, items[-1])
    )


def test_large_symbolic_grids_are_stored_without_loss() -> None:
    space = spaces.Box(0, 255, (40, 40, 3), np.uint8)  # Minari would call this a picture
    space.seed(0)
    obs = np.stack([space.sample() for _ in range(3)])
    episode = {
        "obs": obs,
        "action": np.array([0, 1]),
        "reward": np.zeros(2),
        "terminated": np.array([False, True]),
        "truncated": np.zeros(2, bool),
    }
    minari_io.write([episode], "a-v0", observation_space=space, action_space=spaces.Discrete(2))
    store, _ = minari_io.read("a-v0")
    assert store.obs.dtype == np.uint8
    np.testing.assert_array_equal(store.obs, obs[:-1])


def test_nothing_is_left_when_writing_fails(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full_disk(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(minari.dataset.minari_storage.MinariStorage, "update_metadata", full_disk)
        with pytest.raises(OSError, match="the disk is full"):
            minari_io.write(episodes(), "rlkit/a-v0", observation_space=OBS, action_space=ACT)
    assert list(root.rglob("*")) == []
    minari_io.write(episodes(), "rlkit/a-v0", observation_space=OBS, action_space=ACT)
    assert len(minari_io.read("rlkit/a-v0")[0]) == 8


def test_what_a_killed_process_left_is_removed_by_the_next_call(root: Path) -> None:
    root.mkdir()
    alive = temporary_name(root / "building")
    words = alive.name.split("-")
    dead = root / "-".join([words[0], str(2**22 + 1), *words[2:]])  # no such process can be
    for leftover in (alive, dead):
        (leftover / "rlkit").mkdir(parents=True)
    minari_io.write(episodes(), "a-v0", observation_space=OBS, action_space=ACT)
    assert alive.exists()
    assert not dead.exists()
    assert list(minari_local.local_ids()) == ["a-v0"]


def test_a_taken_id_is_refused_unless_overwritten_and_the_old_one_stays_on_failure(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    minari_io.write(episodes(), "a-v0", observation_space=OBS, action_space=ACT)
    with pytest.raises(ValueError, match="already stands"):
        minari_io.write(episodes((2,)), "a-v0", observation_space=OBS, action_space=ACT)

    def full_disk(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(minari.dataset.minari_storage.MinariStorage, "update_metadata", full_disk)
        with pytest.raises(OSError, match="the disk is full"):
            minari_io.write(
                episodes((2,)), "a-v0", observation_space=OBS, action_space=ACT, overwrite=True
            )
    assert len(minari_io.read("a-v0")[0]) == 8
    minari_io.write(episodes((2,)), "a-v0", observation_space=OBS, action_space=ACT, overwrite=True)
    assert len(minari_io.read("a-v0")[0]) == 2


@pytest.mark.parametrize(
    ("column", "row", "value", "message"),
    [
        ("reward", 2, np.nan, r"row 2 .* NaN"),
        ("action", 1, 3.0, r"row 1 .* outside the bounds"),
        ("obs", 0, np.inf, r"row 0 .* NaN or infinity"),
        ("terminated", 1, True, r"row 1 .* flag inside its episode"),
    ],
)
def test_bad_rows_are_refused_before_anything_is_written(
    root: Path, column: str, row: int, value: float, message: str
) -> None:
    bad = episodes()
    bad[0][column][row] = value
    with pytest.raises(ValueError, match=f"a-v0' is not written: .*{message}"):
        minari_io.write(bad, "a-v0", observation_space=OBS, action_space=ACT)
    assert not (root / "a-v0").exists()


def test_malformed_ids_and_missing_columns_are_refused() -> None:
    for name in ("hopper", "a/../b-v0", "-v0/x", ""):
        with pytest.raises(ValueError, match="must read"):
            minari_io.write(episodes(), name, observation_space=OBS, action_space=ACT)
    with pytest.raises(ValueError, match="two letters or more, not 't'"):
        minari_io.write(episodes(), "t/c-v0", observation_space=OBS, action_space=ACT)
    lacking = episodes()
    del lacking[1]["reward"]
    with pytest.raises(ValueError, match="episode 1 lacks reward"):
        minari_io.write(lacking, "a-v0", observation_space=OBS, action_space=ACT)


def test_absent_and_damaged_datasets_are_told_apart() -> None:
    path = minari_io.write(
        episodes(), "rlkit/hopper/medium-replay-small-v1", observation_space=OBS, action_space=ACT
    )
    with pytest.raises(ValueError, match=r"no dataset .* did you mean 'rlkit/hopper/med"):
        minari_io.read("rlkit/hoper/medium-v0")
    data = path / "data" / "main_data.hdf5"
    whole = data.read_bytes()
    data.write_bytes(whole[: len(whole) // 3])
    with pytest.raises(ValueError, match=r"medium-replay-small-v1/data/.* is damaged"):
        minari_io.read("rlkit/hopper/medium-replay-small-v1")
    data.write_bytes(whole)
    (path / "data" / "metadata.json").write_text("{")
    with pytest.raises(ValueError, match=r"medium-replay-small-v1/data/.* is damaged"):
        minari_io.read("rlkit/hopper/medium-replay-small-v1")
    assert minari_local.local_ids() == {}


def test_a_foreign_dataset_without_our_metadata_reads(root: Path) -> None:
    path = minari_io.write(episodes(), "a-v0", observation_space=OBS, action_space=ACT)
    file = path / "data" / "metadata.json"
    metadata = json.loads(file.read_text())
    del metadata["rlkit"]
    file.write_text(json.dumps(metadata | {"ref_min_score": 1.0, "ref_max_score": 2.0}))
    store, meta = minari_io.read("a-v0")
    assert len(store) == 8
    assert meta.reference is not None
    assert meta.reference.score_name == "Minari score"
    assert meta.behaviour_return is None


def test_an_environment_registered_by_its_class_is_written() -> None:
    from gymnasium.envs.classic_control import PendulumEnv

    spec = EnvSpec("rlkit-test/Class-v0", entry_point=PendulumEnv, kwargs={"g": 9.0})
    spaces_of = {"observation_space": OBS, "action_space": ACT}
    minari_io.write(episodes(), "rlkit/test/class-v0", env_spec=spec, **spaces_of)
    stored = minari_io.read("rlkit/test/class-v0")[1].env_spec
    assert stored is not None
    assert stored.entry_point == "gymnasium.envs.classic_control.pendulum:PendulumEnv"
    assert stored.kwargs == {"g": 9.0}


@pytest.mark.parametrize("which", ["env_spec", "eval_env_spec"])
def test_a_dataset_that_names_code_of_ours_by_its_former_place(which: str) -> None:
    spec = EnvSpec("rlkit/CatchPixels-v0", entry_point="rlkit.envs.catch:catch")
    spaces_of = {"observation_space": OBS, "action_space": ACT}
    place = minari_io.write(episodes(), "rlkit/test/former-v0", **spaces_of)
    path = place / "data" / "metadata.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {which: spec.to_json()}))
    for meta in (minari_io.read("rlkit/test/former-v0")[1], minari_io.read_meta(place)):
        assert getattr(meta, which).entry_point == "rlkit.envs.tasks.catch:catch"


@pytest.mark.parametrize(
    "given", [{"entry_point": lambda: None}, {"entry_point": "a:B", "kwargs": {"x": object()}}]
)
def test_an_environment_nobody_else_can_make_is_refused(given: dict[str, Any]) -> None:
    spaces_of = {"observation_space": OBS, "action_space": ACT}
    with pytest.raises(ValueError, match=r"env_spec 'Own-v0' holds code or objects"):
        minari_io.write(
            episodes(), "rlkit/test/own-v0", env_spec=EnvSpec("Own-v0", **given), **spaces_of
        )
    assert not minari_io.data_path("rlkit/test/own-v0")


def test_a_root_that_is_named_from_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MINARI_DATASETS_PATH", "here/data")
    place = minari_io.write(episodes((2, 3)), "mine/a-v0", observation_space=OBS, action_space=ACT)
    assert (tmp_path / place).is_dir()
    assert minari_io.read("mine/a-v0")[0].episodes == 2
    assert not [path for path in Path("here/data").iterdir() if path.name.startswith(".")]


def test_a_killed_process_s_workplace_is_cleared_although_the_id_is_taken(root: Path) -> None:
    minari_io.write(episodes((2,)), "a-v0", observation_space=OBS, action_space=ACT)
    left = temporary_name(root / "building")
    dead = left.with_name(left.name.replace(f"-{os.getpid()}-", f"-{2**22 + 1}-"))
    (dead / "a-v0").mkdir(parents=True)
    left.mkdir()  # of a process that lives: this one
    with pytest.raises(UsageError, match="already stands"):
        minari_io.write(episodes((2,)), "a-v0", observation_space=OBS, action_space=ACT)
    assert not dead.exists()
    assert left.exists()


def test_a_root_that_is_not_there_is_not_made_by_reading(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for place in (tmp_path / "none", Path("/proc/none")):  # the second cannot be made
        monkeypatch.setenv("MINARI_DATASETS_PATH", str(place))
        assert minari_local.local_ids() == {}
        with pytest.raises(UsageError, match="no dataset 'a-v0'"):
            minari_io.read("a-v0")
        assert not place.exists()
    with pytest.raises(OSError, match="the folder /proc/none cannot be made"):
        minari_io.write(episodes((2,)), "a-v0", observation_space=OBS, action_space=ACT)


def test_a_root_that_is_no_folder_is_told_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    for place in (str(tmp_path / "file"), ""):
        monkeypatch.setenv("MINARI_DATASETS_PATH", place)
        with pytest.raises(UsageError, match=r"MINARI_DATASETS_PATH is '.*', which is no folder"):
            minari_local.local_ids()
        with pytest.raises(UsageError, match="which is no folder"):
            minari_io.write(episodes((2,)), "a-v0", observation_space=OBS, action_space=ACT)

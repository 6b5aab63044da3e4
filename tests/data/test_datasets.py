import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import h5py
import minari
import numpy as np
import pytest

from rlkit.core.errors import FileError, UsageError
from rlkit.data import datasets
from rlkit.data.formats import minari_io, minari_local
from rlkit.data.recipes import cards

GRID, HOPPER = "rlkit/minigrid/doorkey-5x5-mixed-v0", "rlkit/hopper/medium-replay-small-v1"


@pytest.fixture(autouse=True)
def small_recipes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "datasets"))
    few = {
        GRID: dataclasses.replace(cards.find(GRID), size=8),
        HOPPER: dataclasses.replace(cards.find(HOPPER), size=300),
    }
    monkeypatch.setattr(cards, "all_recipes", lambda: few)


def test_a_built_dataset_can_be_shown_with_its_policies_and_scores() -> None:
    seen = []
    built = datasets.build(GRID, progress=lambda done, total: seen.append((done, total)))
    assert built.made
    assert built.path.is_dir()
    assert seen[-1] == (8, 8)
    shown = datasets.show(GRID)
    recipe = cards.find(GRID)
    assert shown.episodes == 8
    assert shown.terminated + shown.truncated - shown.both == 8
    assert [p["name"] for p in shown.policies] == list(recipe.policies)
    assert shown.policies[0]["return"] == shown.returns[:2].mean()
    assert shown.meta.reference == recipe.reference
    assert shown.meta.reference.score_name == "rlkit score"
    np.testing.assert_allclose(shown.meta.behaviour_return, shown.returns.mean(), rtol=1e-6)
    assert shown.return_quantiles[1.0] == shown.returns.max()
    assert shown.meta.env_id == "MiniGrid-DoorKey-5x5-v0"
    assert datasets.check(GRID) == datasets.Checked((), ())


def test_minari_recovers_the_environment_of_a_built_dataset() -> None:
    datasets.build(GRID)
    theirs = minari.load_dataset(GRID)
    env = theirs.recover_environment()
    episode = theirs[0]
    seed = next(iter(theirs.storage.get_episode_metadata([0])))["seed"]
    obs, _ = env.reset(seed=seed)
    for t, action in enumerate(episode.actions):  # the recorded actions lead where they led
        np.testing.assert_array_equal(obs, episode.observations[t])
        obs, reward, terminated, truncated, _ = env.step(action)
        assert (reward, terminated, truncated) == (
            episode.rewards[t],
            episode.terminations[t],
            episode.truncations[t],
        )


def test_two_builds_are_the_same_bytes() -> None:
    path = datasets.build(HOPPER).path
    files = sorted(path.rglob("*.*"))
    before = [file.read_bytes() for file in files]
    datasets.build(HOPPER, force=True)
    assert sorted(path.rglob("*.*")) == files
    assert [file.read_bytes() for file in files] == before


def test_a_second_build_reuses_what_stands_unless_the_recipe_changed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    datasets.build(GRID)
    again = datasets.build(GRID)
    assert not again.made
    assert again.notes == ()
    changed = {GRID: dataclasses.replace(cards.find(GRID), seed=77)}
    with monkeypatch.context() as patch:
        patch.setattr(cards, "all_recipes", lambda: changed)
        with pytest.raises(ValueError, match="build it with force"):
            datasets.build(GRID)
        assert datasets.build(GRID, force=True).made
    monkeypatch.setattr(cards, "all_recipes", lambda: changed)
    monkeypatch.setattr(datasets, "_versions", lambda: {"mujoco": "9.9"})
    note = datasets.build(GRID).notes
    assert len(note) == 1
    assert "9.9 is installed" in note[0]


def test_an_interrupted_build_leaves_nothing_and_the_next_one_works() -> None:
    def interrupt(done: int, total: int) -> None:
        if done > 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        datasets.build(GRID, progress=interrupt)
    assert not minari_local.dataset_path(GRID).exists()
    assert datasets.build(GRID).made


def test_a_build_that_another_process_finished_meanwhile_is_taken_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write = minari_io.write

    def overtaken(*args, **kwargs):
        write(*args, **kwargs)  # the other process
        return write(*args, **kwargs)

    monkeypatch.setattr(minari_io, "write", overtaken)
    built = datasets.build(GRID)
    assert not built.made
    assert built.notes


def test_unknown_and_unbuilt_names_say_what_to_do() -> None:
    with pytest.raises(ValueError, match=f"no recipe .* did you mean '{GRID}'"):
        datasets.build("rlkit/minigrid/doorkey-mixed-v0")
    with pytest.raises(ValueError, match=f"not built yet: rlkit dataset build {HOPPER}"):
        datasets.show(HOPPER)
    with pytest.raises(ValueError, match=f"no dataset .* did you mean '{HOPPER}'"):
        datasets.show("rlkit/hoppr/medium-v0")
    with pytest.raises(UsageError, match="not built yet"):
        datasets.check(HOPPER)


def test_the_list_holds_recipes_and_local_datasets() -> None:
    datasets.build(GRID)
    grid, hopper = sorted(datasets.list_datasets(), key=lambda row: row.dataset_id != GRID)
    assert (grid.built, grid.has_recipe, grid.episodes) == (True, True, 8)
    assert (hopper.built, hopper.episodes, hopper.env_id) == (False, None, "Hopper-v5")
    assert grid.env_id == "MiniGrid-DoorKey-5x5-v0"


@pytest.fixture
def hopper_file(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    path = tmp_path / "hopper-medium-v2.hdf5"
    with h5py.File(path, "w") as file:
        file["observations"] = rng.normal(size=(30, 11)).astype(np.float32)
        file["actions"] = rng.uniform(-1, 1, (30, 3)).astype(np.float32)
        file["rewards"] = rng.normal(size=30).astype(np.float32)
        file["terminals"] = np.arange(30) == 9
        file["timeouts"] = np.arange(30) == 19
    return path


def test_a_d4rl_file_becomes_a_minari_dataset(hopper_file: Path) -> None:
    built, meta = datasets.import_d4rl(hopper_file, "d4rl/hopper/medium-v2", env_id="Hopper-v5")
    assert any("2 of 30 rows dropped" in note for note in built.notes)
    store, again = minari_io.read("d4rl/hopper/medium-v2")
    assert store.lengths.tolist() == [10, 9, 9]
    assert again.reference == meta.reference
    assert again.reference is not None
    assert again.reference.score_name == "D4RL score"
    assert again.notes == meta.notes
    assert again.env_id == "Hopper-v5"
    assert "raw_return" in store.extra
    assert datasets.check("d4rl/hopper/medium-v2").ok
    assert datasets.list_datasets()[0].dataset_id == "d4rl/hopper/medium-v2"


def test_an_environment_that_does_not_fit_a_file_is_refused(hopper_file: Path) -> None:
    with pytest.raises(ValueError, match=r"observations have shape \(11,\), the .* \(17,\)"):
        datasets.import_d4rl(hopper_file, "d4rl/x-v0", env_id="HalfCheetah-v5")
    with pytest.raises(ValueError, match="unknown environment 'Hoper-v5'; did you mean"):
        datasets.import_d4rl(hopper_file, "d4rl/x-v0", env_id="Hoper-v5")


def test_checking_a_file_tells_its_problems_with_their_rows(hopper_file: Path) -> None:
    fine = datasets.check(hopper_file)
    assert fine.ok
    assert fine.notes
    with h5py.File(hopper_file, "a") as file:
        file["actions"][12] = 3.0
    assert datasets.check(hopper_file).ok  # what bounds there are is not guessed
    assert any("bounds are not checked" in note for note in datasets.check(hopper_file).notes)
    outside = datasets.check(hopper_file, "Hopper-v5")
    assert not outside.ok
    assert "row 12" in outside.problems[0]
    with h5py.File(hopper_file, "a") as file:
        file["rewards"][4] = np.nan
    assert "rewards row 4 holds NaN" in datasets.check(hopper_file).problems[0]
    hopper_file.write_bytes(hopper_file.read_bytes()[:3000])
    assert "damaged" in datasets.check(hopper_file).problems[0]
    with pytest.raises(UsageError, match=r"there is no file .*absent\.hdf5"):
        datasets.check(hopper_file.with_name("absent.hdf5"))


def test_suspicious_but_valid_data_is_noted(hopper_file: Path) -> None:
    with h5py.File(hopper_file, "a") as file:
        for name in ("rewards", "terminals", "timeouts"):
            del file[name]
        file["rewards"] = np.ones(30)
        file["terminals"] = file["timeouts"] = np.zeros(30, bool)
    noted = datasets.check(hopper_file)
    assert noted.ok
    assert any("every reward is 1" in note for note in noted.notes)
    assert any("one single episode" in note for note in noted.notes)


def test_a_dataset_that_says_nothing_is_noted(hopper_file: Path) -> None:
    with h5py.File(hopper_file, "a") as file:
        file["observations"][:] = 2.0
    assert any("every observation is the same" in n for n in datasets.check(hopper_file).notes)


def test_a_file_is_checked_against_the_environment_it_is_for(hopper_file: Path) -> None:
    assert datasets.check(hopper_file, "Hopper-v5").ok
    other = datasets.check(hopper_file, "HalfCheetah-v5")
    assert "observations have shape (11,), the environment's (17,)" in other.problems[0]
    unknown = datasets.check(hopper_file, "Hoper-v5")
    assert "did you mean 'Hopper-v5'" in unknown.problems[0]
    with h5py.File(hopper_file, "a") as file:
        del file["observations"], file["actions"]
        file["observations"] = np.full((30, 3), 0.5, np.float32)
        file["actions"] = np.linspace(-2, 2, 30, dtype=np.float32)[:, None]
    assert datasets.check(hopper_file, "Pendulum-v1").ok  # whose bounds are 2
    with h5py.File(hopper_file, "a") as file:
        file["observations"][7, 1] = 1.5
    (outside,) = datasets.check(hopper_file, "Pendulum-v1").problems
    assert "column obs: row 7 holds 1.5 in entry 1, outside the environment's [-1, 1]" in outside


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("total_episodes", "many"),
        ("total_episodes", 10**12),
        ("rlkit", []),
        ("env_spec", "{}"),
        ("dataset_id", "rlkit/other-v0"),
        ("dataset_id", "text"),
        ("ref_min_score", "low"),
        (None, None),
    ],
)
def test_one_bad_dataset_never_ends_a_list(name: str | None, value: object) -> None:
    datasets.build(GRID)
    path = minari_local.dataset_path(GRID) / "data" / "metadata.json"
    raw = json.loads(path.read_text())
    path.write_text("[" if name is None else json.dumps(raw | {name: value}))
    rows = datasets.list_datasets()
    assert [row.dataset_id for row in rows] == sorted([GRID, HOPPER])
    (bad,) = [row for row in rows if row.dataset_id == GRID]
    if (name, value) != ("total_episodes", 10**12):  # found when the rows are opened
        assert bad.problem
        assert str(path.parent.parent) in bad.problem or GRID in bad.problem
    checked = datasets.check(GRID)
    assert name == "dataset_id" or not checked.ok


@pytest.mark.parametrize("episodes", [0, -1, 10**9])
def test_policies_that_are_not_of_the_episodes_are_refused(episodes: int) -> None:
    datasets.build(GRID)
    path = minari_local.dataset_path(GRID) / "data" / "metadata.json"
    raw = json.loads(path.read_text())
    raw["rlkit"]["details"]["policies"][0]["episodes"] = episodes
    path.write_text(json.dumps(raw))
    with pytest.raises(FileError, match=r"details\.policies are of \["):
        datasets.show(GRID)


def test_replacing_a_dataset_never_loses_the_old_one(tmp_path: Path) -> None:
    datasets.build(GRID)
    root = tmp_path / "datasets"
    code = f"""
import os, shutil, sys
from rlkit.core.files import replacing
from rlkit.data.formats import minari_io
replacing.remove = lambda path: os._exit(9)
store, meta = minari_io.read({GRID!r})
minari_io.write(store.select([0]), {GRID!r}, observation_space=meta.observation_space,
                action_space=meta.action_space, overwrite=True)
"""
    environment = os.environ | {"MINARI_DATASETS_PATH": str(root)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, check=False, timeout=120)
    assert done.returncode == 9
    assert minari_io.read(GRID)[0].episodes in (1, 8)
    datasets.build(GRID, force=True)
    assert minari_io.read(GRID)[0].episodes == 8
    hidden = [p for p in root.rglob(".*")]
    assert hidden == []

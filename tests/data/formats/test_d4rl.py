from pathlib import Path

import h5py
import numpy as np
import pytest

from rlkit.data.formats import d4rl

# Three episodes: one that terminates, one that times out, one that the end of the file cuts.
LENGTHS = (3, 4, 2)
STEPS = sum(LENGTHS)


def arrays(next_observations: bool = True) -> dict[str, np.ndarray]:
    obs, following = [], []
    for number, length in enumerate(LENGTHS):
        chain = 10.0 * number + np.arange(length + 1)  # the true observation after the last step
        obs += list(chain[:-1])
        following += list(chain[1:])
    terminals, timeouts = np.zeros(STEPS, bool), np.zeros(STEPS, bool)
    terminals[2] = timeouts[6] = True
    made = {
        "observations": np.stack([obs, obs], 1).astype(np.float32),
        "actions": np.linspace(-1, 1, STEPS, dtype=np.float32)[:, None],
        "rewards": np.arange(1.0, STEPS + 1, dtype=np.float32),
        "terminals": terminals,
        "timeouts": timeouts,
    }
    if next_observations:
        made["next_observations"] = np.stack([following, following], 1).astype(np.float32)
    return made


def write(path: Path, content: dict[str, np.ndarray]) -> Path:
    with h5py.File(path, "w") as file:
        for name, array in content.items():
            file[name] = array
        file["infos/qpos"] = np.zeros((STEPS, 3))  # D4RL's further content is left alone
        file["metadata/algorithm"] = "SAC"
    return path


def test_a_complete_file_is_cut_on_its_flags_and_keeps_every_true_next_observation(
    tmp_path: Path,
) -> None:
    store, meta = d4rl.read(write(tmp_path / "hopper-medium-v2.hdf5", arrays()))
    assert store.lengths.tolist() == list(LENGTHS)
    assert store.terminated.nonzero()[0].tolist() == [2]
    assert store.truncated.nonzero()[0].tolist() == [6, 8]  # the time limit and the open end
    np.testing.assert_array_equal(store.next_obs[:, 0] - store.obs[:, 0], np.ones(STEPS))
    assert store.next_obs[6, 0] == 14.0  # not 20, the next episode's first
    assert store.returns().tolist() == [6.0, 22.0, 17.0]
    assert meta.reference is not None
    assert meta.reference.score_name == "D4RL score"
    assert any("last episode carries no flag" in note for note in meta.notes)


def test_rewards_in_a_column_and_flags_as_numbers_are_the_same_file(tmp_path: Path) -> None:
    content = arrays()
    plain, _ = d4rl.read(write(tmp_path / "a.hdf5", content))
    content["rewards"] = content["rewards"][:, None]
    content["terminals"] = content["terminals"].astype(np.float32)
    content["timeouts"] = content["timeouts"].astype(np.uint8)[:, None]
    odd, _ = d4rl.read(write(tmp_path / "b.hdf5", content))
    for name in ("obs", "action", "reward", "next_obs", "terminated", "truncated", "episode", "t"):
        np.testing.assert_array_equal(getattr(plain, name), getattr(odd, name))


def test_without_next_observations_only_rows_with_an_unknown_one_go(tmp_path: Path) -> None:
    store, meta = d4rl.read(write(tmp_path / "x.hdf5", arrays(next_observations=False)))
    assert store.lengths.tolist() == [3, 3, 1]  # the timed-out and the cut episode lose one row
    assert any("2 of 9 rows dropped" in note for note in meta.notes)
    assert store.terminated.nonzero()[0].tolist() == [2]
    assert store.truncated.nonzero()[0].tolist() == [5, 6]
    kept = ~store.terminated  # a terminal row's next observation is never used
    np.testing.assert_array_equal((store.next_obs - store.obs)[kept, 0], 1)
    raw = store.extra["raw_return"][store.starts]
    assert raw.tolist() == [6.0, 22.0, 17.0]  # of the whole episodes
    assert meta.behaviour_return == 15.0


def test_a_timed_out_episode_of_one_row_vanishes_and_the_others_are_renumbered(
    tmp_path: Path,
) -> None:
    content = arrays(next_observations=False)
    content["timeouts"][3] = True  # episode 1 is now row 3 alone, episode 2 rows 4 to 6
    store, _ = d4rl.read(write(tmp_path / "x.hdf5", content))
    assert store.lengths.tolist() == [3, 2, 1]
    assert store.obs[store.starts, 0].tolist() == [0.0, 11.0, 20.0]


def test_missing_timeouts_are_found_by_comparing_next_observations(tmp_path: Path) -> None:
    content = arrays()
    del content["timeouts"]
    store, meta = d4rl.read(write(tmp_path / "x.hdf5", content))
    assert store.lengths.tolist() == list(LENGTHS)
    assert store.truncated.nonzero()[0].tolist() == [6, 8]
    assert any("no timeouts" in note for note in meta.notes)


def test_missing_timeouts_and_next_observations_need_the_time_limit(tmp_path: Path) -> None:
    content = arrays(next_observations=False)
    del content["timeouts"]
    path = write(tmp_path / "x.hdf5", content)
    store, _ = d4rl.read(path, time_limit=4)
    assert store.lengths.tolist() == [3, 3, 1]
    joined, meta = d4rl.read(path)
    assert joined.lengths.tolist() == [3, 5]
    assert any("give the time limit" in note for note in meta.notes)


def test_an_episode_that_ends_without_any_flag_is_found(tmp_path: Path) -> None:
    content = arrays()
    content["timeouts"][6] = False
    store, meta = d4rl.read(write(tmp_path / "x.hdf5", content))
    assert store.lengths.tolist() == list(LENGTHS)
    assert store.truncated[6]
    assert any("1 episodes end without a flag, the first at row 6" in n for n in meta.notes)


def test_a_terminal_at_the_time_limit_may_carry_both_flags(tmp_path: Path) -> None:
    content = arrays(next_observations=False)
    content["terminals"][6] = True
    store, _ = d4rl.read(write(tmp_path / "x.hdf5", content))
    assert store.lengths.tolist() == [3, 4, 1]
    assert store.terminated[6]
    assert store.truncated[6]


def test_bad_numbers_are_refused_with_file_key_and_row(tmp_path: Path) -> None:
    for name, row in (("rewards", 5), ("observations", 2), ("actions", 0)):
        content = arrays()
        content[name][row] = np.nan
        with pytest.raises(ValueError, match=rf"x\.hdf5: {name} row {row} holds NaN"):
            d4rl.read(write(tmp_path / "x.hdf5", content))
    content = arrays()
    content["terminals"] = content["terminals"].astype(np.int64) * 2
    with pytest.raises(ValueError, match="terminals row 2 is 2, not 0/1"):
        d4rl.read(write(tmp_path / "x.hdf5", content))


def test_arrays_of_unequal_length_and_of_wrong_rank_are_refused(tmp_path: Path) -> None:
    content = arrays()
    content["actions"] = content["actions"][:-1]
    with pytest.raises(ValueError, match=r"actions has shape \(8, 1\); \(9, \.\.\.\)"):
        d4rl.read(write(tmp_path / "x.hdf5", content))
    content = arrays()
    content["terminals"] = np.zeros((STEPS, 2))
    with pytest.raises(ValueError, match=r"terminals has shape \(9, 2\); \(9,\)"):
        d4rl.read(write(tmp_path / "x.hdf5", content))


def test_a_misnamed_key_is_named_with_the_nearest_present_one(tmp_path: Path) -> None:
    content = arrays()
    content["reward"] = content.pop("rewards")
    with pytest.raises(ValueError, match=r"lacks 'rewards'; did you mean 'reward'\?"):
        d4rl.read(write(tmp_path / "x.hdf5", content))


def test_truncated_and_foreign_files_are_refused(tmp_path: Path) -> None:
    whole = write(tmp_path / "x.hdf5", arrays())
    whole.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    with pytest.raises(ValueError, match=r"x\.hdf5 is damaged, or is not a D4RL file"):
        d4rl.read(whole)
    whole.write_text("not data")
    with pytest.raises(ValueError, match="is damaged, or is not a D4RL file"):
        d4rl.read(whole)
    with pytest.raises(FileNotFoundError, match="absent"):
        d4rl.read(tmp_path / "absent.hdf5")


def test_discrete_actions_in_a_column_stay_discrete(tmp_path: Path) -> None:
    content = arrays()
    content["actions"] = np.arange(STEPS)[:, None] % 3
    store, meta = d4rl.read(write(tmp_path / "x.hdf5", content))
    assert store.discrete
    assert meta.act_size == 3


def test_scores_use_the_published_constants() -> None:
    assert d4rl.score("hopper-medium-replay-v2", 3234.3) == 1.0
    assert d4rl.score("hopper-medium-v2", -20.272305) == 0.0
    assert d4rl.score("walker2d-expert-v2", 6000.0) > 1  # not clipped
    np.testing.assert_allclose(
        d4rl.score("halfcheetah-medium-v2", [4770.335]), (4770.335 + 280.178953) / 12415.178953
    )
    assert d4rl.reference("maze2d-umaze-dense-v1").expert == 193.66285642381482
    assert d4rl.reference("maze2d-umaze-v1").expert == 161.86
    assert d4rl.reference("antmaze-large-diverse-v2").expert == 1.0
    assert d4rl.reference("ant-expert-v2").expert == 3879.7
    with pytest.raises(ValueError, match="'hoper-medium-v2'"):
        d4rl.reference("hoper-medium-v2")
    with pytest.raises(ValueError, match="pendulum"):
        d4rl.reference("pendulum-v1")


# one task of every environment that d4rl/infos.py has figures for, as they stand there
FIGURES = """
maze2d-open-v0 0.01 20.66; maze2d-umaze-v1 23.85 161.86; maze2d-medium-v1 13.13 277.39;
maze2d-large-v1 6.7 273.99; maze2d-open-dense-v0 11.17817 27.166538620695782;
maze2d-umaze-dense-v1 68.537689 193.66285642381482;
maze2d-medium-dense-v1 44.264742 297.4552547777125;
maze2d-large-dense-v1 30.569041 303.4857382709002;
minigrid-fourrooms-v0 0.01442 2.89685; minigrid-fourrooms-random-v0 0.01442 2.89685;
pen-human-v0 96.262799 3076.8331017826877; pen-cloned-v1 96.262799 3076.8331017826877;
hammer-human-v0 -274.856578 12794.134825156867; hammer-expert-v1 -274.856578 12794.134825156867;
relocate-cloned-v0 -6.425911 4233.877797728884; relocate-human-v1 -6.425911 4233.877797728884;
door-expert-v0 -56.512833 2880.5693087298737; door-cloned-v1 -56.512833 2880.5693087298737;
halfcheetah-full-replay-v2 -280.178953 12135.0; walker2d-medium-replay-v0 1.629008 4592.3;
hopper-medium-expert-v1 -20.272305 3234.3; ant-full-replay-v2 -325.6 3879.7;
antmaze-umaze-v0 0 1; antmaze-large-play-v2 0 1; kitchen-complete-v0 0 4; kitchen-mixed-v0 0 4;
flow-ring-random-v0 -165.22 24.42; flow-merge-controller-v0 118.67993 330.03179;
carla-lane-v0 -0.8503839912088142 1023.5784385429523;
carla-town-v0 -114.81579500772153 2440.1772022247314;
bullet-halfcheetah-medium-replay-v0 -1275.766996 2381.6725;
bullet-hopper-medium-v0 20.058972 1441.8059623430963; bullet-ant-expert-v0 373.705955 2650.495;
bullet-walker2d-random-v0 16.523877 1623.6476303317536; bullet-maze2d-open-v0 8.75 64.15;
bullet-maze2d-umaze-v0 32.46 153.99; bullet-maze2d-medium-v0 14.87 238.05;
bullet-maze2d-large-v0 1.82 285.92
"""


@pytest.mark.parametrize("line", FIGURES.split(";"), ids=lambda line: line.split()[0])
def test_every_environment_of_d4rl_has_its_figures(line: str) -> None:
    name, random, expert = line.split()
    for spelt in (name, name.replace("-", "_"), name.rpartition("-")[0], name.upper()):
        found = d4rl.reference(spelt)
        assert (found.random, found.expert) == (float(random), float(expert))


@pytest.mark.parametrize(
    "name",
    ["carla-town-full-v0", "maze2d-umaze-v0", "maze2d-eval-umaze-v1", "hopper-medium-v4", "pen-v5"],
)
def test_what_d4rl_gives_no_figures_for_gets_none(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        d4rl.reference(name)


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("hopper-medum-v2", "hopper-medium-v2"),
        ("halfcheetah-medium-exprt-v2", "halfcheetah-medium-expert-v2"),
        ("walker2d-mediumreplay", "walker2d-medium-replay"),
        ("antmaze-large-playy-v2", "antmaze-large-play-v2"),
        ("kitchen-completed-v0", "kitchen-complete-v0"),
        ("pen_clone_v1", "pen-cloned-v1"),
        ("hopper-medium-extra-v2", "hopper-medium-expert-v2"),
    ],
)
def test_a_misspelt_quality_is_refused_with_the_nearest(name: str, near: str) -> None:
    with pytest.raises(
        ValueError, match=f"no reference returns for '{name}'; did you mean '{near}"
    ):
        d4rl.reference(name)


@pytest.mark.parametrize(
    "name",
    ["halfcheetah_mixed", "maze2d-umaze-sparse-v1", "pen-v0_demos_clipped", "ant_random_expert"],
)
def test_former_names_of_its_files_are_known(name: str) -> None:
    assert d4rl.reference(name).score_name == "D4RL score"

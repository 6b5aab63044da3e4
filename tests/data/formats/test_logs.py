"""Logs of CSV and Parquet files become datasets whose steps are those that were logged."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from rlkit.cli.dataset_commands import dataset as command
from rlkit.core.errors import FileError, UsageError
from rlkit.data import datasets
from rlkit.data.exchange import import_log
from rlkit.data.formats.logs import Columns

COLUMNS = Columns("o_*", "u", "r", terminal="done", episode="id")
# Two episodes: one that terminates, one whose last row only says where the step before led.
ROWS = """\
id,t,o_1,o_2,u,r,done
a,0,0.0,1.0,0.5,1.0,0
a,1,0.25,2.0,-0.5,2.0,1
b,0,10.0,3.0,1.0,3.0,0
b,1,11.0,4.0,-1.0,4.0,0
b,2,12.0,5.0,0.0,5.0,0
"""


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "datasets"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def csv(text: str, name: str = "log.csv") -> Path:
    Path(name).write_text(text, encoding="utf-8")
    return Path(name)


def made(text: str, columns: Columns = COLUMNS, **given):
    import_log(csv(text), "mine/logs-v0", columns, overwrite=True, **given)
    return datasets.read("mine/logs-v0")


def test_steps_are_the_rows_and_what_follows_them() -> None:
    store, meta = made(ROWS)
    assert store.lengths.tolist() == [2, 2]
    assert store.obs.tolist() == [[0, 1], [0.25, 2], [10, 3], [11, 4]]
    assert store.next_obs[[0, 2, 3]].tolist() == [[0.25, 2], [11, 4], [12, 5]]
    assert store.next_obs[1].tolist() == store.obs[1].tolist()  # terminal: its own stands in
    assert store.action[:, 0].tolist() == [0.5, -0.5, 1, -1]
    assert store.reward.tolist() == [1, 2, 3, 4]
    assert store.terminated.tolist() == [False, True, False, False]
    assert store.truncated.tolist() == [False, False, False, True]
    assert [b.tolist() for b in meta.action_bounds] == [[-1], [1]]
    assert any("bounds of the actions taken from the data" in note for note in meta.notes)
    assert any(note.startswith("1 rows, the last of episodes") for note in meta.notes)


def test_rows_of_episodes_that_stand_mixed_are_gathered_and_sorted() -> None:
    head, *rows = ROWS.splitlines()
    mixed = "\n".join([head, *(rows[k] for k in (4, 1, 3, 0, 2))])
    store, meta = made(mixed, Columns("o_*", "u", "r", "done", episode="id", order="t"))
    straight, _ = made(ROWS)
    order = [2, 3, 0, 1]  # b was met first
    assert (store.obs == straight.obs[order]).all()
    assert (store.action == straight.action[order]).all()
    assert any("stand mixed" in note for note in meta.notes)


def test_a_row_with_an_observation_alone_is_the_last_observation() -> None:
    text = ROWS.replace("12.0,5.0,0.0,5.0,0", "12.0,5.0,,,") + "a2,0,1,1,0.5,1,1\na2,1,7,7,,,\n"
    store, _ = made(text)
    assert store.lengths.tolist() == [2, 2, 1]
    assert store.next_obs[3:].tolist() == [[12, 5], [7, 7]]
    assert store.terminated.tolist() == [False, True, False, False, True]
    assert store.truncated.tolist() == [False, False, False, True, False]


def test_flags_alone_cut_episodes() -> None:
    text = "o,u,r,done,cut\n1,0,1,0,0\n2,1,1,1,0\n3,0,1,0,0\n4,1,1,0,1\n5,0,1,0,0\n6,1,1,1,0\n"
    store, _ = made(text, Columns("o", "u", "r", "done", "cut"), actions=2)
    assert store.obs[:, 0].tolist() == [1, 2, 3, 5, 6]
    assert store.next_obs[:, 0].tolist() == [2, 2, 4, 6, 6]
    assert store.terminated.tolist() == [False, True, False, False, True]
    assert store.truncated.tolist() == [False, False, True, False, False]
    assert store.discrete


def test_columns_of_next_observations_keep_the_last_step() -> None:
    text = "o,n,u,r,id\n1,2,0,1,x\n2,3,1,1,x\n9,8,0,1,y\n"
    columns = Columns("o", "u", "r", episode="id", next_observation="n")
    store, _ = made(text, columns)
    assert store.next_obs[:, 0].tolist() == [2, 3, 8]
    assert store.truncated.tolist() == [False, True, True]
    store, meta = made(text.replace("1,2,0", "1,5,0"), columns)  # led elsewhere: cut there
    assert store.lengths.tolist() == [1, 1, 1]
    assert any("not the next row's, the first at row 1" in note for note in meta.notes)


GAPS = "o,u,r,done\n1,0.5,1,0\n2,,1,0\n3,0.25,1,0\n4,1.0,1,1\n"
GAP_COLUMNS = Columns("o", "u", "r", "done")


def test_rows_without_an_action_are_refused_cut_out_or_marked() -> None:
    with pytest.raises(ValueError, match=r"row 2 has no action \(1 such rows of 4\)"):
        made(GAPS, GAP_COLUMNS)
    store, _ = made(GAPS, GAP_COLUMNS, missing_actions="cut")
    assert store.lengths.tolist() == [1, 2]
    assert store.next_obs[0].tolist() == [2]  # the row without an action is where the step led
    assert store.obs[:, 0].tolist() == [1, 3, 4]
    kept, _ = made(GAPS, GAP_COLUMNS, missing_actions="keep")
    assert kept.extra["action_known"].tolist() == [True, False, True, True]
    assert np.isnan(kept.action[1, 0])


def test_what_is_marked_is_not_learnt_from() -> None:
    import rlkit

    made(GAPS, GAP_COLUMNS, missing_actions="keep")
    (problem,) = datasets.check("mine/logs-v0").problems
    assert "1 of 4 steps have no action" in problem
    with pytest.raises(ValueError, match="of all algorithms ss_orl alone learns from those; train"):
        rlkit.train("bc", dataset="mine/logs-v0", steps=10, eval_episodes=0)
    discrete = GAPS.replace("0.5", "2").replace("0.25", "1").replace("1.0", "0")
    store, _ = made(discrete, GAP_COLUMNS, missing_actions="keep", actions=3)
    assert store.action.tolist() == [2, 0, 1, 0]
    assert datasets.check("mine/logs-v0").problems


def test_what_is_marked_is_told_by_an_inverse_model() -> None:
    """SS-ORL takes the log as it was imported, and goes on from its checkpoint."""
    import rlkit

    made(GAPS, GAP_COLUMNS, missing_actions="keep")
    small = {"given": "hidden=8,8 batch_size=4", "steps_idm": 5, "hidden_idm": (8,), "batch_idm": 4}
    run = rlkit.train("ss_orl", dataset="mine/logs-v0", steps=10, eval_episodes=0, config=small)
    assert run.step == 10
    last = Path(run.folder, "progress.jsonl").read_text(encoding="utf-8").splitlines()[-1]
    losses = json.loads(last)["q_loss"]
    assert np.isfinite(losses).all()
    assert rlkit.resume(run.folder, steps=12).step == 12
    assert np.isfinite(rlkit.load(run.folder).act([2.0])).all()


def test_rows_of_an_environment_must_fit_it() -> None:
    text = "x0,x1,x2,u,r,id\n1,0,0,2,0,1\n0.5,0.5,1,-2,0,1\n1,0,0,0,0,1\n"
    columns = Columns("x*", "u", "r", episode="id")
    store, meta = made(text, columns, env_id="Pendulum-v1")
    assert meta.env_id == "Pendulum-v1"
    assert store.action[:, 0].tolist() == [2, -2]
    with pytest.raises(ValueError, match="outside the bounds"):
        made(text.replace(",2,0", ",20,0"), columns, env_id="Pendulum-v1")
    with pytest.raises(UsageError, match="2 columns of observations"):
        made(text, Columns("x0,x1", "u", "r", episode="id"), env_id="Pendulum-v1")
    with pytest.raises(UsageError, match="bounds of actions are those of"):
        made(text, columns, env_id="Pendulum-v1", low=(-1.0,), high=(1.0,))
    lake = "s,u,r,done\n" + "1,5,0,0\n" * 2 + "1,5,0,1\n"
    with pytest.raises(UsageError, match=r"observations of shape \(16,\)"):
        made(lake, Columns("s", "u", "r", "done"), env_id="FrozenLake-v1")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "must name the columns"),
        ("id,o_1,u,r,done\n", "holds no rows"),
        (ROWS.replace("-0.5,2.0", "left,2.0"), r"line 3: 'left' in column 'u' is no number"),
        (ROWS.replace("-0.5,2.0", "1_0,2.0"), r"line 3: '1_0' in column 'u' is no number"),
        (ROWS.replace("-0.5,2.0", "٣,2.0"), r"line 3: '٣' in column 'u' is no number"),
        (ROWS.replace("a,1,0.25,", "a,1,"), "line 3: 6 cells, not 7"),
        (ROWS.replace("o_2", "o_1"), "column 'o_1' stands in it twice"),
        (ROWS.replace("0.25", ""), "row 2 has an empty observation"),
        (ROWS.replace("0.25", "1e300"), "row 2 has an empty observation, or one that float32"),
        (ROWS.replace("2.0,1\n", ",1\n"), "row 2 has an empty reward"),
        (ROWS.replace("-0.5,2.0", "inf,2.0"), "row 2 has an empty action"),
        (ROWS.replace("2.0,1\n", "2.0,7\n"), "row 2 of column 'done' is 7, not 0 or 1"),
        (ROWS.replace("a,1,", '"a,1,'), "damaged, or is not a CSV file"),
    ],
)
def test_what_is_wrong_with_a_file_is_told_with_its_place(text: str, told: str) -> None:
    with pytest.raises((FileError, ValueError), match=told):
        made(text)
    assert not list(Path("datasets").rglob("*.hdf5"))


def test_columns_and_bounds_that_are_wrong_are_told() -> None:
    for columns, told in [
        (Columns("o_*", "uu", "r", episode="id"), "no column 'uu' for --action; did you mean 'u'"),
        (Columns("o_*", "u", "o_*", episode="id"), "--reward is one column, not o_1, o_2"),
        (Columns("o_*", "u", "r"), "nothing says where episodes end"),
        (Columns("o_*", "u", "r", "done", order="t"), "--episode is needed"),
        (Columns("o_*", "u", "r", "done", next_observation="t"), "1 columns of next observations"),
    ]:
        with pytest.raises(UsageError, match=told):
            made(ROWS, columns)
    for given, told in [
        ({"low": (0.0,)}, "give both bounds"),
        ({"low": (1.0,), "high": (1.0,)}, "must lie below"),
        ({"low": (0.0, 0.0), "high": (1.0, 1.0)}, "have 1 dimensions"),
        ({"low": (0.0,), "high": (2.0,)}, "outside the bounds"),
        ({"low": (-1e300,), "high": (1e300,)}, "numbers that float32 holds"),
        ({"actions": 2, "low": (0.0,), "high": (2.0,)}, "have no bounds"),
        ({"env_id": "Pendulum-v1", "actions": 2}, "leave yours out"),
    ]:
        with pytest.raises(ValueError, match=told):
            made(ROWS, **given)
    for actions in (0, -3, 10**30):
        with pytest.raises(UsageError, match="actions "):
            made(ROWS, actions=actions)
    broken = "o,u,v,r,done\n1,1,0,1,0\n2,0.4,0,1,0\n3,-0.9,0,1,1\n"
    with pytest.raises(ValueError, match=r"row 2 has the action 0\.4; .* whole .* \(2 such rows\)"):
        made(broken, Columns("o", "u", "r", "done"), actions=2)
    with pytest.raises(UsageError, match="2 columns of actions; discrete ones are one column"):
        made(broken, Columns("o", "u,v", "r", "done"), actions=2)
    still = "o,u,r,done\n1,1,1,0\n2,1,1,1\n"
    with pytest.raises(UsageError, match="dimension 0 of the actions is always 1"):
        made(still, Columns("o", "u", "r", "done"))
    with pytest.raises(ValueError, match="no step has a known next observation"):
        made("o,u,r,id\n1,1,1,a\n2,1,1,b\n", Columns("o", "u", "r", episode="id"))


def test_parquet_gives_what_csv_gives_and_takes_lists() -> None:
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    cells = [row.split(",") for row in ROWS.splitlines()]
    columns = dict(zip(cells[0], zip(*cells[1:], strict=True), strict=True))
    numbers = {n: [float(x) for x in column] for n, column in columns.items() if n != "id"}
    pairs = [list(pair) for pair in zip(numbers["o_1"], numbers["o_2"], strict=True)]
    flags = [bool(x) for x in numbers["done"]]
    table = pa.table({**numbers, "done": flags, "id": list(columns["id"]), "pair": pairs})
    pq.write_table(table, "log.parquet")
    straight, _ = made(ROWS)
    for observation in ("o_*", "pair"):
        asked = Columns(observation, "u", "r", "done", episode="id")
        import_log("log.parquet", "mine/parquet-v0", asked, overwrite=True)
        store, _ = datasets.read("mine/parquet-v0")
        for name in ("obs", "next_obs", "action", "reward", "terminated", "truncated"):
            assert (getattr(store, name) == getattr(straight, name)).all()
    with pytest.raises(FileError, match="column 'id' holds"):
        import_log("log.parquet", "mine/x-v0", Columns("id", "u", "r", "done"))
    uneven = pa.table({"o": [[1.0], [1.0, 2.0]], "u": [0.0, 1.0], "r": [0.0, 1.0], "d": [0, 1]})
    pq.write_table(uneven, "uneven.parquet")
    with pytest.raises(FileError, match="not of one length"):
        import_log("uneven.parquet", "mine/x-v0", Columns("o", "u", "r", "d"))
    csv("no parquet", "bad.parquet")
    with pytest.raises(FileError, match="is not a Parquet file"):
        import_log("bad.parquet", "mine/x-v0", Columns("o", "u", "r", "d"))


def test_parquet_that_declares_more_than_it_holds_is_refused() -> None:
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    pq.write_table(pa.table({name: np.zeros(1 << 20) for name in "ourd"}), "zeros.parquet")
    with pytest.raises(FileError, match=r"it declares [\d,]+ bytes of numbers and holds"):
        import_log("zeros.parquet", "mine/x-v0", Columns("o", "u", "r", "d"))


def test_the_commands_make_a_dataset_once(capsys: pytest.CaptureFixture[str]) -> None:
    csv(ROWS)
    pairs = {"observation": "o_*", "action": "u", "reward": "r", "terminal": "done"}
    words = [f"--{name}={column}" for name, column in (pairs | {"episode": "id"}).items()]
    command(["from-csv", "log.csv", "mine/logs-v0", *words, "--description", "hall 3"])
    said = capsys.readouterr().out
    assert "dataset mine/logs-v0 built" in said
    assert "note: bounds of the actions taken from the data: [-1, 1]" in said
    assert datasets.show("mine/logs-v0").meta.description == "hall 3"
    with pytest.raises(UsageError, match="already stands"):
        command(["from-csv", "log.csv", "mine/logs-v0", *words])
    command(["from-csv", "log.csv", "mine/logs-v0", *words, "--force", "--action-low", "-2",
             "--action-high", "2"])  # fmt: skip
    _, meta = datasets.read("mine/logs-v0")
    assert [b.tolist() for b in meta.action_bounds] == [[-2], [2]]
    with pytest.raises(UsageError, match="which columns"):
        command(["from-csv", "log.csv", "mine/logs-v0"])
    with pytest.raises(UsageError, match="bounds 'wide'"):
        command(["from-csv", "log.csv", "m/x-v0", *words, "--action-low", "wide"])

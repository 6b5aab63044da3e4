"""The page of a run says what its records say, alone and beside others."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

import rlkit
from rlkit.cli.main import main
from rlkit.core.errors import FileError, RunError, UsageError
from rlkit.reports.runs import facts, page, pictures
from rlkit.run.clips import video

from .runs import run


class _Reader(HTMLParser):
    """Rows of every table, and what a browser would fetch."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.fetched: list[str] = []
        self.sections: list[str] = []
        self.inside = False  # a cell
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        known = dict(attrs)
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")
            self.inside = True
        elif tag == "section":
            self.sections.append(known["id"])
        self.fetched += [known[name] for name in ("src", "data", "poster") if name in known]
        assert tag not in ("script", "link", "iframe", "object")

    def handle_endtag(self, tag):
        self.inside = self.inside and tag not in ("td", "th")

    def handle_data(self, data):
        if self.inside:
            self.rows[-1][-1] += data.strip()


def written(*folders: Path, **given) -> tuple[str, _Reader]:
    text = page.write_page(folders, **given).page.read_text()
    return text, _Reader(text)


def test_results_are_those_of_the_last_evaluation(tmp_path: Path) -> None:
    a = run(tmp_path / "a", {0: [1, 8, 4], 1: [2, 4, 6]})
    text, read = written(a)
    assert (a / "report.html").read_text() == text
    rows = {row[0]: row[1:] for row in read.rows if row}
    assert rows["0"][0] == "4.00"
    assert rows["0"][1] == "[1.52, 6.48]"  # t of 3, 4, 5: 4.303 / sqrt(3)
    assert rows["0"][2:] == ["3", "8.00", "at 200"]
    assert rows["all 2"][:2] == ["5.00", "[−7.71, 17.71]"]  # 12.706 of two seeds
    assert "sac on Pendulum-v1" in text
    assert "a: 2 seeds, 300 environment steps, eager; 2 min 2 s since its last start" in text
    assert read.sections == [
        *("results", "evaluation", "losses", "configurations", "versions", "folder")
    ]
    assert rows["config.hidden"] == ["[256, 256]"]
    assert rows["processor"] == ["a<b"]


def test_nothing_is_fetched_and_clips_are_inside(tmp_path: Path) -> None:
    a = run(tmp_path / "a", {0: [1, 2]})
    (a / "video").mkdir()
    (a / "video" / "x.gif").write_bytes(b"GIF89a")
    (a / "video" / "gone.mp4").touch()
    entry = {"step": 200, "lane": 0, "seed": 0, "episodes": 3, "shown": []}
    shown = [{"place": "best", "return": 7.25, "length": 9}, {"place": "worst", "return": None}]
    (tmp_path / "other.gif").write_bytes(b"GIF other")
    (a / "video" / "link.gif").symlink_to(tmp_path / "other.gif")
    hostile = ["../../etc/passwd", "/etc/passwd", "link.gif", "a" * 300, "", "..", "\ud800.gif"]
    entries = [entry | {"file": name} for name in hostile]
    entries.insert(1, entry | {"file": "x.gif", "shown": shown})
    (a / "video" / video.INDEX).write_text(json.dumps(entries))
    text, read = written(a)
    assert read.fetched == ["data:image/gif;base64,R0lGODlh"]
    assert "best: 7.25 in 9 steps; worst: not finite" in text
    assert "passwd" not in text
    assert "http" not in re.sub(r"http://www\.w3\.org/2000/svg", "", text)


def test_clips_that_would_make_a_page_too_large_are_linked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    a = run(tmp_path / "a", {0: [1, 2]})
    (a / "video").mkdir()
    entry = {"lane": 0, "seed": 0, "episodes": 3, "shown": []}
    entries = []
    for step in (100, 200):
        (a / "video" / f"{step}.mp4").write_bytes(b"x" * 60)
        entries.append(entry | {"file": f"{step}.mp4", "step": step})
    (a / "video" / video.INDEX).write_text(json.dumps(entries))
    monkeypatch.setattr(page, "_EMBEDDED", 100)
    text, read = written(a)
    assert len(read.fetched) == 1
    assert 'href="video/100.mp4"' in text  # the newer one is shown
    other = tmp_path / "elsewhere"
    assert 'href="../a/video/100.mp4"' in written(a, out=other)[0]


def test_notices_say_what_keeps_numbers_from_meaning_much(tmp_path: Path) -> None:
    one = page.read_all([run(tmp_path / "one", {0: [1, 2]}, steps=1000)])
    assert page.notices(one) == [
        "200 of 1,000 environment steps are recorded: this is not the end.",
        "one seed: chance between seeds cannot be told.",
    ]
    many = page.read_all([run(tmp_path / "many", {s: [1, 2] for s in range(5)})])
    assert page.notices(many) == []
    few = page.read_all([run(tmp_path / "few", {s: [1, 2] for s in range(4)})])
    assert page.notices(few) == ["4 seeds: intervals over them are rough."]


def test_a_run_that_has_only_begun_has_a_page(tmp_path: Path) -> None:
    a = run(tmp_path / "a", {0: [1, 2], 1: [3, 4]})
    for name in ("episodes.csv", "progress.jsonl", "versions.json"):
        (a / name).unlink()
    text, read = written(a)
    assert "nothing has been evaluated" in text
    assert read.sections == ["results", "configurations", "versions", "folder"]
    single = run(tmp_path / "b", {0: [5]})  # one evaluation: a table, and no line
    assert "<svg" in written(single)[0]  # every episode
    assert pictures.returns(page.read_all([single])) == []


def test_an_evaluation_that_was_cut_short_is_left_out(tmp_path: Path) -> None:
    a = run(tmp_path / "a", {0: [1, 2], 1: [3, 4]})
    lines = (a / "episodes.csv").read_text().splitlines(True)
    (a / "episodes.csv").write_text("".join(lines[:-3]))  # seed 1 at step 200
    (found,) = page.read_all([a])
    assert found.returns()[0].tolist() == [100]
    assert found.problems == [
        "episodes.csv: not every seed was evaluated at step 200: left out",
    ]
    (a / "episodes.csv").write_text("".join([*lines, "7,7,300,0,1.0,9,1\n"]))
    with pytest.raises(FileError, match=r"episodes\.csv: lane 7 is none of 2 seeds"):
        page.read_all([a])


def test_a_lane_that_is_lost_does_not_end_the_line_of_the_others(tmp_path: Path) -> None:
    a = run(tmp_path / "a", {0: [1, 2, 3], 1: [1, np.nan, np.nan], 2: [3, 4, 5]})
    (picture,) = pictures.returns(page.read_all([a]))
    assert picture.lines[0].y.point.tolist() == [2, 3, 4]
    text, read = written(a)
    assert "not finite" in text
    rows = {row[0]: row[1:] for row in read.rows if row}
    assert rows["1"][0] == "not finite"


def test_offline_runs_are_set_against_their_data(tmp_path: Path) -> None:
    reference = {"random": 0.0, "expert": 10.0, "score_name": "rlkit score"}
    dataset = {"id": "x", "behaviour_return": 2.5, "reference": reference}
    a = run(tmp_path / "a", {0: [9, 2], 1: [1, 4]}, data=dataset, dataset="rlkit/x-v0")
    text, read = written(a)
    rows = {row[0]: row[1:] for row in read.rows if row}
    assert rows["the data"][:3] == ["2.50", "", "0.250"]
    assert rows["all 2"][2] == "0.300"
    assert "Score: rlkit score." in text
    assert "Updates" in text
    assert "score 1" in text


def test_runs_side_by_side_are_told_apart_where_they_can_be(tmp_path: Path) -> None:
    a = run(tmp_path / "a", {s: [1, 2 + 0.1 * s] for s in range(5)})
    b = run(tmp_path / "b", {s: [1, 9 + 0.1 * s] for s in range(5)}, config={"gamma": 0.9})
    text, read = written(a, b)
    assert (tmp_path / "report.html").read_text() == text
    rows = [row for row in read.rows if row]
    (difference,) = [row for row in rows if "better" in row]
    assert difference[:2] == ["b", "+7.00"]
    assert ["config.gamma", "0.99", "0.9"] in rows
    assert ["config.hidden", "[256, 256]", "–"] in rows
    assert ["python", "3.11.7"] in rows  # alike in both
    assert text.count("5 seeds</title>") == 2 * len(pictures.metrics(page.read_all([a]))) + 2
    both = page.read_all([a, b])
    assert [line.system.name for line in pictures.returns(both)[0].lines] == ["a", "b"]


def test_runs_on_other_tasks_are_not_compared(tmp_path: Path) -> None:
    a = run(tmp_path / "a", {0: [1, 2], 1: [1, 2]})
    b = run(tmp_path / "b", {0: [5, 6], 1: [5, 7]}, env="CartPole-v1")
    text, _ = written(a, b, out=tmp_path / "both.html")
    assert (tmp_path / "both.html").exists()
    assert "not on one task" in text
    assert "Differences from" not in text
    assert len(pictures.returns(page.read_all([a, b]))) == 2


def test_what_is_no_run_is_told(tmp_path: Path) -> None:
    a = run(tmp_path / "a", {0: [1, 2]})
    with pytest.raises(RunError, match="not a run folder"):
        page.write_page([tmp_path])
    with pytest.raises(UsageError, match="which runs"):
        page.write_page([])
    with pytest.raises(UsageError, match="given twice"):
        page.write_page([a, a])
    config = json.loads((a / "config.json").read_text())
    (a / "config.json").write_text(json.dumps(config | {"options": {"algo": 3}}))
    with pytest.raises(RunError, match=r"config\.json, options"):
        page.write_page([a])
    (a / "config.json").write_text(json.dumps(config))
    with (a / "progress.jsonl").open("a") as file:
        file.write("{}\n")
    with pytest.raises(FileError, match=r"progress\.jsonl, line 3"):
        page.write_page([a])


def test_an_algorithm_that_a_file_names_is_not_imported(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "evil.py").write_text("raise SystemExit(3)")
    monkeypatch.syspath_prepend(tmp_path)
    a = run(tmp_path / "a", {0: [1, 2]}, algo="evil")
    assert "evil on Pendulum-v1" in written(a)[0]


def test_values_of_records_are_text_on_the_page(tmp_path: Path) -> None:
    a = run(tmp_path / "<i>a", {0: [1, 2]}, config={"name": "<script>alert(1)</script>"})
    text, _ = written(a)  # the reader refuses scripts
    assert "&lt;script&gt;" in text
    assert "<i>a" not in text


def test_the_command_and_the_front_door(tmp_path: Path, capsys) -> None:
    a, b = (run(tmp_path / name, {0: [1, 2]}) for name in "ab")
    assert main(["report", str(a)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "note   one seed: chance between seeds cannot be told.",
        f"page   {a / 'report.html'}",
    ]
    assert main(["report", str(a), str(b), "--out", str(tmp_path / "c"), "--quiet"]) == 0
    assert capsys.readouterr().out == f"page   {tmp_path / 'c' / 'report.html'}\n"
    for words, told in [
        ([str(a), "--baseline", "x"], "--baseline is for sweeps"),
        ([str(a), str(tmp_path)], "is no run folder"),
        ([], "give one sweep"),
    ]:
        assert main(["report", *words]) == 2
        assert told in capsys.readouterr().err
    assert rlkit.report(a).page == a / "report.html"
    assert rlkit.report(a, b, out=tmp_path / "d.html").page == tmp_path / "d.html"


def test_facts_of_a_training_are_read_whole(tmp_path: Path) -> None:
    config = {"hidden": (8,), "batch_size": 4}
    done = rlkit.train(
        "dqn", env="CartPole-v1", steps=30, warmup=5, eval_every=15, eval_episodes=2, seeds=(0, 1),
        log_every=10, config=config, out=str(tmp_path / "run"), quiet=True,
    )  # fmt: skip
    found = facts.read(done.folder)
    assert found.finished
    assert found.checkpoints == [15, 30]
    assert found.returns()[1][:, -1].tolist() == done.returns.tolist()
    assert found.metrics["q_loss"][0].tolist() == [20, 30]
    assert found.problems == []
    assert rlkit.report(done.folder).page.stat().st_size > 10_000

"""Whatever stands in the files of a sweep: one bad cell is named, the others are reported."""

from __future__ import annotations

import csv
import errno
import io
import json
import os
import random
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rlkit.core.errors import RunError
from rlkit.eval.records import mean_returns, read_episodes, read_progress
from rlkit.reports import cache, results
from rlkit.reports.formats.exports import export, folder_name
from rlkit.reports.formats.tables import as_csv
from rlkit.reports.report import write_report
from rlkit.reports.results import read

from .run_folders import run_folder

ODD: list[Any] = [
    *(None, True, False, 0, -1, 2**63, 10**400, 1.5, float("nan"), float("inf"), 1e308, -1e308),
    *("", "=1+1", "../../x", "/etc/x", "\ud800", "\x00", "\x1b[31m", "a\nb", "<script>x</script>"),
    *("]]>", "```", "x" * 5000, [], [[]], {}, {"a": {"b": [None]}}, [0.1, 0.1 + 1e-17], [3, 1]),
]


def changed(value: Any, rng: random.Random) -> Any:
    """`value` with one of its parts replaced, dropped or added."""
    if isinstance(value, dict) and value and rng.random() < 0.8:
        key = rng.choice(list(value))
        if rng.random() < 0.15:
            return {name: one for name, one in value.items() if name != key}
        return value | {key: changed(value[key], rng)}
    if isinstance(value, list) and value and rng.random() < 0.8:
        at = rng.randrange(len(value))
        return [*value[:at], changed(value[at], rng), *value[at + 1 :]]
    return rng.choice(ODD)


def spoilt(data: bytes, rng: random.Random) -> bytes:
    """Bytes cut, flipped, repeated or nested deeply; or JSON with another value in it."""
    how = rng.randrange(6)
    at = rng.randrange(len(data))
    if how == 0:
        return data[:at]
    if how == 1:
        return data[:at] + bytes([rng.randrange(256)]) + data[at + 1 :]
    if how == 2:
        return data[:at] + data[rng.randrange(len(data)) :]
    if how == 3:
        return rng.choice([b"[" * 100_000, b"", b"{}", b"null", b"\xff\xfe", b"1" * 5000])
    if data[:1] == b"{":
        return json.dumps(changed(json.loads(data), rng)).encode()
    lines = data.split(b"\n")
    cells = lines[at % len(lines)].split(b",")
    cells[rng.randrange(len(cells))] = rng.choice([str(x)[:4000] for x in ODD]).encode(
        errors="surrogatepass"
    )
    lines[at % len(lines)] = b",".join(cells)
    return b"\n".join(lines)


@pytest.mark.parametrize("seed", range(3))
def test_no_file_of_a_cell_ends_a_report(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    reference = [0.0, 2.0]
    run_folder(tmp_path, "iql", "hopper", {0: [1.0, 1.2], 1: [0.8, 1.1]}, reference=reference)
    bad = [
        run_folder(tmp_path, f"bc{k}", "hopper", {0: [1.0, 0.9], 1: [1.0, 0.7]}, progress=True,
                   reference=reference, configuration={"lr": 0.1})
        for k in range(8)
    ]  # fmt: skip
    sound = {folder: {p.name: p.read_bytes() for p in folder.iterdir()} for folder in bad}
    for number in range(6):
        for folder, files in sound.items():
            for name, data in files.items():
                (folder / name).write_bytes(data)
            name = rng.choice(["cell.json", "config.json", "versions.json", "episodes.csv"])
            (folder / name).write_bytes(spoilt(files[name], rng))
        found = read(tmp_path)
        assert "iql" in {system.name for system in found.systems}
        assert all(why and len(why) < 300 for _, why in found.damaged)
        if number % 4 == 0:
            written = write_report(found, tmp_path / "report")
            text = written.page.read_text()
            assert "<script>" not in text
            HTMLParser().feed(text)
            export(found, ["csv", "json"], tmp_path / "export")


def test_what_the_system_refuses_is_named_with_its_cause_and_read_again_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_folder(tmp_path, "iql", "hopper", {0: [1.0]})
    run_folder(tmp_path, "bc", "hopper", {0: [1.0]}, name="shut")
    real = Path.read_bytes

    def refused(path: Path) -> bytes:
        if path.parent.name == "shut" and path.name == "episodes.csv":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return real(path)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", refused)
        found = read(tmp_path)
        ((name, why),) = found.damaged
        assert name == "shut"
        assert why.endswith("episodes.csv cannot be read: Permission denied")
    assert not read(tmp_path).damaged, "nothing in the files has changed, and still it is read"


def test_a_folder_whose_name_cannot_be_printed_is_listed(tmp_path: Path) -> None:
    run_folder(tmp_path, "iql", "hopper", {0: [1.0]})
    os.mkdir(os.path.join(os.fsencode(tmp_path / "runs"), b"\xff\x1b"))
    found = read(tmp_path)
    assert found.damaged == ((r"'\udcff\x1b'", "its name cannot be printed"),)
    assert "udcff" in write_report(found, tmp_path / "report").page.read_text()


@pytest.mark.parametrize("what", ["altered", "altered number", "future format"])
def test_a_cache_that_is_not_what_was_written_is_rebuilt(tmp_path: Path, what: str) -> None:
    run_folder(tmp_path, "iql", "hopper", {0: [0.125]}, episodes=1)
    read(tmp_path)
    path = tmp_path / cache.NAME
    data, number = path.read_bytes(), np.float64(0.125).tobytes()
    assert number in data
    if what == "altered":
        path.write_bytes(data.replace(number, np.float64(9.0).tobytes()))
    elif what == "altered number":
        path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    else:
        path.write_bytes(data.replace(b'"format": 2', b'"format": 3'))
    assert read(tmp_path).cells[0].final == 0.125
    assert path.read_bytes()[:64] == data[:64]


def test_a_file_changed_behind_its_times_is_read_again(tmp_path: Path) -> None:
    folder = run_folder(tmp_path, "iql", "hopper", {0: [1.0]}, episodes=1)
    read(tmp_path)
    path = folder / "episodes.csv"
    before = path.stat()
    path.write_text(path.read_text().replace("1.0", "6.0"))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_size == before.st_size
    assert read(tmp_path).cells[0].final == 6.0


@pytest.mark.parametrize("sign", ["=", "+", "-", "@", "\t", "\r"])
def test_text_is_no_formula_and_numbers_stay_numbers(tmp_path: Path, sign: str) -> None:
    text = f"{sign}1+1"
    written = io.StringIO(as_csv(("a",), [(text, -1.5, -2, "a=b", None)]), newline="")
    _, row = csv.reader(written)
    assert row == [f"'{text}".replace("\r", " "), "-1.5", "-2", "a=b", ""]


def test_no_csv_of_a_sweep_has_a_formula(tmp_path: Path) -> None:
    for system in ("=HYPERLINK(1)", "-2+3"):
        run_folder(tmp_path, system, "@task", {0: [-1.0, -2.0]}, name=f"+{len(system)}")
    found = read(tmp_path)
    written = write_report(found, tmp_path / "report")
    for path in [*written.tables, *export(found, ["csv"], tmp_path / "export")]:
        with path.open(newline="") as file:
            for row in csv.reader(file):
                for one in row:
                    assert one[:1] not in tuple("=+@\t\r")
                    assert one[:1] != "-" or float(one) < 0


@pytest.mark.parametrize(
    "name", ["../../../out", "/out", "..", ".", "", "a/b", "x" * 400, "é" * 200]
)
def test_the_name_of_a_system_leads_nowhere(tmp_path: Path, name: str) -> None:
    found = folder_name(name)
    assert found == os.path.basename(found)
    assert found not in ("", ".", "..")
    assert len(found.encode()) <= 200
    assert folder_name(f"{name}?") != found


def test_an_export_stays_in_its_folder(tmp_path: Path) -> None:
    root = tmp_path / "sweep"
    folder = run_folder(root, "x", "hopper", {0: [1.0], 1: [1.0]}, progress=True)
    card = json.loads((folder / "cell.json").read_text())
    card["system"] = "../../../../out"
    card["lanes"] = [{"configuration": {"a": k}, "seed": 0} for k in range(2)]
    rows = (folder / "episodes.csv").read_text().replace("\n1,1,", "\n1,0,")
    (folder / "episodes.csv").write_text(rows)
    (folder / "cell.json").write_text(json.dumps(card))
    export(read(root), ["tensorboard"], tmp_path / "a" / "b")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "sweep"]
    assert len(list((tmp_path / "a" / "b" / "tensorboard").rglob("events*"))) == 2


def test_records_refuse_what_no_run_writes(tmp_path: Path) -> None:
    path = tmp_path / "episodes.csv"
    head = "lane,seed,step,episode,return,length,terminated\n"
    for row, why in {
        "-1,0,1,0,1.0,3,1": "line 2: lane is '-1', out of range",
        f"0,{2**64},1,0,1.0,3,1": "seed is '18446744073709551616', out of range",
    }.items():
        path.write_text(head + row + "\n")
        with pytest.raises(ValueError, match=why):
            read_episodes(path)
    many = "".join(f"{k},0,{k},0,1.0,3,1\n" for k in range(20_000))
    path.write_text(head + many)
    with pytest.raises(ValueError, match="lane 0 has no episode at step 1, other lanes have"):
        mean_returns(read_episodes(path))  # a table of 20,000 x 20,000 is never made
    log = tmp_path / "progress.jsonl"
    for line in ("[" * 100_000, "1" * 5000, '{"step": true}'):
        log.write_text(line + "\n")
        with pytest.raises(ValueError, match=r"progress\.jsonl, line 1"):
            read_progress(log)


def test_a_cell_of_another_kind_of_trouble_is_listed_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_folder(tmp_path, "iql", "hopper", {0: [1.0]})
    run_folder(tmp_path, "bc", "hopper", {0: [1.0]}, name="odd")
    real = results.read_run

    def odd(folder: Path, shared: Any) -> Any:
        if folder.name == "odd":
            raise KeyError("unheard of")
        return real(folder, shared)

    monkeypatch.setattr(results, "read_run", odd)
    assert read(tmp_path).damaged == (("odd", "'unheard of'"),)


@pytest.mark.parametrize("place", ["report", "report/csv", "report/pictures", "report/export"])
def test_no_report_is_written_through_a_link(tmp_path: Path, place: str) -> None:
    run_folder(tmp_path / "sweep", "iql", "hopper", {0: [1.0, 2.0], 1: [1.0, 2.0]})
    out, other = tmp_path / "sweep" / "report", tmp_path / "other"
    other.mkdir()
    link = tmp_path / "sweep" / place
    link.parent.mkdir(exist_ok=True)
    link.symlink_to(other)
    found = read(tmp_path / "sweep")
    with pytest.raises(RunError, match="is a link"):
        export(found, ["csv"], link) if place.endswith("export") else write_report(found, out)
    assert not list(other.iterdir())

"""The watcher gives the page as the records have it, to this machine alone, and nothing else."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from rlkit.cli.main import main
from rlkit.core.errors import UsageError
from rlkit.eval.records import Episode, append_episodes
from rlkit.reports import watch

from .run_folders import run_folder
from .runs.runs import run


@contextmanager
def serving(folder: Path) -> Iterator[int]:
    served = watch.server(watch.Watched(folder), 0)
    thread = threading.Thread(target=served.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield served.server_port
    finally:
        served.shutdown()
        thread.join()
        served.server_close()


def get(port: int, path: str, host: str = "127.0.0.1") -> tuple[int, str, http.client.HTTPMessage]:
    line = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    line.putrequest("GET", path, skip_host=True)
    line.putheader("Host", f"{host}:{port}")
    line.endheaders()
    answer = line.getresponse()
    found = answer.status, answer.read().decode(), answer.headers
    line.close()
    return found


def test_the_page_of_a_run_is_fresh_whenever_it_is_asked_for(tmp_path: Path) -> None:
    a = run(tmp_path / "a", {0: [1, 2]}, steps=300)
    with serving(a) as port:
        status, text, headers = get(port, "/")
        assert status == 200
        assert "200 of 300" in text
        assert "script-src 'nonce-" in headers["Content-Security-Policy"]
        version = get(port, "/version")[1]
        assert f'let seen = "{version}"' in text
        assert get(port, "/version")[1] == version
        append_episodes(
            a / "episodes.csv", [Episode(0, 0, 300, e, 77.0, 9, True) for e in range(3)]
        )
        assert get(port, "/version")[1] != version
        assert "77.0" in get(port, "/")[1]
    assert not (a / "report.html").exists()  # looking leaves nothing behind


def test_a_sweep_is_shown_with_the_pages_of_its_runs(tmp_path: Path) -> None:
    for system in ("bc", "iql"):
        run_folder(tmp_path, system, "hopper", {s: [1.0, 2.0] for s in range(3)}, name=system)
    one = run(tmp_path / "runs" / "whole", {0: [1, 2]})
    (one / "cell.json").write_text((tmp_path / "runs" / "bc" / "cell.json").read_text())
    with serving(tmp_path) as port:
        status, text, _ = get(port, "/")
        assert status == 200
        assert "By task" in text
        assert 'href="runs/iql/"' in text  # an address that is served
        assert "sac on Pendulum-v1" in get(port, "/runs/whole/")[1]
        before = get(port, "/version")[1]
        append_episodes(
            one / "episodes.csv", [Episode(0, 0, 300, e, 7.0, 9, True) for e in range(3)]
        )
        assert get(port, "/version")[1] != before
        assert get(port, "/runs/iql/")[0] == 200  # a run that cannot be shown says so
        assert "cannot be shown yet" in get(port, "/runs/iql/")[1]


@pytest.mark.parametrize(
    "path",
    [
        "/config.json",
        "/runs/",
        "/runs/../",
        "/runs/%2e%2e/",
        "/runs/a%2Fb/",
        "/runs/none/",
        "//etc/",
        f"/runs/{'a' * 300}/",
        f"/runs/{'%C3%A4' * 200}/",
        "/runs/%00/",
        "/runs/%ff%fe/",
        "/runs/.a/",
        "/runs/a/b/",
        "/runs/link/",
    ],
)
def test_nothing_but_pages_is_given_out(
    tmp_path: Path, path: str, capfd: pytest.CaptureFixture[str]
) -> None:
    run(tmp_path / "runs" / "a", {0: [1, 2]})
    run(tmp_path / "outside", {0: [1, 2]})
    (tmp_path / "runs" / "link").symlink_to(tmp_path / "outside")
    with serving(tmp_path) as port:
        assert get(port, path)[0] == 404
        assert get(port, f"{path}version")[1] == "" or not path.endswith("/")
    assert capfd.readouterr().err == ""  # the terminal is the watcher's


def test_a_reader_that_goes_and_a_page_that_cannot_be_made_print_no_traceback(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(self: object, address: str) -> str:
        raise ConnectionResetError(104, "gone")

    def broken(self: object, address: str) -> str:
        raise KeyError("x")

    with serving(run(tmp_path / "a", {0: [1, 2]})) as port:
        for page in (gone, broken):
            monkeypatch.setattr(watch.Watched, "page", page)
            with pytest.raises((http.client.HTTPException, OSError)):
                get(port, "/")
    assert capfd.readouterr().err == "rlkit watch: it has no entry 'x'\n"


@pytest.mark.parametrize("host", ["example.org", "127.0.0.1.example.org", ""])
def test_requests_under_another_name_are_refused(tmp_path: Path, host: str) -> None:
    with serving(run(tmp_path / "a", {0: [1, 2]})) as port:
        assert get(port, "/", host)[0] == 403
        assert get(port, "/version", host)[0] == 403
        assert get(port, "/", "localhost")[0] == 200


def test_only_the_loopback_interface_is_listened_on(tmp_path: Path) -> None:
    served = watch.server(watch.Watched(run(tmp_path / "a", {0: [1, 2]})), 0)
    assert served.server_address[0] == "127.0.0.1"
    with pytest.raises(UsageError, match=r"cannot be listened on .* --port 0"):
        watch.server(watch.Watched(tmp_path / "a"), served.server_port)
    served.server_close()


def test_the_command_says_where_and_ends_when_interrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    a = run(tmp_path / "a", {0: [1, 2]})

    def interrupted(self, poll_interval):
        raise KeyboardInterrupt

    monkeypatch.setattr(watch.ThreadingHTTPServer, "serve_forever", interrupted)
    assert main(["watch", str(a), "--port", "0"]) == 130
    assert "watch  http://127.0.0.1:" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--every", "0"], "at least half a second"),
        (["--port", "70000"], "between 0 and 65535"),
    ],
)
def test_what_cannot_be_watched_is_told(tmp_path: Path, words: list, told: str, capsys) -> None:
    assert main(["watch", str(run(tmp_path / "a", {0: [1]})), *words]) == 2
    assert told in capsys.readouterr().err
    assert main(["watch", str(tmp_path)]) == 2
    assert "neither a run folder nor the folder of a sweep" in capsys.readouterr().err

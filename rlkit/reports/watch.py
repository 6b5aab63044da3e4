"""The page of a run or a sweep on this machine's own address, made anew while it trains.

Only the loopback interface is listened on, only requests that name it as their host are answered
(so no page of the web can read it through a name of its own), and only pages are given out, which
are made of the records: no file is served.
"""

from __future__ import annotations

import os
import secrets
import sys
import threading
from collections.abc import Callable
from html import escape
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from rlkit.core.errors import RlkitError, UsageError
from rlkit.core.files.reading import described, inside
from rlkit.reports import results
from rlkit.reports.cells import CARD
from rlkit.reports.formats.page import document
from rlkit.reports.formats.page import page as sweep_page
from rlkit.reports.report import assemble
from rlkit.reports.runs.page import page as run_page
from rlkit.reports.runs.page import read_all
from rlkit.run.clips.video import FOLDER, INDEX
from rlkit.run.records import folder as run_folder

HOST, PORT = "127.0.0.1", 8787
_NAMES = (HOST, "localhost", "[::1]")
_RECORDS = (
    *(run_folder.CONFIG, run_folder.EPISODES, run_folder.PROGRESS, run_folder.VERSIONS, CARD),
    f"{FOLDER}/{INDEX}",
)
# Sections whose text has changed are exchanged, so that nothing else moves under the reader.
_SCRIPT = """
(() => {
  let seen = %(seen)s;
  const live = document.getElementById("live");
  const parts = (from) => new Map([...from.querySelectorAll("header,.notes,section")].map(
    (part) => [part.id || part.className || "header", part.outerHTML]));
  let known = parts(document);
  const open = (part) => [...part.querySelectorAll("details")].map((one) => one.open);
  async function look() {
    try {
      const version = await (await fetch("version", {cache: "no-store"})).text();
      live.textContent = "live: looks every %(every)g s";
      if (version === seen) return;
      const text = await (await fetch(location.pathname, {cache: "no-store"})).text();
      const next = new DOMParser().parseFromString(text, "text/html");
      const fresh = parts(next);
      if ([...fresh.keys()].join() !== [...known.keys()].join()) { location.reload(); return; }
      for (const [key, html] of fresh) {
        if (html === known.get(key)) continue;
        const find = (from) => key === "header" ? from.querySelector("header")
          : key === "notes" ? from.querySelector(".notes") : from.getElementById(key);
        const [old, made] = [find(document), find(next)];
        const states = open(old);
        old.replaceWith(made);
        made.querySelectorAll("details").forEach(
          (one, k) => { if (k in states) one.open = states[k]; });
        if (key === "header") made.append(live);
      }
      known = fresh;
      seen = version;
    } catch (error) {
      live.textContent = "the watcher has stopped; this page stays as it is";
    }
  }
  document.querySelector("header").append(live);
  setInterval(look, %(every)g * 1000);
})();
"""


class Watched:
    """A run folder, or the folder of a sweep with the pages of its runs under `/runs/NAME/`."""

    def __init__(self, folder: str | Path, every: float = 5.0) -> None:
        self.folder, self.every = Path(folder), every
        self.is_run = (self.folder / run_folder.CONFIG).is_file()
        if not self.is_run and not (self.folder / results.RUNS).is_dir():
            raise UsageError(f"{folder} is neither a run folder nor the folder of a sweep")
        self._lock = threading.Lock()
        self._made: dict[str, tuple[str, str]] = {}  # address -> version and page

    def version(self, address: str) -> str:
        """What changes whenever the page of an address does; empty where there is none."""
        place = self._place(address)
        if place is None:
            return ""
        folder, is_run = place
        folders = [folder] if is_run else sorted(folder.glob(f"{results.RUNS}/[!.]*"))
        return "-".join(_stamp(one) for one in folders) or "0"

    def page(self, address: str) -> str | None:
        """The page of an address, with what keeps it fresh; None where there is none."""
        version = self.version(address)
        if not version:
            return None
        with self._lock:  # one page is made at a time
            known = self._made.get(address)
            if known is None or known[0] != version:
                known = version, self._make(address)
                self._made = {address: known} | {k: v for k, v in self._made.items() if k == "/"}
        return known[1]

    def _make(self, address: str) -> str:
        place = self._place(address)
        assert place is not None
        folder, is_run = place
        try:
            if is_run:
                return run_page(read_all([folder]), folder)
            return sweep_page(assemble(results.read(folder, remember=False), folder))
        except (RlkitError, ValueError, OSError) as error:  # a record that is being written
            waiting = f"<p>{escape(str(error))}</p>"
            return document(folder.name, "cannot be shown yet", [], [("why", "Why", waiting)])

    def _place(self, address: str) -> tuple[Path, bool] | None:
        """Folder of an address, and whether it is a run's."""
        if address == "/":
            return self.folder, self.is_run
        parts = address.strip("/").split("/")
        if self.is_run or len(parts) != 2 or parts[0] != results.RUNS:
            return None
        try:
            folder = inside(self.folder / results.RUNS, unquote(parts[1]))
        except RlkitError:
            return None
        return (folder, True) if (folder / run_folder.CONFIG).is_file() else None


def _stamp(folder: Path) -> str:
    """Sizes and times of the records of a run folder."""
    found = []
    for name in _RECORDS:
        try:
            told = os.stat(folder / name)
        except OSError:
            continue
        found.append(f"{told.st_mtime_ns:x}.{told.st_size:x}")
    return "_".join(found)


def server(watched: Watched, port: int = PORT) -> ThreadingHTTPServer:
    """A server on the loopback interface, bound and not yet running; `server_port` says where.

    Raises UsageError for a port that is taken.
    """

    class Server(ThreadingHTTPServer):
        def handle_error(self, request: Any, client_address: Any) -> None:
            """A reader that has gone is no error; of others one line is told."""
            error = sys.exception()
            if error is not None and not isinstance(error, ConnectionError):
                print(f"rlkit watch: {described(error)}", file=sys.stderr)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            host = (self.headers.get("Host") or "").rpartition(":")[0] or self.headers.get("Host")
            if host not in _NAMES:
                self.send_error(HTTPStatus.FORBIDDEN)
                return
            path = urlsplit(self.path).path
            if path.endswith("/version"):
                self._give(watched.version(path.removesuffix("version")), "text/plain", "")
                return
            text = watched.page(path)
            if text is None:
                self.send_error(HTTPStatus.NOT_FOUND)
                return
            nonce = secrets.token_hex(8)
            seen = '"' + watched.version(path) + '"'  # of hexadecimal digits and signs alone
            script = _SCRIPT % {"seen": seen, "every": watched.every}
            added = f'<p id="live">live</p><script nonce="{nonce}">{script}</script></body>'
            self._give(text.replace("</body>", added), "text/html", nonce)

        def _give(self, text: str, kind: str, nonce: str) -> None:
            body = text.encode()
            self.send_response(HTTPStatus.OK)
            self.send_header("Content-Type", f"{kind}; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Cache-Control", "no-store")
            self.send_header("X-Content-Type-Options", "nosniff")
            self.send_header(
                "Content-Security-Policy",
                "default-src 'none'; style-src 'unsafe-inline'; img-src data:; media-src data:; "
                f"connect-src 'self'; script-src 'nonce-{nonce}'; frame-ancestors 'none'",
            )
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Nothing: the terminal belongs to the person who watches."""

    try:
        return Server((HOST, port), Handler)
    except OSError as error:
        raise UsageError(
            f"port {port} cannot be listened on ({error.strerror}); --port 0 takes a free one"
        ) from error


def watch(
    folder: str | Path,
    *,
    port: int = PORT,
    every: float = 5.0,
    ready: Callable[[str], None] = print,
) -> None:
    """Serve the page of a run or of a sweep until interrupted; `ready` is told its address.

    The page looks every so many seconds whether the records have grown. Raises UsageError for a
    folder that is neither, and for a port that is taken.
    """
    if not every >= 0.5:
        raise UsageError(f"--every {every:g} must be at least half a second")
    if not 0 <= port < 1 << 16:
        raise UsageError(f"--port {port} must lie between 0 and 65535")
    serving = server(Watched(folder, every), port)
    try:
        ready(f"http://{HOST}:{serving.server_port}/")
        serving.serve_forever(poll_interval=0.2)
    finally:
        serving.server_close()

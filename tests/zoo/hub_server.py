"""A stand-in for the Hugging Face Hub: repositories in memory, behind the Hub's own HTTP paths.

It answers what `huggingface_hub` asks to read a repository at a commit, to make one, and to commit
plain files; `module()` is a stand-in of that package for where it is not installed.
"""

from __future__ import annotations

import base64
import hashlib
import json
import threading
import types
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


class Refused(Exception):
    """An answer of another status than 200."""

    def __init__(self, status: int, words: str) -> None:
        super().__init__(f"{status} {words}")
        self.status = status


class Hub:
    """Repositories: each a list of commits, each commit the files by name."""

    def __init__(self) -> None:
        self.repos: dict[str, list[dict[str, bytes]]] = {}
        self.asked: list[str] = []  # files that were fetched

    def create(self, repo: str, exist_ok: bool) -> None:
        if repo in self.repos and not exist_ok:
            raise Refused(409, "it exists")
        self.repos.setdefault(repo, [{".gitattributes": b""}])

    def head(self, repo: str) -> str:
        if repo not in self.repos:
            raise Refused(404, f"no repository {repo}")
        return self.name(repo, len(self.repos[repo]) - 1)

    @staticmethod
    def name(repo: str, number: int) -> str:
        return hashlib.sha1(f"{repo} {number}".encode()).hexdigest()

    def files(self, repo: str, revision: str) -> dict[str, bytes]:
        self.head(repo)
        names = [self.name(repo, number) for number in range(len(self.repos[repo]))]
        if revision not in ("main", *names):
            raise Refused(404, f"no revision {revision}")
        return self.repos[repo][-1 if revision == "main" else names.index(revision)]

    def commit(self, repo: str, files: dict[str, bytes], parent: str | None) -> str:
        if parent not in (None, self.head(repo)):
            raise Refused(412, "a commit has happened since")
        self.repos[repo].append(self.repos[repo][-1] | files)
        return self.head(repo)

    def fetch(self, repo: str, revision: str, name: str) -> bytes:
        files = self.files(repo, revision)
        if name not in files:
            raise Refused(404, f"no file {name}")
        self.asked.append(name)
        return files[name]


def module(hub: Hub) -> types.ModuleType:
    """`huggingface_hub` with what rlkit takes of it."""

    class CommitOperationAdd:
        def __init__(self, path_in_repo: str, path_or_fileobj: bytes) -> None:
            self.path, self.content = path_in_repo, path_or_fileobj

    class HfApi:
        def create_repo(self, repo_id: str, *, exist_ok: bool, private: bool) -> None:
            hub.create(repo_id, exist_ok)

        def repo_info(self, repo_id: str, *, revision: str | None) -> Any:
            hub.files(repo_id, revision or "main")
            sha = hub.head(repo_id) if revision in (None, "main") else revision
            return types.SimpleNamespace(sha=sha)

        def get_paths_info(self, repo_id: str, paths: list[str], *, revision: str) -> list[Any]:
            files = hub.files(repo_id, revision)
            return [
                types.SimpleNamespace(path=path, size=len(files[path]))
                for path in paths
                if path in files
            ]

        def hf_hub_download(
            self, repo_id: str, filename: str, *, revision: str, local_dir: Path
        ) -> str:
            path = Path(local_dir) / filename
            path.write_bytes(hub.fetch(repo_id, revision, filename))
            return str(path)

        def create_commit(
            self,
            repo_id: str,
            operations: list[CommitOperationAdd],
            *,
            commit_message: str,
            parent_commit: str,
        ) -> Any:
            assert commit_message
            files = {one.path: one.content for one in operations}
            return types.SimpleNamespace(oid=hub.commit(repo_id, files, parent_commit))

    found = types.ModuleType("huggingface_hub")
    found.__dict__.update(HfApi=HfApi, CommitOperationAdd=CommitOperationAdd)
    return found


@contextmanager
def served(hub: Hub) -> Iterator[str]:
    """The address of a server of its own thread that speaks for the hub."""

    class Handler(_Handler):
        there = hub

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    there: Hub

    def log_message(self, *args: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answered(self._file)

    def do_GET(self) -> None:
        self._answered(self._info if self.path.startswith("/api/models/") else self._file)

    def do_POST(self) -> None:
        content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self._answered(lambda: self._posted(content))

    @property
    def _url(self) -> str:
        return f"http://{self.headers['Host']}/somebody/policies"  # of a repository that exists

    def _answered(self, answer: Any) -> None:
        try:
            status, content, headers = 200, *answer()
        except Refused as error:
            said = {"error": str(error), "url": self._url}
            status, content = error.status, json.dumps(said).encode()
            headers = {"X-Error-Message": str(error)}
            if "no repository" in str(error):
                headers["X-Error-Code"] = "RepoNotFound"
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def _file(self) -> tuple[bytes, dict[str, str]]:
        """/OWNER/REPO/resolve/REVISION/NAME"""
        owner, repo, _, revision, name = self.path.partition("?")[0].strip("/").split("/")
        content = self.there.fetch(f"{owner}/{repo}", revision, name)
        etag = hashlib.sha256(content).hexdigest()
        return content, {"ETag": f'"{etag}"', "X-Repo-Commit": revision}

    def _info(self) -> tuple[bytes, dict[str, str]]:
        """/api/models/OWNER/REPO[/revision/REVISION]"""
        parts = self.path.partition("?")[0].strip("/").split("/")[2:]
        repo, revision = "/".join(parts[:2]), parts[3] if len(parts) > 3 else "main"
        self.there.files(repo, revision)
        sha = self.there.head(repo) if revision == "main" else revision
        return _json({"id": repo, "sha": sha, "siblings": []})

    def _posted(self, content: bytes) -> tuple[bytes, dict[str, str]]:
        parts = self.path.partition("?")[0].strip("/").split("/")
        if parts == ["api", "repos", "create"]:
            asked = json.loads(content)
            repo = f"{asked['organization']}/{asked['name']}"
            self.there.create(repo, exist_ok=False)
            return _json({"url": f"http://{self.headers['Host']}/{repo}"})
        repo, what, revision = "/".join(parts[2:4]), parts[4], parts[5]
        if what == "paths-info":
            return self._paths(repo, revision, content)
        if what == "preupload":
            modes = [
                {"path": one["path"], "uploadMode": "regular", "shouldIgnore": False}
                for one in json.loads(content)["files"]
            ]
            return _json({"files": modes})
        assert what == "commit"
        lines = [json.loads(line) for line in content.splitlines()]
        header = next(one["value"] for one in lines if one["key"] == "header")
        files = {
            one["value"]["path"]: base64.b64decode(one["value"]["content"])
            for one in lines
            if one["key"] == "file"
        }
        oid = self.there.commit(repo, files, header.get("parentCommit"))
        return _json({"commitUrl": f"http://{self.headers['Host']}/{repo}/commit/{oid}",
                      "commitOid": oid})  # fmt: skip

    def _paths(self, repo: str, revision: str, content: bytes) -> tuple[bytes, dict[str, str]]:
        from urllib.parse import parse_qs

        text = content.decode()
        asked = json.loads(text)["paths"] if text.startswith("{") else parse_qs(text)["paths"]
        files = self.there.files(repo, revision)
        return _json(
            [
                {"type": "file", "path": path, "size": len(files[path]), "oid": "0" * 40}
                for path in asked
                if path in files
            ]
        )


def _json(value: Any) -> tuple[bytes, dict[str, str]]:
    return json.dumps(value).encode(), {"Content-Type": "application/json"}

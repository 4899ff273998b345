"""Code from git repositories: any name, the default branch, submodules, large files, credentials."""

from __future__ import annotations

import base64
import http.server
import os
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from submarine_ray.runner import fetching
from submarine_ray.runner.errors import CodeSyncFailed
from submarine_ray.spec.code import is_reference
from submarine_ray.spec.experiment import ExperimentSpec
from submarine_ray.spec.launch import Code
from submarine_ray.spec.plan import plan_code

IDENTITY = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "protocol.file.allow=always"]
POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 12\n"


def git(directory: Path, *words: str) -> str:
    done = subprocess.run(["git", *IDENTITY, *words], cwd=directory, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def commit(directory: Path, **files: str) -> str:
    for name, text in files.items():
        (directory / name).write_text(text)
    git(directory, "add", "-A")
    git(directory, "commit", "-qm", "x")
    return git(directory, "rev-parse", "HEAD")


@pytest.fixture(autouse=True)
def no_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the user's nor this machine's, where git-lfs may be installed."""
    for name in ("GLOBAL", "SYSTEM"):
        monkeypatch.setenv(f"GIT_CONFIG_{name}", "/dev/null")


def with_git_lfs(directory: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A git-lfs of our own before any other."""
    directory.mkdir()
    (directory / "git-lfs").write_text(f"#!/bin/sh\n{script}\n")
    (directory / "git-lfs").chmod(0o755)
    monkeypatch.setenv("PATH", f"{directory}:{os.environ['PATH']}")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Its default branch is trunk."""
    (tmp_path / "plain").mkdir()
    git(tmp_path / "plain", "init", "-q", "-b", "trunk")
    commit(tmp_path / "plain", **{"main.py": "trunk"})
    return tmp_path / "plain"


@pytest.fixture
def nested(tmp_path: Path) -> Path:
    """A repository with a submodule with a submodule."""
    for name in ("deep", "lib", "main"):
        (tmp_path / name).mkdir()
        git(tmp_path / name, "init", "-q", "-b", "trunk")
        commit(tmp_path / name, **{f"{name}.py": "trunk"})
    git(tmp_path / "lib", "submodule", "add", "-q", f"file://{tmp_path}/deep", "deep")
    commit(tmp_path / "lib")
    git(tmp_path / "main", "submodule", "add", "-q", "../lib", "sub")
    commit(tmp_path / "main", **{".gitignore": ""})
    return tmp_path / "main"


def planned(url: str, **more: str | None) -> Code:
    document = {
        "meta": {"name": "a", "framework": "Python", "cmd": "x"},
        "spec": {"Worker": {"replicas": 1}},
        "code": {"syncMode": "git", "git": {"url": url, **more}},
    }
    found = plan_code(ExperimentSpec.model_validate(document))
    assert found
    return found


def test_any_name_that_git_allows_is_checked_out(repository: Path, tmp_path: Path) -> None:
    commits = {"trunk": git(repository, "rev-parse", "trunk")}
    for name in (
        "fix/#12",
        "+plus",
        "ünïcode",
        "a=b;c'd",
        "v1&x",
        "3.10",
        "both",
        "deadbeef",
        "refs/heads/odd",
        "HEAD",
    ):
        git(repository, "update-ref", f"refs/heads/{name}", "trunk")
        git(repository, "symbolic-ref", "HEAD", f"refs/heads/{name}")
        commits[name] = commit(repository, **{"main.py": name})
    git(repository, "symbolic-ref", "HEAD", "refs/heads/trunk")
    for number, (name, expected) in enumerate(commits.items()):
        fetching.fetch(planned(f"file://{repository}", branch=name), tmp_path / f"b{number}")
        assert git(tmp_path / f"b{number}", "rev-parse", "HEAD") == expected, name
    git(repository, "tag", "both", "trunk")  # a tag and a branch of one name
    git(repository, "tag", "-m", "x", "v1.0", "3.10")
    for number, (asked, expected) in enumerate(
        [
            ({}, "trunk"), ({"branch": ""}, "trunk"), ({"branch": None}, "trunk"),
            ({"branch": "both"}, "both"), ({"ref": "both"}, "trunk"), ({"ref": "v1.0"}, "3.10"),
            ({"branch": "v1.0"}, "3.10"), ({"ref": commits["fix/#12"]}, "fix/#12"),
            ({"branch": commits["fix/#12"]}, "fix/#12"), ({"ref": "refs/heads/+plus"}, "+plus"),
        ]
    ):  # fmt: skip
        fetching.fetch(planned(f"file://{repository}", **asked), tmp_path / f"r{number}")
        assert git(tmp_path / f"r{number}", "rev-parse", "HEAD") == commits[expected], asked


@pytest.mark.parametrize("name", ["-x", "a b", "a..b", "a~1", "a^", "a:b", "a?", "a*", "a[", "a\\b", "/a", "a/", "a//b",
                                  ".a", "a/.b", "a.lock", "a.", "a@{1}", "a\tb"])  # fmt: skip
def test_what_git_does_not_allow_is_refused_at_once(name: str) -> None:
    assert subprocess.run(["git", "check-ref-format", "--branch", name], capture_output=True, check=False).returncode
    with pytest.raises(ValidationError, match="is not a branch, tag or commit"):
        planned("https://example.org/x.git", branch=name)


@settings(max_examples=60)
@given(st.text(st.sampled_from("a-./@{#[~^:*?\\ lock\x7fé$'+"), min_size=1, max_size=6))
def test_names_are_judged_as_git_does(name: str) -> None:
    command = ["git", "check-ref-format", f"refs/heads/{name}"]
    is_allowed = subprocess.run(command, check=False).returncode == 0 and not name.startswith("-")
    assert is_reference(name) == is_allowed


def test_what_a_repository_has_not_is_said(repository: Path, tmp_path: Path) -> None:
    url = f"file://{repository}"
    with pytest.raises(CodeSyncFailed, match=r"the repository has no branch, tag or commit 'nowhere'$"):
        fetching.fetch(planned(url, branch="nowhere"), tmp_path / "a")
    with pytest.raises(CodeSyncFailed, match="'abcdef0'; a commit is fetched by all of its 40 digits"):
        fetching.fetch(planned(url, ref="abcdef0"), tmp_path / "b")
    with pytest.raises(CodeSyncFailed, match=r"git could not fetch the code: fatal: .*nothing"):
        fetching.fetch(planned(f"file://{tmp_path}/nothing"), tmp_path / "c")
    (tmp_path / "empty").mkdir()
    git(tmp_path / "empty", "init", "-q")
    with pytest.raises(CodeSyncFailed, match=r"has no default branch, so name one in code\.git\.branch"):
        fetching.fetch(planned(f"file://{tmp_path}/empty"), tmp_path / "d")


def test_submodules_come_along_and_their_failure_is_said(nested: Path, tmp_path: Path) -> None:
    fetching.fetch(planned(f"file://{nested}"), tmp_path / "cloned")
    assert (tmp_path / "cloned/sub/lib.py").exists() and (tmp_path / "cloned/sub/deep/deep.py").exists()
    (tmp_path / "deep").rename(tmp_path / "moved")
    with pytest.raises(CodeSyncFailed, match=r"git could not fetch the code: fatal: .*deep"):
        fetching.fetch(planned(f"file://{nested}"), tmp_path / "failed")


def test_large_files_without_git_lfs_are_told(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_git_lfs(tmp_path / "bin", "exit 1", monkeypatch)
    commit(repository, **{".gitattributes": "*.bin filter=lfs diff=lfs\n", **{f"{n}.bin": POINTER for n in range(5)}})
    (sentence,) = fetching.fetch(planned(f"file://{repository}"), tmp_path / "cloned")
    assert sentence.startswith("the code: 0.bin, 1.bin, 2.bin and 2 more is kept with Git LFS, and git-lfs is not")


def test_large_files_are_fetched_where_git_lfs_is(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit(repository, **{".gitattributes": "*.bin filter=lfs\n", "a.bin": POINTER})
    # Git LFS's own condition: it puts no file in its place where its filters are not configured.
    pulls = '[ "$1" = version ] || { git config filter.lfs.smudge > filter && echo content > a.bin; }'
    with_git_lfs(tmp_path / "bin", pulls, monkeypatch)
    assert fetching.fetch(planned(f"file://{repository}"), tmp_path / "cloned") == []
    assert (tmp_path / "cloned" / "a.bin").read_text() == "content\n"


class _Private(http.server.BaseHTTPRequestHandler):
    """Git's own server for who has a password; notes every one that it is shown."""

    shown: set[str] = set()
    root: Path

    def do_GET(self) -> None:
        given = self.headers.get("Authorization", "")
        if not given:
            self.send_response(401)
            self.send_header("WWW-Authenticate", "Basic realm=x")
            self.end_headers()
            return
        self.shown.add(base64.b64decode(given.removeprefix("Basic ")).decode())
        path, _, query = self.path.partition("?")
        size = self.headers.get("Content-Length", "0")
        env = {
            "PATH": os.environ["PATH"], "GIT_PROJECT_ROOT": str(self.root), "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": path, "QUERY_STRING": query, "REQUEST_METHOD": self.command, "CONTENT_LENGTH": size,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""), "REMOTE_USER": "me",
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
        }  # fmt: skip
        body = self.rfile.read(int(size))
        answer = subprocess.run(["git", "http-backend"], env=env, input=body, capture_output=True, check=True).stdout
        head, _, content = answer.partition(b"\r\n\r\n")
        fields = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
        self.send_response(int(fields.pop("Status", "200").split()[0]))
        for name, value in fields.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    do_POST = do_GET

    def log_message(self, *_: object) -> None: ...


def served(kind: type[_Private]) -> http.server.ThreadingHTTPServer:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), kind)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[tuple[str, str, type[_Private], type[_Private]]]:
    """The URLs of two hosts, and what notes who asked."""
    first, second = (
        type(name, (_Private,), {"shown": set(), "root": tmp_path / "www"}) for name in ("First", "Second")
    )
    servers = [served(kind) for kind in (first, second)]
    yield (*(f"http://127.0.0.1:{server.server_address[1]}" for server in servers), first, second)  # type: ignore[misc]
    for server in servers:
        server.shutdown()
        server.server_close()


def test_a_password_goes_to_its_host_and_no_submodule_elsewhere_gets_it(
    tmp_path: Path, hosts: tuple[str, str, type[_Private], type[_Private]]
) -> None:
    here, elsewhere, first, second = hosts
    (tmp_path / "www").mkdir()
    for name, url in (("own", f"{here}/lib.git"), ("foreign", f"{elsewhere}/lib.git")):
        (tmp_path / name).mkdir()
        git(tmp_path / name, "init", "-q", "-b", "main")
        commit(tmp_path / name, **{"a.py": "", ".gitmodules": f'[submodule "s"]\n\tpath = s\n\turl = {url}\n'})
    (tmp_path / "lib").mkdir()
    git(tmp_path / "lib", "init", "-q", "-b", "main")
    tip = commit(tmp_path / "lib", **{"lib.py": ""})
    for name in ("own", "foreign"):
        git(tmp_path / name, "update-index", "--add", "--cacheinfo", f"160000,{tip},s")
        git(tmp_path / name, "commit", "-qm", "s")
    for name in ("own", "foreign", "lib"):
        git(tmp_path, "clone", "-q", "--bare", name, f"www/{name}.git")
    password = "p'ä $x\\"
    asked = {name: planned(f"{here}/{name}.git", username="me", password=password) for name in ("own", "foreign")}
    fetching.fetch(asked["own"], tmp_path / "from-own")
    assert (tmp_path / "from-own/s/lib.py").exists() and first.shown == {f"me:{password}"}
    with pytest.raises(CodeSyncFailed, match=r"fatal: .*could not read Username for .*terminal prompts disabled"):
        fetching.fetch(asked["foreign"], tmp_path / "from-foreign")
    assert second.shown == set() and not (tmp_path / "from-foreign/s/lib.py").exists()


def test_what_a_url_has_to_sign_in_is_kept_nowhere_and_quoted_nowhere(
    tmp_path: Path, hosts: tuple[str, str, type[_Private], type[_Private]]
) -> None:
    here, _, first, _ = hosts
    (tmp_path / "www").mkdir()
    (tmp_path / "own").mkdir()
    git(tmp_path / "own", "init", "-q", "-b", "main")
    commit(tmp_path / "own", **{"a.py": ""})
    git(tmp_path, "clone", "-q", "--bare", "own", "www/own.git")
    signed = here.replace("://", "://me:p%40ss-c4nary@")
    fetching.fetch(planned(f"{signed}/own.git"), tmp_path / "got")
    assert (tmp_path / "got/a.py").exists() and first.shown == {"me:p@ss-c4nary"}
    token = here.replace("://", "://t0ken-c4nary@")
    fetching.fetch(planned(f"{token}/own.git"), tmp_path / "again")
    assert "t0ken-c4nary:" in first.shown
    for place in ("got", "again"):
        for file in (tmp_path / place).rglob("*"):
            assert not file.is_file() or b"c4nary" not in file.read_bytes(), file
    closed = "http://me:p%40ss-c4nary@127.0.0.1:1/x"
    for wanted in (planned(f"{signed}/none.git"), planned(f"{closed}.git"), Code("http", f"{closed}.zip?sig=c4nary")):
        with pytest.raises(CodeSyncFailed) as failure:
            fetching.fetch(wanted, tmp_path / f"failed-{wanted.url.rsplit('/', 1)[1]}")
        assert "c4nary" not in str(failure.value) + repr(failure.value.args), failure.value

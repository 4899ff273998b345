"""Where code and packages come from: directories, git, HTTP, archives; and what is said when they do not."""

from __future__ import annotations

import functools
import http.server
import subprocess
import threading
import zipfile
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from platform import python_version

import pytest

import submarine_ray as submarine
from tests.conftest import RunningPlatform

pytestmark = pytest.mark.ray


@pytest.fixture
def website(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A directory, and the URL that serves it."""
    root = tmp_path / "site"
    root.mkdir()
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(root))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield root, f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.mark.long
def test_pip_dependencies_and_local_code(platform: RunningPlatform, tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text("import iniconfig, sniffio; print('imported', iniconfig.__name__)")
    body = {"name": "with-sniffio", "kernelSpec": {"pipDependencies": ["sniffio==1.3.1"]}}
    platform.client.service.call("POST", "/api/v1/environment", json=body)
    id = platform.submit(
        "python main.py",
        "Python",
        code={"syncMode": "local", "url": str(tmp_path)},
        environment={"name": "with-sniffio"},
    )
    platform.client.service.call("DELETE", "/api/v1/environment/with-sniffio")  # the experiment keeps what it meant
    ended = platform.ended(id, 180)
    assert ended["status"] == "Succeeded", platform.client.get_log(id)
    assert platform.lines(id)["worker-0"] == ["imported iniconfig"]


def test_code_over_http(platform: RunningPlatform, website: tuple[Path, str]) -> None:
    root, url = website
    with zipfile.ZipFile(root / "project.zip", "w") as archive:
        archive.writestr(
            "pkg/main.py", "import os; print('from', os.path.basename(os.getcwd()), os.environ['CODE_PATH'])"
        )
    id = platform.submit("python pkg/main.py", "Python", code={"syncMode": "http", "url": f"{url}/project.zip"})
    missing = platform.submit("true", code={"syncMode": "http", "url": f"{url}/nothing.zip"})
    assert platform.ended(id)["status"] == "Succeeded", platform.client.get_log(id)
    (line,) = platform.lines(id)["worker-0"]
    assert line.startswith("from current ") and line.endswith("/code")
    ended = platform.ended(missing)
    assert ended["status"] == "Failed" and f"{url}/nothing.zip cannot be read" in ended["message"]


def test_code_from_git_by_branch_and_tag(platform: RunningPlatform, tmp_path: Path) -> None:
    repository = tmp_path / "repository"

    def git(*arguments: str) -> str:
        identity = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "init.defaultBranch=main"]
        done = subprocess.run(
            ["git", *identity, *arguments], cwd=repository, check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    repository.mkdir()
    git("init")
    commits = {}
    for tag in ("one", "two"):
        (repository / "main.py").write_text(f"print({tag!r})")
        git("add", ".")
        git("commit", "-m", tag)
        git("tag", tag)
        commits[tag] = git("rev-parse", "HEAD")
    url = f"file://{repository}"
    ids = {
        "two": platform.submit("python main.py", "Python", code={"syncMode": "git", "url": url}),
        "one": platform.submit("python main.py", "Python", code={"syncMode": "git", "git": {"url": url, "ref": "one"}}),
    }
    nowhere = platform.submit("true", code={"syncMode": "git", "url": url, "branch": "nowhere"})
    for printed, id in ids.items():
        assert platform.ended(id)["status"] == "Succeeded", platform.client.get_log(id)
        assert platform.lines(id)["worker-0"] == [printed]
        ran = platform.client.provenance(id)
        assert ran["git"] == {"commit": commits[printed], "branch": None, "dirty": False, "repository": url}
        assert ran["packages"]["ray"] == version("ray") and ran["python"] == python_version()
    ended = platform.ended(nowhere)
    assert ended["status"] == "Failed" and "git could not fetch the code" in ended["message"]


def test_code_travels_whole(platform: RunningPlatform, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What used to get lost on the way: as an upload, from a disk, and from git with a submodule."""
    project = tmp_path / "exp [v1]"
    for name in ("logs", "lib"):
        (project / name).mkdir(parents=True)
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared" / "a.csv").write_text("1")
    (project / "data").symlink_to(tmp_path / "shared")
    (project / ".#lock").symlink_to("/nonexistent")
    (project / "a\\b.txt").touch()
    (project / ".gitignore").write_text("build/\n.env\n")
    (project / ".env").write_text("KEY=secret")
    (project / "run.sh").write_text("#!/bin/sh\nls -d .env 'a\\b.txt' data/a.csv logs lib/lib.py 2>/dev/null\n")
    (project / "run.sh").chmod(0o755)

    def git(directory: Path, *words: str) -> None:
        identity = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "protocol.file.allow=always"]
        subprocess.run(["git", *identity, *words], cwd=directory, check=True, capture_output=True)

    repositories = [tmp_path / "lib", tmp_path / "main"]
    for repository in repositories:
        repository.mkdir()
        git(repository, "init", "-b", "trunk")
        (repository / "lib.py").touch()
        (repository / "run.sh").write_bytes((project / "run.sh").read_bytes())
        (repository / "run.sh").chmod(0o755)
        git(repository, "add", ".")
        git(repository, "commit", "-m", "x")
    git(repositories[1], "submodule", "add", f"file://{repositories[0]}", "lib")
    git(repositories[1], "commit", "-m", "y")
    git(repositories[1], "branch", "fix/#12")

    uploaded = submarine.run("./run.sh", working_dir=project, client=platform.client, cpus_per_worker=0.5).id
    said = capsys.readouterr().err
    assert "leaves out .#lock (a link to nothing)" in said and "leaves out .env (.gitignore)" in said
    ids = {
        uploaded: ["a\\b.txt", "data/a.csv", "logs"],
        platform.submit("./run.sh", code={"syncMode": "local", "url": str(project)}): [
            ".env", "a\\b.txt", "data/a.csv", "logs",
        ],
        platform.submit("./run.sh", code={"syncMode": "git", "git": {"url": f"file://{repositories[1]}", "branch": "fix/#12"}}):
            ["lib/lib.py"],
    }  # fmt: skip
    for id, listed in ids.items():
        platform.ended(id)
        assert platform.lines(id)["worker-0"] == listed, platform.client.get_log(id)


def test_a_store_that_the_cluster_cannot_read_is_named(platform: RunningPlatform) -> None:
    id = platform.submit("true", code={"syncMode": "s3", "url": "s3://bucket/code"})
    ended = platform.ended(id)
    assert ended["status"] == "Failed"
    assert "reading s3://bucket/code needs a package that the cluster lacks" in ended["message"]

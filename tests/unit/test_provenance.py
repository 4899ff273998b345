"""The commit and the packages that are kept of an attempt."""

from __future__ import annotations

import sys
from importlib.metadata import distributions
from pathlib import Path

import pytest

from submarine_ray.client import git_state
from submarine_ray.runner import provenance
from submarine_ray.spec.code import CodeSpec
from submarine_ray.spec.provenance import ProvenanceReport
from tests.unit.test_git import commit, git


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("GLOBAL", "SYSTEM"):
        monkeypatch.setenv(f"GIT_CONFIG_{name}", "/dev/null")
    git(tmp_path, "init", "-q", "-b", "trunk")
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "train.py").write_text("pass")
    return tmp_path


def test_a_directory_has_the_commit_that_is_checked_out(repository: Path) -> None:
    id = commit(repository, other="text")
    git(repository, "remote", "add", "origin", "https://ada:secret@host/team/code.git")
    found = git_state.read(repository / "code")
    assert found == {
        "commit": id, "dirty": False, "branch": "trunk", "repository": "https://ada:secret@host/team/code.git",
    }  # fmt: skip
    source = CodeSpec.model_validate({"syncMode": "package", "url": f"package://{'0' * 64}", "source": found}).source
    assert source and source.repository == "https://host/team/code.git"
    found["repository"] = "https://ada:se@cret@host/team/code.git"
    source = CodeSpec.model_validate({"syncMode": "package", "url": f"package://{'0' * 64}", "source": found}).source
    assert source and source.repository == "https://host/team/code.git"
    git(repository, "checkout", "-q", "--detach")
    assert "branch" not in (git_state.read(repository / "code") or {})


@pytest.mark.parametrize(
    ("name", "is_dirty"),
    [("code/train.py", True), ("code/new.py", True), ("other", False), ("code/ignored.tmp", False)],
)
def test_it_is_dirty_if_what_travels_is_not_what_was_committed(repository: Path, name: str, is_dirty: bool) -> None:
    commit(repository, other="text", **{".gitignore": "*.tmp"})
    (repository / name).write_text("changed")
    found = git_state.read(repository / "code")
    assert found and found["dirty"] is is_dirty


def test_what_is_in_no_repository_or_has_no_commit_has_no_source(tmp_path: Path, repository: Path) -> None:
    assert git_state.read(repository) is None, "nothing was committed"
    assert git_state.read(Path("/")) is None


def test_without_git_there_is_no_source(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commit(repository, other="text")
    monkeypatch.setenv("PATH", str(repository / "nowhere"))
    assert git_state.read(repository) is None


def test_the_runner_reads_the_commit_of_a_clone_without_git(repository: Path) -> None:
    id = commit(repository, other="text")
    assert provenance.checked_out(repository) == id
    git(repository, "pack-refs", "--all")
    assert provenance.checked_out(repository) == id
    git(repository, "checkout", "-q", "--detach")
    assert provenance.checked_out(repository) == id
    (repository / ".git" / "HEAD").write_text("ref: refs/heads/../../../secret")
    assert provenance.checked_out(repository) is None
    assert provenance.checked_out(repository / "code") is None


def test_packages_are_those_that_python_would_import() -> None:
    """The names of directories say the same as the packages' own descriptions do, which take longer to read."""
    found = provenance.packages(sys.path)
    described = {(one.name or "").replace("_", "-").replace(".", "-").lower(): one.version for one in distributions()}
    assert len(found) > 100
    read = {name.replace(".", "-"): version for name, version in found.items()}
    assert {name for name in described if name and read.get(name) != described[name]} <= {"submarine-ray"}
    ProvenanceReport.model_validate(provenance.found(Path("/")))


def test_the_first_on_the_path_wins(tmp_path: Path) -> None:
    for place, version in (("a", "2.0"), ("b", "1.0")):
        (tmp_path / place / f"My_Package-{version}.dist-info").mkdir(parents=True)
    (tmp_path / "b" / "old-0.1-py3.11.egg-info").mkdir()
    path = [str(tmp_path / name) for name in ("a", "gone", "b")]
    assert provenance.packages(path) == {"my-package": "2.0", "old": "0.1"}

"""Cloning a repository: any name that git allows, submodules, and large files where git-lfs is."""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit, urlunsplit

from submarine_ray.client import git_state
from submarine_ray.runner.errors import CODE_SYNC_STATUS, CodeSyncFailed
from submarine_ray.spec.launch import Code

GIT_SECONDS = 600
NAMES_TOLD = 3
_BRANCHES, _TAGS = "refs/heads/", "refs/tags/"
_COMMIT = re.compile(r"[0-9a-f]{7,64}")
# Credentials are handed out by git's own protocol, to the host that they are for alone: a submodule may be elsewhere.
_HELPER = (
    '!f() { test "$1" = get && '
    'printf "username=%s\\npassword=%s\\n" "$SUBMARINE_GIT_USER" "$SUBMARINE_GIT_PASSWORD"; }; f'
)
# What `git lfs install` writes into a user's configuration: without it, `git lfs pull` puts no file in its place.
_LFS_FILTERS = (
    "-c", "filter.lfs.process=git-lfs filter-process", "-c", "filter.lfs.smudge=git-lfs smudge -- %f",
    "-c", "filter.lfs.clean=git-lfs clean -- %f", "-c", "filter.lfs.required=true",
)  # fmt: skip
_LFS_POINTER = "version https://git-lfs.github.com/spec/v1"


@dataclass(frozen=True)
class _Git:
    """`git` in a directory, with what every call needs."""

    target: Path
    options: tuple[str, ...]
    env: dict[str, str]

    def run(self, *arguments: str) -> None:
        """Raises CodeSyncFailed."""
        done = self.done(*arguments)
        if done.returncode:
            said = [line.strip() for line in done.stderr.splitlines() if line.strip()]
            fatal = [line for line in said if line.startswith("fatal: ")]  # the first of them is the cause
            why = (fatal or said[-1:] or [f"git {arguments[0]} ended with status {done.returncode}"])[0]
            if "could not read Username" in why:
                why += "; code.git.username and code.git.password are for the repository's own host alone"
            raise CodeSyncFailed(f"git could not fetch the code: {why}", CODE_SYNC_STATUS)

    def done(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """A call that may fail. Raises CodeSyncFailed if there is no git, or it does not end."""
        try:
            return git_state.call(self.target, [*self.options, *arguments], self.env, GIT_SECONDS)
        except FileNotFoundError as failure:
            raise CodeSyncFailed(
                "git is not installed on the cluster, and code.syncMode git needs it", CODE_SYNC_STATUS
            ) from failure
        except subprocess.TimeoutExpired as failure:
            raise CodeSyncFailed(f"git did not end within {GIT_SECONDS} s", CODE_SYNC_STATUS) from failure


def clone(code: Code, target: Path) -> list[str]:
    """Check the repository out at `target`, without its history; sentences for the log. Raises CodeSyncFailed."""
    target.mkdir(parents=True)
    code = _without_credentials(code)
    git = _git(code, target)
    git.run("init", "--quiet")
    git.run("remote", "add", "origin", "--", code.url)
    _fetch(git, code.ref)
    git.run("checkout", "--quiet", "--detach", "FETCH_HEAD")
    if (target / ".gitmodules").exists():
        git.run("submodule", "--quiet", "update", "--init", "--recursive", "--depth", "1")
    return _large_files(git)


def _without_credentials(code: Code) -> Code:
    """What a URL has to sign in goes the way of code.git.password: git keeps the URL in .git/config, and quotes it."""
    parts = urlsplit(code.url)
    if parts.scheme not in ("http", "https") or "@" not in parts.netloc:
        return code
    user, _, password = parts.netloc.rpartition("@")[0].partition(":")
    url = urlunsplit(parts._replace(netloc=_host(parts)))
    named, known = code.username or unquote(user), code.password or unquote(password)
    return replace(code, url=url, username=named or None, password=known or None)


def _host(parts: SplitResult) -> str:
    return parts.netloc.rpartition("@")[2]


def _git(code: Code, target: Path) -> _Git:
    env = {**os.environ, "GIT_TERMINAL_PROMPT": "0", "GIT_ASKPASS": "", "LC_ALL": "C"}
    options = ["-c", "advice.detachedHead=false"]
    if not code.verify_certificates:
        env["GIT_SSL_NO_VERIFY"] = "true"
    parts = urlsplit(code.url)
    if parts.scheme == "file":  # else a repository elsewhere could name directories of this machine
        options += ["-c", "protocol.file.allow=always"]
    if (code.username or code.password) and parts.scheme in ("http", "https"):
        # Never in argv, never in the URL.
        host = f"{parts.scheme}://{_host(parts)}"
        options += ["-c", f"credential.{host}.helper=", "-c", f"credential.{host}.helper={_HELPER}"]
        env |= {"SUBMARINE_GIT_USER": code.username or "git", "SUBMARINE_GIT_PASSWORD": code.password or ""}
    return _Git(target, tuple(options), env)


def _fetch(git: _Git, ref: str | None) -> None:
    """Fetch the branch, tag or commit into FETCH_HEAD; without one, what the repository itself has as its default."""
    failures = []
    for name in _spellings(ref):
        try:
            git.run("fetch", "--quiet", "--depth", "1", "--no-tags", "origin", name)
        except CodeSyncFailed as failure:
            if not re.search("couldn't find remote ref|not our ref|unadvertised object", str(failure)):
                raise
            failures.append(failure)
        else:
            return
    hint = ""
    if _COMMIT.fullmatch(ref or "") and len(ref or "") < 40:
        hint = "; a commit is fetched by all of its 40 digits"
    elif ref is None:
        hint = "; the repository has no default branch, so name one in code.git.branch"
    shown = (ref or "HEAD").removeprefix(_BRANCHES)
    raise CodeSyncFailed(
        f"git could not fetch the code: the repository has no branch, tag or commit {shown!r}{hint}", CODE_SYNC_STATUS
    ) from failures[0]


def _spellings(ref: str | None) -> list[str]:
    """What to ask for, in turn. A branch comes as refs/heads/NAME: if there is none, a tag or commit is meant."""
    if ref is None:
        return ["HEAD"]
    if ref.startswith("refs/") and not ref.startswith(_BRANCHES):
        return [ref]
    name = ref.removeprefix(_BRANCHES)
    places = [_BRANCHES + name, _TAGS + name] if ref.startswith(_BRANCHES) else [_TAGS + name, _BRANCHES + name]
    if name.startswith("refs/"):
        return [name, *places]
    if _COMMIT.fullmatch(name):
        return [name, *places] if len(name) >= 40 else [*places, name]
    return places


def _large_files(git: _Git) -> list[str]:
    """Fetch what Git LFS keeps elsewhere; a sentence if that cannot be done: pointers are in its place then."""
    if git.done("grep", "--quiet", "--recurse-submodules", "-F", "filter=lfs", "--", "*.gitattributes").returncode:
        return []
    if git.done("lfs", "version").returncode == 0:
        filtered = replace(git, options=git.options + _LFS_FILTERS)
        filtered.run("lfs", "pull")
        if (git.target / ".gitmodules").exists():
            filtered.run("submodule", "--quiet", "foreach", "--recursive", "git lfs pull")
        return []
    found = git.done("grep", "--recurse-submodules", "-l", "-F", "-e", _LFS_POINTER).stdout.splitlines()
    found = [name for name in found if not name.endswith(".gitattributes")]
    if not found:
        return []
    more = f" and {len(found) - NAMES_TOLD} more" if len(found) > NAMES_TOLD else ""
    shown = ", ".join(found[:NAMES_TOLD]) + more
    return [
        f"the code: {shown} is kept with Git LFS, and git-lfs is not installed on the cluster: pointers are there "
        "instead of the content; install git-lfs there"
    ]

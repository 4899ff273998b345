"""Where an experiment's code comes from."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import Field, field_validator, model_validator

from submarine_ray.spec.base import Document, Text, is_none

_NOT_IN_REFERENCES = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|/\.|\.lock(/|$)")
_CREDENTIALS = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]*://)[^/]*@")  # a password may have an @ of its own
REFERENCE_LENGTH = 240  # of a file's name, which it becomes


def is_reference(name: str) -> bool:
    """Whether git allows the name for a branch or tag. Source: git-check-ref-format."""
    return not (
        name.startswith(("-", "/", "."))
        or name.endswith(("/", "."))
        or _NOT_IN_REFERENCES.search(name)
        or any(len(part.encode()) > REFERENCE_LENGTH for part in name.split("/"))
        or len(name) > 1000
    )


class GitSpec(Document):
    """A git repository."""

    url: str
    """The repository's URL: https, ssh, git or file."""
    branch: Text | None = None
    """The branch to check out; default: the repository's default branch."""
    ref: Text | None = None
    """A tag or full commit id to check out; it wins over `branch`."""
    username: Text | None = None
    """The user name, if the repository requires one."""
    password: Text | None = None
    """A password or token. Answers hide it: `**********`."""
    trust_certs: bool | None = None
    """Whether to accept TLS certificates that cannot be verified."""

    @field_validator("url")
    @classmethod
    def _url(cls, value: str) -> str:
        if not re.match(r"(https?|ssh|git|file)://|[\w.-]+@[\w.-]+:", value):
            raise ValueError(f"{value[:120]!r} is not a git URL; write for example https://host/team/project.git")
        return value

    @field_validator("branch", "ref")
    @classmethod
    def _reference(cls, value: str | None) -> str | None:
        if value and not is_reference(value):
            raise ValueError(f"{value[:80]!r} is not a branch, tag or commit: git allows no such name")
        return value or None


class SourceSpec(Document):
    """The commit of the Git working directory that a package was made from. The SDK and the CLI fill it in."""

    commit: str = Field(pattern="^[0-9a-f]{7,64}$")
    """The commit that was checked out."""
    branch: Text | None = Field(default=None, max_length=REFERENCE_LENGTH)
    """The branch that was checked out, if one was."""
    dirty: bool | None = None
    """Whether the directory had changes, or new files, that are not in the commit; null if it is not known."""
    repository: Text | None = Field(default=None, max_length=2000)
    """The URL of the remote repository, without credentials."""

    @field_validator("repository")
    @classmethod
    def _without_credentials(cls, value: str | None) -> str | None:
        return value and _CREDENTIALS.sub(r"\1", value)


SyncMode = Literal["git", "s3", "hdfs", "nfs", "local", "http", "package"]
PACKAGE_URL = re.compile(r"package://([0-9a-f]{64})")


class CodeSpec(Document):
    """The code to copy into each replica's working directory."""

    sync_mode: SyncMode = "git"
    """How to fetch the code."""
    git: GitSpec | None = Field(default=None, exclude_if=is_none)
    """The repository, for the mode git."""
    url: str | None = Field(default=None, exclude_if=is_none)
    """For the other modes: a URL that fsspec can read, or the `package://` URL of an upload."""
    branch: Text | None = Field(default=None, exclude_if=is_none)
    """Short for `git.branch`."""
    ref: Text | None = Field(default=None, exclude_if=is_none)
    """Short for `git.ref`."""
    source: SourceSpec | None = Field(default=None, exclude_if=is_none)
    """Of a package: the commit that it was made from."""

    @model_validator(mode="after")
    def _place(self) -> CodeSpec:
        if self.sync_mode == "git":
            if self.git is None:
                if not self.url:
                    raise ValueError("git needs git.url (or url): the repository to clone")
                self.git = GitSpec(url=self.url, branch=self.branch, ref=self.ref)
        elif not self.url:
            raise ValueError(f"syncMode {self.sync_mode} needs url: what to copy")
        elif self.sync_mode == "package" and not PACKAGE_URL.fullmatch(self.url):
            raise ValueError("a package's url is package://<sha256 of the uploaded zip>")
        elif self.sync_mode == "http" and not re.match(r"https?://", self.url):
            raise ValueError(f"{self.url[:120]!r} is not an http or https URL")
        return self

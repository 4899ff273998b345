"""What of a directory stays at home: as .submarineignore and .gitignore say, and caches and secrets anyway."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

from pathspec import GitIgnoreSpec

OWN_FILE, GIT_FILE = ".submarineignore", ".gitignore"
CACHES = "caches and version control"
# The same for everybody, in the words of .gitignore; `!name` in .submarineignore takes one along all the same.
_ALWAYS = (
    ".git", ".hg", ".svn", ".jj", "__pycache__/", "*.pyc", ".venv/", "venv/", "node_modules/", ".mypy_cache/",
    ".ruff_cache/", ".pytest_cache/", ".tox/", ".nox/", ".submarine/", ".ipynb_checkpoints/", ".hypothesis/",
    ".DS_Store",
)  # fmt: skip
SECRETS = "secrets by default"
_SECRETS = (".env", ".netrc", "id_rsa", "id_ed25519")
ENVIRONMENTS = "a virtual environment"


@dataclass(frozen=True)
class _Rules:
    """The lines of one file. `base` is its directory, relative to what is packed; `above` what leads from it there."""

    source: str
    spec: GitIgnoreSpec
    base: str = ""
    above: str = ""

    def say(self, name: str) -> bool | None:
        """Whether they leave the name out, or take it along; None if they do not speak of it."""
        if not name.startswith(self.base):
            return None
        return self.spec.check_file(self.above + name[len(self.base) :], separators=()).include


@dataclass(frozen=True)
class Ignored:
    """The rules that hold in a directory: those of .submarineignore before those of .gitignore, deeper ones first."""

    own: tuple[_Rules, ...]
    git: tuple[_Rules, ...]
    always: tuple[_Rules, ...]

    @classmethod
    def at(cls, root: Path) -> Ignored:
        """The rules for a directory; those of the git repository that it is a part of hold too."""
        always = tuple(_Rules(why, GitIgnoreSpec.from_lines(lines)) for why, lines in _DEFAULTS)
        rules = cls((), (), always)
        root = root.resolve()
        repository = next((place for place in (root, *root.parents) if (place / ".git").exists()), None)
        if repository is not None and repository != root:
            for place in reversed([place for place in root.parents if place.is_relative_to(repository)]):
                above = f"{root.relative_to(place).as_posix()}/"
                rules = rules._with(place, "", above)
        if repository is not None:
            above = f"{root.relative_to(repository).as_posix()}/" if repository != root else ""
            exclude = _read(repository / ".git" / "info" / "exclude", "", above)
            rules = replace(rules, git=(*rules.git, *exclude))
        return rules

    def inside(self, directory: Path, name: str) -> Ignored:
        """The rules in a directory; `name` is relative to what is packed and ends with `/`, or is empty."""
        return self._with(directory, name, "")

    def leaves_out(self, name: str) -> str | None:
        """Which file leaves a name out (a directory's ends with `/`); None if it travels."""
        for rules in (*self.own, *self.git, *self.always):
            said = rules.say(name)
            if said is not None:
                return self._why(name, rules) if said else None
        return None

    def _why(self, name: str, rules: _Rules) -> str:
        """A cache is a cache, whoever else says that it stays."""
        return next((one.source for one in self.always if one.source == CACHES and one.say(name)), rules.source)

    def _with(self, directory: Path, base: str, above: str) -> Ignored:
        own, git = (_read(directory / file, base, above) for file in (OWN_FILE, GIT_FILE))
        return replace(self, own=own + self.own, git=git + self.git) if own or git else self


_DEFAULTS = ((SECRETS, _SECRETS), (CACHES, _ALWAYS))


_SOURCES = {"exclude": ".git/info/exclude"}


def _read(file: Path, base: str, above: str) -> tuple[_Rules, ...]:
    try:
        lines = file.read_text(errors="surrogateescape").splitlines()
    except OSError:
        return ()
    return (_Rules(_SOURCES.get(file.name, file.name), _spec(lines), base, above),)


def _spec(lines: list[str]) -> GitIgnoreSpec:
    """The patterns of the lines; as in git, one that is none matches nothing, and no other is lost by it."""
    try:
        return GitIgnoreSpec.from_lines(lines)
    except (ValueError, re.error):
        return GitIgnoreSpec.from_lines([line for line in lines if _is_pattern(line)])


def _is_pattern(line: str) -> bool:
    try:
        GitIgnoreSpec.from_lines([line])
    except (ValueError, re.error):
        return False
    return True

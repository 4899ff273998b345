"""Commands that are run without a shell: what of them only a shell would understand.

Kubernetes, Docker and torchrun split a command into words and run the first; so does this platform, for every framework
but Shell. Then `a && b` runs `a` with the arguments `&&` and `b`, which succeeds and is not what was meant.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath

from submarine_ray.spec.words import split

# Linux takes no longer argument, and no longer NAME=value (MAX_ARG_STRLEN, include/uapi/linux/binfmts.h).
LONGEST_ARGUMENT = 128 * 1024
# There are no programs of these names, or they can do nothing for what follows.
SHELL_WORDS = frozenset(
    {
        *("alias", "cd", "eval", "exec", "export", "for", "function", "if", "set", "source", "trap", "ulimit"),
        *("umask", "unset", "until", "while", "."),
    }
)
_SHELLS = frozenset({"sh", "bash", "dash", "zsh", "ksh"})
_USE_SHELL = "use the framework Shell, whose commands a shell runs"
_QUOTE_IT = "in quotes, if it is meant as it stands"

# Each unquoted character stands for itself, each quoted one for one of these.
_QUOTED, _IN_DOUBLE_QUOTES = "\0", "\1"

# As a word of its own, at the end of a word or at its beginning.
_OPERATOR = re.compile(
    r"&&|(?<!\S)[;|]|(?<=\S)[;|&](?!\S)|(?<!\S)(?:&|\d*>>?\|?|\d*<<?<?|\d*[<>]&\d?|&>>?)(?!\S)",
)
# One that touches its file; `<pad>` and such are words.
_REDIRECTION = re.compile(r"(?<!\S)(?:\d*>>?(?!\S*>)|\d?<(?!\S*>)|&>>?|\d>&\d)\S+")
# A comment too. From a word's beginning: else a long word would be searched from each of its characters.
_EMBEDDED = re.compile(r"(?<!\S)(?:#|\S*[|;&<>`])\S*")
_ASSIGNMENT = re.compile(r"\s*[A-Za-z_][A-Za-z0-9_]*=")
# `$(NAME)` is replaced as Kubernetes does, and `$$`, `$1` of a regular expression's replacement are not variables.
_VARIABLE = re.compile(r"\$(?:[A-Za-z_][A-Za-z0-9_]*|\{[^}]{0,200}\}|\((?![A-Za-z_][A-Za-z0-9_]*\))\S*)")
_PATTERN = re.compile(r"(?<!\S)~(?=/|\s|$)\S*|(?<!\S)\*(?!\S)|(?<!\S)[\w./-]*/[\w.-]*\*[\w./*-]*|(?<!\S)\*[\w./*-]+")


@dataclass(frozen=True)
class Finding:
    """`text` of a command that a shell would treat as more than text."""

    text: str
    why: str


def refuse(command: str) -> None:
    """Raises ValueError for a command that can only be meant for a shell, or cannot be split into words."""
    if "\0" in command:
        raise ValueError("the command has a NUL character")
    if not command.strip():
        raise ValueError("the command is empty")
    try:
        first = split(command)[0]
    except ValueError as failure:
        raise ValueError(f"the command cannot be split into words: {failure}") from failure
    bare, inner = _bare(command), command.strip("\n")
    if first in SHELL_WORDS:
        raise ValueError(f"{first!r} is a word of the shell, and no shell runs this command; {_USE_SHELL}")
    if _ASSIGNMENT.match(bare):
        name = first.split("=")[0]
        raise ValueError(f"no shell runs this command, so {name}= would be its program; put {name} into envVars")
    if found := _OPERATOR.search(bare) or _REDIRECTION.search(bare):
        raise ValueError(
            f"no shell runs this command, so {command[found.start() : found.end()]!r} and what follows would be "
            f"arguments of {first!r}; {_USE_SHELL}, or write it {_QUOTE_IT}"
        )
    if _new_commands(inner, _bare(inner)):
        raise ValueError(
            f"no shell runs this command, so its further lines would be arguments of {first!r}; {_USE_SHELL}; a line "
            "that goes on ends with a backslash"
        )


def joined(command: str) -> str:
    """The command with the lines together that a backslash continues, as a shell reads them: not in single quotes."""
    bare = _bare(command)
    # A backslash is never directly before another pair's, so no part of a pair is another's.
    gone = {at for at in range(len(command) - 1) if command[at : at + 2] == "\\\n" and bare[at + 1] == " "}
    return "".join(char for at, char in enumerate(command) if at not in gone and at - 1 not in gone)


def doubts(command: str) -> list[Finding]:
    """What is passed on as it stands, and a shell would have treated otherwise: it may be meant either way."""
    bare = _bare(command)
    found = [Finding(command[one.start() : one.end()], "is passed on as it stands") for one in _EMBEDDED.finditer(bare)]
    found += [Finding(command[one.start() : one.end()], "is not expanded") for one in _PATTERN.finditer(bare)]
    words = split(command)
    if words and PurePosixPath(words[0]).name not in _SHELLS:  # these expand what the quotes hold
        found += [
            Finding(command[one.start() : one.end()], "is not replaced; write $(NAME) for a variable's value")
            for one in _VARIABLE.finditer(command)
            if bare[one.start()] != _QUOTED
        ]
    lines = command.strip("\n").split("\n")
    if any(line.startswith((" ", "\t")) and not line.strip().startswith("-") for line in _unquoted_lines(lines)):
        found.append(Finding("a further line", "gives more arguments to the program of the first"))
    return found


def warning(command: str) -> str | None:
    """The doubts in a sentence."""
    found = {finding.text: finding for finding in doubts(command)}
    if not found:
        return None
    each = "; ".join(
        f"{finding.text!r} {finding.why}" if finding.text != "a further line" else f"{finding.text} {finding.why}"
        for finding in list(found.values())[:5]
    )
    return f"No shell runs the command: {each}. If that is not what it means, {_USE_SHELL}."


def _bare(command: str) -> str:
    """The command, as long as it is, with what is quoted struck out."""
    found, quote, escaped = [], "", False
    for character in command:
        if escaped:
            # A backslash before a newline goes with it.
            found.append(" " if character == "\n" and quote != "'" else _QUOTED)
            escaped = False
        elif character == "\\" and quote != "'":
            found.append(_QUOTED)
            escaped = True
        elif quote:
            closes = character == quote
            found.append(_QUOTED if closes or quote == "'" else _IN_DOUBLE_QUOTES)
            quote = "" if closes else quote
        elif character in "'\"":
            found.append(_QUOTED)
            quote = character
        else:
            found.append(character)
    return "".join(found)


def _new_commands(command: str, bare: str) -> bool:
    """Whether lines follow that a shell would run by themselves, and that do not look like arguments."""
    lines, start = [], 0
    for line in bare.split("\n"):
        lines.append(command[start : start + len(line)])
        start += len(line) + 1
    return any(line.strip() and not line.startswith((" ", "\t", "-")) for line in lines[1:])


def _unquoted_lines(lines: list[str]) -> list[str]:
    """The lines after the first that begin outside of quotes."""
    command = "\n".join(lines)
    bare, found, start = _bare(command), [], 0
    for line in bare.split("\n"):
        found.append(command[start : start + len(line)])
        start += len(line) + 1
    return found[1:]

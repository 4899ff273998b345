"""Why a command cannot be started, in words for who wrote it: the system has but a number for it."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from submarine_ray.runner.errors import CommandFailed
from submarine_ray.spec.without_shell import LONGEST_ARGUMENT, SHELL_WORDS

NOT_EXECUTABLE, NOT_FOUND = 126, 127


def unstartable(number: int, command: Sequence[str], env: Mapping[str, str], directory: Path) -> CommandFailed:
    """The failure to start `command`; `number` is the system's errno."""
    status = NOT_FOUND if number == errno.ENOENT else NOT_EXECUTABLE
    return CommandFailed(f"the command failed to start: {_why(number, command, env, directory)}", status)


def _why(number: int, command: Sequence[str], env: Mapping[str, str], directory: Path) -> str:
    name = command[0]
    if number == errno.E2BIG:
        return _too_long(command, env)
    if not directory.is_dir():
        return f"the working directory {directory} is gone"
    file = _file(name, env, directory)
    if file is None:
        return _missing(name)
    if file.is_dir():
        return f"{name!r} is a directory, and no program"
    if number == errno.ENOENT:
        return _without_interpreter(name, file)
    if number == errno.EACCES:
        return f"{name!r} may not be executed; make it executable (chmod +x), or name its interpreter: python {name}"
    if number == errno.ENOEXEC:
        return _unknown_format(name, file)
    return f"{name!r} cannot be executed: {os.strerror(number)}" if number else f"{name!r} cannot be executed"


def _file(name: str, env: Mapping[str, str], directory: Path) -> Path | None:
    """What the system would execute, executable or not."""
    if "/" in name:
        file = directory / name
        return file if file.exists() else None
    found = shutil.which(name, os.F_OK, env.get("PATH"))
    return Path(found) if found else None


def _missing(name: str) -> str:
    if name in SHELL_WORDS:
        return f"{name!r} is a word of the shell, and no program; use the framework Shell, whose commands a shell runs"
    if "/" in name:
        return f"there is no file {name!r}" + ("" if name.startswith("/") else " in the working directory")
    return f"there is no program {name!r} in the cluster's PATH"


def _too_long(command: Sequence[str], env: Mapping[str, str]) -> str:
    limit = f"{LONGEST_ARGUMENT // 1024} KiB"
    for name, value in env.items():
        if len(f"{name}={value}".encode(errors="surrogateescape")) >= LONGEST_ARGUMENT:
            return (
                f"the variable {name} is longer than {limit}, and no process takes that; put it into a file of the code"
            )
    for word in command:
        if len(word.encode(errors="surrogateescape")) >= LONGEST_ARGUMENT:
            return (
                f"the command has a word longer than {limit} ({word[:40]!r}...), and no process takes that; "
                "put it into a file of the code"
            )
    return "the command and its variables are longer together than the system takes; put them into files of the code"


def _without_interpreter(name: str, file: Path) -> str:
    """The file is there, and what is to run it is not."""
    first = _first_line(file)
    if not first.startswith(b"#!"):
        return f"{name!r} is there, and the loader or a library that it names is not: was it built for another system?"
    interpreter = first[2:].strip(b" \t\n").decode(errors="replace")
    if interpreter.endswith("\r"):
        return (
            f"the lines of {name!r} end as on Windows (CRLF), so that its interpreter would be {interpreter!r}; "
            "save it with LF alone (dos2unix; git: core.autocrlf=input)"
        )
    return f"{name!r} names an interpreter that is not there: {interpreter.split()[0]!r}"


def _unknown_format(name: str, file: Path) -> str:
    first = _first_line(file)
    if first.startswith(b"\x7fELF"):
        return f"{name!r} is a program for another kind of machine"
    if not first:
        return f"{name!r} is empty"
    if b"\0" in first:
        return f"{name!r} is no program of this system"
    return (
        f"the first line of {name!r} does not say what runs it; begin it with a line such as '#!/bin/sh', "
        f"or name its interpreter: sh {name}"
    )


def _first_line(file: Path) -> bytes:
    try:
        with file.open("rb") as opened:
            return opened.readline(1024)
    except OSError:
        return b""

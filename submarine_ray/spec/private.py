"""Files and directories of one user: made so, and refused where another user could change what lies there.

The rules are those of sshd's StrictModes. Only the standard library: the CLI, the service and the runner use them.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PRIVATE_UMASK = 0o077


class NotPrivate(Exception):
    """Another user could change what lies in a place; the message has the path, and what to run."""


@contextmanager
def umask() -> Iterator[None]:
    """What is made meanwhile is its user's alone. Of the whole process: for programs of one thread."""
    before = os.umask(PRIVATE_UMASK)
    try:
        yield
    finally:
        os.umask(before)


def directory(path: Path) -> Path:
    """A directory that its user alone may enter, made where it is not there. Raises NotPrivate, OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        path.mkdir(mode=0o700, exist_ok=True)
    except FileExistsError as failure:
        raise NotPrivate(f"{path} is no directory: remove it, or choose another") from failure
    for found in (path.lstat(), path.stat()):  # a link of another user's leads to whatever that one likes
        if found.st_uid != os.getuid():
            raise NotPrivate(_of_another(path, found))
    if stat.S_IMODE(found.st_mode) & 0o077:
        path.chmod(0o700)
    return path


def file(path: Path) -> Path:
    """A file that its user alone may read, made empty where it is not there; one of another user is left as it is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600))
    found = path.stat()
    if found.st_uid == os.getuid() and stat.S_IMODE(found.st_mode) & 0o077:
        path.chmod(0o600)
    return path


def check(path: Path) -> None:
    """Refuse a place that another user could change, or put something else in the place of.

    Of the path and all directories above it, each must belong to this user or to root, and nobody else may write to
    it; above it, directories with the sticky bit may be everybody's, as /tmp is. Raises NotPrivate, OSError.
    """
    named, reached = path.absolute(), path.resolve()  # links on the way are others' to change where they lie
    for place in dict.fromkeys((named, *named.parents, reached, *reached.parents)):
        found = place.lstat()
        if found.st_uid not in (0, os.getuid()):
            raise NotPrivate(_of_another(place, found))
        is_sticky_parent = place not in (named, reached) and found.st_mode & stat.S_ISVTX
        if not stat.S_ISLNK(found.st_mode) and _others_may_write(found) and not is_sticky_parent:
            raise NotPrivate(
                f"{place} may be written by other users, who could run programs in your name: "
                f"run `chmod go-w {place}`, or choose another directory"
            )


def check_tree(top: Path) -> None:
    """`check` for a directory of programs, and everything in it. Raises NotPrivate, OSError."""
    check(top)
    for above, names, files in os.walk(top):
        for name in (*names, *files):
            place = Path(above) / name
            found = place.lstat()
            if found.st_uid not in (0, os.getuid()):
                raise NotPrivate(_of_another(place, found))
            if not stat.S_ISLNK(found.st_mode) and _others_may_write(found):
                raise NotPrivate(
                    f"{place} may be written by other users, and is a program of yours: run `chmod -R go-w {top}`"
                )


def _others_may_write(found: os.stat_result) -> bool:
    if found.st_mode & stat.S_IWOTH:
        return True
    return bool(found.st_mode & stat.S_IWGRP) and found.st_gid != 0 and not _is_own_group(found.st_gid)


def _is_own_group(group: int) -> bool:
    """Whether a group is this user's private one, as many systems make for each user: nobody else is in it."""
    import grp
    import pwd

    try:
        own = pwd.getpwuid(os.getuid())
        others = set(grp.getgrgid(group).gr_mem) - {own.pw_name}
    except KeyError:  # a user or group without a name, as in containers: who is in it cannot be known
        return False
    return group == own.pw_gid and not others


def _of_another(path: Path, found: os.stat_result) -> str:
    return (
        f"{path} belongs to another user (uid {found.st_uid}), who could run programs in your name: "
        f"remove it, run `chown {os.getuid()} {path}` as root, or choose another directory"
    )

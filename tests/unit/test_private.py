"""Files and directories that other users of the machine must not change: made so, and refused otherwise."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from submarine_ray import app
from submarine_ray.cli import local_ray, platform, processes
from submarine_ray.cli.local_ray import StartFailed
from submarine_ray.core.database import Database
from submarine_ray.core.own_places import secure
from submarine_ray.core.settings import Settings
from submarine_ray.runner import places
from submarine_ray.runner.errors import InvalidLaunch
from submarine_ray.spec import private
from submarine_ray.spec.home import Home
from submarine_ray.spec.launch import Launch
from submarine_ray.spec.private import NotPrivate

NOBODY = 65534
as_root = pytest.mark.skipif(os.getuid() != 0, reason="only root can act as another user")


@pytest.fixture(autouse=True)
def usual_umask() -> Iterator[None]:
    """And afterwards the process's own again: a service sets it."""
    before = os.umask(0o022)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def open_to_all(path: Path) -> Path:
    path.mkdir()
    path.chmod(0o777)  # whatever the umask
    return path


def test_a_directory_is_made_for_its_user_alone(tmp_path: Path) -> None:
    assert mode(private.directory(tmp_path / "a" / "b")) == 0o700
    assert mode(private.directory(open_to_all(tmp_path / "c"))) == 0o700
    (tmp_path / "file").touch()
    (tmp_path / "dangling").symlink_to("nowhere")
    for name in ("file", "dangling"):
        with pytest.raises(NotPrivate, match="is no directory: remove it"):
            private.directory(tmp_path / name)


def test_a_place_that_others_may_write_is_refused_with_what_to_run(tmp_path: Path) -> None:
    everybodys = open_to_all(tmp_path / "shared")
    place = private.directory(everybodys / "home" / "mine")
    with pytest.raises(NotPrivate) as refused:
        private.check(place)
    assert f"run `chmod go-w {everybodys}`" in str(refused.value)
    everybodys.chmod(0o1777)
    private.check(place)  # as /tmp
    with pytest.raises(NotPrivate, match="shared may be written by other users"):
        private.check(everybodys)  # itself is no place to keep programs in
    everybodys.chmod(0o755)
    private.check(place)
    group = place.stat().st_gid or NOBODY
    if os.getuid() == 0:
        os.chown(everybodys, 0, group)
        everybodys.chmod(0o775)
        with pytest.raises(NotPrivate):
            private.check(place)


def test_a_link_in_a_place_that_others_may_write_is_refused(tmp_path: Path) -> None:
    real = private.directory(tmp_path / "real")
    link = open_to_all(tmp_path / "shared") / "home"
    link.symlink_to(real)
    with pytest.raises(NotPrivate, match="shared may be written"):
        private.check(link)


def test_a_program_that_others_may_write_is_refused(tmp_path: Path) -> None:
    programs = private.directory(tmp_path / "package")
    (programs / "sub").mkdir()
    (programs / "sub" / "run.py").touch()
    private.check_tree(programs)
    (programs / "sub" / "run.py").chmod(0o666)
    with pytest.raises(
        NotPrivate, match=r"run\.py may be written by other users, and is a program of yours: run `chmod -R"
    ):
        private.check_tree(programs)


@as_root
def test_what_another_user_made_is_refused(tmp_path: Path) -> None:
    for name in ("home", "home/inside", "program.py"):
        (tmp_path / name).mkdir() if "." not in name else (tmp_path / name).touch()
    os.chown(tmp_path / "home", NOBODY, NOBODY)
    for look in (private.directory, private.check):
        with pytest.raises(NotPrivate, match=rf"home belongs to another user \(uid {NOBODY}\)"):
            look(tmp_path / "home")
    with pytest.raises(NotPrivate, match="home belongs to another user"):
        private.check(tmp_path / "home" / "inside")
    os.chown(tmp_path / "home", 0, 0)
    (tmp_path / "link").symlink_to("home")
    os.chown(tmp_path / "link", NOBODY, NOBODY, follow_symlinks=False)
    for look in (private.directory, private.check):
        with pytest.raises(NotPrivate, match="link belongs to another user"):
            look(tmp_path / "link")
    (tmp_path / "link").unlink()
    os.chown(tmp_path / "program.py", NOBODY, NOBODY)
    with pytest.raises(NotPrivate, match=r"program\.py belongs to another user"):
        private.check_tree(tmp_path)


@as_root
def test_another_user_comes_to_nothing_below_a_private_directory(tmp_path: Path) -> None:
    for place in (tmp_path, *tmp_path.parents):
        if not mode(place) & 0o001 and place.owner() == "root" and place.is_relative_to("/tmp"):
            place.chmod(0o755)  # pytest's own are 0700: the test is of ours
    outer = private.directory(tmp_path / "outer")
    inner = open_to_all(outer / "session")  # as Ray makes them
    (inner / "runner.py").write_text("print('ours')")
    (inner / "runner.py").chmod(0o666)
    attack = ["/bin/sh", "-c", 'echo theirs > "$1"', "sh", str(inner / "runner.py")]
    done = subprocess.run(
        attack, user=NOBODY, group=NOBODY, extra_groups=[], cwd="/", stderr=subprocess.PIPE, text=True
    )
    assert "Permission denied" in done.stderr
    assert (inner / "runner.py").read_text() == "print('ours')"


def test_databases_and_logs_are_their_users_alone(tmp_path: Path) -> None:
    (tmp_path / "old.db").touch(0o644)
    (tmp_path / "old.db").chmod(0o644)
    for name in ("old.db", "new.db"):
        database = Database(f"sqlite:///{tmp_path / name}")
        database.migrate()
        found = sorted(tmp_path.glob(f"{name}*"))
        assert len(found) == 3 and {mode(file) for file in found} == {0o600}  # with -wal and -shm
        database.close()
    log = tmp_path / "logs" / "service.log"
    made = tmp_path / "made"
    started = processes.start([sys.executable, "-c", f"open({str(made)!r}, 'w')"], dict(os.environ), log)
    if process := started.process():
        process.wait(20)
    assert mode(log) == 0o600 and mode(made) == 0o600


def test_the_platform_does_not_start_where_others_could_change_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local_ray, "start", lambda *_, **__: pytest.fail("it starts"))
    shared = open_to_all(tmp_path / "shared")
    with pytest.raises(StartFailed, match=r"shared may be written by other users.*chmod go-w"):
        platform.up(Home(shared / "home"))
    monkeypatch.setenv("SUBMARINE_PACKAGE_DIRECTORY", str(shared / "packages"))
    with pytest.raises(StartFailed, match="shared may be written"):
        platform.up(Home(tmp_path / "home"))
    assert mode(tmp_path / "home") == 0o700
    monkeypatch.setenv("SUBMARINE_HOME", str(shared / "home"))
    monkeypatch.setenv("SUBMARINE_HOST", "127.0.0.1")
    with pytest.raises(SystemExit, match=r"cannot start: .*shared may be written"):
        app.main()


def test_a_service_in_a_container_takes_any_volume(tmp_path: Path) -> None:
    shared = open_to_all(tmp_path / "volume")
    secure(Settings(home=shared / "home", host="0.0.0.0", token="a-token-of-enough-length"))
    assert mode(shared / "home") == 0o700


def test_rays_own_directory_lies_in_one_that_nobody_else_may_enter(tmp_path: Path) -> None:
    short, deep = Home(Path("/tmp/h")), Home(Path("/home/somebody.with.a.long.name/projects/.submarine"))
    assert local_ray.temp_dir(short) == Path("/tmp/h/ray")  # below the home, which is 0700
    short_of_deep = local_ray.temp_dir(deep)
    assert short_of_deep.parent.parent == Path("/tmp") and len(str(short_of_deep)) <= 40


LAUNCH = Launch("experiment-1", "experiment-1", "test", "Python", ())


def test_an_attempts_places_on_another_cluster_are_its_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "SHARED", tmp_path / "submarine")
    base = tmp_path / "submarine" / "experiment-1"
    given = replace(LAUNCH, work_dir=f"{base}/experiment-1", tensorboard_dir=f"{base}/tb", storage_dir="s3://b/x")
    own = places.own(given)
    mine = tmp_path / f"submarine-{os.getuid()}"
    assert own.work_dir == f"{mine}/experiment-1/experiment-1" and own.tensorboard_dir == f"{mine}/experiment-1/tb"
    assert own.storage_dir == "s3://b/x" and mode(mine) == 0o700
    assert places.own(LAUNCH) == LAUNCH and places.own(own) == own
    open_to_all(tmp_path / "submarine")  # of an earlier version, of this user: notebooks lie there
    assert places.own(given) == given and mode(tmp_path / "submarine") == 0o700
    if os.getuid() == 0:
        os.chown(tmp_path / "submarine", NOBODY, NOBODY)
        assert places.own(given) == own
        os.chown(mine, NOBODY, NOBODY)
        with pytest.raises(InvalidLaunch, match=r"the node has no place for the attempt's files: .*belongs to another"):
            places.own(given)
        with pytest.raises(InvalidLaunch):
            places.ensure(own)

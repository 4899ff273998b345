"""A script of the workbench's form: a package of one file."""

from __future__ import annotations

import pytest

from submarine_ray.spec.zips import zipped
from submarine_ray.workbench import script


@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("python train.py --epochs 3", "train.py"),
        ("python -u ./src/train.py other.py", "src/train.py"),
        ("sh run.sh", "run.sh"),
        ("python 'my script.py'", "my script.py"),
        ("python /opt/train.py", None),
        ("python ../train.py", None),
        ("python 'train.py", None),
        ("echo done", None),
        (None, None),
    ],
)
def test_the_file_that_a_command_runs(command: str | None, name: str | None) -> None:
    assert script.name_in(command) == name


def test_a_script_is_packed_alike_each_time_and_found_again() -> None:
    packed = script.pack("train.py", "print('ü')")
    assert packed == script.pack("train.py", "print('ü')") != script.pack("other.py", "print('ü')")
    assert script.unpack(packed.content) == "print('ü')"
    assert script.unpack(zipped([("a.py", b""), ("b.py", b"")])) is None
    assert script.unpack(zipped([("a.bin", b"\xff\xfe")])) is None


def test_the_example_is_python() -> None:
    compile(script.EXAMPLE, "train.py", "exec")

"""The code of the workbench's form: a script is a package of one file."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest

from submarine_ray.packages.service import PackageService
from submarine_ray.packages.store import PackageStore
from submarine_ray.spec import zips
from submarine_ray.spec.base import check_name
from submarine_ray.spec.json_types import JsonObject
from submarine_ray.spec.unzip import extract
from submarine_ray.spec.zips import zipped
from submarine_ray.workbench import new_experiment, script
from submarine_ray.workbench.code_step import Code, code_of
from submarine_ray.workbench.script import Script
from submarine_ray.workbench.written import put, read


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


def test_a_script_is_packed_alike_each_time_and_found_again(tmp_path: Path) -> None:
    packed = script.pack("train.py", "print('ü')")
    assert packed == script.pack("train.py", "print('ü')") != script.pack("other.py", "print('ü')")
    assert script.unpack(packed.content, "train.py") == "print('ü')"
    assert script.unpack(packed.content, "other.py") is None
    assert script.unpack(zipped([("a.py", b""), ("b.py", b"")]), "a.py") is None
    assert script.unpack(zipped([("a.py", b"\xff\xfe")]), "a.py") is None
    with zips.opened(io.BytesIO(script.pack("run.sh", "#!/bin/sh\ntrue").content)) as archive:
        extract(archive, tmp_path)
    assert os.access(tmp_path / "run.sh", os.X_OK), "./run.sh is a command"


@pytest.mark.parametrize(
    ("name", "size", "text", "said"),
    [
        ("train.py", 5, "print", None),
        ("data.csv", 5, "a,b,c", "data.csv is not a script: choose a file that ends in .py, .sh, .R, .jl or .pl."),
        ("train.py", 612_000, None, "The script has 612,000 bytes, and the form takes 500,000 at most."),
        ("train.py", 5, None, "train.py is not text in UTF-8."),
    ],
)
def test_what_cannot_be_a_script_is_told_in_a_sentence(
    name: str, size: int, text: str | None, said: str | None
) -> None:
    told = script.refused(name, size, text)
    assert told is None if said is None else said in (told or "")


@pytest.mark.parametrize(
    ("name", "command"), [("a b.py", "python 'a b.py'"), ("a.sh", "sh a.sh"), ("a.R", "Rscript a.R")]
)
def test_a_script_is_run_by_what_its_name_says(name: str, command: str) -> None:
    assert script.command_of(name) == command
    assert script.name_in(command) == name


def test_a_copy_has_a_name_of_its_own() -> None:
    names = ["train"]
    for _ in range(3):
        names.append(new_experiment.copy_name(names[-1]))
    assert names == ["train", "train-copy", "train-copy-2", "train-copy-3"]
    assert check_name(new_experiment.copy_name("a" * 63), "an experiment").endswith("a-copy")


def test_a_field_without_a_value_is_left_out_and_a_role_stays() -> None:
    document: JsonObject = {"meta": {"name": "a"}, "spec": {"Worker": {}}, "code": {"git": {"url": "u"}}}
    for path in ("spec.Worker.replicas", "spec.Ps.replicas", "code.git.url", "meta.name"):
        put(document, path, None)
    assert document == {"meta": {}, "spec": {"Worker": {}}}, "a clone of a spec of defaults is one"
    put(document, "tune.metric", "loss")
    assert read(document, "tune.metric") == "loss"


def test_the_code_of_an_experiment_is_a_script_a_list_of_files_or_gone(tmp_path: Path) -> None:
    packages = PackageService(PackageStore(tmp_path), None)  # type: ignore[arg-type] # nothing is pruned
    several = packages.add(zipped([("train.py", b"1"), ("lib/model.py", b"2")]))
    # As another program zips it: what is sent again is this package, not one of ours.
    alone = packages.add(zipped([("train.py", b"print(1)")], 0o644))

    def found(url: str) -> Code:
        return code_of(packages, {"meta": {"cmd": "python train.py"}, "code": {"syncMode": "package", "url": url}})

    assert found(several) == Code(files={several: ["train.py", "lib/model.py"]})
    assert found(alone) == Code(Script("train.py", "print(1)", script.Packed(alone, packages.read(alone))))
    assert found(f"package://{'0' * 64}") == Code(gone=f"package://{'0' * 64}")
    assert code_of(packages, {"meta": {"cmd": "python train.py"}}) == Code()


def test_the_example_is_python() -> None:
    compile(script.EXAMPLE, "train.py", "exec")

"""What of a command only a shell would understand, where none runs it."""

from __future__ import annotations

import io
import time
from typing import Any

import pytest
from pydantic import ValidationError

from submarine_ray.cli.follow import Paper
from submarine_ray.experiments.outcomes import hurried
from submarine_ray.experiments.tables import ExperimentRow
from submarine_ray.spec import without_shell
from submarine_ray.spec.experiment import STORED, ExperimentSpec
from submarine_ray.spec.plan import plan_launch
from tests.conftest import spec

FOR_A_SHELL = (
    "a && b", "a&&b", "a &&b", "a || b", "a | b", "a| b", "a |b", "a; b", "a ;b", "a ; b", "a;", "a &", "a > x", "a >x",
    "a 2>&1", "a >> x", "a 2>>x", "a &> x", "a < x", "a <x", "a << END", "a\nb", "a\n\nb\n", "(cd x; b)", "X=1 python a",
    "cd /x", "source env", "export A=1", ". env", "for x in a b", "a 'b", "", " \n ", "a \0",
)  # fmt: skip
AS_IT_STANDS = (
    "python t.py --lr 0.1", "python -c 'a; b && c\nd > e'", 'python -c "a; b | c"', r"find . -exec ls {} \;",
    "python t.py '&&' \"|\" \\; '$X'", "a $(NAME) --x=$(Y)", "a \\\n  --x 1 \\\n  data", "a\n  --x 1\n  -y\n", "a\n--x 1",
    "bash -c \"cd x && echo $HOME > y\"", "/bin/sh -c 'a | b'", "a --re='.*' --re .* 100%", "perl -e 'print $1'", "a $1 $$",
    "python t.py --lr {{lr}}",
)  # fmt: skip
DOUBTFUL = {
    "a --url=http://h/?x=1&y=2": "'--url=http://h/?x=1&y=2' is passed on",
    "a|b": "'a|b' is passed on",
    "a <pad> <unk>": "'<pad>' is passed on",
    "a x->y": "'x->y' is passed on",
    "a $HOME/x": "'$HOME' is not replaced; write $(NAME)",
    'a "${X}"': "'${X}' is not replaced",
    "a $(date +%s)": "'$(date' is not replaced",
    "a `date`": "'`date`' is passed on",
    "a data/*.csv": "'data/*.csv' is not expanded",
    "a ~/x": "'~/x' is not expanded",
    "a\n  data.csv": "a further line gives more arguments",
}


@pytest.mark.parametrize("command", FOR_A_SHELL)
def test_what_only_a_shell_could_run_is_refused(command: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        without_shell.refuse(command)


@pytest.mark.parametrize("command", AS_IT_STANDS)
def test_what_means_the_same_without_a_shell_passes(command: str) -> None:
    without_shell.refuse(command)
    assert without_shell.warning(command) is None


@pytest.mark.parametrize("command", DOUBTFUL)
def test_what_may_be_meant_either_way_is_said(command: str) -> None:
    without_shell.refuse(command)
    said = without_shell.warning(command)
    assert said
    assert DOUBTFUL[command] in said
    assert "framework Shell" in said


def document(cmd: str | None, role: str | None = None, framework: str = "Python", **more: Any) -> dict[str, Any]:
    return spec(meta={"name": "t", "framework": framework, "cmd": cmd}, spec={"Worker": {"cmd": role}}, **more)


def test_the_refusal_says_where_and_what_to_do() -> None:
    with pytest.raises(ValidationError, match=r"meta.cmd: no shell runs .* '&&' .* use the framework Shell"):
        ExperimentSpec.model_validate(document("a && b"))
    with pytest.raises(ValidationError, match=r"spec.Worker.cmd: 'cd' is a word of the shell"):
        ExperimentSpec.model_validate(document("a", "cd x"))
    assert ExperimentSpec.model_validate(document("a && b", "a")).meta.cmd == "a && b"  # nothing runs it
    assert ExperimentSpec.model_validate(document("a && b $X", framework="Shell")).command_warnings == []
    assert len(ExperimentSpec.model_validate(document("a $X")).command_warnings) == 1


def test_what_was_accepted_once_is_read_back() -> None:
    assert ExperimentSpec.model_validate(document("a && b"), context=STORED).meta.cmd == "a && b"


def test_the_time_of_grace_reaches_the_launch_and_a_shorter_one_is_said() -> None:
    asked = ExperimentSpec.model_validate(document("a", gracePeriod=120))
    assert plan_launch(asked, "e", "e").grace_seconds == 120
    assert asked.model_dump(by_alias=True)["gracePeriod"] == 120
    default = ExperimentSpec.model_validate(document("a"))
    assert plan_launch(default, "e", "e").grace_seconds == 30
    assert "gracePeriod" not in default.model_dump(by_alias=True)
    with pytest.raises(ValidationError, match="gracePeriod"):
        ExperimentSpec.model_validate(document("a", gracePeriod=-1))
    row = ExperimentRow(cluster="k8s")
    assert hurried(row, asked, None) == hurried(row, default, 30) == []
    assert "'k8s' away, its processes have 30 s" in hurried(row, asked, 30)[0].message


def test_a_follower_draws_a_progress_bar_over_itself() -> None:
    file = io.StringIO()
    paper = Paper(file)
    for name, line in (("w", "a"), ("w", "10%\r"), ("w", "9%\r"), ("v", "other"), ("w", "11%\r"), ("w", "done")):
        paper.write(name, line)
    paper.write("w", "last\r")
    paper.close()
    assert file.getvalue() == "a\n10%\r   \r9%\r  \rother\n11%\r   \rdone\nlast\n"


@pytest.mark.parametrize("command", [f"p '{'a' * 100_000}'", "p " + "./" * 40_000, "p " + "${" * 40_000])
def test_a_long_word_costs_no_square_of_its_length(command: str) -> None:
    begun = time.process_time()
    without_shell.warning(command)
    assert time.process_time() - begun < 3  # it took half a minute


def test_a_comment_is_told() -> None:
    assert "'#' is passed on as it stands" in (without_shell.warning("python train.py # the first try") or "")
    assert without_shell.warning("python train.py --tag 'a # b' c#d") is None

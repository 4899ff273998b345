"""Values in commands: any text reaches the program as one argument, unaltered, with a shell and without."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from submarine_ray.runner.process import argv
from submarine_ray.spec import commands, space
from submarine_ray.spec.launch import Replica

ANY = re.compile(r"\{\{(.*?)\}\}")
# A NUL ends an argument for the kernel; lone surrogates are no text.
TEXTS = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), max_size=12) | st.text(
    st.sampled_from("'\"\\$`;&|()<>{}#*?~!= \n\ta-2HOME"), max_size=10
)
# A shell's command ({p} writes its arguments), and the arguments that it must have.
SHELL = [
    ("{p} {{a}} {{b}}", ["{a}", "{b}"]),
    ("{p} '{{a}}' \"{{b}}\"", ["{a}", "{b}"]),
    ("{p} x{{a}}y \"z{{b}}'\"", ["x{a}y", "z{b}'"]),
    ("{p} --a={{a}} '\"{{b}}\"'", ["--a={a}", '"{b}"']),
    ("# {{a}} {{b}}\n{p} done", ["done"]),
    ("V={{a}}; W=\"{{b}}\"\n{p} \"$V\" \"$W\"", ["{a}", "{b}"]),
    ("{p} \"$(printf %s {{a}}x)\" \"$(printf %s \"{{b}}x\")\"", ["{a}x", "{b}x"]),
    ("if true; then (cd /; {p} {{a}} \\\n '{{b}}'); fi", ["{a}", "{b}"]),
    ("{p} \"${HOME}{{a}}\" \\\"{{b}} it\\'s", ["HOME{a}", '"{b}', "it's"]),
    ("{p} {{a}}>&1 \\\\{{b}}", ["{a}", "\\{b}"]),
    ("{p} \\${{a}} \"\\${{b}}\"", ["${a}", "${b}"]),
    ("[ {{a}} = {{a}} ] && {p} ${UNSET:-{{a}}} {{b}}", ["{a}", "{b}"]),
]  # fmt: skip


def printed(arguments: list[str], env: Mapping[str, str]) -> list[str]:
    done = subprocess.run(arguments, env=env, capture_output=True, timeout=20, check=True)
    return done.stdout.decode().split("\0")[:-1]


@pytest.mark.parametrize(("command", "expected"), SHELL)
@settings(max_examples=40)
@given(a=TEXTS, b=TEXTS)
@example(a="it's", b="a b")
@example(a="x;echo hi", b="$(echo hi)`echo hi`")
@example(a="2", b="\\")
@example(a="a=b", b="")
def test_a_shell_hands_every_value_on_whole(command: str, expected: list[str], a: str, b: str) -> None:
    values = {"a": a, "b": b}
    filled = commands.fill(command.replace("{p}", "printf '%s\\0'"), True, ANY, values.get)
    got = printed(["/bin/sh", "-c", filled], {"HOME": "HOME", "PATH": os.environ["PATH"]})
    assert got == [re.sub(r"\{([ab])\}", lambda match: values[match[1]], text) for text in expected]


@given(a=TEXTS, b=TEXTS)
@example(a="$(HOME)", b="$$(HOME) $")
@example(a="(HOME)", b="$")
@example(a="{{b}}", b="{{x y}}")
def test_without_a_shell_every_value_is_whole_too(a: str, b: str) -> None:
    command = "p {{a}} '{{b}}' \"-{{a}}\" --x={{b}} ${{a}} {{b}}(HOME) $({{n}}) '$(HOME)' {{a}}{{b}}"
    filled = commands.fill(command, False, ANY, {"a": a, "b": b, "n": "HOME"}.get)
    got = argv(Replica("worker", 0, filled), {"HOME": "/root"})
    assert got == ["p", a, b, f"-{a}", f"--x={b}", f"${a}", f"{b}(HOME)", "/root", "/root", f"{a}{b}"]


@given(TEXTS)
def test_a_sweeps_values_are_whole(value: str) -> None:
    params = {"x": value, "o": {"name": value}}
    filled = space.fill_command("p {{x}} '{{ x }}' {{o.name}} --m {{o.m}} \"--n={{o.m}}\" end", params)
    assert argv(Replica("worker", 0, filled), {"HOME": "/root"}) == ["p", value, value, value, "end"]
    shell = space.fill_command("printf '%s\\0' {{x}} '{{ x }}' {{o.name}} --m {{o.m}} end", params, shell=True)
    assert printed(["/bin/sh", "-c", shell], {"HOME": "/root"}) == [value, value, value, "end"]


def test_a_placeholder_that_is_the_whole_command_is_the_command() -> None:
    for shell in (True, False):
        assert commands.fill(" {{a}} ", shell, ANY, {"a": "nvidia-smi | head -3"}.get) == "nvidia-smi | head -3"


def test_several_words_are_asked_for_by_a_star() -> None:
    values = {"a": "train.py --name 'two words' $(HOME)"}
    words = commands.fill("python {{*a}} -x", False, ANY, values.get)
    assert argv(Replica("w", 0, words), {"HOME": "h"}) == ["python", "train.py", "--name", "two words", "$(HOME)", "-x"]
    shell = commands.fill("printf '%s\\0' {{*a}}", True, ANY, values.get)
    assert printed(["/bin/sh", "-c", shell], {}) == ["train.py", "--name", "two words", "$(HOME)"]
    for is_shell in (True, False):
        with pytest.raises(commands.CannotQuote, match="several words"):
            commands.fill("python 'x{{*a}}'", is_shell, ANY, values.get)


@pytest.mark.parametrize(
    ("command", "why"),
    [
        ("echo `echo {{a}}`", "after a backquote"),
        ("cat <<END\n{{a}}\nEND", "after <<"),
        ("echo $'{{a}}'", "after \\$'"),
        ("echo \\{{a}}", "directly after a backslash"),
        ('echo "\\{{a}}"', "directly after a backslash"),
        ("echo ${{a}}", "directly after a \\$"),
        ('echo "\\\\${{a}}"', "directly after a \\$"),
        ('echo "${V:-{{a}}}"', "after \\$\\{...\\} inside of double quotes"),
        ('echo "$(case x in x) echo {{a}};; esac)"', "after a case"),
    ],
)
def test_where_no_quoting_is_safe_a_placeholder_is_refused(command: str, why: str) -> None:
    with pytest.raises(commands.CannotQuote, match=f"stands {why}.*give it to a variable"):
        commands.fill(command, True, ANY, {"a": "x"}.get)


@pytest.mark.parametrize("command", ["echo $(({{a}} * 2))", 'echo "x $((1 * (1 + {{a}})))"', "((Y = {{a}})); echo $Y"])
def test_in_arithmetic_a_value_is_a_whole_number(command: str) -> None:
    assert commands.fill(command, True, ANY, {"a": "-2"}.get) == command.replace("{{a}}", "-2")
    for value in ("$(echo 1)", "`id`", "x", "a[1]", "1 2", ""):  # no quotes would keep the shell from running them
        with pytest.raises(commands.CannotQuote, match="stands in arithmetic, where its value must be a whole number"):
            commands.fill(command, True, ANY, {"a": value}.get)
    after = "echo $((1 + 1)) $( (echo 1) ) {{a}}"
    assert commands.fill(after, True, ANY, {"a": "x y"}.get) == after.replace("{{a}}", "'x y'")


def test_what_a_sweep_fills_in_later_stays() -> None:
    for shell in (True, False):
        command = "train.py --a {{ a }} --b={{*b}}" if shell else "train.py --a {{ a }} {{*b}}"
        kept = commands.fill(command, shell, ANY, lambda name: commands.LATER)
        assert kept == command.replace("{{ a }}", "{{a}}")


def test_an_option_of_a_parameter_that_is_not_tried_goes_and_a_value_like_one_stays() -> None:
    for shell in (True, False):
        filled = space.fill_command("t --a {{a}} {{b}} -m {{b}} --c={{b}} end", {"a": -5, "o": {"b": 1}}, shell=shell)
        assert filled == ("t --a -5   --c= end" if shell else "t --a -5 end")

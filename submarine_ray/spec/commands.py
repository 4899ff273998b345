"""Values in a command: each reaches the program as one argument, unaltered, whatever it holds.

The same rule fills templates and sweeps. `{{name}}` is one argument, or the part of one that it stands in; quotes
around it may be there or not. `{{*name}}` is several: its value is split into words as a shell splits them. A command
that is nothing but one placeholder is its value. Without a shell the command is split first and filled then. For a
shell, each value is quoted for where it stands; where no quoting would be safe, the placeholder is refused.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator

from submarine_ray.spec import words as shell_words

Ask = Callable[[str], str | None]
"""A placeholder's value by its name; None where it has none, and takes its option with it; LATER to leave it."""
LATER = "\0"  # no value holds a NUL

_MARK = re.compile("\0([0-9]+)\0")  # no command holds a NUL
_REFERENCE = re.compile(r"\$\([A-Za-z_][A-Za-z0-9_]*\)")
_OPTION = re.compile(r"(?<=\s)-[^\s'\"\\$`;&|<>(){}]*\s+\Z")
_WORD_ENDS = " \t\n;&|()<>"
_KEPT = re.compile(r"\{\{\*?[\w.-]+\}\}")
# What a shell takes for itself where a command begins.
_RESERVED = frozenset({
    "if", "then", "else", "elif", "fi", "do", "done", "case", "esac", "while", "until", "for", "in", "select",
    "function", "time", "coproc",
})  # fmt: skip
_BARE = re.compile(r"[A-Za-z0-9_@%+:./-]+")  # not `=`, which would make a variable of it
_WHOLE_NUMBER = re.compile(r"-?[0-9]{1,18}")
_SIMPLE_VARIABLE = re.compile(r"\{[A-Za-z0-9_@*#?]+\}")
_CASE = re.compile(r"case\b")


class CannotQuote(ValueError):
    """A placeholder stands where its value could not be kept whole; the message says where and what to do."""


def fill(command: str, shell: bool, pattern: re.Pattern[str], ask: Ask) -> str:
    """The command with its placeholders' values.

    Args:
        command: as it is written, with placeholders.
        shell: whether a shell runs it; else it is split into words, and `$(NAME)` means a variable.
        pattern: finds placeholders; its first group is the name, with a `*` before it for several words.
        ask: gives each its value.

    Raises CannotQuote; ValueError if the command, or the value of a `{{*name}}`, has a quotation without an end.
    """
    if not pattern.search(command):
        return command
    if whole := pattern.fullmatch(command.strip()):
        value = ask(_name(whole))
        return command if value == LATER else value or ""
    return _in_shell(command, pattern, ask) if shell else _in_words(command, pattern, ask)


def _name(match: re.Match[str]) -> str:
    return match[1].strip().removeprefix("*")


def _is_several(match: re.Match[str]) -> bool:
    return match[1].strip().startswith("*")


# Without a shell


def _in_words(command: str, pattern: re.Pattern[str], ask: Ask) -> str:
    found: list[re.Match[str]] = []

    def mark(match: re.Match[str]) -> str:
        found.append(match)
        return f"\0{len(found) - 1}\0"

    words: list[str] = []
    options: list[bool] = []  # of each word: whether the command itself says that it is one
    for word in shell_words.split(pattern.sub(mark, command)):
        asked = [found[int(number)] for number in _MARK.findall(word)]
        values = [ask(_name(match)) for match in asked]
        alone = bool(_MARK.fullmatch(word))
        if None in values:
            if alone and options and options[-1]:
                words.pop()
                options.pop()
            continue
        if any(map(_is_several, asked)) and not alone:
            raise CannotQuote(f"{asked[0][0]} is several words, and must stand by itself, without quotes")
        if alone and _is_several(asked[0]) and values[0] != LATER:
            more = [_REFERENCE.sub(r"$\g<0>", one) for one in shell_words.split(values[0] or "")]
        else:
            more = [_word(word, [_later(m) if v == LATER else v or "" for m, v in zip(asked, values, strict=True)])]
        words += more
        options += [not asked and word.startswith("-")] * len(more)
    return " ".join(map(_quoted, words))


def _later(match: re.Match[str]) -> str:
    return "{{" + match[1].strip() + "}}"


def _word(word: str, values: list[str]) -> str:
    """A word with its values; a `$(NAME)` that a value makes, wholly or in part, is no variable."""
    pieces: list[str] = []
    own: list[bool] = []  # of each character: whether it is a value's
    given = iter(values)
    for number, part in enumerate(_MARK.split(word)):
        pieces.append(next(given) if number % 2 else part)
        own += [bool(number % 2)] * len(pieces[-1])

    def escape(match: re.Match[str]) -> str:
        # `$({{x}})` is the template's way to name a variable.
        return f"${match[0]}" if own[match.start()] or own[match.start() + 1] else match[0]

    return _REFERENCE.sub(escape, "".join(pieces))


def _quoted(word: str) -> str:
    """Quoted where it must be; what a sweep will fill in later need not be."""
    plain = _KEPT.sub("x", word)
    return word if plain == shlex.quote(plain) else shlex.quote(word)


# For a shell


def _in_shell(command: str, pattern: re.Pattern[str], ask: Ask) -> str:
    made, at = "", 0
    for match, place in _places(command, pattern):
        before, after = command[at : match.start()], command[match.end() : match.end() + 1]
        at = match.end()
        value = ask(_name(match))
        if value is None:
            alone = place == "plain" and not after.strip(_WORD_ENDS)
            made += _OPTION.sub("", before) if alone else before
            continue
        made += before
        if value == LATER:
            made += _later(match)
        elif _is_several(match):
            if place != "plain":
                raise CannotQuote(f"{match[0]} is several words, and must stand without quotes around it")
            made += " ".join(map(_plain, shell_words.split(value)))
        elif place == "arithmetic":
            made += _number(match, value)
        elif place == "plain" and after in ("<", ">"):
            made += f"'{_QUOTES['single'](value)}'"  # 2>file would be another thing than '2'>file
        else:
            made += _QUOTES[place](value)
    return made + command[at:]


def _number(match: re.Match[str], value: str) -> str:
    """In arithmetic quotes are no quotes: the shell would run a $(command) in the value."""
    if not _WHOLE_NUMBER.fullmatch(value):
        raise CannotQuote(
            f"{match[0]} stands in arithmetic, where its value must be a whole number, not {value[:40]!r}"
        )
    return value


def _plain(value: str) -> str:
    is_bare = _BARE.fullmatch(value) and value not in _RESERVED
    return value if is_bare else f"'{_QUOTES['single'](value)}'"


_QUOTES: dict[str, Callable[[str], str]] = {
    "plain": _plain,
    "single": lambda value: value.replace("'", "'\"'\"'"),
    "double": lambda value: re.sub(r'[\\"$`]', r"\\\g<0>", value),
    "comment": lambda value: " ".join(value.split()),
}


def _places(command: str, pattern: re.Pattern[str]) -> Iterator[tuple[re.Match[str], str]]:
    """Each placeholder, and what it stands in: plain, single (quotes), double, comment or arithmetic.

    Raises CannotQuote.
    """
    stack, at, unsure = ["plain"], 0, ""
    while at < len(command):
        here, char, before = stack[-1], command[at], command[at - 1 : at]
        if match := pattern.match(command, at):
            if here != "comment":
                _check(match, command, here, unsure)
            yield match, here
            at = match.end()
            continue
        at += 1
        if here == "single":
            if char == "'":
                stack.pop()
        elif here == "comment":
            if char == "\n":
                stack.pop()
        elif char == "\\":
            at += 1 if not pattern.match(command, at) else 0
        elif char == '"':
            stack.pop() if here == "double" else stack.append("double")
        elif char == "`":
            unsure = "after a backquote"
        elif begun := _arithmetic(command, at - 1, here):
            stack += ["arithmetic", "arithmetic"]
            at += begun - 1
        elif char == "$" and command[at : at + 1] == "(":
            stack.append("plain")
            at += 1
        elif here == "double":
            braces = char == "$" and command[at : at + 1] == "{" and not pattern.match(command, at)
            if braces and not _SIMPLE_VARIABLE.match(command, at):
                unsure = "after ${...} inside of double quotes"
        else:
            unsure = unsure or _unsure(command, at - 1, len(stack) > 1)
            if char == "'":
                stack.append("single")
            elif char == "#" and (not before or before in _WORD_ENDS):
                stack.append("comment")
            elif char == "(":
                stack.append("arithmetic" if here == "arithmetic" else "plain")
            elif char == ")" and len(stack) > 1:
                stack.pop()


def _arithmetic(command: str, at: int, here: str) -> int:
    """How many characters begin arithmetic here: `$((`, and `((` where the shell is bash; else 0."""
    if command.startswith("$((", at):
        return 3
    return 2 if command.startswith("((", at) and here not in ("double", "arithmetic") else 0


def _unsure(command: str, at: int, nested: bool) -> str:
    """From where on it takes a shell to know what is quoted; empty if not here."""
    if command.startswith("<<", at):
        return "after <<"
    if command.startswith("$'", at):
        return "after $'"
    if nested and _CASE.match(command, at) and not command[at - 1 : at].isalnum():
        return "after a case inside of parentheses"
    return ""


def _check(match: re.Match[str], command: str, here: str, unsure: str) -> None:
    before = command[match.start() - 1 : match.start()] if match.start() else ""
    if here != "single":
        if before == "\\" and _backslashes(command, match.start()) % 2:
            unsure = "directly after a backslash"
        elif before == "$" and not _backslashes(command, match.start() - 1) % 2:
            unsure = "directly after a $ (write \\$ for a dollar sign)"
    if unsure:
        raise CannotQuote(
            f"{match[0]} stands {unsure}, where its value cannot be quoted; give it to a variable, "
            f'envVars: {{VALUE: "{match[0]}"}}, and write "$VALUE"'
        )


def _backslashes(command: str, end: int) -> int:
    """How many stand directly before `end`."""
    start = end
    while start and command[start - 1] == "\\":
        start -= 1
    return end - start

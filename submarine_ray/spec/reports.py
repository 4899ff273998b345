"""Reports: Markdown with panels in between, each a fenced block of YAML:

```panel
kind: line
metrics: [loss]
filter: tag = baseline
group: params.lr
```
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pydantic import Field, ValidationError

from submarine_ray.spec.base import Document
from submarine_ray.spec.documents import NotYaml, dump, load
from submarine_ray.spec.panels import KINDS, PANEL, Panel, Runs, short_document
from submarine_ray.spec.problems import sentence

MOST_LENGTH = 50_000
MOST_BLOCKS = 40
_OPENING = re.compile(r" {0,3}+(?P<fence>`{3,}+|~{3,}+)[ \t]*+(?P<info>[^`\n]*+)$")  # each character is looked at once
_RUNS = {name for key, field in Runs.model_fields.items() for name in (key, field.alias)}


class Report(Document):
    """A page of text and panels."""

    text: str = Field(default="", max_length=MOST_LENGTH)
    """The text in Markdown; fenced blocks named `panel` are panels."""


@dataclass(frozen=True)
class Block:
    """A panel in a report, and the runs that it shows."""

    panel: Panel
    runs: Runs


@dataclass(frozen=True)
class WrongBlock:
    """A block that says no panel: the text of it, and why."""

    text: str
    why: str


Part = str | Block | WrongBlock


def parts(text: str) -> list[Part]:
    """The parts of a report in their order: Markdown, panels, and blocks that are wrong."""
    found: list[Part] = []
    lines: list[str] = []
    blocks = 0
    for content, is_panel in _pieces(text):
        if not is_panel:
            lines.append(content)
            continue
        if "".join(lines).strip():
            found.append("".join(lines))
        lines = []
        blocks += 1
        found.append(read_block(content) if blocks <= MOST_BLOCKS else _one_too_many(content))
    if "".join(lines).strip():
        found.append("".join(lines))
    return found


def read_block(text: str) -> Block | WrongBlock:
    """The panel that the YAML in a block says."""
    try:
        said = load(text)
    except NotYaml as failure:
        return WrongBlock(text, str(failure))
    if not isinstance(said, Mapping):
        return WrongBlock(text, "a panel is written as `kind: line`, `metrics: [loss]`, a line for each field")
    if said.get("kind") not in KINDS:
        return WrongBlock(text, f"kind: must be one of {', '.join(KINDS)}")
    try:
        runs = Runs.model_validate({key: value for key, value in said.items() if key in _RUNS})
        return Block(PANEL.validate_python({key: value for key, value in said.items() if key not in _RUNS}), runs)
    except ValidationError as failure:
        return WrongBlock(text, sentence(failure.errors()[0]))


def write_block(panel: Panel, runs: Runs | None = None) -> str:
    """A panel as a block of a report, with only what is not as by default."""
    said = {name: value for name, value in short_document(panel).items() if name != "id"}
    said |= (runs or Runs()).model_dump(by_alias=True, exclude_defaults=True)
    written = dump(said)
    fence = "`" * max(3, *(len(one) + 1 for one in re.findall("`+", written)), 3)
    return f"{fence}panel\n{written}{fence}\n"


def _one_too_many(text: str) -> WrongBlock:
    return WrongBlock(text, f"a report has at most {MOST_BLOCKS} panels")


def _pieces(text: str) -> Iterator[tuple[str, bool]]:
    """The text in pieces: what stands in a block named `panel`, without its fences, and all lines around."""
    fence, is_panel = "", False
    inside: list[str] = []
    for line in text.splitlines(keepends=True):
        bare = line.rstrip("\r\n")
        if fence:
            if _closes(bare, fence):
                if is_panel:
                    yield "".join(inside), True
                else:
                    yield line, False
                fence, inside, is_panel = "", [], False
            elif is_panel:
                inside.append(line)
            else:
                yield line, False
            continue
        opening = _OPENING.match(bare)
        if opening:
            fence = opening["fence"]
            is_panel = opening["info"].strip() == "panel"
            if is_panel:
                continue
        yield line, False
    if is_panel:
        yield "".join(inside), True


def _closes(line: str, fence: str) -> bool:
    bare = line.strip()
    return len(bare) >= len(fence) and set(bare) == {fence[0]}

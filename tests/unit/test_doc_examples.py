"""The pages of docs/ say what is there: their specs are valid, their commands and options exist, no setting is missing."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.core import TyperGroup
from typer.main import get_command

from submarine_ray.cli.main import app
from submarine_ray.core.settings import Settings
from submarine_ray.spec import documents
from submarine_ray.spec.experiment import ExperimentSpec
from submarine_ray.spec.templates import TemplateSpec

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
NOT_OURS = "sandbox"  # a command of Submarine's own


def _specs() -> list[str]:
    blocks = [block for page in PAGES for block in re.findall(r"```yaml\n(.*?)```", page.read_text(), re.S)]
    return [block for block in blocks if re.search(r"^(meta|experimentSpec):", block, re.M)]


@pytest.mark.parametrize("text", _specs())
def test_each_spec_is_valid(text: str) -> None:
    model = TemplateSpec if "experimentSpec:" in text else ExperimentSpec
    model.model_validate(documents.load(text))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_each_command_has_the_options_that_a_page_uses(page: Path) -> None:
    unknown = []
    for line in re.findall(r"(?:^ *(?:\$ )?|`)(?:\.venv/bin/)?submarine ([^`\n]+)", page.read_text(), re.M):
        words, command = line.split(" -- ")[0].split("  #")[0].split(), get_command(app)
        while words and isinstance(command, TyperGroup) and words[0] in command.commands:
            command = command.commands[words.pop(0)]
        options = {name for parameter in command.params for name in parameter.opts + parameter.secondary_opts}
        used = {word.split("=")[0] for word in words if re.match(r"--?[a-z]", word)} - {"--help"}
        if used - options or (isinstance(command, TyperGroup) and words and re.match(r"[a-z][a-z-]*$", words[0])):
            unknown += [line] if NOT_OURS not in line else []
    assert unknown == []


def test_each_setting_is_explained() -> None:
    page = (ROOT / "docs" / "configuration.md").read_text()
    assert [name for name in Settings.model_fields if f"`SUBMARINE_{name.upper()}`" not in page] == []

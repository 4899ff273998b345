"""`make docs`: strict about links and anchors, complete in its references, and readable without a network."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import submarine_ray

ROOT = Path(__file__).parents[2]
# What a browser fetches by itself. Links in the text that a reader clicks are not among it.
LOADED = re.compile(r"<(?:script|img|iframe|source|link)\b[^>]*?\b(?:src|href)=[\"']?(?:https?:)?//[^\s\"'>]+", re.I)
FETCHED_BY_STYLES = re.compile(r"(?:@import\s+|url\()[\"']?(?:https?:)?//[^\s\"')]+", re.I)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    built = tmp_path_factory.mktemp("help")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(built)]
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ | {"NO_MKDOCS_2_WARNING": "1"}, capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return built


def test_nothing_is_fetched_from_elsewhere(site: Path) -> None:
    found = [
        (str(file.relative_to(site)), hit)
        for pattern, kinds in ((LOADED, "*.html"), (FETCHED_BY_STYLES, "*.css"))
        for file in site.rglob(kinds)
        for hit in pattern.findall(file.read_text())
    ]
    assert found == []


def test_pages_have_no_script_that_their_policy_refuses(site: Path) -> None:
    """`workbench/documentation.py` allows `<script>` by its hash, and no code in attributes."""
    for file in site.rglob("*.html"):
        page = file.read_text()
        inline = [tag for tag in re.findall(r"<script\b[^>]*>", page) if "src=" not in tag]
        assert {tag for tag in inline if tag != "<script>" and 'type="application/json"' not in tag} == set(), file
        assert not re.search(r"<[^<>]+\son(click|load|error|change|submit)=", page), file


def test_decisions_that_a_page_names_are_links(site: Path) -> None:
    page = (site / "architecture" / "index.html").read_text()
    assert re.search(r'href="\.\./decisions/00\d\d-[\w-]+/">decision 00', page)
    shown = re.sub(r"<(code|pre|a|title|nav)\b.*?</\1>", "", page, flags=re.DOTALL)
    assert not re.search(r"decisions/\d{4}\b", re.sub(r"<[^>]+>", "", shown))


def test_every_page_of_the_docs_is_in_the_menu(site: Path) -> None:
    menu = (site / "index.html").read_text()
    pages = [file.stem for file in (ROOT / "docs").glob("*.md") if file.stem != "index"]
    assert [name for name in pages if not re.search(rf'href="{name}/"', menu)] == []


def test_the_rest_reference_has_every_operation_and_document(site: Path) -> None:
    page = (site / "reference" / "rest" / "index.html").read_text()
    for what in ("POST /api/v1/experiment", "PATCH /api/v1/serve/{model_name}/{model_version}", "GET /ready"):
        assert f"<code>{what}</code>" in page
    for name in ("ExperimentSpec", "TuneSpec", "Endpoint"):
        assert f'id="{name.lower()}"' in page
    targets = set(re.findall(r'href="#([^"]+)"', page))
    assert targets <= set(re.findall(r'id="([^"]+)"', page))


def test_the_python_reference_has_every_public_name(site: Path) -> None:
    page = (site / "reference" / "python" / "index.html").read_text()
    assert [name for name in submarine_ray.__all__ if f'id="submarine_ray.{name}"' not in page] == []


def test_the_command_line_reference_has_every_command(site: Path) -> None:
    page = (site / "reference" / "cli" / "index.html").read_text()
    for command in ("submarine up", "submarine run", "submarine cluster add", "submarine config set"):
        assert f"<code>{command}</code>" in page


def test_readers_can_search_it(site: Path) -> None:
    index = json.loads((site / "search" / "search_index.json").read_text())
    found = [one["location"] for one in index["docs"] if "Prometheus" in one["text"]]
    assert any(place.startswith("configuration/") for place in found)

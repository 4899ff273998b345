"""Adds the pages that are made from other files: the command line, the library's templates, the decisions."""

from __future__ import annotations

import html
import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[2]
_CLI = """# Command line

`submarine` is installed with the package; in a source checkout it is `.venv/bin/submarine`. The commands that talk to a
control service read its address and token from [the environment](../configuration.md#cli-and-sdk).

"""


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put the decisions, and pages that the navigation does not name yet, where readers find them."""
    docs = Path(config.docs_dir)
    decisions = [{_heading(page): f"decisions/{page.name}"} for page in sorted((docs / "decisions").glob("0*.md"))]
    named = set(re.findall(r"[\w/-]+\.md", str(config.nav)))
    others = sorted(page.name for page in docs.glob("*.md") if page.name not in named)
    _section(config, "Design").extend([*others, {"Decisions": ["decisions/index.md", *decisions]}])
    library = [f"library/{readme.parent.name}.md" for readme in _readmes()]
    _section(config, "Train").append({"Template library": library})
    return config


def on_post_build(config: MkDocsConfig) -> None:
    """Remove what the service does not serve: it has a page of its own for "not found"."""
    site = Path(config.site_dir)
    unused = ["404.html", "sitemap.xml", "sitemap.xml.gz", "objects.inv"]
    for file in [
        *(site / name for name in unused),
        *site.rglob("*.map"),
        *site.glob("assets/javascripts/lunr/**/*.js"),
    ]:
        file.unlink(missing_ok=True)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    for name, text in _generated().items():
        file = File.generated(config, name, content=text)
        files.append(file)
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Link templates to their pages here (on a source browser, to the files), and decisions that a page names."""
    here = posixpath.dirname(page.file.src_uri) or "."
    markdown = re.sub(r"\]\(\.\./templates/([\w-]+)/README\.md\)", r"](library/\1.md)", markdown)
    decisions = {file.name[:4]: f"decisions/{file.name}.md" for file in files if file.src_uri.startswith("decisions/0")}

    def link(named: re.Match[str]) -> str:
        target = decisions.get(named[1])
        return f"[decision {named[1]}]({posixpath.relpath(target, here)})" if target else named[0]

    return re.sub(r"(?<![\w/\[`])(?:docs/)?decisions/(\d{4})(?![\w-])", link, markdown)


def _section(config: MkDocsConfig, title: str) -> list[Any]:
    return next(entry[title] for entry in config.nav or [] if title in entry)


def _readmes() -> list[Path]:
    return sorted((ROOT / "templates").glob("*/README.md"))


def _generated() -> dict[str, str]:
    pages = {"reference/cli.md": _CLI + _commands(), "decisions/index.md": _decisions()}
    for readme in _readmes():
        pages[f"library/{readme.parent.name}.md"] = readme.read_text()
    return pages


def _commands() -> str:
    from typer import Context
    from typer.cli import get_docs_for_click
    from typer.main import get_command

    from submarine_ray.cli.main import app

    command = get_command(app)
    text = get_docs_for_click(obj=command, ctx=Context(command), name="submarine")
    return html.unescape(text.partition("**Commands**")[2].partition("\n## ")[2]).replace(
        "`submarine", "## `submarine", 1
    )


def _decisions() -> str:
    rows = [
        f"- [{page.stem[:4]}: {_heading(page)}]({page.name})"
        for page in sorted((ROOT / "docs" / "decisions").glob("0*.md"))
    ]
    return "# Decisions\n\nEach page records one choice, its reasons and what was considered.\n\n" + "\n".join(rows)


def _heading(page: Path) -> str:
    """The page's title without its number."""
    first = page.read_text().lstrip().partition("\n")[0].lstrip("# ")
    title = re.sub(r"^\d{4}[:.]?\s*", "", first)
    return title[:1].upper() + title[1:]

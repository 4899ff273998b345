"""Markdown that anybody may have written is shown to everybody: it must become neither script nor traffic elsewhere."""

from __future__ import annotations

import re

import pytest

from submarine_ray.workbench.markdown_html import html

TAG = re.compile(r"<\w[^>]*>")


@pytest.mark.parametrize(
    "source",
    [
        "<script>window.hacked = 1</script>",
        "text <img src=x onerror=hacked> text",
        "<svg/onload=hacked>\n\n<style>* {display: none}</style>",
        "```<script>\n<script>\n```",
        "| <b onclick=hacked> |\n|---|\n| <i style=x> |",
        "<!-- a --> <?php ?> <![CDATA[x]]>",
        '[a](/b "\\"onclick=hacked")',
        '![a" onerror="hacked](/b)',
        "<https://a.b/\"onmouseover=hacked>",
    ],
)  # fmt: skip
def test_html_in_it_is_text(source: str) -> None:
    tags = [re.sub(r'"[^"]*"', '""', tag) for tag in TAG.findall(html(source))]  # without the attributes' values
    assert tags
    assert not any(re.search(r"script|onerror|onclick|onload|onmouse|svg|style=[^\"]|<style", tag) for tag in tags)


@pytest.mark.parametrize(
    "address", ["javascript:a", "JaVaScript:a", "java\tscript:a", "&#106;avascript:a", "vbscript:a", "data:text/html,a", "data:image/svg+xml,a", "file:///etc/passwd"]
)  # fmt: skip
def test_no_link_or_picture_runs_something(address: str) -> None:
    for source in (f"[a]({address})", f"![a]({address})", f"<{address}>", f"[a]\n\n[a]: {address}"):
        made = html(source)
        assert "href=" not in made and "src=" not in made, made


def test_pictures_come_from_this_service_alone() -> None:
    assert '<img src="/mlflow/a.png" alt="a b" />' in html("![a b](/mlflow/a.png)")
    assert '<img src="data:image/png;base64,AA" alt="" />' in html("![](data:image/png;base64,AA)")
    for address in ("https://elsewhere/a.png", "//elsewhere/a.png", "http:elsewhere"):
        made = html(f"![a <b>]({address})")
        assert "<img" not in made and f'<a href="{address}" rel="noopener noreferrer nofollow"' in made
        assert ">a &lt;b&gt;</a>" in made


def test_a_short_text_does_not_become_a_huge_page() -> None:
    for defined in ("/" + "x" * 5000, f'/a "{"x" * 5000}"'):
        source = f"[a]: {defined}\n\n" + "[a]" * 5000
        assert html(source).startswith("<pre") and len(html(source)) < 2 * len(source)
    assert html("[a]: /b\n\n" + "[a] " * 5000).count('<a href="/b">') == 5000


def test_it_fits_into_a_page() -> None:
    made = html("# One\n\n###### Six\n\n```python\nx < 1\n```\n\n| a |\n|---|\n| 1 |\n\n~~no~~ **yes** [here](/models)")
    assert "<h3>One</h3>" in made and "<h6>Six</h6>" in made  # below the page's own
    assert 'tabindex="0" role="region" aria-label="Code"><code>x &lt; 1\n</code></pre>' in made
    assert '<div class="scroll" tabindex="0" role="region" aria-label="Table"><table class="plain">' in made
    assert '<s>no</s> <strong>yes</strong> <a href="/models">here</a>' in made

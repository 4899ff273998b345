"""Markdown as HTML that is safe to show, whoever has written it.

It is CommonMark without HTML, with tables: markup in it is shown as the text that it is. Links to `javascript:` and the
like stay text, and pictures are loaded from this service alone. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from markdown_it import MarkdownIt
from markdown_it.common.utils import escapeHtml
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markdown_it.utils import EnvType, OptionsDict

ABOVE = 2  # a page and its cards have the headings of the first two levels
EXPANDED = 100_000  # characters; short texts may refer to a link more often than they are long
_WIDE = 'tabindex="0" role="region"'  # what scrolls must be within the keyboard's reach


@lru_cache(maxsize=128)  # of some hundred kilobytes at worst
def html(source: str) -> str:
    """What Markdown says, as HTML."""
    reader = _reader()
    tokens = reader.parse(source)
    if _expanded(tokens) > max(EXPANDED, 6 * len(source)):  # a character of an address may become six, such as %C3%BC
        return _well(source)
    return str(reader.renderer.render(tokens, reader.options, {}))


def _expanded(tokens: Sequence[Token]) -> int:
    """How long all addresses and titles are together. One that is defined once may be referred to at each third
    character: a note of 50,000 would become a page of 200 MB.
    """
    inner = (one for token in tokens for one in token.children or ())
    return sum(len(str(value)) for one in inner for value in one.attrs.values())


def _well(text: str) -> str:
    return f'<pre class="well" {_WIDE} aria-label="Code"><code>{escapeHtml(text)}</code></pre>\n'


@lru_cache(maxsize=1)
def _reader() -> MarkdownIt:
    reader = MarkdownIt("commonmark", {"html": False}, renderer_cls=_Renderer)
    return reader.enable(["table", "strikethrough"])


class _Renderer(RendererHTML):
    """Its methods are called by the kind of a token."""

    def heading_open(self, tokens: Sequence[Token], at: int, options: OptionsDict, env: EnvType) -> str:
        return f"<{_lower(tokens[at])}>"

    def heading_close(self, tokens: Sequence[Token], at: int, options: OptionsDict, env: EnvType) -> str:
        return f"</{_lower(tokens[at])}>\n"

    def link_open(self, tokens: Sequence[Token], at: int, options: OptionsDict, env: EnvType) -> str:
        address = str(tokens[at].attrGet("href"))
        if not _is_own(address) and not address.startswith("#"):
            tokens[at].attrSet("rel", "noopener noreferrer nofollow")
            tokens[at].attrSet("target", "_blank")
        return str(self.renderToken(tokens, at, options, env))

    def image(self, tokens: Sequence[Token], at: int, options: OptionsDict, env: EnvType) -> str:
        """A picture; a link to one that is elsewhere, which browsers must not load (policy.py)."""
        address = str(tokens[at].attrGet("src"))
        if _is_own(address) or address.startswith("data:image/"):
            return str(super().image(tokens, at, options, env))
        said = self.renderInlineAsText(tokens[at].children or [], options, env) or "image"
        opened = Token("link_open", "a", 1, {"href": address})
        return f"{self.link_open([opened], 0, options, env)}{escapeHtml(said)}</a>"

    def fence(self, tokens: Sequence[Token], at: int, options: OptionsDict, env: EnvType) -> str:
        return _well(tokens[at].content)

    def code_block(self, tokens: Sequence[Token], at: int, options: OptionsDict, env: EnvType) -> str:
        return self.fence(tokens, at, options, env)

    def table_open(self, tokens: Sequence[Token], at: int, options: OptionsDict, env: EnvType) -> str:
        return f'<div class="scroll" {_WIDE} aria-label="Table"><table class="plain">\n'

    def table_close(self, tokens: Sequence[Token], at: int, options: OptionsDict, env: EnvType) -> str:
        return "</table></div>\n"


def _lower(heading: Token) -> str:
    return f"h{min(6, int(heading.tag[1:]) + ABOVE)}"


def _is_own(address: str) -> bool:
    """Whether an address is a path of this service."""
    return address.startswith("/") and not address.startswith("//")

"""How a text that somebody types is compared with names: its words, in any order, each as a part of the name."""

from __future__ import annotations

import re

MAX_WORDS = 6  # of a text; what follows narrows nothing down any more
MAX_WORD = 63
_WORD = re.compile(r"[^\W_]+")

EXACT, PREFIX, WORD, PART, OTHER = range(5)
"""How well a name matches, the best first: it is the text, begins with it, has a word that does, contains it; or it is
found by something else, such as a tag.
"""


def words(text: str) -> list[str]:
    """The words of a text in lower case, in their order, each once: what punctuation separates."""
    return list(dict.fromkeys(word[:MAX_WORD] for word in _WORD.findall(text.lower())))


def rank(name: str, text: str) -> int:
    """How well a name matches a text: EXACT, PREFIX, WORD, PART or OTHER. Of several words the worst one counts."""
    name, text = name.lower(), " ".join(text.lower().split())
    if name == text:
        return EXACT
    if name.startswith(text):
        return PREFIX
    own = words(name)
    return max((_of_word(name, own, wanted) for wanted in words(text)), default=PART if text in name else OTHER)


def _of_word(name: str, own: list[str], wanted: str) -> int:
    if any(word.startswith(wanted) for word in own):
        return WORD
    return PART if wanted in name else OTHER

"""Tokens of attempts, notebooks and endpoints: made with a key, known again by it alone."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from hypothesis import given
from hypothesis import strategies as st

from submarine_ray.access.principals import Principal, PrincipalKind
from submarine_ray.access.tokens import PREFIX, PURPOSE, Tokens
from submarine_ray.core.secrets import SecretBox

OURS = [kind for kind in PrincipalKind if kind is not PrincipalKind.ADMINISTRATOR]
TOKENS = Tokens(b"k" * 32)


@given(st.sampled_from(OURS), st.text(min_size=1, max_size=100).filter(lambda text: text.isprintable()))
def test_a_token_says_whose_it_is_and_is_one_word(kind: PrincipalKind, name: str) -> None:
    token = TOKENS.issue(kind, name)
    assert token == TOKENS.issue(kind, name) and token.startswith(PREFIX) and token.isascii()
    assert not set(token) & set(" \t\"'%&?#/+=") and TOKENS.read(token) == Principal(kind, name)


def test_each_name_and_each_kind_has_its_own() -> None:
    made = {TOKENS.issue(kind, name) for kind in OURS for name in ("e-1", "e-1-r2", "e-2")}
    assert len(made) == len(OURS) * 3


def test_an_administrator_has_none() -> None:
    with pytest.raises(KeyError):
        TOKENS.issue(PrincipalKind.ADMINISTRATOR, "root")


def test_what_was_changed_in_any_place_is_nobodys() -> None:
    token = TOKENS.issue(PrincipalKind.ATTEMPT, "experiment-1-0001")
    for place in range(len(token)):
        for other in ("A", "b", ".", "é"):
            if token[place] != other:
                assert TOKENS.read(token[:place] + other + token[place + 1 :]) is None, (place, other)
    for odd in ("", PREFIX, f"{PREFIX}1.", f"{PREFIX}1...", f"{token}=", f" {token}", token[:-1], token * 9, "\0"):
        assert TOKENS.read(odd) is None, odd


def test_one_kind_is_not_another() -> None:
    token = TOKENS.issue(PrincipalKind.TICKET, "e-1")
    assert TOKENS.read(token.replace(".t.", ".n.")) is None


def test_another_key_knows_nothing_of_it(tmp_path: Path) -> None:
    boxes = [SecretBox(tmp_path / name) for name in ("one", "two")]
    one, two = (Tokens(box.derived(PURPOSE)) for box in boxes)
    token = one.issue(PrincipalKind.NOTEBOOK, "notebook-1")
    assert two.read(token) is None
    # The file's key and the same key by a setting are one; what is derived for another purpose is another.
    assert Tokens(SecretBox(tmp_path / "one").derived(PURPOSE)).read(token)
    key = Fernet.generate_key().decode()
    assert SecretBox(tmp_path / "x", key).derived(PURPOSE) == SecretBox(tmp_path / "y", key).derived(PURPOSE)
    assert boxes[0].derived("another") != boxes[0].derived(PURPOSE)

"""What is secret in a document, and what a mask that is sent back means."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from submarine_ray.spec import masks
from submarine_ray.spec.masks import HIDDEN, HiddenValue


@pytest.mark.parametrize(
    "name",
    [
        *("HF_TOKEN", "dbPassword", "apiKey", "PGPASSWORD", "AWS_SECRET_ACCESS_KEY", "WANDB_API_KEY", "GITHUB_PAT"),
        *("GOOGLE_APPLICATION_CREDENTIALS", "SECRET_KEY_BASE", "MYSQL_PWD", "X-Amz-Signature", "sig", "auth"),
        *("API_KEY2", "HF_TOKEN_1", "dbPass01"),
    ],
)
def test_names_that_look_secret(name: str) -> None:
    assert masks.looks_secret(name)


@pytest.mark.parametrize(
    "name",
    [
        *("PRIMARY_KEY", "PWD", "MAX_TOKENS", "TOKENIZERS_PARALLELISM", "EOS_TOKEN", "PAD_TOKEN_ID", "MONKEY", "LR"),
        *("AWS_ACCESS_KEY_ID", "DB_PASSWORD_FILE", "AUTHOR", "KEYBOARD", "COMPASS", "FORWARD_PASS", "OMP_NUM_THREADS"),
        *("PRIMARY_KEY_2", "EOS_TOKEN1", "2", "SEED_42"),
    ],
)
def test_names_that_only_sound_so(name: str) -> None:
    assert not masks.looks_secret(name)


@pytest.mark.parametrize(
    ("told", "shown"),
    [
        ("https://me:pw@host/x", f"https://me:{HIDDEN}@host/x"),
        ("https://ghp_abc@host/x", f"https://{HIDDEN}@host/x"),
        ("https://ghp_abc:x-oauth-basic@host/x", f"https://{HIDDEN}:x-oauth-basic@host/x"),
        ("git+https://me:p@ss@host/x", f"git+https://me:{HIDDEN}@host/x"),
        ("a postgresql://me:pw@db:5432/x b", f"a postgresql://me:{HIDDEN}@db:5432/x b"),
        ("s3://key:secret@bucket/x", f"s3://key:{HIDDEN}@bucket/x"),
        ("https://h/x?X-Amz-Signature=abc&part=1#top", f"https://h/x?X-Amz-Signature={HIDDEN}&part=1#top"),
        ("https://h/x?sv=1&sig=a%2Fb", f"https://h/x?sv=1&sig={HIDDEN}"),
        *((same, same) for same in ("ssh://git@host/x", "git@host:x", "https://h/x?page=2", "a@b", "https://h/@x")),
        *(
            (same, same)
            for same in ("https://me:{{token}}@host/x", "https://me:$(PW)@host/x", "https://h/?token=$TOKEN")
        ),
    ],
)
def test_what_urls_have_to_sign_in_is_masked_once(told: str, shown: str) -> None:
    assert masks.text(told) == shown
    assert masks.text(shown) == shown


def test_long_texts_are_masked_in_time() -> None:
    begun = time.process_time()
    for worst in ("://", "a" * 9 + "://", "://a:", "?a=", "://@", "https://" + "a" * 90, "&" + "a" * 80):
        masks.text("https://h/" + worst * (1_000_000 // len(worst)))
        masks.text("://" + worst[-1] * 1_000_000)
    masks.looks_secret("aA" * 500_000)
    assert time.process_time() - begun < 20  # a quadratic pattern takes hours


def document(**changes: Any) -> dict[str, Any]:
    return {
        "meta": {"name": "x", "envVars": {"HF_TOKEN": "one", "LR": "0.1", "PLAIN": "two"}, "secretVars": ["PLAIN"]},
        "environment": {"kernelSpec": {"pipDependencies": ["a", "b @ https://me:three@host/b.whl"]}},
        "spec": {"Worker": {"envVars": {"DB_PASSWORD": "four", "PLAIN": "five"}}},
        "code": {"git": {"url": "https://host/x.git", "password": "six"}},
        "kubernetes": {"secrets": [{"name": "X", "secret": "aws-reader", "key": "token"}]},
        **changes,
    }


def test_a_document_is_masked_and_restored() -> None:
    kept = document()
    shown = masks.masked(kept)
    assert kept == document()
    assert shown["meta"]["envVars"] == {"HF_TOKEN": HIDDEN, "LR": "0.1", "PLAIN": HIDDEN}
    assert shown["spec"]["Worker"]["envVars"] == {"DB_PASSWORD": HIDDEN, "PLAIN": HIDDEN}
    assert shown["environment"]["kernelSpec"]["pipDependencies"][1] == f"b @ https://me:{HIDDEN}@host/b.whl"
    assert shown["code"]["git"]["password"] == HIDDEN and shown["kubernetes"] == kept["kubernetes"]
    assert masks.restored(shown, kept) == kept
    shown["environment"]["kernelSpec"]["pipDependencies"].reverse()  # a list may be edited around it
    shown["spec"]["Worker"]["envVars"] = {"HF_TOKEN": HIDDEN}  # and a variable moved
    again = masks.restored(shown, kept)
    assert again["environment"]["kernelSpec"]["pipDependencies"][0] == "b @ https://me:three@host/b.whl"
    assert again["spec"]["Worker"]["envVars"] == {"HF_TOKEN": "one"}


def test_a_secret_by_its_mark_stays_one() -> None:
    """Else whoever may change it could have it shown, by leaving the mark out."""
    kept = {"experimentSpec": document(), "parameters": [{"name": "pin", "value": "1", "secret": True}]}
    shown = masks.masked(kept)
    del shown["experimentSpec"]["meta"]["secretVars"], shown["parameters"][0]["secret"]
    again = masks.restored(shown, kept)
    assert again["experimentSpec"]["meta"]["envVars"]["PLAIN"] == "two" and again["parameters"][0]["value"] == "1"
    assert masks.masked(again)["experimentSpec"]["meta"]["envVars"]["PLAIN"] == HIDDEN
    assert masks.masked(again)["parameters"][0]["value"] == HIDDEN


def test_parameters_of_templates_are_known_by_their_names() -> None:
    kept = {"parameters": [{"name": "hf_token", "value": "one"}, {"name": "pin", "value": 1234, "secret": True}]}
    shown = masks.masked(kept)
    assert [one["value"] for one in shown["parameters"]] == [HIDDEN, HIDDEN]
    shown["parameters"].reverse()
    assert masks.restored(shown, kept)["parameters"] == list(reversed(kept["parameters"]))


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"meta": {"envVars": {"NEW_TOKEN": HIDDEN}}}, "meta.envVars.NEW_TOKEN"),
        ({"meta": {"envVars": {"LR": HIDDEN}}}, "meta.envVars.LR"),
        ({"code": {"git": {"url": "https://evil/x.git", "password": HIDDEN}}}, "code.git.password"),
        ({"code": {"url": f"https://me:{HIDDEN}@evil/b.whl"}}, "code.url"),
    ],
)
def test_a_mask_that_stands_for_nothing_is_refused(changes: dict[str, Any], where: str) -> None:
    with pytest.raises(HiddenValue) as failure:
        masks.restored(document(**changes), document())
    assert failure.value.path == where
    with pytest.raises(HiddenValue):
        masks.refuse_hidden(document(**changes))
    masks.refuse_hidden({"meta": {"notes": f"a rule: {HIDDEN}", "description": HIDDEN}})


KEYS = st.sampled_from(
    ["meta", "cmd", "envVars", "secretVars", "password", "url", "parameters", "value", "name", "HF_TOKEN", "A", "spec"]
)
TEXTS = st.sampled_from(["x", "HF_TOKEN", "https://u:p@h/x?token=1", "{{t}}", "ü", 'a"b', "C:\\tmp"]) | st.text(
    max_size=6
)
DOCUMENTS = st.dictionaries(
    KEYS,
    st.recursive(
        TEXTS | st.none() | st.integers(0, 3),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
        max_leaves=6,
    ),
    max_size=4,
)


@given(DOCUMENTS, st.booleans())
def test_a_text_that_may_hide_nothing_has_nothing_to_mask(document: dict[str, Any], is_ascii: bool) -> None:
    text = json.dumps(document, ensure_ascii=is_ascii)
    assert masks.may_hide(text) or masks.masked(document) == document


def test_what_most_documents_are_is_not_looked_through() -> None:
    document = {"meta": {"name": "mnist", "framework": "PyTorch", "cmd": "python train.py"}, "spec": {"Worker": {}}}
    assert not masks.may_hide(json.dumps(document))

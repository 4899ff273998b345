"""How YAML is read: YAML 1.2's core schema, with nothing lost where text is wanted."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from submarine_ray.spec import documents
from submarine_ray.spec.documents import NotYaml, dump, load, load_all
from submarine_ray.spec.experiment import ExperimentSpec
from submarine_ray.spec.problems import sentence
from submarine_ray.spec.templates import TemplateSpec

SPEC = """
meta:
  name: a
  framework: Python
  cmd: train.py
  envVars: {NO: x, yes: "1", V: 3.10, T: 12:30:00, D: 2024-01-01, B: True, t: true, Z: 007, E: 1e5, M: 0x10, P: +49, U: 1_000, i: .inf, N: 3, F: 1.50}
  tags: [1.10, on, 2024-01-01]
spec: {Worker: {replicas: 02, resources: cpu=1}}
code: {syncMode: git, git: {url: "https://example.org/x.git", branch: 1.10, ref: 0123456}}
queue: True
maxRetries: 3
timeout: 60
"""


def test_what_stands_where_text_is_wanted_stays_as_it_is_written() -> None:
    spec = ExperimentSpec.model_validate(load(SPEC))
    assert spec.meta.env_vars == {
        "NO": "x", "yes": "1", "V": "3.10", "T": "12:30:00", "D": "2024-01-01", "B": "True", "t": "true", "Z": "007",
        "E": "1e5", "M": "0x10", "P": "+49", "U": "1_000", "i": ".inf", "N": "3", "F": "1.50",
    }  # fmt: skip
    assert spec.meta.tags == ["1.10", "on", "2024-01-01"]
    assert spec.code and spec.code.git and (spec.code.git.branch, spec.code.git.ref) == ("1.10", "0123456")
    assert (spec.spec["Worker"].replicas, spec.queue, spec.max_retries, spec.timeout) == (2, True, 3, 60)


def test_a_template_keeps_it_too() -> None:
    text = f"name: t\nversion: 1.10\nparameters: [{{name: w, value: 0.10}}]\nexperimentSpec: {load_json(SPEC)}"
    template = TemplateSpec.model_validate(load(text))
    assert (template.version, template.parameters[0].value) == ("1.10", "0.10")
    stored = json.loads(json.dumps(template.experiment_spec))
    assert ExperimentSpec.model_validate(stored).meta.env_vars["V"] == "3.10"


def load_json(text: str) -> str:
    return json.dumps(load(text))


def test_a_search_space_has_numbers_however_they_are_written() -> None:
    values = "[1e-4, 0.10, '0.10', 0x10, True, NO, 12:30:00]"
    space = load(f"tune: {{searchSpace: {{lr: {{type: choice, values: {values}}}}}}}")["tune"]["searchSpace"]
    assert space["lr"]["values"] == [1e-4, 0.1, "0.10", 16, True, "NO", "12:30:00"]
    assert load(values, numbers=True) == space["lr"]["values"]


def test_text_without_quotes_that_is_a_number_is_refused_by_asking_for_quotes() -> None:
    with pytest.raises(ValidationError) as refused:
        ExperimentSpec.model_validate(load(SPEC.replace("cmd: train.py", "cmd: 5")))
    assert sentence(refused.value.errors()[0]) == "meta.cmd: must be text; in YAML, put it into quotes"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1\nb: 2\na: 3", "line 3, column 1: the key 'a' is given twice"),
        ("envVars: {A: 1, A: 2}", "the key 'A' is given twice"),
        ("a: [1", "while parsing a flow sequence did not find expected ',' or ']'"),
        ("a: !!python/object/apply:os.system [ls]", "the tag 'tag:yaml.org,2002:python/object/apply:os.system'"),
        ("a: !secret x", "the tag '!secret' is not known here"),
        ("? [1]\n: 2", "a key must be text"),
        ("a: *b", "line 1, column 4: aliases such as *b are not taken; write out what it stands for"),
        ("&a [*a]", "aliases such as *a are not taken"),
        ("a: &x {k: 1}\nb: {<<: *x}", "line 2, column 5: the merge key << is not taken"),
        ("a: 1\n---\nb: 2", "holds 2 documents"),
        ("a: !!int many", "'many' is not of the type int"),
        ("a: \x00", "control characters are not allowed"),
        (b"a: \xff", "invalid"),
        ("[" + "a," * 20_001 + "]", "holds more than 20000 values"),
        ("a: [" + "\t[]," * 20_001 + "]", "holds more than 20000 values"),
        ('{"a":\t' + "[" * 101 + "]" * 101 + "}", "is nested more than 100 deep"),
        ("[" * 300_000, "is nested more than 100 deep"),  # PyYAML's own loaders end the process here
    ],
)
def test_what_is_not_taken_is_said_in_a_line(text: str | bytes, said: str) -> None:
    with pytest.raises(NotYaml) as refused:
        load(text)
    assert said in str(refused.value) and "\n" not in str(refused.value)


def test_several_documents_and_anchors_that_nothing_repeats_are_read() -> None:
    assert load("a: &x {k: 1, '<<': 2}") == {"a": {"k": 1, "<<": 2}}
    assert list(load_all("a: 1\n---\n---\nb: 2\n")) == [{"a": 1}, None, {"b": 2}]
    assert (load(""), load("# nothing"), load("!!str 5"), load("!!float 1")) == (None, None, "5", 1)


def test_libyaml_reads() -> None:
    assert documents._LOADER is yaml.CSafeLoader


_TEXTS = st.one_of(
    st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\x85\u2028\u2029"), max_size=20),
    st.sampled_from(["NO", "3.10", "12:30:00", "1e5", "0o7", "<<", "~", "", "=", "y", ".5", "007", "-", "+1", "2024-01-01"]),
    st.from_regex(r"\A[-+.0-9eExo_:]{1,8}\Z"),
)  # fmt: skip
_NUMBERS = st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.booleans() | st.none()
_DOCUMENTS = st.recursive(
    _TEXTS | _NUMBERS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_TEXTS, inner, max_size=4)
)


@given(_DOCUMENTS)
def test_what_is_written_is_read_as_it_was(document: Any) -> None:
    assert load(dump(document), numbers=True) == document
    # A reader of YAML 1.1, such as Submarine's own command, sees the same texts.
    assert _texts(yaml.safe_load(dump(document))) == _texts(document)


@given(_DOCUMENTS)
def test_json_is_yaml(document: Any) -> None:
    document = {"a": document}
    assert load(json.dumps(document, indent="\t"), numbers=True) == document
    assert load(json.dumps(document), numbers=True) == document


def _texts(document: Any) -> list[str]:
    if isinstance(document, dict):
        return [text for key, value in document.items() for text in (key, *_texts(value))]
    if isinstance(document, list):
        return [text for value in document for text in _texts(value)]
    return [document] if isinstance(document, str) else []


def test_numbers_that_json_spells_alike_are_numbers() -> None:
    found = load("[3, -7, 1.5, 0.0001, 1e400, 12345678901234567890, true, null, ~]")
    assert found == [3, -7, 1.5, 0.0001, "1e400", 12345678901234567890, True, None, None]
    assert not any(isinstance(value, float) and math.isinf(value) for value in found)

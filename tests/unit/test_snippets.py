"""What every snippet has, and what none has."""

from __future__ import annotations

import ast
import json
import shlex

import pytest

from submarine_ray.workbench import snippets
from submarine_ray.workbench.snippets import LANGUAGES, Service, Snippets

HERE = "http://127.0.0.1:32080"
HOSTILE = "a'b\"$(rm -rf ~)`x`\\\n{{y}}"


def everything(service: Service) -> list[Snippets]:
    return [
        snippets.new_experiment(service, {"meta": {"cmd": HOSTILE}, "spec": {}}),
        snippets.experiment(service, "experiment-1"),
        snippets.template(service, HOSTILE, {HOSTILE: HOSTILE}),
        snippets.environment(service, HOSTILE),
        snippets.notebook(service, "notebook-1"),
        snippets.model(service, HOSTILE, None, None),
        snippets.model(service, HOSTILE, "champion", 3),
        snippets.model(service, HOSTILE, None, 3),
        snippets.version(service, HOSTILE, 3),
        snippets.endpoint(service, HOSTILE, 3, HERE, {"inputs": [HOSTILE]}),
        snippets.shared_url(service, HOSTILE, HERE, {"inputs": [HOSTILE]}),
    ]


@pytest.mark.parametrize("has_token", [True, False])
def test_each_is_for_this_service_and_well_formed_whatever_names_are(has_token: bool) -> None:
    for one in everything(Service(HERE, has_token)):
        ast.parse(one.python)
        assert HERE in one.python and HERE in one.curl and f"export SUBMARINE_URL={HERE}" in one.cli
        words = shlex.split(one.curl)
        assert words[0] == "curl" and sum(word.startswith(HERE) for word in words) == 1
        assert all(isinstance(json.loads(words[n + 1]), dict) for n, word in enumerate(words) if word == "-d")
        head = one.cli.partition("<<")[0]  # what follows is the document, in which nothing is expanded
        assert not {"$(rm", "rm"} & set(shlex.split(head, comments=True)), head
        assert {one.of(language) for language in LANGUAGES} == {one.python, one.cli, one.curl}


def test_a_token_comes_from_the_environment() -> None:
    with_token, without = everything(Service(HERE, True)), everything(Service(HERE, False))
    for one in with_token[:-2]:  # endpoints ask for none
        assert "SUBMARINE_TOKEN" in one.python and "SUBMARINE_TOKEN" in one.cli
        assert '-H "Authorization: Bearer $SUBMARINE_TOKEN"' in one.curl
    assert not any("TOKEN" in one.python + one.cli + one.curl for one in without)

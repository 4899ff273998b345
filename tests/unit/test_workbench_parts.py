"""What the workbench's pages are made of, without a browser."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

from nicegui import Client, ui
from nicegui.elements.mixins.text_element import TextElement
from nicegui.page import page

from submarine_ray.spec import masks
from submarine_ray.spec.answers.events import Event
from submarine_ray.spec.answers.experiments import Trial
from submarine_ray.workbench import dialogs, load, sweep_metrics, template_form, timeline


def test_a_question_whose_page_is_left_is_not_answered() -> None:
    async def leave() -> object:
        client = Client(page(""))
        with client:
            dialog = ui.dialog()
            asked = asyncio.create_task(dialogs.answered(dialog))
            await asyncio.sleep(0)
            client.delete()
            return await asked

    with ThreadPoolExecutor(1) as thread:  # where no browser has a loop
        assert thread.submit(asyncio.run, leave()).result() is None


def test_what_recurs_is_one_line_of_the_timeline_with_its_number() -> None:
    told = (("Submitted", "It was submitted.", 1), ("PodNotCreated", "A pod cannot be made.", 12))
    first, last = "2026-11-27T09:00:00.000+00:00", "2026-11-27T09:05:00.000+00:00"
    happened = [
        Event(time=first, last_time=last, count=count, from_status=None, to_status=None, reason=reason, message=message)
        for reason, message, count in told
    ]

    async def drawn() -> list[str]:
        client = Client(page(""))
        with client:
            timeline.draw(happened)
            found = [element.text for element in client.elements.values() if isinstance(element, TextElement)]
        client.delete()
        return found

    with ThreadPoolExecutor(1) as thread:
        texts = thread.submit(asyncio.run, drawn()).result()
    assert texts.index("PodNotCreated") < texts.index("12 times, last") < texts.index("Submitted")
    assert sum("times, last" in text for text in texts) == 1


def test_a_template_of_an_experiment_asks_for_its_secrets() -> None:
    variables = {"HF_TOKEN": masks.HIDDEN, "LR": "0.1"}
    written = {"meta": {"envVars": dict(variables)}, "spec": {"Worker": {"envVars": {"PIN": masks.HIDDEN}}}}
    asked = template_form.asked_for(written)
    assert asked == [{"name": name, "required": "true", "secret": True} for name in ("HF_TOKEN", "PIN")]
    assert written["meta"]["envVars"] == {"HF_TOKEN": "{{HF_TOKEN}}", "LR": "0.1"}
    assert written["spec"]["Worker"]["envVars"] == {"PIN": "{{PIN}}"}


def test_a_curve_of_a_sweep_says_which_trial_it_is_within_its_legend() -> None:
    def label(params: dict[str, object]) -> str:
        run = {"runId": "r", "startedTime": None, "finishedTime": None, "seconds": None}
        kept = {"message": None, "checkpoint": None, "modelVersion": None, "metrics": {}}
        known = {"trialId": "a", "number": 12, "status": "Running", "params": params}
        return sweep_metrics.label(Trial.model_validate({**known, **run, **kept}))

    assert label({"lr": 0.1 + 0.2, "kind": "adam"}) == "#12 lr=0.3, kind=adam"
    assert label({}) == "#12"
    assert len(label({"text": "x" * 100})) == sweep_metrics.LABEL


def test_an_endpoints_figures_have_their_place_before_the_cluster_has_told_them() -> None:
    async def silent() -> None:
        return None

    async def drawn(is_readable: bool) -> list[list[str]]:
        client = Client(page(""))
        with client:
            content = ui.element("div")
            refresh = load.later(content, is_readable, silent)
            found = [[one.text for one in content.descendants() if isinstance(one, TextElement)]]
            await refresh()
            found.append([one.text for one in content.descendants() if isinstance(one, TextElement)])
        client.delete()
        return found

    with ThreadPoolExecutor(1) as thread:
        before, after = thread.submit(asyncio.run, drawn(True)).result()
        nothing, unreadable = thread.submit(asyncio.run, drawn(False)).result()
    assert after == [*before, "The cluster is not responding."] and before.count("–") == 7
    assert not nothing and len(unreadable) == 1

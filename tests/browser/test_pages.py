"""The workbench's pages in a real browser, on a control service without a cluster."""

from __future__ import annotations

import contextlib
import io
import json
import re
import zipfile
from typing import Any

import httpx
import pytest
import yaml
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Dialog, FilePayload, Page, expect
from playwright.sync_api import Error as PlaywrightError

from submarine_ray.core import events
from submarine_ray.core.events import Event, listen_with
from submarine_ray.notices import repository
from submarine_ray.notices.listener import NOTICES
from submarine_ray.spec.zips import zipped
from tests.browser.conftest import EXPERIMENTS, HOSTILE, Service
from tests.conftest import wait_until

PLACES = (
    "/", "/experiments", "/experiments/new", "/templates", "/environments", "/notebooks", "/models", "/endpoints",
    "/clusters", "/clusters/local", "/settings", "/compare", "/charts", "/reports",
)  # fmt: skip
NAMES = "tbody a.cut"


def test_ten_thousand_experiments_are_paged_by_the_server(service: Service, page: Page) -> None:
    page.goto(f"{service.url}/experiments")
    expect(page.locator(NAMES)).to_have_count(25)
    expect(page.get_by_role("status").filter(has_text=" of ")).to_contain_text(f"1–25 of {EXPERIMENTS // 1000},")
    page.get_by_role("button", name="Next page").click()
    expect(page.get_by_role("status").filter(has_text="26–50")).to_be_visible()
    expect(page).to_have_url(f"{service.url}/experiments?page=2")
    page.reload()
    expect(page.get_by_role("status").filter(has_text="26–50")).to_be_visible()
    page.get_by_role("button", name="Last page").click()
    expect(page.get_by_text("train-0", exact=True)).to_be_visible()


def test_search_and_filters_are_in_the_url(service: Service, page: Page) -> None:
    (id,) = service.add(1, "one-of-a-kind", owner="ada", status="Failed")
    service.tag(id, "nightly")
    page.goto(f"{service.url}/experiments")
    page.keyboard.press("/")
    page.keyboard.type("one-of-a")
    expect(page.locator(NAMES)).to_have_text(["one-of-a-kind"])
    expect(page).to_have_url(re.compile(r"q=one-of-a"))
    page.goto(f"{service.url}/experiments?owner=ada&status=Failed&tag=nightly&since=day")
    expect(page.locator(NAMES)).to_have_text(["one-of-a-kind"])
    page.goto(f"{service.url}/experiments?q=100%25_none")
    expect(page.get_by_text("No experiments match these filters")).to_be_visible()


def test_what_was_stopped_has_not_failed(service: Service, page: Page) -> None:
    """Stopped is a grey state of its own on every page and in the CLI; the API keeps Submarine's word."""
    (id,) = service.add(1, "halted-one", status="Failed", reason="Stopped", message="Stopped by the user.")
    service.add(1, "halted-two", status="Failed", reason="ReplicaFailed", message="It broke.")
    badge = page.locator(".badge", has_text="Stopped")
    for state, names in (("", ["halted-two", "halted-one"]), ("Stopped", ["halted-one"]), ("Failed", ["halted-two"])):
        page.goto(f"{service.url}/experiments?q=halted&status={state}")
        expect(page.locator(NAMES)).to_have_text(names)
        expect(badge).to_have_count(int("halted-one" in names))
    page.goto(service.url)
    expect(page.locator(".card", has_text="Recent failures")).to_contain_text("halted-two")
    expect(page.locator(".card", has_text="Recent failures")).not_to_contain_text("halted-one")
    expect(page.get_by_role("table", name="Recent experiments").locator("tr", has_text="halted-one")).to_contain_text(
        "Stopped"
    )
    page.goto(f"{service.url}/experiments/{id}")
    expect(badge.first).to_have_attribute("data-state", "off")
    expect(page.get_by_text("Stopped by the user.")).to_be_visible()
    expect(page.locator(".notice.bad")).to_have_count(0)
    page.goto(f"{service.url}/compare?ids={id},{service.add(1)[0]}")
    expect(badge).to_have_count(1)
    listed = httpx.get(f"{service.url}/api/v1/experiment?state=stopped", timeout=20).json()["result"]
    assert [(one["experimentId"], one["status"], one["reason"]) for one in listed] == [(id, "Failed", "Stopped")]
    shown = service.cli("list", "experiment", "--status", "Stopped")
    assert id in shown and "Stopped" in shown and "Failed" not in shown
    assert 'submarine_experiments{status="Stopped"} 1.0' in httpx.get(f"{service.url}/metrics", timeout=20).text


def test_why_it_failed_is_told_and_leads_to_its_place_in_the_log(service: Service, page: Page) -> None:
    why = "worker-0 failed: ValueError: bad shape (it exited with status 1)"
    run = service.run({}, {})
    lines = [*(f"epoch {n}" for n in range(400)), "Traceback (most recent call last):", "ValueError: bad shape"]
    service.log(run, {"worker-0": [*lines, *(f"closing {n}" for n in range(300))], "submarine": [why]})
    (id,) = service.add(1, "told", status="Failed", reason="ReplicaFailed", message=why, run_id=run)
    page.goto(service.url)
    expect(page.locator(".card", has_text="Recent failures")).to_contain_text(why)
    page.goto(f"{service.url}/experiments?q=told")
    expect(page.locator(".q-table tbody tr")).to_contain_text("ValueError: bad shape")
    page.goto(f"{service.url}/experiments/{id}")
    expect(page.locator(".notice.bad")).to_have_text(f"ReplicaFailed: {why}")
    page.get_by_role("button", name="Show in the log").click()
    expect(page.locator("log-view .hit")).to_have_text(re.compile("ValueError: bad shape$"))
    expect(page.locator("log-view .hit")).to_be_in_viewport()
    assert why in service.cli("get", "experiment", id, "-o", "json")


def test_a_new_experiment_appears_by_itself(service: Service, page: Page) -> None:
    page.goto(f"{service.url}/experiments?q=comes-later")
    expect(page.get_by_text("No experiments match these filters")).to_be_visible()
    spec = {"meta": {"name": "comes-later", "framework": "Shell", "cmd": "true"}, "spec": {"Worker": {}}}
    assert httpx.post(f"{service.url}/api/v1/experiment", json=spec, timeout=20).status_code == 200
    expect(page.locator(NAMES)).to_have_text(["comes-later"])


def test_a_table_shows_sorts_and_filters_what_was_logged(service: Service, page: Page) -> None:
    """The columns, the order and the filter stand in the URL, which may be shared."""
    for name, lr, losses in (("low", 0.1, [0.9, 0.25]), ("high", 0.01, [0.75]), ("middle", 0.001, [0.5])):
        service.watch(service.add(1, f"measured-{name}", run_id=service.run({"lr": lr}, {"val/loss": losses})))
    service.watch(service.add(1, "measured-nothing"))
    wait_until(lambda: "measured-low" in service.cli("list", "experiment", "--filter", "val/loss < 0.3"), 60, "read")
    page.goto(f"{service.url}/experiments?q=measured")
    page.get_by_role("button", name="Columns").click()
    for name in ("metrics.val/loss", "params.lr"):
        page.get_by_label("Add a column").fill(name)
        page.get_by_role("option", name=name).click()
    page.get_by_role("button", name="Move params.lr up").click()
    page.get_by_role("button", name="Remove Owner").click()
    page.get_by_role("button", name="Show").click()
    heads = page.locator("thead th")
    expect(heads.nth(-2)).to_have_text("lr")
    expect(heads.nth(-1)).to_have_text("val/loss")
    heads.nth(-1).get_by_role("button").click()
    names = ["measured-low", "measured-middle", "measured-high", "measured-nothing"]
    expect(page.locator(NAMES)).to_have_text(names)
    expect(heads.nth(-1)).to_have_attribute("aria-sort", "ascending")
    expect(page.locator("tbody tr").first.locator("td").nth(-1)).to_have_text("0.25")
    page.get_by_label("Filter").fill("lr < 0.05 and val/loss <")
    expect(page.get_by_text("the filter ends where a value for val/loss is expected")).to_be_visible()
    expect(page.locator(NAMES)).to_have_text(names)
    page.get_by_label("Filter").fill("lr < 0.05 and metrics.val/l")
    expect(page.locator("datalist option").first).to_have_attribute("value", "lr < 0.05 and metrics.val/loss ")
    page.get_by_label("Filter").fill("lr < 0.05 and val/loss < 1")
    expect(page.locator(NAMES)).to_have_text(["measured-middle", "measured-high"])
    expect(page).to_have_url(re.compile("filter=.*sort=metrics.val%2Floss.*column=params.lr"))
    page.reload()
    expect(page.locator(NAMES)).to_have_text(["measured-middle", "measured-high"])
    found = httpx.get(f"{service.url}{page.get_by_role('link', name='CSV').get_attribute('href')}", timeout=30)
    assert [line.split(",")[1] for line in found.text.splitlines()] == ["name", "measured-middle", "measured-high"]


def test_a_saved_view_groups_and_changes_many(service: Service, page: Page) -> None:
    """A view is saved and opened by its link; its groups are opened; all that match are tagged at once."""
    for owner, count in (("anna", 30), ("ben", 2)):
        service.add(count, f"viewed-{owner}", owner=owner)
    page.goto(f"{service.url}/experiments?q=viewed&pin=owner")
    page.get_by_label("Group by").click()
    page.get_by_role("option", name="Owner").click()
    expect(page.locator("button.group")).to_have_text([re.compile("anna"), re.compile("ben")])
    page.locator("button.group", has_text="ben").press("Enter")
    expect(page.locator(NAMES)).to_have_text(["viewed-ben-1", "viewed-ben-0"])
    page.get_by_role("button", name="All experiments").click()
    page.get_by_text("Save as a new view…").click()
    page.get_by_role("dialog").get_by_label("Name").fill("By owner")
    page.get_by_role("dialog").get_by_role("button", name="Save").click()
    expect(page).to_have_url(re.compile(r"/experiments\?view=saved-"))
    expect(page.get_by_role("button", name="By owner")).to_be_visible()
    page.locator("button.group", has_text="anna").click()
    expect(page.locator(NAMES)).to_have_count(25)
    page.get_by_role("button", name="Show 5 more of 30").click()
    expect(page.locator(NAMES)).to_have_count(30)
    page.goto(f"{service.url}/experiments?q=viewed")
    page.get_by_role("checkbox", name="Select all rows shown").click()
    page.get_by_role("button", name="Select all 32 that match").click()
    page.get_by_role("button", name="Add tag").click()
    page.get_by_role("dialog").get_by_label("Tag").fill("seen")
    page.get_by_role("dialog").get_by_role("button", name="Add").click()
    expect(page.get_by_text("Tagged 32 experiments")).to_be_visible()
    assert service.cli("list", "experiment", "--filter", "tag = seen", "-o", "json").count('"experimentId"') == 32


def test_chosen_experiments_are_deleted_after_a_question(service: Service, page: Page) -> None:
    service.add(3, "unwanted")
    page.goto(f"{service.url}/experiments?q=unwanted")
    expect(page.locator(NAMES)).to_have_count(3)
    page.get_by_role("checkbox", name="Select all rows shown").click()
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("dialog")).to_have_count(0)  # or there are two buttons of that name
    expect(page.locator(NAMES)).to_have_count(3)
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.get_by_text("No experiments match these filters")).to_be_visible()
    (told,) = httpx.get(f"{service.url}/api/v1/deletion?kind=experiment&limit=1", timeout=30).json()["result"]
    assert told["byKind"] == "administrator", "what a page deletes is its user's"


def test_the_stepper_and_its_yaml_keep_in_step(service: Service, page: Page) -> None:
    page.goto(f"{service.url}/experiments/new")
    text = page.get_by_label("The experiment as YAML")
    page.get_by_label("Name", exact=True).fill("from-the-form")
    expect(text).to_have_value(re.compile("name: from-the-form"))
    document = yaml.safe_load(text.input_value())
    document["meta"]["cmd"] = "echo from the yaml"
    document["timeout"] = 60
    text.fill(yaml.safe_dump(document))
    expect(page.get_by_label("Command")).to_have_value("echo from the yaml")
    page.get_by_role("button", name="Run").click()
    expect(page).to_have_url(re.compile("/experiments/experiment-"))
    expect(page.get_by_role("heading", name="from-the-form")).to_be_visible()
    shown = httpx.get(f"{service.url}/api/v1/experiment/{page.url.rsplit('/', 1)[1]}", timeout=20).json()["result"]
    assert shown["spec"]["timeout"] == 60 and shown["spec"]["meta"]["cmd"] == "echo from the yaml"


def test_a_finished_experiment_is_edited_and_runs_again_only_when_asked(service: Service, page: Page) -> None:
    (id,) = service.add(1, "edited")
    page.goto(f"{service.url}/experiments/{id}")

    def stored() -> dict[str, Any]:
        return dict(httpx.get(f"{service.url}/api/v1/experiment/{id}", timeout=20).json()["result"])

    page.get_by_role("button", name="Edit", exact=True).click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Name").fill("no blanks")
    dialog.get_by_role("button", name="Save").click()
    expect(dialog.get_by_role("alert")).to_contain_text("meta.name")
    for label, value in (("Name", "edited-later"), ("Owner", "ada"), ("Tags", "good, kept")):
        dialog.get_by_label(label).fill(value)
    dialog.get_by_role("button", name="Save").click()
    expect(page.get_by_role("heading", name="edited-later", exact=True)).to_be_visible()
    notes = page.locator(".card", has=page.get_by_role("heading", name="Notes"))
    notes.get_by_role("button", name="Edit notes").click()
    notes.get_by_label("Notes", exact=True).fill("# It\n**worked.** <img src=x onerror=window.hacked=1>")
    notes.get_by_role("tab", name="Preview").click()
    expect(notes.locator("strong")).to_have_text("worked.")
    notes.get_by_role("button", name="Save").click()
    expect(notes.get_by_role("button", name="Edit notes")).to_be_focused()
    expect(notes.get_by_role("heading", name="It", exact=True)).to_be_visible()
    assert page.evaluate("window.hacked") is None
    notes.get_by_role("button", name="Edit notes").click()
    other = stored()["spec"]
    other["meta"]["notes"] = "Theirs"
    httpx.patch(f"{service.url}/api/v1/experiment/{id}", json=other, timeout=20).raise_for_status()
    notes.get_by_label("Notes", exact=True).fill("Mine")
    notes.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Somebody else has changed this text in the meantime")).to_be_visible()
    notes.get_by_role("button", name="Cancel").click()
    expect(notes).to_contain_text("Theirs")
    page.get_by_role("button", name="Remove tag good").click()
    expect(page.get_by_role("button", name="Remove tag good")).to_have_count(0)
    page.get_by_label("Add tag").fill("more")
    page.get_by_label("Add tag").press("Enter")
    expect(page.get_by_role("button", name="Remove tag more")).to_be_visible()
    now = stored()
    assert (now["status"], now["attempt"], now["spec"]["meta"]["tags"]) == ("Succeeded", 1, ["kept", "more"])
    assert (now["spec"]["meta"]["owner"], now["spec"]["meta"]["notes"]) == ("ada", "Theirs")
    page.get_by_role("button", name="Rerun with changes").click()
    page.get_by_role("button", name="Rerun", exact=True).click()
    page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
    assert stored() == now
    page.get_by_role("button", name="Rerun", exact=True).click()
    page.get_by_role("dialog").get_by_role("button", name="Rerun").click()
    expect(page).to_have_url(re.compile(f"/experiments/{id}$"))
    assert (stored()["status"], stored()["attempt"]) == ("Accepted", 2)


def test_each_tab_shows_the_attempt_that_is_chosen(service: Service, page: Page) -> None:
    (id,) = service.add(1, "again", run_id=service.run({"lr": 0.5}, {"loss": [3.0, 2.0]}), attempt=2)
    why = "worker-0 failed: KeyError: 'x' (it exited with status 1)"
    first = service.run({"lr": 0.1}, {"loss": [7.0, 6.0], "old": [1.0]})
    service.log(first, {"worker-0": ["Traceback (most recent call last):", "KeyError: 'x'"]})
    service.attempt(id, 1, run_id=first, status="Failed", reason="ReplicaFailed", message=why, cmd="echo first")
    page.goto(f"{service.url}/experiments/{id}")
    overview = page.locator(".card", has=page.get_by_role("heading", name="Overview"))
    expect(overview).to_contain_text("2 of 2")
    expect(page.get_by_role("region", name="Parameters")).to_contain_text("0.5")
    expect(page.locator(".notice.bad")).to_have_count(0)
    page.get_by_label("Attempt", exact=True).click()
    page.get_by_role("option", name="Attempt 1: Failed").click()
    expect(page).to_have_url(re.compile("attempt=1"))
    expect(page.get_by_role("region", name="Parameters")).to_contain_text("0.1")
    expect(overview).to_contain_text("echo first")
    expect(page.locator(".notice.bad")).to_have_text(f"ReplicaFailed: {why}")
    page.get_by_role("tab", name="Metrics").click()
    expect(page.get_by_role("img", name="Chart of old")).to_be_visible()
    page.get_by_role("tab", name="Artifacts").click()
    page.get_by_role("link", name="logs/").click()
    expect(page.get_by_role("link", name="worker-0.log")).to_be_visible()
    page.get_by_role("button", name="Show in the log").click()
    expect(page.locator("log-view .hit")).to_have_text("KeyError: 'x'")
    page.get_by_label("Attempt", exact=True).click()
    page.get_by_role("option", name="Attempt 2 (current): Succeeded").click()
    expect(page.locator(".notice.bad")).to_have_count(0)
    expect(page).not_to_have_url(re.compile("attempt"))
    page.get_by_role("link", name="Compare attempts").click()
    for section, label, values in (
        ("Parameters", "lr", ["0.1", "0.5"]), ("Metrics", "loss", ["6.0", "2.0"]), ("About", "Command", ["echo first", "true"])
    ):  # fmt: skip
        row = page.locator(f"tbody[aria-label={section}] tr").filter(has=page.get_by_role("rowheader", name=label))
        expect(row.locator("td")).to_have_text(values)
    shown = service.cli("list", "attempt", id)
    assert "Failed" in shown and "KeyError" in shown and "Succeeded" in shown
    assert "KeyError: 'x'" in service.cli("logs", id, "--attempt", "1")


def test_a_tab_is_left_before_its_charts_stand(service: Service, page: Page) -> None:
    """No error in the console, which the fixture looks for; timers that are late stand for a busy browser."""
    (id,) = service.add(1, "left", run_id=service.run({}, {"loss": [2.0, 1.0]}))
    page.add_init_script(
        "const timer = setTimeout; window.setTimeout = (act, ms, ...more) => timer(act, ms || 500, ...more)"
    )
    page.goto(f"{service.url}/experiments/{id}")
    expect(page.get_by_role("link", name="TensorBoard")).to_have_attribute("href", re.compile(f"runFilter=.*{id}"))
    page.get_by_role("tab", name="Metrics").click()
    expect(page.get_by_role("img", name="Chart of loss")).to_be_attached()
    page.get_by_role("tab", name="Logs").click()
    expect(page.get_by_label("Search the log")).to_be_visible()
    page.get_by_role("tab", name="Metrics").click()
    expect(page.locator(".chart canvas")).to_be_visible()


def test_a_script_is_pasted_or_uploaded_and_found_again(service: Service, page: Page) -> None:
    """What the form says by itself has code to run; whatever the command names is sent along."""
    page.goto(f"{service.url}/experiments/new")
    text = page.get_by_label("The experiment as YAML")
    expect(text).to_have_value(re.compile("url: package://"))
    page.get_by_text("Code", exact=True).click()
    example = text.input_value()
    page.get_by_label("Script", exact=True).click()  # which waits until the step has slid open; `fill` does not
    page.get_by_label("Script", exact=True).fill("print('pasted')")
    expect(text).not_to_have_value(example)  # what is typed arrives a moment later
    for name, content, why in (
        ("mine.py", b"\xff", "mine.py is not text in UTF-8"),
        ("mine.py", b"#" * 500_001, "The script has 500,001 bytes, and the form takes 500,000 at most"),
        ("data.csv", b"a,b", "data.csv is not a script: choose a file that ends in .py"),
    ):
        page.locator("input[type=file]").set_input_files(FilePayload(name=name, mimeType="text/plain", buffer=content))
        expect(page.locator(".q-notification", has_text=why)).to_be_visible()
    uploaded = {"name": "mine.py", "mimeType": "text/x-python", "buffer": "print('hochgeladen: ü')".encode()}
    page.locator("input[type=file]").set_input_files(uploaded)
    expect(page.get_by_label("Script", exact=True)).to_have_value("print('hochgeladen: ü')")
    page.get_by_label("Git repository").fill("https://host/team/project.git")
    expect(text).to_have_value(re.compile("project.git"))
    expect(text).not_to_have_value(re.compile("package://"))
    page.get_by_label("Git repository").fill("")
    expect(text).to_have_value(re.compile("url: package://"))
    page.get_by_role("button", name="Run", exact=True).click()
    expect(page).to_have_url(re.compile("/experiments/experiment-"))
    id = page.url.rsplit("/", 1)[1]
    code = httpx.get(f"{service.url}/api/v1/experiment/{id}", timeout=20).json()["result"]["spec"]["code"]
    package = httpx.get(f"{service.url}/api/v1/package/{code['url'].removeprefix('package://')}", timeout=20)
    with zipfile.ZipFile(io.BytesIO(package.content)) as archive:
        assert {name: archive.read(name).decode() for name in archive.namelist()} == {
            "train.py": "print('hochgeladen: ü')"
        }
    page.get_by_role("button", name="Clone").click()
    expect(page.get_by_label("Name", exact=True)).to_have_value("my-experiment-copy")
    page.get_by_text("Code", exact=True).click()
    expect(page.get_by_label("Script", exact=True)).to_have_value("print('hochgeladen: ü')")


def test_the_steps_of_the_form_say_what_is_wrong_and_edits_are_not_lost(service: Service, page: Page) -> None:
    packed = zipped([("train.py", b"import model"), ("model.py", b"")])
    code = httpx.put(f"{service.url}/api/v1/package", content=packed, timeout=20).json()["result"]
    spec = {
        "meta": {"name": "cloned", "framework": "Python", "cmd": "python train.py"}, "spec": {"Worker": {}},
        "code": {"syncMode": "package", "url": code["url"]},
    }  # fmt: skip
    (id,) = service.add(1, "cloned", spec=json.dumps(spec))
    page.goto(f"{service.url}/experiments/new?clone={id}")
    marks = page.locator(".q-stepper__tab--done"), page.locator(".q-stepper__tab--error")
    expect(page.get_by_label("Name", exact=True)).to_have_value("cloned-copy")
    page.get_by_label("Framework").click()
    page.get_by_role("option", name="Ray").click()
    page.get_by_label("Name", exact=True).fill("no blanks here")
    page.get_by_role("button", name="Next").click()
    expect(page.get_by_label("Name", exact=True)).to_be_hidden()  # the next step is open
    for mark, count in zip(marks, (0, 1), strict=True):
        expect(mark).to_have_count(count)
    page.get_by_text("What", exact=True).click()
    expect(page.locator(".q-field--error")).to_have_count(1)
    page.get_by_label("Name", exact=True).fill("another")
    expect(page.locator(".q-field--error")).to_have_count(0)
    page.get_by_text("Code", exact=True).click()
    expect(page.get_by_text("The code is a package of 2 files: train.py, model.py")).to_be_visible()
    for mark, count in zip(marks, (2, 0), strict=True):
        expect(mark).to_have_count(count)
    asked: list[str] = []

    def stay(dialog: Dialog) -> None:
        asked.append(dialog.type)
        dialog.dismiss()

    page.on("dialog", stay)
    with contextlib.suppress(PlaywrightError):  # nobody leaves
        page.goto(f"{service.url}/settings", timeout=2000)
    assert asked == ["beforeunload"]
    page.get_by_role("button", name="Use a script instead").click()
    page.get_by_label("Script", exact=True).click()
    page.get_by_label("Script", exact=True).fill("#" * 500_001)
    expect(page.get_by_role("alert").filter(has_text="the form takes 500,000 at most")).to_have_count(2)
    page.get_by_label("Script", exact=True).fill("print(1)")
    expect(page.get_by_role("alert").filter(has_text="the form takes 500,000 at most")).to_have_count(0)
    page.get_by_role("button", name="Run", exact=True).click()
    expect(page).to_have_url(re.compile("/experiments/experiment-"))
    assert len(asked) == 1, "what is stored is not lost"


def test_a_mistake_is_told_and_nothing_runs(service: Service, page: Page) -> None:
    page.goto(f"{service.url}/experiments/new")
    expect(page.get_by_label("Name", exact=True)).to_have_value("my-experiment")
    for written, said in (
        ("meta: [", "Invalid YAML"),
        ("just text", "must be an object"),
        ("meta: {name: a b, framework: Shell, cmd: x}\nspec: {Worker: {}}", "meta.name: "),
        ("meta: {name: a, framework: Shell, cmd: x}\nspec: {Worker: {resources: cpu=many}}", "not a number of cores"),
        ("meta: {name: a, framework: Shell, cmd: x}\nspec: {Worker: {replicas: 0}}", "spec.Worker.replicas: "),
        ("meta: {name: a, framework: Shell, cmd: x}\nspek: {}", "spek: is not a known field"),
    ):
        page.get_by_label("The experiment as YAML").fill(written)
        expect(page.get_by_role("alert").filter(has_text=said)).to_be_visible()
        page.get_by_role("button", name="Run").click()
        expect(page.locator(".q-notification").filter(has_text=said)).to_be_visible()
        page.get_by_role("button", name="Close", exact=True).click()
        expect(page.locator(".q-notification")).to_have_count(0)  # it fades, and the next one has such a button, too
    assert page.url.endswith("/experiments/new")


def test_user_strings_are_never_markup(service: Service, page: Page) -> None:
    (id,) = service.add(
        1,
        HOSTILE,
        {"name": "hostile", "cmd": HOSTILE},
        owner=HOSTILE,
        message=HOSTILE,
        reason="CommandFailed",
        status="Failed",
    )
    service.tag(id, HOSTILE)
    for path in ("/", "/experiments", f"/compare?ids={id},{service.add(1)[0]}"):
        page.goto(f"{service.url}{path}")
        expect(page.get_by_text(HOSTILE).first).to_be_visible()
        assert page.evaluate("window.hacked") is None


@pytest.mark.parametrize(
    "path", ["/experiments/experiment-1-0001", "/models/none", "/clusters/none", "/nowhere/at/all"]
)
def test_what_is_not_there_has_a_page_that_says_so(service: Service, page: Page, path: str) -> None:
    answer = page.goto(f"{service.url}{path}")
    assert answer is not None and answer.status == 404
    expect(page.get_by_role("heading", name="Page not found")).to_be_visible()


def test_a_comparison_of_nothing_says_what_to_do(service: Service) -> None:
    drawn = httpx.get(f"{service.url}/compare?ids=a,b", timeout=30).text
    assert "Experiment a does not exist." in drawn and "Experiment b does not exist." in drawn
    assert "Nothing to compare yet" in drawn and "Differences only" not in drawn


def test_the_api_answers_programs_as_before(service: Service) -> None:
    missing = httpx.get(f"{service.url}/api/v1/nothing", timeout=20)
    assert missing.status_code == 404 and missing.json()["success"] is False
    assert httpx.put(f"{service.url}/api/v1/experiment", timeout=20).status_code == 405


def test_pages_allow_nothing_from_elsewhere(service: Service) -> None:
    headers = httpx.get(f"{service.url}/experiments", timeout=20).headers
    assert "default-src 'self'" in headers["content-security-policy"]
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    foreign = httpx.get(f"{service.url}/", headers={"Host": "evil.example"}, timeout=20)
    assert foreign.status_code == 403
    connecting = {"Origin": "http://evil.example"}
    socket = f"{service.url}/_nicegui_ws/socket.io/?EIO=4&transport=polling"
    assert httpx.post(socket, headers=connecting, timeout=20).status_code == 403


def test_a_script_that_came_with_a_text_does_not_run(browser: Browser, service: Service) -> None:
    policies = [httpx.get(service.url, timeout=20).headers["content-security-policy"] for _ in range(2)]
    assert policies[0] != policies[1] and "script-src 'self' 'nonce-" in policies[0]
    page = browser.new_page()
    page.goto(service.url)
    outcome = page.evaluate(
        """() => new Promise(resolve => {
            window.ran = resolve
            document.addEventListener('securitypolicyviolation', event => resolve(event.effectiveDirective))
            document.body.insertAdjacentHTML('beforeend', `<img src="data:," onerror="ran('it ran')">`)
        })"""
    )
    page.close()
    assert outcome == "script-src-attr"


def test_scripts_come_compressed_and_whole_however_often(service: Service) -> None:
    html = httpx.get(service.url, timeout=30).text
    path = re.search(r"/_nicegui/[\w./-]+/quasar\.umd\.prod\.js", html)
    assert path
    url = f"{service.url}{path[0]}"
    answers = [httpx.get(url, headers={"accept-encoding": encoding}) for encoding in ("gzip", "gzip", "identity")]
    assert len({answer.content for answer in answers}) == 1 and len(answers[0].content) > 400_000
    assert [answer.headers.get("content-encoding") for answer in answers] == ["gzip", "gzip", None]
    for answer in answers:
        assert "immutable" in answer.headers["cache-control"]
        assert len(answer.headers.get_list("content-security-policy")) == 1
    assert (
        httpx.get(url, headers={"range": "bytes=0-9", "accept-encoding": "identity"}).content == answers[2].content[:10]
    )
    assert httpx.get(f"{url}.nothing").status_code == 404


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_no_serious_problem_of_accessibility(service: Service, browser: Browser, theme: str) -> None:
    context = browser.new_context(color_scheme=theme)  # type: ignore[arg-type]
    page = context.new_page()
    found = []
    for path in (*PLACES, f"/experiments/{service.add(1, 'looked-at')[0]}"):
        page.goto(f"{service.url}{path}")
        page.locator("h1").wait_for()
        page.locator("body.body--dark" if theme == "dark" else "body.body--light").wait_for()
        violations = Axe().run(page).response["violations"]
        found += [
            (path, one["id"], one["nodes"][0]["html"][:200])
            for one in violations
            if one["impact"] in ("serious", "critical")
        ]
    page.get_by_label("Add tag").fill("t" * 300)
    page.get_by_label("Add tag").press("Enter")
    page.locator(".q-notification").wait_for()
    page.evaluate("Promise.all(document.getAnimations().map(one => one.finished.catch(() => 0)))")
    found += [("toast", one["id"]) for one in Axe().run(page, ".q-notification").response["violations"]]
    context.close()
    assert not found


def test_a_phone_shows_every_page_in_its_width(service: Service, browser: Browser) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 844})
    page = context.new_page()
    for path in PLACES:
        page.goto(f"{service.url}{path}")
        page.locator("h1").wait_for()
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, path
    page.get_by_role("button", name="Toggle menu").click()
    page.get_by_role("navigation", name="Main").get_by_role("link", name="Models").click()
    expect(page).to_have_url(re.compile("/models$"))
    context.close()


def test_the_theme_is_remembered(service: Service, page: Page) -> None:
    page.goto(f"{service.url}/settings")
    expect(page.get_by_role("region", name="CLI")).not_to_contain_text("pip install submarine-ray")  # PyPI has none
    page.get_by_role("button", name="Dark", exact=True).click()
    expect(page.locator("body.body--dark")).to_be_attached()
    page.goto(f"{service.url}/")
    expect(page.locator("body.body--dark")).to_be_attached()


def test_keys_lead_to_places(service: Service, page: Page) -> None:
    page.goto(f"{service.url}/")
    page.locator("h1").wait_for()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#main")).to_be_focused()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keyboard shortcuts")).to_be_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("/")  # Home has no search of its own
    search = page.get_by_role("combobox", name="Search")
    expect(search).to_be_focused()
    page.keyboard.press("Escape")
    page.keyboard.press("g")
    page.keyboard.press("e")
    expect(page).to_have_url(re.compile("/experiments$"))
    page.locator("h1").wait_for()
    page.keyboard.press("/")
    expect(page.get_by_label("Search by name or ID")).to_be_focused()
    page.keyboard.press("Control+k")  # from within a field, too
    expect(search).to_be_focused()
    page.keyboard.type("switch dark")
    expect(page.get_by_role("option", selected=True)).to_contain_text("Switch to dark mode")
    page.keyboard.press("Enter")
    expect(page.locator("body.body--dark")).to_be_attached()
    page.keyboard.press("Control+k")
    page.keyboard.type("endp")
    expect(page.get_by_role("option", selected=True)).to_contain_text("Endpoints")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("/endpoints$"))


@pytest.mark.long
def test_the_search_finds_marks_and_remembers(service: Service, page: Page) -> None:
    (id,) = service.add(1, "zebra-crossing")
    page.goto(f"{service.url}/")
    page.get_by_role("button", name="Search").click()
    page.keyboard.type("zebr cross")
    found = page.get_by_role("group", name="Experiments").get_by_role("option")
    expect(found).to_have_count(1)
    expect(found).to_contain_text("zebra-crossing")
    expect(page.locator("[role=status]").filter(has_text="1 result")).to_be_attached()
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(f"/experiments/{id}$"))
    star = page.get_by_role("button", name="Favourite")
    expect(star).to_have_attribute("aria-pressed", "false")
    star.click()
    expect(star).to_have_attribute("aria-pressed", "true")
    page.reload()
    expect(star).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("Control+k")
    expect(page.get_by_role("group", name="Favourites").get_by_role("option")).to_contain_text("zebra-crossing")
    page.keyboard.type("nothing like this")
    expect(page.get_by_text("Nothing matches")).to_be_visible()
    page.keyboard.press("Escape")
    star.click()
    expect(star).to_have_attribute("aria-pressed", "false")
    page.goto(f"{service.url}/")
    expect(page.locator(".card", has_text="Recently opened")).to_contain_text("zebra-crossing")


@pytest.mark.long
def test_the_bell_counts_lists_and_marks(service: Service, page: Page) -> None:
    (id,) = service.add(1, "rang-a-bell")
    page.goto(f"{service.url}/")
    bell = page.locator("notice-bell")
    button = bell.get_by_role("button", name=re.compile("^Notifications"))
    button.wait_for()
    with service.database.session(write=True) as session:  # as an engine writes it, in this other process
        repository.follow(session, id, "administrator")
        listen_with(NOTICES)
        events.record(session, id, [Event("ReplicaFailed", "worker-0 exited with 1", "Running", "Failed")])
    expect(bell.get_by_role("button", name="Notifications, 1 unread")).to_be_visible()  # nobody reloads the page
    page.keyboard.press("Control+k")
    page.keyboard.type("notif")
    page.keyboard.press("Enter")
    panel = page.get_by_role("dialog", name="Notifications")
    expect(panel.get_by_role("listitem")).to_contain_text("worker-0 exited with 1")
    panel.get_by_role("button", name="Mark as read: rang-a-bell").click()
    expect(bell.get_by_role("button", name="Notifications", exact=True)).to_be_visible()
    panel.get_by_role("button", name="Settings").click()
    expect(panel.get_by_label("Endpoints that failed or recovered")).to_be_checked()
    page.keyboard.press("Escape")
    expect(panel).to_be_hidden()


def test_a_restarted_service_is_found_again(service: Service, page: Page) -> None:
    page.goto(f"{service.url}/experiments?q=after-the-restart")
    expect(page.get_by_text("No experiments match these filters")).to_be_visible()
    service.kill()
    expect(page.locator("#popup")).to_have_attribute("aria-hidden", "false", timeout=60_000)
    service.add(1, "after-the-restart")
    service.start()
    expect(page.locator(NAMES)).to_have_text(["after-the-restart"], timeout=60_000)


def test_what_differs_is_marked_and_the_curves_are_in_one_chart(service: Service, page: Page) -> None:
    ids = []
    for lr in (0.1, 0.2):
        packed = zipped([("train.py", f"lr = {lr}\nrun()".encode()), ("same.py", b"")])
        code = httpx.put(f"{service.url}/api/v1/package", content=packed, timeout=20).json()["result"]
        spec = {
            "meta": {"name": "c", "framework": "Python", "cmd": "python train.py"}, "spec": {"Worker": {}},
            "code": {"syncMode": "package", "url": code["url"]},
        }  # fmt: skip
        run = service.run({"lr": lr, "same": 1}, {"loss": [1.0, 0.5, lr]})
        ids += service.add(1, f"compared-{lr}", run_id=run, spec=json.dumps(spec))
        told = {"python": "3.12.3", "packages": {"numpy": "2.3.4", "torch": f"2.{lr}"}, "commit": "3f1c0a9b" * 5}
        path = f"{service.url}/api/v1/experiment/{ids[-1]}/provenance?submission={ids[-1]}"
        httpx.post(path, json=told, timeout=20).raise_for_status()
    page.goto(f"{service.url}/experiments/{ids[0]}")
    expect(page.locator(".card", has_text="Code and environment")).to_contain_text("3f1c0a9b3f1c")
    page.get_by_role("button", name="2 packages").click()
    expect(page.get_by_role("region", name="Packages")).to_contain_text("torch==2.0.1")
    page.goto(f"{service.url}/compare?ids={','.join(ids)},gone")
    expect(page.locator("tbody[aria-label=Packages] .diff")).to_have_text(["2.0.1", "2.0.2"])
    expect(page.get_by_text("Experiment gone does not exist.")).to_be_visible()
    row = page.locator("tr", has=page.get_by_role("cell", name="lr", exact=True).or_(page.locator("th", has_text="lr")))
    expect(row.first.locator(".diff")).to_have_text(["0.1", "0.2"])
    expect(page.locator("td[data-best]")).to_have_text(["0.1"])
    expect(page.get_by_role("region", name="Changes of train.py")).to_contain_text("+lr = 0.2")
    expect(page.get_by_text("same.py")).to_have_count(0)
    expect(page.get_by_role("img", name="Chart of loss by experiment")).to_be_visible()
    series = page.locator("figure").first.evaluate("chart => getElement(+chart.id.slice(1)).series")
    assert [one["y"] for one in series] == [[1.0, 0.5, 0.1], [1.0, 0.5, 0.2]]
    parameters = page.locator("tbody[aria-label=Parameters] tr")
    expect(parameters).to_have_count(3)
    page.get_by_role("switch", name="Differences only").click()
    expect(parameters).to_have_count(2)
    expect(page).to_have_url(re.compile("differences=1"))
    page.reload()
    expect(parameters).to_have_count(2)


def test_any_metric_can_be_drawn_and_the_url_keeps_the_choice(service: Service, page: Page) -> None:
    """Of 62 metrics eight are drawn, as is said; the others are chosen by group or by name."""
    keys = [
        *(f"system/cpu-{n:02d}" for n in range(45)),
        *(f"a/{n}" for n in range(9)),
        "loss",
        *(f"val/{n}" for n in range(6)),
    ]
    runs = [service.run({}, {key: [1.0, 2.0] for key in [*keys, *more]}) for more in ([], ["zz-only-here"])]
    ids = [service.add(1, f"metered-{number}", run_id=run)[0] for number, run in enumerate(runs)]
    page.goto(f"{service.url}/compare?ids={','.join(ids)}")
    charts = page.get_by_role("img", name="Chart of ")
    picker = page.locator(".q-field", has_text="Metrics")
    expect(picker).to_contain_text("8 of 62 shown")
    expect(charts).to_have_count(8)
    page.get_by_role("button", name="val 0/6").click()
    expect(page.get_by_role("button", name="val 6/6")).to_be_visible()
    page.get_by_role("button", name="None", exact=True).click()
    expect(charts).to_have_count(0)
    expect(page).to_have_url(re.compile("&metric=$"))
    page.get_by_role("combobox", name="Metrics").fill("zz-only")
    page.get_by_role("option", name="zz-only-here").click()
    page.keyboard.press("Escape")
    page.get_by_role("button", name="val 0/6").click()
    expect(charts).to_have_count(7)
    page.reload()
    expect(charts).to_have_count(7)
    expect(page.get_by_role("img", name="Chart of zz-only-here by experiment")).to_be_visible()
    expect(page.get_by_role("button", name="val 6/6")).to_be_visible()
    page.get_by_role("button", name="system 0/45").click()
    expect(page.locator(".q-notification")).to_contain_text("At most 40 charts can be shown")
    expect(picker).to_contain_text("40 of 62 shown")
    page.goto(f"{service.url}/compare?ids={','.join(ids)}&metric=gone&metric=loss")
    expect(page.get_by_text("None of these experiments has the metric gone.")).to_be_visible()
    expect(charts).to_have_count(1)


def test_one_name_of_a_parameter_a_metric_and_a_field_is_three_rows(service: Service, page: Page) -> None:
    ids = [
        service.add(1, f"named-{lr}", run_id=service.run({"lr": lr, "Command": lr}, {"lr": [lr, 0.0]}))[0]
        for lr in (0.5, 0.25)
    ]
    page.goto(f"{service.url}/compare?ids={','.join(ids)}")
    for section, label, values in (
        ("Parameters", "lr", ["0.5", "0.25"]),
        ("Metrics", "lr", ["0.0", "0.0"]),
        ("Parameters", "Command", ["0.5", "0.25"]),
        ("About", "Command", ["true", "true"]),
    ):
        rows = page.locator(f"tbody[aria-label={section}] tr")
        expect(rows.filter(has=page.get_by_role("rowheader", name=label, exact=True)).locator("td")).to_have_text(
            values
        )


# How much of the page has moved by itself (the cumulative layout shift, of which up to 0.1 is good).
SHIFT = """() => new Promise(done => new PerformanceObserver(
    list => done(list.getEntries().reduce((sum, one) => sum + one.value, 0))
).observe({type: "layout-shift", buffered: true}) ?? setTimeout(() => done(0), 500))"""


def test_a_served_version_stays_and_its_endpoint_outlives_it(service: Service, page: Page) -> None:
    """It is not deleted from its page; where MLflow's own API has deleted it, the endpoint can still be seen to."""
    service.serve("served")
    page.goto(f"{service.url}/models/served/1")
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.locator(".q-notification")).to_contain_text("is served by the endpoint 'served-1' on cluster 'local'")
    expect(page.get_by_role("heading", name="served v1")).to_be_visible()
    gone = {"name": "served", "version": "1"}
    deleting = f"{service.url}/mlflow/api/2.0/mlflow/model-versions/delete"
    httpx.request("DELETE", deleting, json=gone, timeout=20).raise_for_status()
    for path, title in (("endpoints/served/1", "served v1"), ("models/served", "served")):
        page.goto(f"{service.url}/{path}")
        expect(page.get_by_role("heading", name=title, exact=True)).to_be_visible()
        expect(page.get_by_text("Version 1 of served is no longer registered")).to_be_visible()
    expect(page.get_by_label("Weight of version 1")).to_be_visible()
    deleting = f"{service.url}/mlflow/api/2.0/mlflow/registered-models/delete"
    httpx.request("DELETE", deleting, json={"name": "served"}, timeout=20).raise_for_status()
    page.reload()
    expect(page.get_by_text("The registered model served was deleted")).to_be_visible()
    expect(page.get_by_label("Weight of version 1")).to_be_visible()
    page.goto(f"{service.url}/endpoints/served/1")
    expect(page.get_by_text("The cluster is not responding.").first).to_be_visible()  # which comes later
    assert page.evaluate(SHIFT) < 0.05
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.get_by_role("button", name="Undo")).to_be_visible()


def test_a_shared_url_is_listed_with_its_versions_and_has_a_page(service: Service, page: Page) -> None:
    service.serve("shared-out")
    with service.database.session(write=True) as session:
        session.add(service.endpoint("shared-out", 2))
    service.split("shared-out", {1: 90, 2: 8, 3: 2}, {1: (880, 0), 2: (100, 40), 3: (20, 0)})
    page.goto(f"{service.url}/endpoints")
    rows = page.get_by_role("region", name="Endpoints").locator("tbody tr").filter(has_text="shared-out")
    expect(rows).to_have_count(3)
    expect(rows.first).to_contain_text("Shared URL: v1 90%, v2 8%, v3 2%")
    expect(rows.first).to_contain_text("100/s")
    expect(rows.nth(2)).to_contain_text("8% of the shared URL")
    expect(rows.first.get_by_label("Copy the URL")).to_have_attribute(
        "data-copy", re.compile("/shared-out/invocations")
    )
    rows.first.get_by_role("link", name="shared-out").click()
    expect(page.get_by_role("heading", name="shared-out", exact=True)).to_be_visible()
    expect(page.get_by_text("Version 3 has a weight and no endpoint")).to_be_visible()
    versions = page.get_by_role("region", name="Versions behind the shared URL").locator("tbody tr")
    for row, cells in enumerate(
        (
            ["v1", "Creating", "90", "90%", "88%", "880", "0"],
            ["v2", "Creating", "8", "8%", "10%", "100", "40"],
            ["v3", "Gone", "2", "2%", "2%", "20", "0"],
        )
    ):
        for number, cell in enumerate(cells):
            expect(versions.nth(row).locator("td").nth(number)).to_have_text(cell)
    for figure, value in (
        ("Total requests", "1,000"),
        ("Total errors", "40"),
        ("Requests", "100/s"),
        ("p99", "91 ms"),
    ):
        told = page.locator(".figure").filter(has=page.get_by_text(figure, exact=True))
        expect(told.locator(".number")).to_have_text(value)
    page.goto(f"{service.url}/models/shared-out")
    expect(versions).to_have_count(3)
    page.get_by_role("link", name="Requests and latency").click()
    page.get_by_role("button", name="End traffic split").click()
    page.get_by_role("dialog").get_by_role("button", name="End traffic split").click()
    expect(page.get_by_text("The traffic split has ended")).to_be_visible()


# The names of a chart's curves.
CURVES = "chart => getElement(+chart.closest('figure').id.slice(1)).chart.getOption().series.map(one => one.name)"


def test_a_sweep_names_its_best_trial_and_each_trial_has_a_page(service: Service, page: Page) -> None:
    tried = [({"lr": lr, "width": 64}, [lr / 2, lr]) for lr in (0.1, 0.4, 0.2)]
    id = service.sweep(tried, "search")
    page.goto(f"{service.url}/experiments/{id}")
    best = page.locator(".card").filter(has=page.get_by_role("heading", name="Best trial"))
    expect(best).to_contain_text("0.4")
    expect(best).to_contain_text("3 of 3 trials: 3 Succeeded.")
    best.get_by_role("link", name="Trial 2 (t2)").click()
    expect(page.get_by_role("heading", name="Trial 2", exact=True)).to_be_visible()
    expect(page.get_by_text("best", exact=True)).to_be_visible()
    facts = page.locator(".card").filter(has=page.get_by_role("heading", name="Parameters")).locator(".facts")
    expect(facts).to_have_text(re.compile(r"lr\s*0\.4\s*width\s*64"))
    chart = page.get_by_role("img", name="Chart of score")
    expect(chart).to_be_visible()
    expect(page.get_by_role("link", name="MLflow run")).to_have_attribute(
        "href", re.compile(r"^/mlflow/#/runs/\w{32}$")
    )
    expect(page.get_by_role("log", name="Log")).to_be_attached()
    expect(page.get_by_role("button", name="Register model")).to_have_count(0)  # it has saved none
    page.goto(f"{service.url}/experiments/{id}?tab=metrics")
    expect(chart).to_be_visible()
    wait_until(lambda: len(chart.evaluate(CURVES)) == 3, 30, "a curve for each trial")
    assert chart.evaluate(CURVES) == ["#2 lr=0.4, width=64", "#3 lr=0.2, width=64", "#1 lr=0.1, width=64"]
    page.goto(f"{service.url}/experiments/{id}?tab=trials")
    page.get_by_role("region", name="Trials").get_by_role("link", name="3", exact=True).click()
    expect(page.get_by_role("heading", name="Trial 3", exact=True)).to_be_visible()
    page.goto(f"{service.url}/experiments/{id}/trials/t9")
    expect(page.get_by_text(f"{id} has no trial 't9'.")).to_be_visible()


def test_two_users_at_once(service: Service, browser: Browser, page: Page) -> None:
    """What one does the other sees, and neither's filter or theme is the other's."""
    service.add(2, "shared")
    page.goto(f"{service.url}/experiments?q=shared")
    other = browser.new_context(color_scheme="dark").new_page()
    try:
        other.goto(f"{service.url}/experiments?q=shared-1")
        expect(page.locator(NAMES)).to_have_text(["shared-1", "shared-0"])
        expect(other.locator(NAMES)).to_have_text(["shared-1"])
        other.get_by_role("checkbox", name="Select all rows shown").click()
        other.get_by_role("button", name="Delete").click()
        other.get_by_role("dialog").get_by_role("button", name="Delete").click()
        expect(page.locator(NAMES)).to_have_text(["shared-0"])
        expect(page.locator("body.body--dark")).to_have_count(0)
        expect(other.locator("body.body--dark")).to_have_count(1)
    finally:
        other.context.close()


def test_environments_are_made_changed_and_deleted(service: Service, page: Page) -> None:
    page.goto(f"{service.url}/environments")
    page.get_by_role("button", name="New environment").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Name").fill("not a name")
    dialog.get_by_role("button", name="Create").click()
    expect(dialog.get_by_role("alert")).to_contain_text("name")
    dialog.get_by_label("Name").fill("browsed")
    dialog.get_by_label("pip packages, one per line").fill("numpy=2.2.6")
    dialog.get_by_role("button", name="Create").click()
    expect(dialog.get_by_role("alert")).to_contain_text("'numpy=2.2.6' is not a package requirement")
    dialog.get_by_label("pip packages, one per line").fill("numpy==2.2.6\n\npandas")
    dialog.get_by_role("button", name="Create").click()
    expect(page.locator(".card", has_text="browsed")).to_contain_text("pandas")
    page.get_by_role("button", name="Edit browsed").click()
    dialog.get_by_label("pip packages, one per line").fill("numpy==2.2.6")
    dialog.get_by_label("Description").fill("Only numbers")
    dialog.get_by_role("button", name="Save").click()
    expect(page.locator(".card", has_text="browsed")).to_contain_text("Only numbers")
    stored = httpx.get(f"{service.url}/api/v1/environment/browsed").json()["result"]["environmentSpec"]
    assert stored["kernelSpec"]["pipDependencies"] == ["numpy==2.2.6"]
    page.get_by_role("button", name="Delete browsed").click()
    dialog.get_by_role("button", name="Delete").click()
    expect(page.locator(".card", has_text="browsed")).to_have_count(0)
    page.get_by_role("button", name="Undo").click()
    expect(page.locator(".card", has_text="browsed")).to_contain_text("Only numbers")
    page.get_by_role("button", name="Delete browsed").click()
    dialog.get_by_role("button", name="Delete").click()
    expect(page.locator(".card", has_text="browsed")).to_have_count(0)


def test_templates_are_written_in_the_page(service: Service, page: Page) -> None:
    page.goto(f"{service.url}/templates/new")
    text = page.get_by_label("The template as YAML")
    expect(text).not_to_have_value("")
    written = yaml.safe_load(text.input_value())
    text.fill(yaml.safe_dump(written | {"experimentSpec": {}}))
    page.get_by_role("button", name="Create").click()
    expect(page.get_by_role("alert").filter(has_text="experimentSpec is required")).to_be_visible()
    text.fill(yaml.safe_dump(written | {"name": "browsed"}))
    page.get_by_role("button", name="Create").click()
    expect(page.get_by_role("heading", name="browsed")).to_be_visible()
    page.get_by_role("button", name="Edit").click()
    expect(page.get_by_role("heading", name="Edit template")).to_be_visible()
    assert "null" not in text.input_value()  # no field that was left open
    text.fill(yaml.safe_dump(written | {"name": "browsed", "description": "Changed in the page"}))
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Changed in the page")).to_be_visible()
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_text("Changed in the page")).to_be_visible()
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    page.get_by_role("link", name="Templates").last.click()
    expect(page).to_have_url(re.compile("/templates$"))


def test_a_templates_values_are_checked_and_shown_before_it_runs(service: Service, page: Page) -> None:
    page.goto(f"{service.url}/templates")
    expect(page.locator(".tiles > .card").first).to_contain_text("start here")
    expect(page.locator(".card", has_text="automl-tabular")).to_contain_text("up to 10 minutes")
    page.get_by_role("link", name="sklearn-tabular").click()
    preview = page.get_by_role("region", name="The experiment")
    expect(preview).to_contain_text("--test-size 0.25")
    page.get_by_label("test_size").fill("half")
    expect(page.get_by_text("params.test_size: 'half' is not a number")).to_be_visible()
    page.get_by_role("button", name="Run", exact=True).click()
    expect(page.locator(".q-notification")).to_contain_text("'half' is not a number")
    page.get_by_label("test_size").fill("0.5")
    page.get_by_label("Experiment name").fill("named-by-me")
    page.get_by_label("model", exact=True).click()
    page.get_by_role("option", name="linear").click()
    for said in ("--test-size 0.5", "--model linear", "name: named-by-me"):
        expect(preview).to_contain_text(said)
    expect(page.locator(".q-field--error")).to_have_count(0)
    page.get_by_label("spec.Worker.replicas").fill("many")
    expect(page.locator(".q-field--error")).to_have_count(1)
    page.get_by_label("spec.Worker.replicas").fill("1")
    expect(page.locator(".q-field--error")).to_have_count(0)
    page.get_by_role("button", name="Run", exact=True).click()
    expect(page).to_have_url(re.compile("/experiments/experiment-"))
    expect(page.get_by_role("heading", name="named-by-me")).to_be_visible()


def test_a_deleted_notebook_can_be_had_back(service: Service, page: Page) -> None:
    page.goto(f"{service.url}/notebooks?new=1")
    page.get_by_label("Name", exact=True).fill("had-back")
    page.get_by_role("dialog").get_by_role("button", name="Create").click()
    card = page.locator(".card", has_text="had-back")
    for begin in ("Delete", "Undo", "Delete"):
        expect(card).to_have_count(0 if begin == "Undo" else 1)
        (page if begin == "Undo" else card).get_by_role("button", name=begin).click()
        if begin == "Delete":
            page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(card).to_have_count(0)

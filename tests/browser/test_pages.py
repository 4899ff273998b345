"""The workbench's pages in a real browser, on a control service without a cluster."""

from __future__ import annotations

import re

import httpx
import pytest
import yaml
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import EXPERIMENTS, HOSTILE, Service

PLACES = (
    "/", "/experiments", "/experiments/new", "/templates", "/environments", "/notebooks", "/models", "/endpoints",
    "/clusters", "/clusters/local", "/settings", "/compare",
)  # fmt: skip
NAMES = "tbody a.cut"


def test_ten_thousand_experiments_are_paged_by_the_server(service: Service, page: Page) -> None:
    page.goto(f"{service.url}/experiments")
    expect(page.locator(NAMES).first).to_have_text(re.compile("train-"))
    assert page.locator(NAMES).count() == 50
    expect(page.get_by_role("status").filter(has_text=" of ")).to_contain_text(f"1–50 of {EXPERIMENTS // 1000},")
    page.get_by_role("button", name="Next page").click()
    expect(page.get_by_role("status").filter(has_text="51–100")).to_be_visible()
    assert page.url.endswith("/experiments?page=2")
    page.reload()
    expect(page.get_by_role("status").filter(has_text="51–100")).to_be_visible()
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
    expect(page.get_by_text("No experiment is like that")).to_be_visible()


def test_a_new_experiment_appears_by_itself(service: Service, page: Page) -> None:
    page.goto(f"{service.url}/experiments?q=comes-later")
    expect(page.get_by_text("No experiment is like that")).to_be_visible()
    spec = {"meta": {"name": "comes-later", "framework": "Shell", "cmd": "true"}, "spec": {"Worker": {}}}
    assert httpx.post(f"{service.url}/api/v1/experiment", json=spec, timeout=20).status_code == 200
    expect(page.locator(NAMES)).to_have_text(["comes-later"])


def test_chosen_experiments_are_deleted_after_a_question(service: Service, page: Page) -> None:
    service.add(3, "unwanted")
    page.goto(f"{service.url}/experiments?q=unwanted")
    expect(page.locator(NAMES)).to_have_count(3)
    page.get_by_role("checkbox", name="Select all rows shown").click()
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator(NAMES)).to_have_count(3)
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.get_by_text("No experiment is like that")).to_be_visible()


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


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("meta: [", "This is not YAML"),
        ("just text", "must be an object"),
        ("meta: {name: a b, framework: Shell, cmd: x}\nspec: {Worker: {}}", "meta.name: "),
        ("meta: {name: a, framework: Shell, cmd: x}\nspec: {Worker: {resources: cpu=many}}", "not a number of cores"),
        ("meta: {name: a, framework: Shell, cmd: x}\nspec: {Worker: {replicas: 0}}", "spec.Worker.replicas: "),
        ("meta: {name: a, framework: Shell, cmd: x}\nspek: {}", "spek: is not a known field"),
    ],
)
def test_a_mistake_is_told_and_nothing_runs(service: Service, page: Page, written: str, said: str) -> None:
    page.goto(f"{service.url}/experiments/new")
    expect(page.get_by_label("Name", exact=True)).to_have_value("my-experiment")
    page.get_by_label("The experiment as YAML").fill(written)
    expect(page.get_by_role("alert").filter(has_text=said)).to_be_visible()
    page.get_by_role("button", name="Run").click()
    expect(page.locator(".q-notification").filter(has_text=said)).to_be_visible()
    assert page.url.endswith("/experiments/new")


def test_a_mistake_in_a_field_is_told_beside_it(service: Service, page: Page) -> None:
    page.goto(f"{service.url}/experiments/new")
    page.get_by_label("Name", exact=True).fill("no blanks here")
    expect(page.locator(".q-field--error")).to_have_count(1)
    page.get_by_label("Name", exact=True).fill("no-blanks-here")
    expect(page.locator(".q-field--error")).to_have_count(0)


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
    expect(page.get_by_role("heading", name="There is nothing here")).to_be_visible()


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
    context.close()
    assert not found


def test_a_phone_shows_every_page_in_its_width(service: Service, browser: Browser) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 844})
    page = context.new_page()
    for path in PLACES:
        page.goto(f"{service.url}{path}")
        page.locator("h1").wait_for()
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, path
    page.get_by_role("button", name="Open or close the menu").click()
    page.get_by_role("navigation", name="Places").get_by_role("link", name="Models").click()
    expect(page).to_have_url(re.compile("/models$"))
    context.close()


def test_the_theme_is_remembered(service: Service, page: Page) -> None:
    page.goto(f"{service.url}/settings")
    page.get_by_role("button", name="Dark", exact=True).click()
    expect(page.locator("body.body--dark")).to_be_attached()
    page.goto(f"{service.url}/")
    expect(page.locator("body.body--dark")).to_be_attached()


def test_keys_lead_to_places(service: Service, page: Page) -> None:
    page.goto(f"{service.url}/")
    page.locator("h1").wait_for()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keyboard shortcuts")).to_be_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("g")
    page.keyboard.press("e")
    expect(page).to_have_url(re.compile("/experiments$"))
    page.go_back()
    expect(page).to_have_title(re.compile("^Home"))


def test_a_restarted_service_is_found_again(service: Service, page: Page) -> None:
    page.goto(f"{service.url}/experiments?q=after-the-restart")
    expect(page.get_by_text("No experiment is like that")).to_be_visible()
    service.kill()
    expect(page.locator("#popup")).to_have_attribute("aria-hidden", "false", timeout=60_000)
    service.add(1, "after-the-restart")
    service.start()
    expect(page.locator(NAMES)).to_have_text(["after-the-restart"], timeout=60_000)

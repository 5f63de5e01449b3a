"""`tfwd serve --ui` in Chromium: what a person changes is answered as ONNX answers it, and no other host is asked.

It runs where Gradio (the extra `ui`), Playwright and a Chromium are installed, which the other tests do not need.
"""

from __future__ import annotations

import base64
import functools
import importlib.util
import os
import re
import shutil
import signal
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import onnxruntime
import pytest
import small_run_cases
from serving import Served, served

_ABSENT = [name for name in ("gradio", "playwright") if importlib.util.find_spec(name) is None]
_CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
if not _CHROMIUM:
    _ABSENT.append("a Chromium on the PATH")
pytestmark = pytest.mark.skipif(
    bool(_ABSENT), reason=f"the page is not driven in a browser without {', '.join(_ABSENT)}"
)

ANSWER = ".tfwd-answer"
TOKEN = "s3cret"
HEADERS = {"Authorization": f"Bearer {TOKEN}"}
# The command, which also says whom its process asks. The first it asks itself, so that it is seen to be heard.
AUDITED = """
import runpy, socket, sys

def heard(event, given):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.sendto"):
        print("ASKED", event, given[1:] if event == "socket.connect" else given, file=sys.stderr, flush=True)

sys.addaudithook(heard)
socket.socket().connect_ex(("127.0.0.1", 9))
runpy.run_module("tfwd.serve", run_name="__main__", alter_sys=True)
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """`tfwd serve --ui` of the small run with its exports, behind a token."""
    token = tmp_path_factory.mktemp("page") / "token"
    token.write_text(TOKEN)
    options = ("--ui", "--token-file", str(token))
    with served(small_run_cases.exported(), *options, program=("-c", AUDITED)) as running:
        yield running


@pytest.fixture(scope="module")
def address(server: Served) -> str:
    return f"http://127.0.0.1:{server.port}/ui/"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        options = ["--no-sandbox"] if os.geteuid() == 0 else []
        # There is no other host than this one.
        options.append("--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1")
        started = playwright.chromium.launch(executable_path=_CHROMIUM, args=options)
        yield started
        started.close()


@pytest.fixture(scope="module")
def context(browser: Any) -> Any:
    """What the pages of one person share: a cache, and the token, which a browser asks for as a password."""
    return browser.new_context(http_credentials={"username": "me", "password": TOKEN})


class Opened:
    """A page, with the hosts that it asked and what went wrong in it."""

    def __init__(
        self, context: Any, address: str, query: str = "", size: tuple[int, int] = (1280, 900), scheme: str = "light"
    ) -> None:
        self.hosts: set[str] = set()
        self.faults: list[str] = []
        self.page = context.new_page()
        self.page.set_viewport_size({"width": size[0], "height": size[1]})
        self.page.emulate_media(color_scheme=scheme)
        self.page.on("request", self._watched)
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on("console", lambda said: self.faults.append(said.text) if said.type == "error" else None)
        self.page.goto(address + query)
        self.page.wait_for_selector(f"{ANSWER} strong")

    def _watched(self, request: Any) -> None:
        host = urlsplit(request.url).hostname
        if host not in (None, "127.0.0.1"):
            self.hosts.add(str(host))

    def expect(self, probability: float) -> None:
        """Waits until the page says a probability."""
        self.page.wait_for_function(
            "([where, expected]) => Math.abs(document.querySelector(where)?.dataset.answer - expected) < 1e-6",
            arg=[ANSWER, probability],
            timeout=20_000,
        )

    def values(self) -> dict[str, Any]:
        """What stands in the fields."""
        names = ("education", "occupation", "age", "hours_per_week")
        return {name: self.page.input_value(f"#field-{name} input") for name in names}

    def values_after(self, before: dict[str, Any]) -> dict[str, Any]:
        """What stands in the fields once all of them have changed."""
        for _ in range(100):
            found = self.values()
            self.page.wait_for_timeout(200)
            if before != found == self.values():
                return found
        raise AssertionError(f"still {before}")

    def close(self) -> None:
        self.page.close()
        assert self.hosts == set()
        assert self.faults == []


@functools.cache
def session() -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(str(small_run_cases.exported() / "export" / "wide_deep.onnx"))


def by_onnx(values: dict[str, Any]) -> float:
    """The probability of what stands in the fields, by the ONNX file."""
    given = {
        name: np.array([float(value or "nan")], np.float32)
        if name in ("age", "hours_per_week")
        else np.array(["" if value == "(missing)" else value], object)
        for name, value in values.items()
    }
    return float(session().run(["probability"], given)[0][0])


def test_a_changed_field_changes_the_answer_to_that_of_onnx(context: Any, address: str) -> None:
    opened = Opened(context, address)
    page = opened.page
    opened.expect(by_onnx(opened.values()))
    for age in ("25", "61.5", ""):
        page.fill("#field-age input", age)
        opened.expect(by_onnx({**opened.values(), "age": age}))
    page.fill("#field-age input", "44")
    page.click("#field-education input")
    page.get_by_role("option", name="Doctorate", exact=True).click()
    assert opened.values()["education"] == "Doctorate"
    opened.expect(by_onnx(opened.values()))
    assert page.locator(f"{ANSWER} strong").inner_text().endswith(" %")
    # The parts sum to the logit of this row.
    logit = float(page.locator(".tfwd-sum").get_attribute("data-logit"))
    assert 1 / (1 + np.exp(-logit)) == pytest.approx(by_onnx(opened.values()), abs=1e-5)
    # What was typed last counts, however quickly it was.
    page.locator("#field-hours_per_week input").press_sequentially("0123", delay=1)
    opened.expect(by_onnx(opened.values()))
    before = opened.values()
    page.click("#tfwd-example")
    opened.expect(by_onnx(opened.values_after(before)))
    opened.close()


def test_the_keyboard_is_enough(context: Any, address: str) -> None:
    opened = Opened(context, address, "?education=HS-grad&occupation=Sales&age=30&hours_per_week=40")
    page = opened.page

    def press(*keys: str) -> None:
        for key in keys:
            # Gradio's drop-down lists are filtered a moment after a key, and a person does not press the next at once.
            page.wait_for_timeout(200)
            page.keyboard.press(key)

    page.focus("#tfwd-example")
    for _ in range(2):
        press("Tab")
    assert page.evaluate("document.activeElement.closest('[id^=field-]').id") == "field-education"
    press("ControlOrMeta+a")
    page.keyboard.type("Maste", delay=50)
    page.wait_for_function("document.querySelectorAll('[role=option]').length == 1")
    press("ArrowDown", "Enter", "Tab")
    opened.expect(by_onnx({"education": "Masters", "occupation": "Sales", "age": 30, "hours_per_week": 40}))
    page.focus("#tfwd-keep")
    press("Enter")
    page.get_by_role("tab", name="Compare").focus()
    press("Enter")
    page.wait_for_selector("#tfwd-sides table")
    opened.close()


def test_a_link_holds_both_rows(context: Any, address: str) -> None:
    opened = Opened(context, address, "?education=HS-grad&occupation=&age=30&hours_per_week=40")
    page = opened.page
    first = by_onnx(opened.values())
    opened.expect(first)
    page.click("#tfwd-keep")
    page.fill("#field-age input", "52")
    second = by_onnx(opened.values())
    opened.expect(second)
    page.wait_for_url(re.compile("age=52.*kept.age=30"))
    page.wait_for_function("document.querySelector('#tfwd-link textarea').value == window.location.href")
    again = Opened(context, page.url)
    again.expect(second)
    again.page.get_by_role("tab", name="Compare").click()
    marked = again.page.locator("#tfwd-sides mark")
    marked.first.wait_for()
    assert marked.all_inner_texts() == ["30", "52"]
    again.page.click("#tfwd-swap")
    again.expect(first)
    again.close()
    opened.close()


def test_a_broken_link_says_what_is_wrong(context: Any, address: str) -> None:
    opened = Opened(context, address, "?age=old&%3Cimg%20src=x%20onerror=alert(1)%3E=1&education=%22%3E%3Cscript%3E")
    page = opened.page
    page.wait_for_selector("#tfwd-wrong li")
    assert page.locator("#tfwd-wrong li").count() == 2
    assert "age takes a number" in page.inner_text("#tfwd-wrong")
    assert page.input_value("#field-education input") == '"><script>'
    opened.expect(by_onnx(opened.values()))
    assert "was not seen in training" in page.inner_text("#tfwd-answer")
    opened.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_a_phone(context: Any, address: str, scheme: str) -> None:
    opened = Opened(context, address, size=(390, 844), scheme=scheme)
    page = opened.page
    page.get_by_role("tab", name="What if").click()
    page.wait_for_selector("svg.tfwd-curve")
    assert page.locator("svg.tfwd-curve circle.now").count() == 1
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    page.evaluate("window.scrollTo(0, document.body.scrollHeight)")
    # The answer stays in sight.
    assert page.locator(f"{ANSWER} strong").bounding_box()["y"] < 200
    colour = page.evaluate("getComputedStyle(document.querySelector('#tfwd-answer')).backgroundColor")
    light = sum(map(int, re.findall(r"\d+", colour)[:3])) > 380
    assert light == (scheme == "light")
    opened.close()


def test_the_page_is_behind_the_token(server: Served) -> None:
    refused = server.ask("/ui/")
    assert refused.status == 401
    assert refused.headers["www-authenticate"].startswith("Basic ")
    wrong = [base64.b64encode(text).decode() for text in (b"me:s3cre", b"s3cret", b":")]
    for given in (*[f"Basic {text}" for text in wrong], "Basic ???", "Bearer s3cre", "s3cret"):
        assert server.ask("/ui/", headers={"Authorization": given}).status == 401
    # The models are asked with the token's own header alone.
    basic = {"Authorization": f"Basic {base64.b64encode(b'me:s3cret').decode()}"}
    assert server.ask("/v1/models/wide_deep/metadata", headers=basic).status == 401
    assert server.ask("/v1/models/wide_deep/metadata", headers=HEADERS).status == 200


def test_it_takes_no_files_and_reports_to_nobody(server: Served) -> None:
    """Gradio has a place for the one, and a switch for the other."""
    body = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a"\r\n\r\nhello\r\n--x--\r\n'
    form = {"Content-Type": "multipart/form-data; boundary=x"}
    assert server.ask("/ui/gradio_api/upload", body, {**HEADERS, **form}).status == 413
    found = server.ask("/ui/config", headers=HEADERS)
    assert found.status == 200
    assert found.json["analytics_enabled"] is False


def test_the_server_asks_nobody_and_ends_though_a_page_is_open(context: Any, address: str, server: Served) -> None:
    """The last test of this server. A page that is open keeps a connection, which does not hold up the end."""
    opened = Opened(context, address, "?age=30")
    opened.expect(by_onnx(opened.values()))
    assert opened.hosts == set()
    assert opened.faults == []
    server.process.terminate()
    assert server.process.wait(15) in (0, -signal.SIGTERM)
    said = server.log.read_text()
    assert "Traceback" not in said
    asked = [line for line in said.splitlines() if line.startswith("ASKED")]
    assert "127.0.0.1" in asked[0]
    assert [line for line in asked if "127.0.0.1" not in line] == []

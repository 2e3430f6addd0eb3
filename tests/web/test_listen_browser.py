"""A listening test in a real browser: every click is counted, whatever happens to the server meanwhile."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fixtures.listening import TONES_HZ, system_heard, write_systems

pytest.importorskip("fastapi", reason="the page of listening tests needs: pip install 'foleykit[web]'")
pytest.importorskip("playwright", reason="tests in a browser need: pip install 'foleykit[browser]'")

from playwright.sync_api import Browser, Page, Response, expect, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
CHROMIUM = os.environ.get("FOLEYKIT_CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--mute-audio",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
NUM_TRIALS = 20
PATIENCE_MS = 120_000
"""Busy machines are slow; nothing here waits for this long otherwise."""
SCREENSHOTS = os.environ.get("FOLEYKIT_SCREENSHOTS")
"""A folder for pictures of the page, for whoever wants to see it."""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(3600),
    pytest.mark.skipif(
        CHROMIUM is None,
        reason="tests in a browser need Chromium (Debian: apt-get install chromium), or FOLEYKIT_CHROMIUM naming it",
    ),
    pytest.mark.skipif(os.name != "posix", reason="kills processes in the way of POSIX systems"),
]


def foley(*words: str) -> list[str]:
    return [sys.executable, "-c", f"from foleykit.cli.main import main; main({list(words)!r})"]


class Server:
    """`foley listen serve` on one port, to be killed and started again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.start()

    def start(self) -> None:
        words = ("listen", "serve", str(self.folder), "--port", str(self.port))
        self.process = subprocess.Popen(foley(*words), stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.address = self.process.stdout.readline().strip()
        assert self.address == f"http://127.0.0.1:{self.port}/"

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


@pytest.fixture
def server(tmp_path: Path, make_video: Callable[..., Path]) -> Iterator[Server]:
    folders = write_systems(tmp_path / "systems", make_video, num_clips=NUM_TRIALS)
    subprocess.run(foley("listen", "make", str(tmp_path / "study"), *map(str, folders), "-q"), check=True)
    server = Server(tmp_path / "study")
    yield server
    server.kill()


@pytest.fixture
def browser() -> Iterator[Browser]:
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield browser
        browser.close()


class Listener:
    """Somebody at the page, who keeps count of what they chose and of everything the page was sent."""

    def __init__(self, browser: Browser, server: Server) -> None:
        self.server = server
        self.clicks: Counter[tuple[str, str]] = Counter()
        self.asked: list[str] = []
        self.sent: list[str] = []
        self.open(browser)

    def open(self, browser: Browser) -> None:
        self.page: Page = browser.new_context().new_page()
        self.page.set_default_timeout(PATIENCE_MS)
        self.page.on("response", self._keep)
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(self.server.address)

    def join(self, name: str) -> None:
        self.page.get_by_label("Your name").fill(name)
        self.page.get_by_role("button", name="Begin").click()

    def expect_trial(self, number: int) -> None:
        heading = self.page.get_by_role("heading", name=f"Comparison {number} of {NUM_TRIALS}", exact=True)
        expect(heading).to_be_visible()

    def listen(self) -> list[str]:
        """Play every sound to its end and return the systems heard, in the order of the page."""
        heard = []
        for letter in "AB":
            self.page.get_by_role("button", name=f"Play sound {letter}").click()
            expect(self.page.get_by_role("button", name=f"Play sound {letter}, heard")).to_be_visible()
            address = self.page.locator("video").evaluate("player => player.currentSrc")
            heard.append(system_heard(self.page.request.get(address).body()))
        assert len(set(heard)) == 2
        return heard

    def choose(self, question: str, criterion: str, system: str, heard: list[str]) -> None:
        sound = f"Sound {'AB'[heard.index(system)]}"
        self.page.get_by_role("group", name=question).get_by_label(sound).check()
        self.clicks[criterion, system] += 1

    def expect_saved(self) -> None:
        expect(self.page.get_by_role("status")).to_have_text("Saved.")

    def press_next(self) -> None:
        self.page.locator("#next").click()

    def picture(self, name: str) -> None:
        if SCREENSHOTS:
            self.page.screenshot(path=Path(SCREENSHOTS) / f"{name}.png", full_page=True)

    def _keep(self, response: Response) -> None:
        self.sent.append(response.url + json.dumps(response.headers))


QUESTIONS = {
    "overall": "Which sounds best overall?",
    "relevance": "Which sound fits best what is seen?",
    "alignment": "Which sound is best in time with what is seen?",
}
NORTH, SOUTH = list(TONES_HZ)[:2]


def choice_of(criterion: str, number: int) -> str:
    """Return the system that this listener prefers: other shares for each question."""
    every = {"overall": 4, "relevance": 2, "alignment": 21}[criterion]
    return NORTH if number % every == 0 else SOUTH


def test_twenty_comparisons_with_a_server_that_dies_twice(browser: Browser, server: Server) -> None:
    listener = Listener(browser, server)
    listener.picture("join")
    listener.join("Ada")
    for number in range(1, NUM_TRIALS + 1):
        listener.expect_trial(number)
        if number == 1:
            listener.picture("before")
            expect(listener.page.get_by_label("Sound A", exact=True).first).to_be_disabled()
            expect(listener.page.locator("#next")).to_be_disabled()
        heard = listener.listen()
        for place, (criterion, question) in enumerate(QUESTIONS.items()):
            if number == 8 and place == 1:
                # The server dies between two answers; the page keeps the next one until it is back.
                server.kill()
                listener.choose(question, criterion, choice_of(criterion, number), heard)
                expect(listener.page.get_by_role("status")).to_contain_text("Not saved yet")
                expect(listener.page.locator("#next")).to_be_disabled()
                listener.picture("unsaved")
                server.start()
                listener.expect_saved()
                continue
            listener.choose(question, criterion, choice_of(criterion, number), heard)
            listener.expect_saved()
            if number == 13 and place == 0:
                # Server and browser die; another browser goes on with the same name, and the answer is there.
                server.kill()
                listener.page.context.close()
                server.start()
                listener.open(browser)
                listener.join("Ada")
                listener.expect_trial(number)
                sound = f"Sound {'AB'[heard.index(choice_of(criterion, number))]}"
                group = listener.page.get_by_role("group", name=question)
                expect(group.get_by_label(sound)).to_be_checked()
                assert listener.listen() == heard
        if number == 2:
            # A change of mind counts once.
            listener.choose(QUESTIONS["overall"], "overall", NORTH, heard)
            listener.clicks["overall", SOUTH] -= 1
            listener.picture("answered")
        expect(listener.page.locator("#next")).to_be_enabled()
        html = listener.page.content()
        assert not any(secret in html for secret in (*TONES_HZ, "clip0", "clip1", ".wav", ".mp4"))
        listener.press_next()
    expect(listener.page.get_by_role("heading", name="Thank you")).to_be_visible()
    listener.picture("done")

    assert len(listener.sent) > 5 * NUM_TRIALS
    assert not any(name in sent for sent in listener.sent for name in TONES_HZ)
    assert all(address.startswith((server.address, "data:")) for address in listener.asked)
    words = foley("listen", "results", str(server.folder), "--json")
    results = json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout)
    assert results["attendance"] == {
        "num_listeners": 1,
        "num_finished": 1,
        "num_trials": NUM_TRIALS,
        "num_finished_trials": NUM_TRIALS,
    }
    assert listener.clicks.total() == 3 * NUM_TRIALS
    for criterion in results["criteria"]:
        assert criterion["num_answers"] == NUM_TRIALS
        for system in criterion["systems"]:
            clicks = listener.clicks[criterion["criterion"], system["system"]]
            assert (system["num_chosen"], system["share"]["value"]) == (clicks, clicks / NUM_TRIALS)


def test_the_keyboard_alone_is_enough(browser: Browser, server: Server) -> None:
    listener = Listener(browser, server)
    page = listener.page
    expect(page.get_by_label("Your name")).to_be_focused()
    page.keyboard.type("Bo")
    page.keyboard.press("Enter")
    listener.expect_trial(1)
    expect(page.locator("#where")).to_be_focused()
    for letter in "AB":
        page.keyboard.press("Tab")
        button = page.get_by_role("button", name=f"Play sound {letter}")
        expect(button).to_be_focused()
        page.keyboard.press("Space")
        expect(page.get_by_role("button", name=f"Play sound {letter}, heard")).to_be_visible()
    for _ in QUESTIONS:
        page.keyboard.press("Tab")
        page.keyboard.press("Space")
        page.keyboard.press("ArrowRight")
    page.keyboard.press("Tab")
    expect(page.locator("#next")).to_be_enabled()
    page.locator("#next").focus()
    page.keyboard.press("Enter")
    listener.expect_trial(2)
    expect(page.locator("#where")).to_be_focused()

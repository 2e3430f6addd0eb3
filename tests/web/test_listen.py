"""The server of a listening test: what it tells, what it hides, and what a crash leaves."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from http.cookiejar import CookieJar
from pathlib import Path
from typing import Any

import pytest

from fixtures.listening import TONES_HZ, system_heard, write_systems
from foleykit.jobs.listen import StudyRequest, make_study
from foleykit.jobs.listen_results import study_results
from foleykit.jobs.listen_store import ListeningStudy

pytest.importorskip("fastapi", reason="the page of listening tests needs: pip install 'foleykit[web]'")

from fastapi.testclient import TestClient

from foleykit.web.listen import create_app

NUM_CLIPS = 3


@pytest.fixture
def folder(tmp_path: Path, make_video: Callable[..., Path]) -> Path:
    systems = write_systems(tmp_path / "systems", make_video, num_clips=NUM_CLIPS)
    make_study(StudyRequest(folder=tmp_path / "study", systems={path.name: path for path in systems}))
    return tmp_path / "study"


@pytest.fixture
def client(folder: Path) -> Iterator[TestClient]:
    study = ListeningStudy.open(folder)
    yield TestClient(create_app(study), base_url="http://127.0.0.1")
    study.close()


def test_a_listener_answers_through_the_api(client: TestClient, folder: Path) -> None:
    state = client.get("/api/state").json()
    assert (state["has_joined"], state["trial"]) == (False, None)
    state = client.post("/api/join", json={"name": "Ada"}).json()
    for number in range(1, NUM_CLIPS + 1):
        trial = state["trial"]
        assert (trial["number"], trial["num_trials"], trial["answers"]) == (number, NUM_CLIPS, {})
        heard = [system_heard(client.get(address).content) for address in trial["sounds"]]
        assert sorted(heard) == ["northern-model", "southern-model"]
        for key in state["questions"]:
            chosen = {"places": [heard.index("southern-model")]}
            assert client.put(f"/api/trials/{number}/answers/{key}", json=chosen).json() == {"is_saved": True}
        state = client.post(f"/api/trials/{number}/finish").json()
    assert state["has_joined"] and state["trial"] is None
    assert [share.num_chosen for share in study_results(folder).criteria[0].systems] == [0, NUM_CLIPS]


def test_nothing_that_is_sent_tells_a_system_or_a_file(client: TestClient) -> None:
    answers = [client.get(path) for path in ("/", "/listen.js", "/listen.css", "/api/state")]
    answers.append(client.post("/api/join", json={"name": "Ada"}))
    sounds = answers[-1].json()["trial"]["sounds"]
    media = [client.get(address) for address in sounds]
    for response in [*answers, *media]:
        assert response.status_code == 200
        sent = response.content + repr(response.headers).encode() + str(response.url).encode()
        for secret in [*TONES_HZ, "model", "clip0", ".wav", ".mp4"]:
            assert secret.encode() not in sent
    assert len({response.headers["last-modified"] for response in media}) == 1


def test_the_page_loads_nothing_from_elsewhere_and_offers_no_other_pages(client: TestClient) -> None:
    for path in ("/", "/listen.js", "/listen.css"):
        response = client.get(path)
        assert (
            b"http:" not in response.content
            and b"https:" not in response.content
            and b"//" not in response.content.replace(b" // ", b"")
        )
        assert "default-src 'none'" in response.headers["content-security-policy"]
    for path in ("/docs", "/redoc", "/openapi.json", "/study.sqlite", "/media/../study.sqlite"):
        assert client.get(path).status_code == 404


def test_parts_of_a_sound_can_be_asked_for(client: TestClient) -> None:
    """Browsers seek, and some play nothing without it."""
    address = client.post("/api/join", json={"name": "Ada"}).json()["trial"]["sounds"][0]
    whole = client.get(address).content
    part = client.get(address, headers={"Range": "bytes=100-199"})
    assert part.status_code == 206 and part.content == whole[100:200]


def test_strangers_and_odd_requests_are_refused(client: TestClient) -> None:
    address = client.post("/api/join", json={"name": "Ada"}).json()["trial"]["sounds"][0]
    refused = client.put("/api/trials/1/answers/overall", json={"places": [7]})
    assert refused.status_code == 409 and "choose one" in refused.json()["error"]
    assert client.post("/api/join", json={"name": " "}).status_code == 409
    assert client.put("/api/trials/1/answers/overall", json={"places": "all"}).status_code == 422
    assert client.post("/api/leave").json()["has_joined"] is False
    assert client.get(address).status_code == 404
    assert client.post("/api/trials/1/finish").status_code == 409
    assert client.get("/", headers={"Host": "evil.example"}).status_code == 400
    assert client.get("/", headers={"Host": "[::1]:8765"}).status_code == 200


class Server:
    """`foley listen serve` as a process of its own, and a browser's cookies."""

    def __init__(self, folder: Path) -> None:
        words = ["listen", "serve", str(folder), "--port", "0"]
        code = f"from foleykit.cli.main import main; main({words!r})"
        # A shell's background jobs ignore Ctrl+C, and so would what they start.
        self.process = subprocess.Popen(
            [sys.executable, "-c", code],
            stdout=subprocess.PIPE,
            text=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        assert self.process.stdout is not None
        self.address = self.process.stdout.readline().strip().rstrip("/")
        self.opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))

    def ask(self, method: str, path: str, content: Any = None) -> Any:
        data = None if content is None else json.dumps(content).encode()
        headers = {"Content-Type": "application/json"} if data else {}
        request = urllib.request.Request(self.address + path, data, headers, method=method)
        return json.load(self.opener.open(request, timeout=60))

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


@pytest.mark.skipif(os.name != "posix", reason="kills processes in the way of POSIX systems")
@pytest.mark.slow
def test_every_acknowledged_answer_survives_a_killed_server(folder: Path) -> None:
    """Killed right after each answer, as many times as there are answers."""
    given: list[tuple[int, str, int]] = []
    for step in range(4):
        server = Server(folder)
        try:
            assert server.address.startswith("http://127.0.0.1:")
            state = server.ask("POST", "/api/join", {"name": "Ada"})
            trial = state["trial"]
            assert trial["number"] == 1 + len(given) // 3
            assert sum(len(places) for places in trial["answers"].values()) == len(given) % 3
            key = list(state["questions"])[len(given) % 3]
            server.ask("PUT", f"/api/trials/{trial['number']}/answers/{key}", {"places": [step % 2]})
            given.append((trial["number"], key, step % 2))
            if len(given) % 3 == 0:
                server.ask("POST", f"/api/trials/{trial['number']}/finish")
        finally:
            server.kill()
    study = ListeningStudy.open(folder)
    assert len(study.choices()) == len(given) == 4
    trial = study.current_trial(study.join("Ada"))
    assert trial is not None and trial.number == 2 and trial.answers == {"overall": (1,)}
    assert study.attendance().num_finished_trials == 1


@pytest.mark.skipif(os.name != "posix", reason="kills processes in the way of POSIX systems")
def test_results_can_be_read_while_the_server_runs_and_ctrl_c_ends_it(folder: Path) -> None:
    server = Server(folder)
    server.ask("POST", "/api/join", {"name": "Ada"})
    server.ask("PUT", "/api/trials/1/answers/overall", {"places": [0]})
    assert study_results(folder).criteria[0].num_answers == 1
    server.process.send_signal(signal.SIGINT)
    started = time.monotonic()
    assert server.process.wait(timeout=60) == 130
    assert time.monotonic() - started < 30

"""Exit codes, one-line errors, JSON, and what an interruption leaves behind."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import foleykit
from foleykit.audio.files import read_waveform
from foleykit.cli.main import main

Run = Callable[..., "Outcome"]


@dataclass(frozen=True)
class Outcome:
    exit_code: int
    out: str
    err: str


@pytest.fixture
def foley(capsys: pytest.CaptureFixture[str]) -> Iterator[Run]:
    """Return a function that runs one command in this process."""
    show_warning, handler = warnings.showwarning, signal.getsignal(signal.SIGTERM)

    def run(*arguments: object) -> Outcome:
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Outcome(exit_code=int(end.value.code or 0), out=captured.out, err=captured.err)

    yield run
    warnings.showwarning = show_warning
    signal.signal(signal.SIGTERM, handler)


COMMANDS = [
    ["generate"],
    ["demo"],
    ["doctor"],
    ["train"],
    ["models"],
    ["models", "list"],
    ["models", "download"],
    ["models", "info"],
    ["evaluate", "model"],
    ["events"],
    ["evaluate", "ambience"],
    ["evaluate", "world"],
    ["evaluate", "real"],
    ["world", "preview"],
    ["world", "build"],
]


@pytest.mark.parametrize("command", [[], *COMMANDS], ids=" ".join)
def test_every_command_explains_itself(foley: Run, command: list[str]) -> None:
    outcome = foley(*command, "--help")
    assert outcome.exit_code == 0 and outcome.out.startswith("Usage: foley")
    assert not re.search(r"[┌│╭]", outcome.out)


def test_version(foley: Run) -> None:
    assert foley("--version") == Outcome(0, f"foleykit {foleykit.__version__}\n", "")


def test_no_command_shows_the_commands_and_is_a_usage_error(foley: Run) -> None:
    outcome = foley()
    assert outcome.exit_code == 2 and "generate" in outcome.out


def failures(folder: Path, clip: Path, model: Path, *, make: bool = True) -> dict[str, tuple[int, list[object]]]:
    text, untimed, late = folder / "text.mp4", folder / "untimed.csv", folder / "late.srt"
    if make:
        text.write_text("no video")
        untimed.write_text("text\nGood morning!\n")
        late.write_text("1\n00:00:01,000 --> 00:00:09,000\nGood morning!\n")
    return {
        "unknown option": (2, ["generate", clip, "--loud"]),
        "unknown command": (2, ["generates"]),
        "bad choice": (2, ["generate", clip, "--original", "loud"]),
        "no input": (2, ["generate"]),
        "seed": (2, ["generate", clip, "--seed", "-3", "--model", model]),
        "output exists": (2, ["generate", clip, "-o", clip, "--model", model]),
        "range without sidecar": (2, ["generate", clip, "--range", "0.5-1", "--model", model]),
        "no range": (2, ["generate", clip, "--range", "fast", "--model", model]),
        "best of one": (2, ["generate", clip, "--select", "best", "--model", model]),
        "no such cues": (2, ["generate", clip, "--cues", folder / "none.json", "--model", model]),
        "empty prompt": (2, ["generate", clip, "--prompt", "", "--model", model]),
        "blank prompt": (2, ["generate", clip, "--negative-prompt", " ", "--model", model]),
        "no such transcript": (2, ["generate", clip, "--transcript", folder / "none.srt", "--model", model]),
        "transcript without times": (2, ["generate", clip, "--transcript", untimed, "--model", model]),
        "late transcript": (2, ["generate", clip, "--transcript", late, "-o", folder / "o.mp4", "--model", model]),
        "two ways of marking": (2, ["generate", clip, "--no-watermark", "--audioseal", folder, "--model", model]),
        "no such sidecar": (2, ["generate", "--replay", folder / "none.json"]),
        "missing file": (3, ["generate", folder / "none.mp4", "--model", model]),
        "not media": (3, ["generate", text, "--model", model]),
        "too long": (3, ["generate", clip, "--max-seconds", "1", "--model", model]),
        "too large": (3, ["generate", clip, "--max-pixels", "100", "--model", model]),
        "unreadable ambience": (3, ["generate", clip, "--ambient", text, "-o", folder / "o.mp4", "--model", model]),
        "missing model": (4, ["generate", clip, "--model", "no-such-model", "-o", folder / "o.mp4"]),
        "missing model info": (4, ["models", "info", "no-such-model"]),
        "condition": (2, ["evaluate", "world", folder, "quiet"]),
    }


MISTAKES = list(failures(Path("/nowhere"), Path(), Path(), make=False))


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_one_line_and_its_exit_code(
    foley: Run, tmp_path: Path, clip: Path, debug_model: Path, name: str
) -> None:
    exit_code, arguments = failures(tmp_path, clip, debug_model)[name]
    before = [*tmp_path.iterdir()]
    outcome = foley(*arguments)
    assert outcome.exit_code == exit_code and outcome.out == ""
    errors = [line for line in outcome.err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1 and outcome.err.splitlines()[-1] == errors[0]
    assert "Traceback" not in outcome.err
    assert [*tmp_path.iterdir()] == before

    as_json = foley(*arguments, "--json")
    value = json.loads(as_json.out)
    assert value["exit_code"] == as_json.exit_code == exit_code
    assert name == "unknown option" or f"error: {value['error']}" == errors[0]


def test_the_best_take_says_why_and_a_range_of_it_is_made_anew(
    foley: Run, tmp_path: Path, clip: Path, debug_model: Path
) -> None:
    outcome = foley(
        "generate", clip, "-o", tmp_path / "a.wav", "--model", debug_model, "--num-takes", 2, "--select", "best"
    )
    assert outcome.exit_code == 0
    reason, *paths = outcome.out.splitlines()
    assert " is the best of 2 takes: in time with the pictures at 0." in reason
    assert paths == [str(tmp_path / "a.wav"), str(tmp_path / "a.json")]
    again = foley(
        "generate", "--replay", tmp_path / "a.json", "--range", "0.5-1", "--seed", 7, "-o", tmp_path / "b.wav", "--json"
    )
    assert again.exit_code == 0
    (take,) = json.loads(again.out)["takes"]
    assert take["seed"] == 7 and json.loads(again.out)["selection"] is None
    assert json.loads((tmp_path / "b.json").read_text())["settings"]["rerolls"][0]["start"] == 0.5


def test_generate_prints_the_paths_it_wrote(foley: Run, tmp_path: Path, clip: Path, debug_model: Path) -> None:
    outcome = foley("generate", clip, "-o", tmp_path / "a.mp4", "--model", debug_model, "--stems")
    assert outcome.exit_code == 0
    assert sorted(map(Path, outcome.out.split())) == sorted(tmp_path.iterdir())
    assert "generate\n" in outcome.err
    refused = foley("generate", clip, "-o", tmp_path / "a.mp4", "--model", debug_model)
    assert refused.exit_code == 2 and "--overwrite" in refused.err
    quiet = foley("generate", clip, "-o", tmp_path / "a.mp4", "--model", debug_model, "--overwrite", "-q")
    assert (quiet.exit_code, quiet.out, quiet.err) == (0, "", "")


def test_generate_json_and_replay(foley: Run, tmp_path: Path, clip: Path, debug_model: Path) -> None:
    drawn = foley("generate", clip, "-o", tmp_path / "a.wav", "--model", debug_model, "--seed", "-1", "--json")
    value = json.loads(drawn.out)
    assert value["num_samples"] == 96_000 and value["takes"][0]["seed"] >= 0
    again = foley("generate", "--replay", value["takes"][0]["sidecar"], "-o", tmp_path / "b.wav")
    assert again.exit_code == 0
    np.testing.assert_array_equal(*(read_waveform(tmp_path / name)[0] for name in ("a.wav", "b.wav")))


def test_what_is_seen_is_listed_and_an_edited_list_is_heard(
    foley: Run, tmp_path: Path, clip: Path, debug_model: Path
) -> None:
    listed = foley("events", clip, "--model", debug_model)
    written = foley("events", clip, "--model", debug_model, "-o", tmp_path / "e.csv")
    assert listed.out.startswith("time,material,action,kind,duration,level_db,confidence\n")
    assert written.out == f"{tmp_path / 'e.csv'}\n" and (tmp_path / "e.csv").read_text() == listed.out
    told = json.loads(foley("events", clip, "--model", debug_model, "--json").out)
    assert len(told["events"]) == len(listed.out.splitlines()) - 1
    sure = json.loads(foley("events", clip, "--model", debug_model, "--json", "--min-confidence", "0.5").out)["events"]
    assert sure == [event for event in told["events"] if event["confidence"] >= 0.5]
    (tmp_path / "mine.csv").write_text("time,material\n0.5,glass\n")
    heard = foley(
        "generate", clip, "-o", tmp_path / "a.wav", "--model", debug_model, "--events", tmp_path / "mine.csv", "--json"
    )
    sidecar = json.loads(Path(json.loads(heard.out)["takes"][0]["sidecar"]).read_text())
    assert [event["material"] for event in sidecar["settings"]["events"]] == ["glass"]
    refused = foley("events", clip, "--model", debug_model, "-o", tmp_path / "e.txt")
    assert refused.exit_code == 2 and "ends in .json or .csv" in refused.err


def test_a_drawn_seed_is_printed(foley: Run, tmp_path: Path, clip: Path, debug_model: Path) -> None:
    outcome = foley("generate", clip, "-o", tmp_path / "a.wav", "--model", debug_model, "--seed", "-1")
    assert re.match(r"seed \d+\n", outcome.out)


def test_models_info_reads_a_folder(foley: Run, debug_model: Path) -> None:
    assert json.loads(foley("models", "info", debug_model, "--json").out)["licence"] == "cc0-1.0"
    assert "A model that knows nothing" in foley("models", "info", debug_model, "--card").out
    assert foley("models", "list").exit_code == 0


def test_doctor_says_what_is_there(foley: Run) -> None:
    outcome = foley("doctor", "--json")
    value = json.loads(outcome.out)
    states = {found["name"]: found["state"] for found in value["packages"]}
    assert states["torch"] == states["av"] == "ok"
    assert outcome.exit_code == (0 if value["can_generate"] else 1)
    assert "cpu" in foley("doctor").out


def start(clip: Path, folder: Path, model: Path) -> subprocess.Popen[str]:
    """Start a slow generation in its own process and wait until it is at work."""
    command = [sys.executable, "-c", "from foleykit.cli.main import main; main()", "generate", str(clip)]
    command += ["-o", str(folder / "out.mp4"), "--model", str(model), "--num-steps", "1000", "--stems"]
    # A shell's background job inherits a deaf ear to Ctrl-C; a user's command does not.
    listens = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, preexec_fn=listens)
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("generate"):
            return process
    raise AssertionError("never began to generate")


@pytest.mark.parametrize(
    ("signal_number", "exit_code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)]
)
def test_a_killed_generation_leaves_no_output(
    tmp_path: Path, clip: Path, debug_model: Path, signal_number: signal.Signals, exit_code: int
) -> None:
    process = start(clip, tmp_path, debug_model)
    process.send_signal(signal_number)
    assert process.wait(timeout=30) == exit_code
    assert list(tmp_path.iterdir()) == []
    assert process.stderr is not None
    assert ("error: interrupted" in process.stderr.read()) == (signal_number == signal.SIGINT)

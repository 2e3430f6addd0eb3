from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from fixtures.listening import write_systems
from foleykit.cli.main import main
from foleykit.jobs.listen_store import ListeningStudy

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Return a function that runs `foley listen` in this test's folder: exit code, standard output, standard error."""
    monkeypatch.chdir(tmp_path)

    def call(*words: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as end:
            main(["listen", *words])
        said = capsys.readouterr()
        return int(end.value.code or 0), said.out, said.err

    return call


def test_make_answer_and_read(run: Run, tmp_path: Path, make_video: Callable[..., Path]) -> None:
    folders = write_systems(tmp_path, make_video, num_clips=3, num_systems=3)
    (folders[2] / "clip02.wav").unlink()
    names = [f"ours={folders[0].name}", folders[1].name, folders[2].name]
    code, out, _ = run("make", "study", *names, "--criterion", "action", "--title", "Kitchen sounds", "-q")
    assert (code, out) == (0, "")
    code, out, _ = run("make", "again", *names, "--layout", "pairs", "--num-trials", "5", "--json")
    made = json.loads(out)
    assert (made["num_clips"], made["num_trials"], made["systems"]) == (2, 5, ["ours", *(f.name for f in folders[1:])])
    assert made["unpaired"] == {"clip02": [folders[2].name]} and made["num_unpaired"] == 1
    code, out, _ = run("make", "third", *names)
    assert "1 left out: some system lacks them\n  clip02: not in eastern-model" in out

    code, out, _ = run("results", "study")
    assert code == 0 and "no answers yet" in out
    study = ListeningStudy.open(tmp_path / "study")
    for name in ("Ada", "Bo"):
        token = study.join(name)
        for number in (1, 2):
            study.answer(token, number, "action", [0])
            study.finish(token, number)
    code, out, _ = run("results", "study")
    assert out.startswith("Kitchen sounds: 2 listeners, 2 of them through; 4 of 4 comparisons; 2 clips")
    assert "action: Which has the best sound of the action itself?" in out and "of 4" in out and "agreement: " in out
    code, out, _ = run("results", "study", "--json")
    (criterion,) = json.loads(out)["criteria"]
    assert sum(system["num_chosen"] for system in criterion["systems"]) == criterion["num_answers"] == 4
    assert {"value", "low", "high", "num_clips"} == set(criterion["systems"][0]["share"])
    assert criterion["agreement"]["num_units"] == 2


def test_mistakes_end_with_one_line(run: Run, tmp_path: Path, make_video: Callable[..., Path]) -> None:
    one, two = write_systems(tmp_path, make_video, num_clips=1)
    (two / "clip00.wav").rename(two / "elsewhere.wav")
    for words, code, text in (
        (("make", "study", one.name), 2, "at least two systems"),
        (("make", "study", one.name, two.name), 3, "no file name is common"),
        (("make", "study", one.name, two.name, "--criterion", "beauty"), 2, "beauty"),
        (("results", "nowhere"), 2, "holds no listening test"),
        (("serve", "nowhere"), 2, "holds no listening test"),
    ):
        found, out, err = run(*words)
        assert (found, out) == (code, "") and err.startswith("error: ") and err.count("\n") == 1 and text in err
    assert not (tmp_path / "study").exists()


def test_help_imports_no_server() -> None:
    code = (
        "import sys\nfrom foleykit.cli.main import main\ntry: main(['listen', 'serve', '--help'])\n"
        "except SystemExit: pass\nassert not {'fastapi', 'uvicorn', 'starlette', 'torch', 'av'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)

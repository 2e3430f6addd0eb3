"""What README and docs tell people to type works."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from foleykit.jobs.models import shipped_models

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

needs_model = pytest.mark.skipif(
    "tiny-avldm" not in shipped_models(), reason="the weights of tiny-avldm are not in this tree"
)


def blocks(page: Path, language: str) -> list[str]:
    """Return the fenced code blocks of one language."""
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)


def commands(page: Path, program: str) -> list[list[str]]:
    """Return the words of every line in shell blocks that starts with `program`."""
    lines = [line for block in blocks(page, "sh") for line in block.splitlines()]
    words = [shlex.split(line, comments=True) for line in lines]
    return [line for line in words if line and line[0] == program]


FOLEY = [(page, line) for page in PAGES for line in commands(page, "foley")]
SNIPPETS = [(page, block) for page in PAGES for block in blocks(page, "python")]


@pytest.mark.parametrize(("page", "line"), FOLEY, ids=lambda value: value.name if isinstance(value, Path) else None)
def test_every_option_in_the_docs_exists(page: Path, line: list[str]) -> None:
    groups = ("models", "world", "train", "evaluate", "index", "data", "listen", "reproduce")
    depth = 3 if line[1] in groups else 2
    depth += line[1:3] == ["models", "convert"]
    code = f"from foleykit.cli.main import main; main({[*line[1:depth], '--help']!r})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for word in line[depth:]:
        if re.fullmatch(r"--[a-z-]+|-[a-z]", word):
            assert re.search(rf"(^|[\s,/]){word}[\s,/]", done.stdout), f"{' '.join(line)}: there is no {word}"


@pytest.fixture
def workplace(tmp_path: Path, make_video: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty folder with clip.mp4 in it, made the current one."""
    shutil.copy(make_video(seconds=2.0, tone_hz=440.0), tmp_path / "clip.mp4")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@needs_model
@pytest.mark.parametrize(("page", "code"), SNIPPETS, ids=lambda value: value.name if isinstance(value, Path) else None)
def test_python_snippets_run(page: Path, code: str, workplace: Path) -> None:
    exec(compile(code, str(page), "exec"), {})
    assert len(list(workplace.iterdir())) > 1


@needs_model
def test_generate_commands_of_the_readme_run_in_order(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from foleykit.cli.main import main

    for line in commands(ROOT / "README.md", "foley"):
        if line[1] in ("generate", "models", "doctor"):
            with pytest.raises(SystemExit) as end:
                main(line[1:])
            assert not end.value.code, f"{' '.join(line)}: {capsys.readouterr().err}"
    assert (workplace / "clip.foley.mp4").is_file() and (workplace / "again.mp4").is_file()


def test_links_between_pages_lead_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_make_targets_of_the_readme_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert {line[1] for line in commands(ROOT / "README.md", "make")} <= targets

"""The package imports quickly, alone, and carries what it promises."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from importlib import resources
from pathlib import Path

import pytest

import foleykit

ROOT = Path(__file__).parents[1]
HEAVY = ("torch", "av", "mujoco", "transformers", "diffusers", "PIL", "soundfile", "tensorboard", "matplotlib")


def heavy_modules_after(code: str) -> list[str]:
    script = f"{code}\nimport sys\nprint([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return list(ast_list(done.stderr.splitlines()[-1]))


def ast_list(text: str) -> list[str]:
    import ast

    return list(ast.literal_eval(text))


def test_importing_the_package_imports_nothing_heavy() -> None:
    assert heavy_modules_after("import foleykit") == []


def test_help_imports_nothing_heavy() -> None:
    code = "from foleykit.cli.main import main\ntry: main(['generate', '--help'])\nexcept SystemExit: pass"
    assert heavy_modules_after(code) == []


@pytest.mark.parametrize("model", ["tiny-avldm", "tiny-foleygen", "tiny-textvideo"])
def test_a_shipped_model_needs_no_library_of_published_networks(model: str) -> None:
    loaded = heavy_modules_after(f"from foleykit.jobs.load import load\nload({model!r})")
    assert "torch" in loaded and not {"transformers", "diffusers", "matplotlib"} & set(loaded)


def test_core_imports_with_broken_packages_blocked() -> None:
    blocked = "import sys\nfor name in ('torchvision', 'torchaudio', 'librosa', 'scipy'): sys.modules[name] = None\n"
    code = blocked + "import foleykit.jobs.generate, foleykit.jobs.load"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_version_is_stated_once_and_for_all() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    citation = (ROOT / "CITATION.cff").read_text()
    assert project["version"] == foleykit.__version__
    assert f"version: {foleykit.__version__}" in citation
    assert f"## {foleykit.__version__}" in (ROOT / "CHANGELOG.md").read_text()


def test_typing_marker_is_shipped() -> None:
    assert resources.files("foleykit").joinpath("py.typed").is_file()


def test_every_dependency_is_locked() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    locked = {
        line.split("==")[0].lower().replace("_", "-")
        for line in (ROOT / "constraints.txt").read_text().splitlines()
        if "==" in line
    }
    wanted = [
        *project["dependencies"],
        *(item for extra in project["optional-dependencies"].values() for item in extra),
    ]
    for requirement in wanted:
        name = requirement.split(">")[0].split("<")[0].split("[")[0].split("=")[0].strip().lower()
        assert name == "foleykit" or name in locked, f"{requirement} is not in constraints.txt; run `make lock`"


def test_the_lock_names_no_build_and_no_address() -> None:
    text = (ROOT / "constraints.txt").read_text().split("\n", 1)[1]
    assert "+" not in text and "://" not in text and " @ " not in text

"""Imports point down, never up, never sideways."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "foleykit"

LAYERS = (
    {"cli"},
    {"web"},
    {"jobs", "recipes"},
    {"models", "data", "training", "evaluation"},
    {"encoders", "codecs", "diffusion", "tokens", "retrieval", "watermark", "world"},
    {"audio", "video", "nn"},
    {"core"},
)
HEIGHT = {package: len(LAYERS) - depth for depth, group in enumerate(LAYERS) for package in group}
FAMILIES = {"avldm", "foleygen", "textvideo", "contrastive", "avsync"}
NEVER = {"torchvision", "torchaudio", "torchcodec", "librosa", "scipy", "timm"}
NETWORK = {"urllib.request", "http.client", "requests", "httpx", "huggingface_hub", "torch.hub"}
FETCHER = SOURCE / "jobs" / "fetch.py"
FILES = sorted(path for path in SOURCE.rglob("*.py"))


def imports(path: Path, *, only_at_import: bool = False) -> set[str]:
    """Return the absolute names of modules that a file imports, also inside functions unless `only_at_import`."""
    tree = ast.parse(path.read_text(), str(path))
    found: set[str] = set()
    pending: list[ast.AST] = [tree]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            found |= {f"{node.module}.{alias.name}" for alias in node.names} | {str(node.module)}
        is_deferred = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) or (
            isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        )
        if not (only_at_import and is_deferred):
            pending.extend(ast.iter_child_nodes(node))
    return found


def test_every_package_has_a_layer() -> None:
    packages = {path.name for path in SOURCE.iterdir() if (path / "__init__.py").exists()}
    assert packages <= set(HEIGHT) | {"weights", "examples"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(SOURCE).as_posix())
def test_imports_point_down(path: Path) -> None:
    parts = path.relative_to(SOURCE).parts
    if parts[0] not in HEIGHT:
        return
    for name in imports(path):
        target = name.split(".")
        if target[0] != "foleykit" or len(target) < 2 or target[1] not in HEIGHT:
            continue
        package = target[1]
        assert package == parts[0] or HEIGHT[package] < HEIGHT[parts[0]], f"{'/'.join(parts)} imports {name}"
        if package == parts[0] == "models" and parts[1] in FAMILIES and len(target) > 2:
            assert target[2] not in FAMILIES - {parts[1]}, f"family {parts[1]} imports family {target[2]}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(SOURCE).as_posix())
def test_broken_or_heavy_packages_stay_out(path: Path) -> None:
    allowed = {"torchvision"} if path.name == "doctor.py" else set()
    assert not ({name.split(".")[0] for name in imports(path)} & NEVER) - allowed


@pytest.mark.parametrize("path", sorted((SOURCE / "cli").glob("*.py")), ids=lambda path: path.name)
def test_commands_import_nothing_heavy_before_they_run(path: Path) -> None:
    light = {"foleykit.cli", "foleykit.core", "foleykit.__version__"}
    for name in imports(path, only_at_import=True):
        if name.startswith("foleykit.") and not name.startswith(tuple(light)):
            pytest.fail(f"{path.name} imports {name} when it is imported")
        assert name.split(".")[0] not in {"torch", "numpy", "av", "mujoco", "soundfile", "soxr", "PIL"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(SOURCE).as_posix())
def test_nothing_is_fetched_but_by_the_fetcher(path: Path) -> None:
    reaching = {name for name in imports(path) if any(f"{name}.".startswith(f"{known}.") for known in NETWORK)}
    assert bool(reaching) == (path == FETCHER), f"{path.name} imports {reaching}"
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(".from_pretrained"):
            words = {word.arg: ast.unparse(word.value) for word in node.keywords}
            assert words.get("local_files_only") == "True", f"{path.name}:{node.lineno} may download"


def test_the_fetcher_serves_downloads_alone() -> None:
    users = [path for path in FILES if any(name.startswith("foleykit.jobs.fetch.fetch") for name in imports(path))]
    assert users == [SOURCE / "jobs" / "download.py"]

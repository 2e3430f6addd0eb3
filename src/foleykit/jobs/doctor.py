"""Look at this machine: what is installed, what is broken, what can be used."""

from __future__ import annotations

import ctypes.util
import importlib
import importlib.metadata
import os
import platform
import shutil
import subprocess
import sys
from dataclasses import dataclass
from typing import Literal

import foleykit
from foleykit.core.errors import ModelError

State = Literal["ok", "absent", "broken"]

REQUIRED = ("torch", "numpy", "av", "safetensors", "soxr", "soundfile", "PIL", "typer", "rich")
OPTIONAL = {
    "mujoco": "simulating the training world; pip install 'foleykit[world]'",
    "tensorboard": "training logs; pip install 'foleykit[train]'",
    "lancedb": "libraries of millions of clips; pip install 'foleykit[index]'",
    "ray": "preparing data on a cluster; pip install 'foleykit[cluster]'",
    "cv2": "the optical-flow baseline on real videos; pip install 'foleykit[flow]'",
    "fastapi": "the page of listening tests; pip install 'foleykit[web]'",
    "c2pa": "signed content credentials; pip install 'foleykit[provenance]'",
    "audioseal": "AudioSeal's mark in place of our own; pip install 'foleykit[audioseal]'",
    "diffusers": "networks at published size; pip install 'foleykit[published]'",
    "transformers": "published encoders and codecs; pip install 'foleykit[published]'",
}
PROGRAMS = {"espeak-ng": "speaking transcripts"}
HARMFUL_WHEN_BROKEN = ("torchvision", "torchaudio")
"""Never used here, but a broken build of one takes transformers and diffusers down with it."""
DISTRIBUTIONS = {"PIL": "pillow", "cv2": "opencv-python-headless", "c2pa": "c2pa-python"}


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One line of the report."""

    name: str
    state: State
    detail: str
    """A version, or what is wrong and what to do."""


@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """Everything `examine` found."""

    system: str
    packages: tuple[Finding, ...]
    devices: tuple[Finding, ...]
    rendering: tuple[Finding, ...]
    media: tuple[Finding, ...]
    models: tuple[Finding, ...]

    @property
    def can_generate(self) -> bool:
        required = [*self.media, *(finding for finding in self.packages if finding.name in REQUIRED)]
        return all(finding.state == "ok" for finding in required) and any(m.state == "ok" for m in self.models)

    @property
    def problems(self) -> tuple[str, ...]:
        groups = (self.packages, self.devices, self.rendering, self.media, self.models)
        return tuple(f"{found.name}: {found.detail}" for group in groups for found in group if found.state == "broken")


def examine() -> Diagnosis:
    """Import what generation needs, ask for devices, libraries and models, and say what was found; changes nothing."""
    packages = [_required_package(name) for name in REQUIRED]
    packages += [_optional_package(name, use) for name, use in OPTIONAL.items()]
    packages += [found for found in map(_harmful_package, HARMFUL_WHEN_BROKEN) if found is not None]
    packages += [_program(name, use) for name, use in PROGRAMS.items()]
    states = {found.name: found.state for found in packages}
    return Diagnosis(
        system=f"foleykit {foleykit.__version__}, Python {platform.python_version()}, {platform.platform()}",
        packages=tuple(packages),
        devices=tuple(_devices()) if states["torch"] == "ok" else (),
        rendering=tuple(_rendering()),
        media=tuple(_media()) if states["av"] == "ok" else (),
        models=tuple(_models()) if states["torch"] == "ok" else (),
    )


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(DISTRIBUTIONS.get(name, name))
    except importlib.metadata.PackageNotFoundError:
        return None


def _required_package(name: str) -> Finding:
    version = _version(name)
    try:
        importlib.import_module(name)
    except ModuleNotFoundError:
        return Finding(name=name, state="broken", detail="is not installed; run `pip install -e .` again")
    except (ImportError, OSError, RuntimeError) as error:
        return Finding(
            name=name, state="broken", detail=f"{version} is installed but cannot be imported: {_line(error)}"
        )
    return Finding(name=name, state="ok", detail=version or "installed")


def _optional_package(name: str, use: str) -> Finding:
    version = _version(name)
    if version is None:
        return Finding(name=name, state="absent", detail=f"not installed (for {use})")
    return Finding(name=name, state="ok", detail=version)


def _program(name: str, use: str) -> Finding:
    path = shutil.which(name)
    if path is None:
        return Finding(name=name, state="absent", detail=f"not installed (a program, for {use})")
    return Finding(name=name, state="ok", detail=path)


def _harmful_package(name: str) -> Finding | None:
    """Return None where the package is absent, which is best."""
    version = _version(name)
    if version is None:
        return None
    # In a process of its own: a half-imported broken package would stay in this one.
    done = subprocess.run([sys.executable, "-c", f"import {name}"], capture_output=True, text=True)
    if done.returncode == 0:
        return Finding(name=name, state="ok", detail=f"{version} (not used by foleykit)")
    reason = done.stderr.strip().splitlines()[-1] if done.stderr.strip() else f"exit status {done.returncode}"
    return Finding(
        name=name,
        state="broken",
        detail=f"{version} is installed but broken ({reason}); foleykit does not use it, but transformers and "
        f"diffusers fail beside it: `pip uninstall {name}`, or install the build that matches torch",
    )


def _devices() -> list[Finding]:
    import torch

    found = [
        Finding(name="cpu", state="ok", detail=f"{os.cpu_count()} cores, torch uses {torch.get_num_threads()} threads")
    ]
    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            detail = f"{torch.cuda.get_device_name(index)}, CUDA {torch.version.cuda}"
            found.append(Finding(name=f"cuda:{index}", state="ok", detail=detail))
    else:
        build = (
            f"torch is built for CUDA {torch.version.cuda}" if torch.version.cuda else "torch is a build without CUDA"
        )
        found.append(Finding(name="cuda", state="absent", detail=f"no usable GPU; {build}"))
    if torch.backends.mps.is_available():
        found.append(Finding(name="mps", state="ok", detail="Apple GPU"))
    return found


def _rendering() -> list[Finding]:
    found = []
    for name, package in (("OSMesa", "libosmesa6"), ("EGL", "libegl1")):
        library = ctypes.util.find_library(name)
        advice = f"not found (only for rendering the world; on Debian: apt-get install {package})"
        found.append(Finding(name=name, state="ok" if library else "absent", detail=library or advice))
    return found


def _media() -> list[Finding]:
    import av

    found = []
    for name, use in (("aac", "mp4 and mov"), ("libopus", "webm and mkv"), ("flac", "lossless sound")):
        if name in av.codecs_available:
            found.append(Finding(name=f"{name} encoder", state="ok", detail=f"for {use}"))
        else:
            detail = f"missing from this build of PyAV; {use} cannot be written"
            found.append(Finding(name=f"{name} encoder", state="broken", detail=detail))
    return found


def _models() -> list[Finding]:
    from foleykit.jobs.models import describe_model, shipped_models

    found = []
    for name in shipped_models():
        try:
            description = describe_model(name)
        except ModelError as error:
            found.append(Finding(name=name, state="broken", detail=str(error)))
        else:
            detail = f"{description.family}, {description.num_bytes / 1e6:.1f} MB, shipped"
            found.append(Finding(name=name, state="ok", detail=detail))
    if not found:
        found.append(Finding(name="models", state="broken", detail="no shipped weights found; reinstall foleykit"))
    return found


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]

"""Features in the layout of av-benchmark's caches, so that what either tool has computed serves the other.

A cache is the folder `cache` inside a folder of sounds. Its torch files hold one dictionary each, by the name of the
media file without its suffix:

    pann_features.pth                                     {"2048": (2048,), "logits": (527,)}
    vggish_features.pth                                   (W, 128)
    passt_features_embed.pth, passt_logits.pth            (768,), (527,)
    imagebind_audio.pth, imagebind_video.pth              (1024,); pictures in the reference's cache
    clap_laion_audio.pth, clap_laion_text.pth             (512,); captions in the reference's cache

(hkchengrex/av-benchmark, extract.py, extract_video.py and evaluate.py, read in 2026-11.) Its names are kept; nothing of
them is cleaned or replaced, and a clip that a cache lacks is an error.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from torch import Tensor

from foleykit.core.checkpoint import sha256
from foleykit.core.errors import MediaError, ModelError, UsageError
from foleykit.core.progress import Report as Progress
from foleykit.core.progress import no_report
from foleykit.core.unpickle import read_checkpoint
from foleykit.evaluation.metrics.paired_cosine import paired_cosine
from foleykit.evaluation.networks import NetworkName, PairNetwork, SoundFeatures, SoundNetwork
from foleykit.evaluation.pairing import clip_id, files_by_id

CACHE = "cache"
"""Folder inside a folder of sounds."""
PANNS, VGGISH, PASST, PASST_LOGITS = (
    "pann_features.pth",
    "vggish_features.pth",
    "passt_features_embed.pth",
    "passt_logits.pth",
)
SETS: dict[NetworkName, tuple[str, ...]] = {
    "panns": (PANNS,),
    "vggish": (VGGISH,),
    "passt": (PASST, PASST_LOGITS),
}
"""Files of networks that listen."""
PAIRS: dict[NetworkName, tuple[str, str]] = {
    "imagebind": ("imagebind_audio.pth", "imagebind_video.pth"),
    "clap": ("clap_laion_audio.pth", "clap_laion_text.pth"),
}
"""Files of networks that score pairs: of the sounds, and of the reference's pictures or captions."""

Entries = Mapping[str, object]


@dataclass(frozen=True, kw_only=True)
class CachedSounds:
    """A network that listens, as far as two caches know it."""

    name: NetworkName
    folders: Mapping[Path, Sequence[Entries]]
    """Entries of its files by the folder of sounds that they are of."""
    identity: str

    def features(self, sound: Path, *, seconds: float | None) -> SoundFeatures:
        """Return what the cache of the sound's folder holds. Raises MediaError where it lacks the clip."""
        _check_whole(seconds)
        found = [_entry(entries, sound) for entries in self.folders[sound.parent]]
        match self.name:
            case "panns":
                assert isinstance(found[0], Mapping)
                return SoundFeatures(embeddings=_tensor(found[0]["2048"])[None], logits=_tensor(found[0]["logits"]))
            case "passt":
                return SoundFeatures(embeddings=_tensor(found[0])[None], logits=_tensor(found[1]))
            case _:
                return SoundFeatures(embeddings=_tensor(found[0]))


@dataclass(frozen=True, kw_only=True)
class CachedPairs:
    """A network that scores pairs, as far as two caches know it: the cosine of two embeddings."""

    sounds: Mapping[Path, Entries]
    """Embeddings of sounds by their folder; the reference's may lack them."""
    references: Entries
    identity: str

    def score(self, sound: Path, reference: Path, *, seconds: float | None) -> float:
        """Return the cosine, NaN where the reference's own sound was not embedded. Raises MediaError as above."""
        _check_whole(seconds)
        entries = self.sounds.get(sound.parent)
        if entries is None:
            return float("nan")
        one, other = (_tensor(part) for part in (_entry(entries, sound), _entry(self.references, reference)))
        return float(paired_cosine(one.reshape(1, -1), other.reshape(1, -1)))


def open_caches(generated: Path, reference: Path) -> dict[NetworkName, SoundNetwork | PairNetwork]:
    """Return the networks that the caches of two folders, each its `cache`, both know.

    Raises ModelError when there is none, or when a file holds anything but features.
    """
    networks: dict[NetworkName, SoundNetwork | PairNetwork] = {}
    for name, files in SETS.items():
        paths = {folder: [folder / CACHE / file for file in files] for folder in (generated, reference)}
        if all(path.is_file() for group in paths.values() for path in group):
            read = {folder: [read_checkpoint(path) for path in group] for folder, group in paths.items()}
            networks[name] = CachedSounds(name=name, folders=read, identity=_identity(paths[reference]))
    for name, (heard, seen) in PAIRS.items():
        own, known = generated / CACHE / heard, reference / CACHE / seen
        if own.is_file() and known.is_file():
            sounds = {
                folder: read_checkpoint(folder / CACHE / heard)
                for folder in (generated, reference)
                if (folder / CACHE / heard).is_file()
            }
            networks[name] = CachedPairs(sounds=sounds, references=read_checkpoint(known), identity=_identity([known]))
    if not networks:
        raise ModelError(
            f"{generated / CACHE} and {reference / CACHE} hold no network's features in both; see docs/evaluate.md"
        )
    return networks


def _identity(paths: Sequence[Path]) -> str:
    """Return what stands for the network: the hash of the reference's features, equal for all systems compared."""
    return "av-benchmark cache " + " ".join(sha256(path)[:16] for path in paths)


def write_cache(
    folder: Path, networks: Mapping[NetworkName, SoundNetwork | PairNetwork], progress: Progress = no_report
) -> tuple[Path, ...]:
    """Write what the networks that listen hear in a folder's files to its `cache`, and return the files written.

    Raises MediaError when the folder holds no media, and UsageError when two files claim one name or no network of
    `networks` listens.
    """
    media = files_by_id(folder)
    doubled = [name for name, paths in media.items() if len(paths) > 1]
    if doubled:
        raise UsageError(f"{folder}: two files have the name {doubled[0]}; a cache holds one entry for each")
    written: list[Path] = []
    for name in SETS:
        if name in networks:
            network = cast(SoundNetwork, networks[name])
            found = {}
            for number, (key, (path,)) in enumerate(media.items()):
                found[key] = network.features(path, seconds=None)
                progress(name, (number + 1) / len(media))
            written += [_write(folder / CACHE / file, entries) for file, entries in _layout(name, found).items()]
    if not written:
        raise UsageError("a cache needs one of the networks vggish, cnn14, passt; name their folder with --networks")
    return tuple(written)


def _layout(name: NetworkName, found: Mapping[str, SoundFeatures]) -> dict[str, dict[str, object]]:
    """Return the dictionaries of a network's files."""

    def logits(features: SoundFeatures) -> Tensor:
        assert features.logits is not None
        return features.logits.clone()

    match name:
        case "panns":
            return {
                PANNS: {
                    key: {"2048": each.embeddings[0].clone(), "logits": logits(each)} for key, each in found.items()
                }
            }
        case "passt":
            return {
                PASST: {key: each.embeddings[0].clone() for key, each in found.items()},
                PASST_LOGITS: {key: logits(each) for key, each in found.items()},
            }
        case _:
            return {VGGISH: {key: each.embeddings.clone() for key, each in found.items()}}


def _write(path: Path, entries: dict[str, object]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    torch.save(entries, temporary)
    temporary.replace(path)
    return path


def _entry(entries: Entries, media: Path) -> object:
    for name in (media.stem, clip_id(media)):
        if name in entries:
            return entries[name]
    raise MediaError(f"{media}: the cache has no features of it; compute them for all clips")


def _tensor(value: object) -> Tensor:
    if not isinstance(value, Tensor):
        raise ModelError(f"a cache holds {type(value).__name__} where a tensor belongs; it is of another layout")
    return value.float()


def _check_whole(seconds: float | None) -> None:
    if seconds is not None:
        raise UsageError("features in a cache are of whole clips; leave out --seconds")

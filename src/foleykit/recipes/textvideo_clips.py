"""Prepared clips as the textvideo network learns from them: codec and eyes are asked once, texts are read anew."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from foleykit.audio.ambient import mirror_to
from foleykit.codecs.wave_vae import WaveVae
from foleykit.core.checkpoint import files_digest, frozen
from foleykit.core.config import load_config, to_dict
from foleykit.core.errors import InputError, ModelError
from foleykit.core.progress import Report, no_report
from foleykit.data.manifest import ClipRecord
from foleykit.data.neighbours import NeighbourRule, neighbours
from foleykit.data.shards import ClipShards
from foleykit.encoders.text.readers import Reader, load_reader
from foleykit.encoders.visual.sights import ClipSynchformerSight, load_sight
from foleykit.models.textvideo.config import TextVideoConfig
from foleykit.models.textvideo.decoding import load_sound
from foleykit.models.textvideo.network import Conditioning
from foleykit.models.textvideo.objective import TextVideoBatch
from foleykit.recipes.avldm_batches import step_rng
from foleykit.recipes.stored_clips import store_together

ENCODER_FILES = ("codec.safetensors", "image.safetensors", "sync.safetensors")


class FrozenParts:
    """The parts of a model that are never trained, and what they make of prepared clips."""

    codec: WaveVae
    sight: ClipSynchformerSight
    reader: Reader

    def __init__(self, folder: Path, *, device: str = "cpu", dtype: torch.dtype = torch.float32) -> None:
        """Load them from a model folder, CLIP and Synchformer in `dtype`.

        Raises ModelError when one is missing or does not fit, and for a model of other parts.
        """
        self.config = load_config(TextVideoConfig, folder / "config.json")
        self.device, self.dtype, self._folder = device, dtype, folder
        codec, _ = load_sound(self.config, folder)
        sight = load_sight(
            self.config.sync,
            self.config.clip,
            folder,
            picture_fps=self.config.picture_fps,
            device=device,
            dtype=dtype,
        )
        if not isinstance(codec, WaveVae) or not isinstance(sight, ClipSynchformerSight):
            raise ModelError(f"{folder} is no model of CLIP, Synchformer and a codec of waveforms, as textvideo is")
        self.codec, self.sight = frozen(codec, device), sight
        self.reader = load_reader(self.config.clip, folder, device=device, dtype=dtype)

    @cached_property
    def digest(self) -> str:
        """Of everything that stored values depend on; part of their names."""
        values = to_dict(self.config)
        kept = [values[name] for name in ("codec", "clip", "sync", "picture_fps", "window_seconds")]
        return files_digest([self._folder / name for name in ENCODER_FILES], [*kept, str(self.dtype)])

    def store(self, shards: ClipShards, report: Report = no_report) -> None:
        """Store what is made of every clip that has none; a killed call goes on at the shard it was at."""
        for name, encode in (("latents", self.latents), ("pictures", self.pictures), ("sync", self.sync)):
            store_together(shards, f"{name}-{self.digest}", partial(encoded, encode), self.device, report)

    @torch.inference_mode()
    def latents(self, shards: ClipShards, position: int) -> Tensor:
        """Return mean latents (D, L) of a window of a clip's sound; raises InputError for another sample rate."""
        waveform, sample_rate = shards.waveform(position)
        if sample_rate != self.config.sample_rate:
            raise InputError(
                f"clips are at {sample_rate} Hz, the codec at {self.config.sample_rate} Hz; prepare them anew"
            )
        window = torch.zeros(self.config.window_samples)
        window[: len(waveform)] = torch.from_numpy(waveform[: len(window)])
        return self.codec.encode(window[None, None].to(self.device))[0]

    def pictures(self, shards: ClipShards, position: int) -> Tensor:
        """Return embeddings (P, W) of a window of a clip's pictures."""
        lengths = self.config.sequence_lengths(self.config.window_seconds)
        return self.sight.embeddings([self._frames(shards, position, self.config.picture_fps, lengths.pictures)])

    def sync(self, shards: ClipShards, position: int) -> Tensor:
        """Return synchronisation tokens (S G, W) of a window of a clip's pictures."""
        lengths = self.config.sequence_lengths(self.config.window_seconds)
        num_frames = round(self.config.window_seconds * self.config.video_fps)
        frames = self._frames(shards, position, self.config.video_fps, num_frames)
        return self.sight.tokens([frames], lengths.segments).flatten(0, 1)

    def _frames(self, shards: ClipShards, position: int, fps: float, count: int) -> NDArray[np.uint8]:
        """Return `count` pictures at `fps` (T, H, W, 3), the last one held; raises InputError for smaller ones."""
        frames = shards.frames_at(position, shards[position].shown_at(np.arange(count) / fps))
        wanted = max(self.sight.image.config.input_size, self.sight.sync.config.size)
        if min(frames.shape[1:3]) < wanted:
            raise InputError(
                f"clips are of {frames.shape[1:3]} pixels, the encoders see {wanted}; prepare them anew with "
                f"--size {wanted}"
            )
        return frames


@dataclass(frozen=True, kw_only=True, eq=False)
class StoredClips:
    """The clips of one folder with what is stored beside them."""

    shards: ClipShards
    parts: FrozenParts
    neighbours: tuple[tuple[int, ...], ...]
    """Positions of the clips that may lend each its ambience; none where a clip is alone in its long video."""

    @classmethod
    def of(cls, folder: Path, parts: FrozenParts, rule: NeighbourRule, report: Report = no_report) -> StoredClips:
        """Return the clips of `folder` after all that lacked has been stored."""
        shards = ClipShards(folder)
        parts.store(shards, report)
        return cls(shards=shards, parts=parts, neighbours=neighbours(shards.records, rule))

    def batch(self, positions: Sequence[int], rng: np.random.Generator) -> TextVideoBatch:
        """Return the clips at `positions`, each with one of its descriptions and one of its neighbours."""
        config = self.parts.config
        network, records = config.network, [self.shards[position].record for position in positions]
        texts = [draw_text(record, rng) for record in records]
        said = [record.said(config.window_seconds) if network.has_transcript else "" for record in records]
        lenders = [self._draw_neighbour(position, rng) if network.has_ambient else None for position in positions]
        ambient = [
            np.zeros((network.latent_width, self._window_frames), np.float32)
            if lender is None
            else self._stored("latents", lender)[:, mirrored(self._num_frames(lender), self._window_frames)]
            for lender in lenders
        ]
        return TextVideoBatch(
            latents=self._tensor([self._stored("latents", position) for position in positions]),
            weights=self._tensor([self._weights(position) for position in positions]),
            conditioning=Conditioning(
                pictures=self._tensor([self._stored("pictures", position) for position in positions]),
                sync=self._tensor([self._stored("sync", position) for position in positions]),
                text=self._read(texts),
                transcript=self._read(said) if network.has_transcript else None,
                ambient=self._tensor(ambient) if network.has_ambient else None,
            ),
            has_text=self._flags([bool(text) for text in texts]),
            has_transcript=self._flags([bool(words) for words in said]),
            has_ambient=self._flags([lender is not None for lender in lenders]),
        )

    @property
    def _window_frames(self) -> int:
        return self.parts.config.sequence_lengths(self.parts.config.window_seconds).latents

    def _num_frames(self, position: int) -> int:
        """Return the latent frames of a clip, at most those of a window."""
        own = self.parts.config.sequence_lengths(self.shards[position].record.seconds).latents
        return min(own, self._window_frames)

    def _weights(self, position: int) -> NDArray[np.float32]:
        """Return (L,) 1 for every latent frame of a clip, and 0 for what a short one lacks of a window."""
        return (np.arange(self._window_frames) < self._num_frames(position)).astype(np.float32)

    def _draw_neighbour(self, position: int, rng: np.random.Generator) -> int | None:
        candidates = self.neighbours[position]
        return candidates[int(rng.integers(len(candidates)))] if candidates else None

    def _stored(self, name: str, position: int) -> NDArray[np.float16]:
        return self.shards.cached(position, f"{name}-{self.parts.digest}")

    def _tensor(self, arrays: Sequence[NDArray[np.floating]]) -> Tensor:
        return torch.from_numpy(np.stack(arrays).astype(np.float32)).to(self.parts.device)

    def _flags(self, values: Sequence[bool]) -> Tensor:
        return torch.tensor(values, device=self.parts.device)

    @torch.no_grad()
    def _read(self, texts: Sequence[str]) -> Tensor:
        return self.parts.reader.read_all(texts)


def encoded(
    encode: Callable[[ClipShards, int], Tensor], shards: ClipShards, positions: Sequence[int]
) -> Iterator[NDArray[np.float16]]:
    """Yield what `encode` makes of the clips at `positions`, as it is stored."""
    for position in positions:
        yield encode(shards, position).cpu().numpy().astype(np.float16)


def draw_text(record: ClipRecord, rng: np.random.Generator) -> str:
    """Return what is seen or what is heard in a clip, either as likely where it has both; empty where it has none."""
    texts = [text for text in (record.caption.strip(), record.sound.strip()) if text]
    return texts[int(rng.integers(len(texts)))] if texts else ""


def mirrored(num_frames: int, length: int) -> NDArray[np.int64]:
    """Return which of `num_frames` are heard in `length`: all of them, then forwards and backwards."""
    return mirror_to(torch.arange(num_frames), length).numpy()


@dataclass(frozen=True, kw_only=True)
class ClipBatches:
    """Clips drawn anew in every step."""

    clips: StoredClips
    batch_size: int
    seed: int

    def __call__(self, step: int) -> TextVideoBatch:
        rng = step_rng(self.seed, step)
        return self.clips.batch(rng.integers(len(self.clips.shards), size=self.batch_size).tolist(), rng)

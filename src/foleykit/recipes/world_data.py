"""The world as training data: the cache on disk, and what the frozen stages make of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from foleykit.audio.spectral_gate import spectral_gate
from foleykit.codecs.mel_vae import MelVae
from foleykit.core.checkpoint import weights_digest
from foleykit.core.progress import Report, no_report
from foleykit.encoders.visual.two_rate import TwoRateEncoder
from foleykit.models.events import event_track
from foleykit.recipes.avldm_batches import (
    PCM_SCALE,
    Backgrounds,
    EncodedVideo,
    SurveyedVideo,
    seen_ambience,
    seen_events,
    share_of,
)
from foleykit.training.processes import join_processes
from foleykit.world.ambience import ambience
from foleykit.world.cache import CachedVideo, build_cache, open_cache
from foleykit.world.config import WorldConfig
from foleykit.world.places import PLACE_SEEDS
from foleykit.world.sources import AUDIBLE_DB, UNSEEN
from foleykit.world.types import AMBIENCE_KINDS, AmbienceKind, Place, Split


@dataclass(frozen=True, kw_only=True)
class WorldDataArgs:
    """Which long videos a run trains on."""

    cache: Path
    """Folder of rendered long videos, shared by all stages and runs."""
    num_videos: int = 1000
    """Long videos of the training split; a sixteenth as many are held out."""
    seed: int = 0
    """Draws the world."""
    recordings: Path | None = None
    """Folder with `actions` and `ambient` recordings that replace part of the synthesis."""
    workers: int = 2
    """Processes that render missing videos."""
    world: WorldConfig = field(default_factory=WorldConfig)
    sample_rate: int = 16_000
    num_revoicings: int = 0
    """Times that the action of each video is voiced again, with other materials than are seen."""

    def num_of(self, split: Split) -> int:
        return self.num_videos if split == "train" else max(4, self.num_videos // 16)

    def name_of(self, split: Split) -> str:
        """Return what tells the split's videos from those of any other world."""
        return split if self.seed == 0 else f"{split}-world{self.seed}"


def open_world(args: WorldDataArgs, split: Split, report: Report = no_report) -> Sequence[CachedVideo]:
    """Return the split's long videos, rendering those that the cache does not hold yet."""
    build_cache(
        args.cache,
        args.world,
        seed=args.seed,
        split=split,
        num_videos=args.num_of(split),
        sample_rate=args.sample_rate,
        num_revoicings=args.num_revoicings,
        workers=args.workers,
        recordings=args.recordings,
        report=report,
    )
    return open_cache(args.cache, split, limit=args.num_of(split))


def encoded_videos(
    args: WorldDataArgs,
    split: Split,
    codec: MelVae,
    encoder: TwoRateEncoder,
    folder: Path,
    device: str,
    *,
    is_denoised: bool = False,
) -> Sequence[EncodedVideo]:
    """Return features and latents of every long video, computed once per pair of codec and encoder weights.

    Denoised, the mixtures pass a spectral gate before the codec.
    """
    name = args.name_of(split)
    kind = f"{name}-denoised" if is_denoised else name
    # Told apart from what runs stored before there was an event track.
    home, videos = folder / f"{kind}-{weights_digest(codec, encoder)}.track", open_world(args, split)
    stored = once_per_video(
        videos, lambda video: encode_video(video, codec, encoder, device, is_denoised=is_denoised), home, device
    )
    return [EncodedVideo(**arrays) for arrays in stored]


def surveyed_videos(
    args: WorldDataArgs, split: Split, codec: MelVae, encoder: TwoRateEncoder, folder: Path, device: str
) -> Sequence[SurveyedVideo]:
    """Return what every long video looks and sounds like, computed once per pair of codec and encoder weights."""

    @torch.inference_mode()
    def encode(video: CachedVideo) -> dict[str, NDArray[np.float16]]:
        second = round(encoder.config.fps)
        pictures = torch.from_numpy(np.array(video.frames[::second])).to(device)
        mix = video.action + video.off_screen.astype(np.float32) + video.ambient[0]
        sounds = np.stack((mix.clip(-PCM_SCALE, PCM_SCALE), video.ambient[0])).astype(np.float32) / PCM_SCALE
        maps = encoder.appearance(pictures.permute(0, 3, 1, 2).float() / 255)
        latents = codec.encode(torch.from_numpy(sounds).to(device))
        return {"maps": maps.cpu().numpy().astype(np.float16), "latents": latents.cpu().numpy().astype(np.float16)}

    home, videos = folder / f"{args.name_of(split)}-surveyed-{weights_digest(codec, encoder)}", open_world(args, split)
    return [
        SurveyedVideo(maps=arrays["maps"], latents=arrays["latents"], seen=seen_ambience(video.place))
        for video, arrays in zip(videos, once_per_video(videos, encode, home, device), strict=True)
    ]


def single_backgrounds(
    codec: MelVae, folder: Path, device: str, *, window_samples: int, seed: int, num_per_kind: int = 64
) -> Backgrounds:
    """Return audible backgrounds of every kind, one layer each, computed once per codec weights and seed."""
    kinds = np.repeat(np.arange(len(AMBIENCE_KINDS)), num_per_kind)
    path = folder / f"backgrounds-{weights_digest(codec)}-{seed}-{num_per_kind}.npy"
    if not path.is_file():
        latents = [
            _background_latents(codec, AMBIENCE_KINDS[kind], window_samples, (seed, number), device)
            for number, kind in enumerate(kinds)
        ]
        folder.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(f".{join_processes(device).rank}.tmp.npy")
        np.save(temporary, np.stack(latents))
        temporary.replace(path)
    has_source = np.array([kind not in UNSEEN for kind in AMBIENCE_KINDS])
    return Backgrounds(latents=np.load(path), kinds=np.where(has_source[kinds], kinds, len(AMBIENCE_KINDS)))


@torch.inference_mode()
def _background_latents(
    codec: MelVae, kind: AmbienceKind, num_samples: int, seed: tuple[int, int], device: str
) -> NDArray[np.float16]:
    rng = np.random.default_rng(seed)
    place = Place(
        name=f"a place with {kind}",
        seed=int(rng.integers(*PLACE_SEEDS["train"])),
        split="train",
        ambience=(kind,),
        ambient_level_db=float(rng.uniform(AUDIBLE_DB, -24)),
    )
    sound = ambience(place, num_samples=num_samples, sample_rate=codec.config.mel.sample_rate, rng=rng)
    return codec.encode(torch.from_numpy(sound)[None].to(device))[0].cpu().numpy().astype(np.float16)


def action_latents(
    args: WorldDataArgs, split: Split, codec: MelVae, folder: Path, device: str
) -> Sequence[NDArray[np.float16]]:
    """Return latents (T, D) of every long video's action stem, computed once per codec weights."""

    @torch.inference_mode()
    def encode(video: CachedVideo) -> dict[str, NDArray[np.float16]]:
        action = torch.from_numpy(video.action.astype(np.float32) / PCM_SCALE).to(device)
        return {"latents": codec.encode(action[None])[0].T.cpu().numpy().astype(np.float16)}

    home = folder / f"{args.name_of(split)}-action-{weights_digest(codec)}"
    return [arrays["latents"] for arrays in once_per_video(open_world(args, split), encode, home, device)]


def once_per_video(
    videos: Sequence[CachedVideo],
    encode: Callable[[CachedVideo], Mapping[str, NDArray[Any]]],
    folder: Path,
    device: str,
) -> list[dict[str, NDArray[Any]]]:
    """Return what `encode` makes of every video, kept in `folder`; processes that train together share the work."""
    processes = join_processes(device)
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{index:06d}.npz" for index in range(len(videos))]
    for path, video in list(zip(paths, videos, strict=True))[processes.rank :: processes.count]:
        if not path.is_file():
            temporary = path.with_suffix(".tmp.npz")
            np.savez(temporary, **encode(video))  # type: ignore[arg-type]
            temporary.replace(path)
    processes.wait()
    loaded = []
    for path in paths:
        with np.load(path) as stored:
            loaded.append(dict(stored))
    return loaded


@torch.inference_mode()
def encode_video(
    video: CachedVideo, codec: MelVae, encoder: TwoRateEncoder, device: str, *, is_denoised: bool = False
) -> dict[str, NDArray[np.float16]]:
    """Return what an `EncodedVideo` holds of one long video under each of its ambiences."""
    frames = torch.from_numpy(np.array(video.frames)).to(device).permute(0, 3, 1, 2).float() / 255
    features = encoder(frames[None])[0]
    action = video.action.astype(np.float32) / PCM_SCALE
    rest = (video.off_screen.astype(np.float32) + video.ambient) / PCM_SCALE
    mixes = (action + rest).clip(-1, 1)
    if is_denoised:
        mixes = np.stack([spectral_gate(mix) for mix in mixes])
    latents = codec.encode(torch.from_numpy(mixes).to(device))
    length = min(len(features), latents.shape[2])
    whole = {
        "features": features.cpu().numpy()[:length],
        "track": event_track(seen_events(video, video.action), length, encoder.config.fps),
        "latents": latents.cpu().numpy()[..., :length],
        "action_shares": share_of(action, rest, codec.config.hop_length)[..., :length],
    }
    return {name: values.astype(np.float16) for name, values in whole.items()}

"""Encoded long videos to batches of the textvideo network, each a pure function of (seed, step)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from foleykit.codecs.wave_vae import WaveVae
from foleykit.encoders.text.words import WordEncoder
from foleykit.encoders.visual.sights import picture_means
from foleykit.encoders.visual.two_rate import TwoRateEncoder
from foleykit.models.events import MATERIAL_CHANNELS, event_track
from foleykit.models.textvideo.network import Conditioning
from foleykit.models.textvideo.objective import TextVideoBatch
from foleykit.recipes.avldm_batches import PCM_SCALE, draw_neighbour, is_audible, seen_events, share_of, step_rng
from foleykit.world.cache import CachedVideo
from foleykit.world.prompts import Claim, materials_in, write_prompt
from foleykit.world.sources import AUDIBLE_DB
from foleykit.world.types import AmbienceKind

QUIET = 1
"""The background of a cached video that is a quiet one."""


@dataclass(frozen=True, kw_only=True)
class HeardEvent:
    """A sound in the picture that can be heard."""

    time: float
    """Seconds from the start of the long video."""
    claim: Claim


@dataclass(frozen=True, kw_only=True)
class EncodedVideo:
    """A long video after codec and video encoder, in V voices (the true one, then re-voicings) over A backgrounds."""

    features: NDArray[np.float16]
    """(T, W), one per latent frame."""
    tracks: NDArray[np.float16]
    """(V, T, K) what is seen to happen, as loud as it is heard in each voice: `models.events.event_track`"""
    latents: NDArray[np.float16]
    """(V, A, D, T)"""
    action_shares: NDArray[np.float16]
    """(V, A, T) of the energy in each latent frame, what the visible action has in [0, 1]."""
    heard: tuple[tuple[HeardEvent, ...], ...]
    """What is heard in each voice."""
    place: str
    backgrounds: tuple[tuple[AmbienceKind, ...], ...]
    """(A,) kinds that are heard in each; none in a quiet one."""


@torch.inference_mode()
def encode_voices(
    video: CachedVideo, codec: WaveVae, encoder: TwoRateEncoder, device: str
) -> dict[str, NDArray[np.generic]]:
    """Return `features`, `tracks`, `latents` and `action_shares` of one long video, and its `audible` events (V, E)."""
    frames = torch.from_numpy(np.array(video.frames)).to(device).permute(0, 3, 1, 2).float() / 255
    features = encoder(frames[None])[0]
    voices = np.concatenate([video.action[None], video.revoiced])
    latents, shares = [], []
    for voice in voices:
        rest = video.off_screen.astype(np.float32) + video.ambient
        mixes = voice + rest
        shares.append(share_of(voice / PCM_SCALE, rest / PCM_SCALE, codec.config.hop_length))
        mixes = (mixes.clip(-PCM_SCALE, PCM_SCALE) / PCM_SCALE).astype(np.float32)
        latents.append(codec.encode(torch.from_numpy(mixes).to(device)[:, None]))
    length = min(len(features), latents[0].shape[2])
    tracks = [event_track(seen_events(video, voice), length, encoder.config.fps) for voice in voices]
    audible = [
        [event.on_screen and is_audible(event, voice, video.sample_rate) for event in video.events] for voice in voices
    ]
    return {
        "features": features[:length].cpu().numpy().astype(np.float16),
        "tracks": np.stack(tracks).astype(np.float16),
        "latents": torch.stack(latents)[..., :length].cpu().numpy().astype(np.float16),
        "action_shares": np.stack(shares)[..., :length].astype(np.float16),
        "audible": np.array(audible, bool).reshape(len(voices), len(video.events)),
    }


def describe_voices(video: CachedVideo, arrays: dict[str, NDArray[np.generic]]) -> EncodedVideo:
    """Return what `encode_voices` made of `video` together with what the world says of it."""
    heard = tuple(
        tuple(
            HeardEvent(time=event.time, claim=Claim(action=event.action, material=event.material))
            for event, can_be_heard in zip(video.heard_events(voice), audible, strict=True)
            if can_be_heard
        )
        for voice, audible in enumerate(arrays["audible"])
    )
    return EncodedVideo(
        features=arrays["features"],  # type: ignore[arg-type]
        tracks=arrays["tracks"],  # type: ignore[arg-type]
        latents=arrays["latents"],  # type: ignore[arg-type]
        action_shares=arrays["action_shares"],  # type: ignore[arg-type]
        heard=heard,
        place=video.place.name,
        backgrounds=tuple(place.ambience if place.ambient_level_db > AUDIBLE_DB else () for place in video.places),
    )


@dataclass(frozen=True, kw_only=True)
class Clip:
    """One clip of a batch, before its text is read."""

    latents: NDArray[np.float16]
    features: NDArray[np.float16]
    track: NDArray[np.float16]
    action_share: NDArray[np.float16]
    ambient: NDArray[np.float16]
    prompt: str
    """Empty where the clip is shown without text."""


@dataclass(frozen=True, kw_only=True)
class TextVideoBatches:
    """Clips with a prompt for what is heard and another moment of the same background.

    In a part of them the action is voiced in other materials than are seen. There the text is always shown: it alone
    says what is heard, so that a prompt which contradicts the picture is learnt to win, and a clip without a prompt is
    never one whose picture is wrong. Nor does the event track ever name a wrong material, or it would be believed in
    none: it names none in those clips, nor, lest its silence tell them from others, in any whose prompt names one.
    """

    videos: Sequence[EncodedVideo]
    reader: WordEncoder
    window_frames: int
    frame_rate: float
    """Latent frames, and features of the picture, per second."""
    picture_stride: int
    """Frames of the picture's features in one mean."""
    batch_size: int
    device: str
    seed: int = 0
    quiet_share: float = 0.4
    """Share of clips with the quiet background, in which the action is heard alone."""
    revoiced_share: float = 0.35
    """Share of clips in other materials than are seen, where the videos have such voices."""
    text_share: float = 0.5
    """Share of the other clips that are shown with a prompt."""
    event_share: float = 0.7
    """Share of clips that are placed around an event."""
    action_weight: float = 4.0
    """How much a frame that is all action counts against one without any: actions are short, and backgrounds long."""

    def __call__(self, step: int) -> TextVideoBatch:
        rng = step_rng(self.seed, step)
        clips = [self._clip(rng) for _ in range(self.batch_size)]

        def stacked(name: str) -> Tensor:
            parts = np.stack([getattr(clip, name) for clip in clips]).astype(np.float32)
            return torch.from_numpy(parts).to(self.device)

        features = stacked("features")
        has_text = torch.tensor([bool(clip.prompt) for clip in clips], device=self.device)
        everywhere = torch.ones_like(has_text)
        return TextVideoBatch(
            latents=stacked("latents"),
            weights=1 + (self.action_weight - 1) * stacked("action_share"),
            conditioning=Conditioning(
                pictures=torch.stack([picture_means(row, self.picture_stride) for row in features]),
                sync=torch.cat((features, stacked("track")), dim=2),
                text=self._read([clip.prompt for clip in clips]),
                ambient=stacked("ambient"),
            ),
            has_text=has_text,
            has_transcript=~everywhere,
            has_ambient=everywhere,
        )

    @torch.no_grad()
    def _read(self, texts: Sequence[str]) -> Tensor:
        return self.reader.read_all(texts)

    def _clip(self, rng: np.random.Generator) -> Clip:
        video = self.videos[int(rng.integers(len(self.videos)))]
        num_voices, num_backgrounds, _, length = video.latents.shape
        is_revoiced = num_voices > 1 and rng.random() < self.revoiced_share
        voice = int(rng.integers(1, num_voices)) if is_revoiced else 0
        variant = QUIET if rng.random() < self.quiet_share else int(rng.integers(num_backgrounds))
        start = self._start(video, voice, rng)
        neighbour = draw_neighbour(rng, start, self.window_frames, length)
        is_told = is_revoiced or rng.random() < self.text_share
        prompt = self._prompt(video, voice, variant, start, rng) if is_told else ""
        track = video.tracks[voice, start : start + self.window_frames].copy()
        if is_revoiced or materials_in(prompt):
            track[:, MATERIAL_CHANNELS] = 0
        return Clip(
            latents=video.latents[voice, variant, :, start : start + self.window_frames],
            features=video.features[start : start + self.window_frames],
            track=track,
            action_share=video.action_shares[voice, variant, start : start + self.window_frames],
            # As it truly sounds there: a re-voiced clip must be told from the text, and not from its neighbour.
            ambient=video.latents[0, variant, :, neighbour : neighbour + self.window_frames],
            prompt=prompt,
        )

    def _start(self, video: EncodedVideo, voice: int, rng: np.random.Generator) -> int:
        last = len(video.features) - self.window_frames
        heard = video.heard[voice]
        if not heard or rng.random() >= self.event_share:
            return int(rng.integers(last + 1))
        frame = heard[int(rng.integers(len(heard)))].time * self.frame_rate
        return int(np.clip(round(frame - rng.uniform(0.05, 0.9) * self.window_frames), 0, last))

    def _prompt(self, video: EncodedVideo, voice: int, variant: int, start: int, rng: np.random.Generator) -> str:
        """Return a prompt for what is heard in the window."""
        first, end = start / self.frame_rate, (start + self.window_frames) / self.frame_rate
        claims = tuple(dict.fromkeys(event.claim for event in video.heard[voice] if first <= event.time < end))
        background = video.backgrounds[variant]
        place = video.place if variant == 0 else ""
        return write_prompt(claims, rng, place=place, background=background).text

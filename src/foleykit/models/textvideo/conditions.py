"""What a clip is to sound like, as the network is told it: window by window, with what guidance leads away from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from foleykit.audio.ambient import mirror_to
from foleykit.codecs.magnitude_vae import MagnitudeVae
from foleykit.codecs.wave_vae import WaveVae
from foleykit.core.errors import InputError
from foleykit.core.ranges import Cue, Line
from foleykit.diffusion.windows import cut, touching
from foleykit.encoders.text.readers import Reader
from foleykit.encoders.visual.sights import Sighting
from foleykit.models.events import MATERIAL_CHANNELS, SeenEvent
from foleykit.models.textvideo.config import ClipWindows, TextVideoConfig
from foleykit.models.textvideo.network import Conditioning, Known, Network, Prepared
from foleykit.models.textvideo.sampling import Region
from foleykit.world.prompts import describe, materials_in

TEXTS_KEPT = 8


@dataclass(frozen=True, kw_only=True)
class VideoFeatures(Sighting):
    """What the model saw: pictures at the config's `picture_fps`, one stretch every `segment_seconds`."""

    seconds: float
    """Length of the video; the features may reach beyond it, where its last picture was held."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Wish:
    """What a clip is to sound like."""

    features: VideoFeatures
    prompt: str
    negative_prompt: str
    ambient: NDArray[np.float32] | None
    """(1, S)"""
    transcript: tuple[Line, ...] = ()
    """What is said and when, for a network that has a place for it."""
    seen: tuple[SeenEvent, ...] = ()
    """What is seen to happen; where there is no prompt it is put in words."""

    def worded(self, cue: Cue) -> Wish:
        """Return the same under the prompts of `cue`, where it has any."""
        return replace(
            self, prompt=cue.prompt or self.prompt, negative_prompt=cue.negative_prompt or self.negative_prompt
        )


class Conditioner:
    """Tells a network what is wished, through the reader of its texts and the codec of its ambience."""

    def __init__(
        self,
        config: TextVideoConfig,
        *,
        network: Network,
        codec: MagnitudeVae | WaveVae,
        reader: Reader,
        device: torch.device,
    ) -> None:
        self.config = config
        self.network = network
        self.codec = codec
        self.reader = reader
        self.device = device
        # Takes of one video share their texts.
        self.encode_text = lru_cache(maxsize=TEXTS_KEPT)(self._encode_text)

    @torch.inference_mode()
    def _encode_text(self, text: str) -> Tensor:
        """Return tokens (N, W) of `text`; of an empty one the stored features, which training used."""
        if not text.strip():
            return self.network.null_text.float()
        return self.reader.read(text)

    def known(self, wish: Wish, plan: ClipWindows) -> tuple[Prepared, Prepared]:
        """Return what each window knows, and the one condition that guidance leads away from.

        Its text is the negative prompt; it knows neither video nor transcript, as in a part of the training, and the
        same ambience, which is therefore heard at its own level.
        """
        windows = cut(lasting(wish.features.pictures, plan.pictures.length).T, plan.pictures).transpose(1, 2)
        stretches = self._timing(wish).flatten(1).T  # (G W, S)
        tokens = cut(stretches[:, : plan.segments.length], plan.segments).transpose(1, 2)
        group = self.config.network.sync_group
        heard = None if wish.ambient is None else self._ambient_latents(wish.ambient)
        shown = Conditioning(
            pictures=windows.to(self.device),
            sync=tokens.unflatten(2, (group, -1)).flatten(1, 2).to(self.device),
            text=torch.stack([self.encode_text(text) for text in self._prompts(wish, plan)]),
            transcript=self._said(wish.transcript, plan) if wish.transcript else None,
            ambient=None if heard is None else heard.expand(len(windows), -1, -1),
        )
        negative = replace(
            shown,
            pictures=shown.pictures[:1],
            sync=shown.sync[:1],
            text=self.encode_text(wish.negative_prompt)[None],
            transcript=None,
            ambient=heard,
        )
        no, yes = (torch.tensor([known], device=self.device) for known in (False, True))
        unseen = Known(video=no, text=yes, transcript=no, ambient=yes)
        length = plan.latents.width
        return (
            self.network.prepare(shown, length),
            self.network.prepare(self.network.with_nulls(negative, unseen), length),
        )

    def _timing(self, wish: Wish) -> Tensor:
        """Return what is told of the timing (S, G, W); what a text says of materials stands against no event track."""
        segments, network = wish.features.segments, self.config.network
        if not network.event_width or not materials_in(f"{wish.prompt} {wish.negative_prompt}"):
            return segments
        kept = torch.ones(segments.shape[2])
        kept[network.sync_width :][MATERIAL_CHANNELS] = 0
        return segments * kept

    def _prompts(self, wish: Wish, plan: ClipWindows) -> list[str]:
        """Return the prompt of each window: the one that is wished or, without one, what is seen to happen there.

        What the negative prompt names is not said of anything that is seen.
        """
        if wish.prompt.strip():
            return [wish.prompt] * len(plan.latents.starts)
        unwanted = materials_in(wish.negative_prompt)
        wanted = [event for event in wish.seen if event.material not in unwanted]
        return [
            describe([(event.action, event.material) for event in wanted if start <= event.time < end])
            for start, end in self._spans(plan)
        ]

    def _said(self, lines: Sequence[Line], plan: ClipWindows) -> Tensor:
        """Return tokens (N, W', W) of what is said in each window, as in training; the null where nothing is."""
        said = []
        for start, end in self._spans(plan):
            inside = [line.text for line in lines if line.start < end and line.end > start]
            said.append(self.encode_text(" ".join(inside)) if inside else self.network.null_transcript)
        return torch.stack(said)

    def _spans(self, plan: ClipWindows) -> Iterator[tuple[float, float]]:
        """Yield where each window starts and ends, in seconds of the clip."""
        length = plan.latents.width / self.config.frame_rate
        for number in plan.segments.starts:
            start = number * self.config.segment_seconds
            yield start, start + length

    def regions(self, wish: Wish, plan: ClipWindows, cues: Sequence[Cue], stretch: slice | None = None) -> list[Region]:
        """Return what holds in the stretches of `cues`, as far as they lie in `plan`, which covers `stretch`."""
        stretch = stretch or slice(0, plan.latents.length)
        regions = []
        for cue in cues:
            whole = cue.positions(self.config.frame_rate, stretch.stop)
            positions = slice(max(whole.start - stretch.start, 0), whole.stop - stretch.start)
            if positions.start >= positions.stop:
                continue
            part, covered = plan.part(touching(plan.latents, positions))
            conditional, null = self.known(wish.worded(cue), part)
            regions.append(
                Region(positions=positions, stretch=covered, plan=part.latents, conditional=conditional, null=null)
            )
        return regions

    def _ambient_latents(self, waveform: NDArray[np.float32]) -> Tensor:
        """Return latents (1, D, L) of an ambient clip, cut or mirrored to the window's length."""
        if not isinstance(self.codec, WaveVae):
            raise InputError("this model has no place for an ambient clip; leave it out")
        samples = torch.from_numpy(np.ascontiguousarray(waveform.mean(axis=0), dtype=np.float32))
        if samples.numel() < self.config.hop_length:
            raise InputError("the ambient recording is shorter than a twentieth of a second; give a longer one")
        latents = self.codec.encode(mirror_to(samples, self.config.ambient_samples)[None, None].to(self.device))
        return self.network.normalise(latents)


def lasting(values: Tensor, length: int) -> Tensor:
    """Return the first `length` rows of `values` (T, W), the last one repeated where they are fewer."""
    return torch.cat((values, values[-1:].expand(max(0, length - len(values)), -1)))[:length]

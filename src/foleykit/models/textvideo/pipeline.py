"""Pictures and text to waveform: encode both, sample latents over joint windows, decode, trim."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import safe_open
from torch import Tensor

from foleykit.audio.ambient import AmbientClip, load_library, quietest
from foleykit.codecs.bigvgan import BigVgan
from foleykit.codecs.magnitude_vae import MagnitudeVae
from foleykit.codecs.wave_vae import WaveVae
from foleykit.core.checkpoint import build_with_weights, frozen
from foleykit.core.config import load_config
from foleykit.core.errors import InputError, ModelError
from foleykit.core.ranges import Cue, Line, Reroll
from foleykit.core.signals import Signal
from foleykit.core.types import VideoFeatures as FrameFeatures
from foleykit.diffusion.held import Held
from foleykit.diffusion.windows import WindowPlan, touching
from foleykit.encoders.text.readers import Reader, load_reader
from foleykit.encoders.visual.sights import Sight, load_sight, picture_means
from foleykit.models.events import FILE_NAME as EVENTS_FILE
from foleykit.models.events import EventReader, SeenEvent, load_events, read_events, told_track
from foleykit.models.textvideo.conditions import Conditioner, VideoFeatures, Wish, lasting
from foleykit.models.textvideo.config import TextVideoConfig, plan_clip
from foleykit.models.textvideo.decoding import decode_mels, decode_waves, load_sound
from foleykit.models.textvideo.network import Network
from foleykit.models.textvideo.sampling import denoise

__all__ = ["TextVideoPipeline", "VideoFeatures"]

EXACT = ("latent_mean", "latent_deviation")
"""Statistics that stay in float32 whatever the network's precision."""


class TextVideoPipeline:
    """A loaded model of the textvideo family."""

    def __init__(
        self,
        config: TextVideoConfig,
        *,
        network: Network,
        codec: MagnitudeVae | WaveVae,
        vocoder: BigVgan | None,
        sight: Sight,
        reader: Reader,
        events: EventReader | None = None,
        library: Sequence[AmbientClip] = (),
        device: str = "cpu",
    ) -> None:
        self.config = config
        self.device = torch.device(device)
        self.network = frozen(network, self.device)
        self.codec = frozen(codec, self.device)
        self.vocoder = None if vocoder is None else frozen(vocoder, self.device)
        self.sight = sight
        self.reader = reader
        self.events = events
        self.library = tuple(library)
        self.conditioner = Conditioner(
            config, network=self.network, codec=self.codec, reader=reader, device=self.device
        )

    @classmethod
    def load(cls, folder: Path, *, device: str = "cpu", dtype: torch.dtype = torch.float32) -> TextVideoPipeline:
        """Load a saved model: config.json, one safetensors file per part, the folder `ambient` where it has a library.

        Beside CLIP lies its vocabulary `merges.txt`. Network and published encoders hold their weights in `dtype`, all
        else in float32. Raises ModelError when a part is missing or does not fit.
        """
        config = load_config(TextVideoConfig, folder / "config.json")
        network = build_with_weights(lambda: Network(config.network), folder / "network.safetensors", dtype)
        with safe_open(folder / "network.safetensors", "pt") as file:
            for name in EXACT:
                setattr(network, name, file.get_tensor(name).float())
        codec, vocoder = load_sound(config, folder)
        has_reader = config.network.event_width > 0 or (folder / EVENTS_FILE).is_file()
        return cls(
            config,
            network=network,
            codec=codec,
            vocoder=vocoder,
            sight=load_sight(
                config.sync, config.clip, folder, picture_fps=config.picture_fps, device=device, dtype=dtype
            ),
            reader=load_reader(config.words or config.clip, folder, device=device, dtype=dtype),
            events=load_events(folder, config.network.sync_width) if has_reader else None,
            library=load_library(folder / "ambient", config.sample_rate) if config.network.has_ambient else (),
            device=device,
        )

    def __call__(
        self,
        frames: Iterable[NDArray[np.uint8]],
        pictures: Iterable[NDArray[np.uint8]] = (),
        *,
        num_samples: int,
        prompt: str = "",
        negative_prompt: str = "",
        transcript: Sequence[Line] = (),
        ambient: AmbientClip | None = None,
        seed: int = 0,
        num_steps: int | None = None,
        guidance_scale: float | None = None,
    ) -> NDArray[np.float32]:
        """Return a waveform (1, `num_samples`) of one video, given in chunks (t, H, W, 3) at one or two rates.

        `frames` come at the config's `video_fps`, of its `frame_size` if it has one. CLIP, where there is one, sees
        `pictures`, which come at `picture_fps`. Without `ambient` the ambience is the model's own choice.
        """
        features = self.encode(frames, pictures, seconds=num_samples / self.config.sample_rate)
        return self.generate(
            features,
            num_samples=num_samples,
            prompt=prompt,
            negative_prompt=negative_prompt,
            transcript=transcript,
            ambient=None if ambient is None else ambient.waveform,
            seed=seed,
            num_steps=num_steps,
            guidance_scale=guidance_scale,
        )

    @torch.inference_mode()
    def encode(
        self,
        frames: Iterable[NDArray[np.uint8]],
        pictures: Iterable[NDArray[np.uint8]] = (),
        *,
        seconds: float,
        sensitivity: float = 0.0,
    ) -> VideoFeatures:
        """Return features of a video of `seconds`, given as `__call__` takes it, in memory that does not grow.

        `sensitivity`, -1 to 1, is how readily faint signs of onsets are heard, where the model has a steering. Raises
        InputError where there is not one picture or frame.
        """
        # Shots move windows, but not the end of the last one.
        plan = plan_clip(self.config, seconds)
        seen = self.sight.encode(frames, pictures, plan.segments.length, sensitivity=sensitivity)
        return VideoFeatures(
            pictures=lasting(seen.pictures, plan.pictures.length),
            segments=seen.segments,
            seconds=seconds,
            evidence=seen.evidence,
            strangeness=seen.strangeness,
        )

    def beginning(self, features: VideoFeatures, seconds: float) -> VideoFeatures:
        """Return the features of the first `seconds`, or all of them where the video is no longer."""
        if seconds >= features.seconds:
            return features
        lengths = self.config.sequence_lengths(seconds)
        return replace(
            features,
            pictures=features.pictures[: lengths.pictures],
            segments=features.segments[: lengths.segments],
            seconds=seconds,
            evidence=None if features.evidence is None else features.evidence[: lengths.segments],
        )

    @property
    def is_steered(self) -> bool:
        """Whether the model can be asked to hear faint signs more or less readily."""
        return self.sight.steering is not None

    @property
    def takes_events(self) -> bool:
        """Whether the network is told events: those that are seen, or a list."""
        return self.config.network.event_width > 0

    @torch.inference_mode()
    def read_events(self, features: VideoFeatures) -> tuple[SeenEvent, ...]:
        """Return what is seen to happen, sorted by time. Raises ModelError when this model reads no events."""
        return read_events(self.events, self._seen(features), self.config.video_fps)

    def _seen(self, features: VideoFeatures) -> FrameFeatures:
        """Return what an event reader looks at: one feature for each of the latents' frames, steered where they are."""
        return FrameFeatures(
            values=features.segments[:, 0], evidence=features.evidence, strangeness=features.strangeness
        )

    @property
    def _track_reader(self) -> EventReader | None:
        """Return what finds the events of the track, for a network that takes one."""
        return self.events if self.takes_events else None

    def _told(self, features: VideoFeatures, events: Sequence[SeenEvent] | None) -> VideoFeatures:
        """Return `features` as the network is told them.

        Where no list of events says what happens, they are settled by the reader, if there is one. Beside them stands
        the event track, for a network that takes one.
        """
        tokens, seen = features.segments, self._seen(features)
        track = told_track(self._track_reader, seen, self.config.video_fps, events=events, length=len(tokens))
        if self.events is not None and events is None:
            still = self.events.settle(seen)
            means = picture_means(still, round(self.config.video_fps / self.config.picture_fps))
            features = replace(features, pictures=lasting(means, len(features.pictures)))
            tokens = still[:, None]
        beside = track[:, None].expand(-1, tokens.shape[1], -1).to(tokens.dtype)
        return replace(features, segments=torch.cat((tokens, beside), dim=2))

    def _told_in_words(self, features: VideoFeatures) -> tuple[SeenEvent, ...]:
        """Return what is seen to happen, where the network is not told it outright by an event track."""
        return () if self.events is None or self.takes_events else self.read_events(features)

    @property
    def takes_transcript(self) -> bool:
        """Whether the network has a place for what is said."""
        return self.config.network.has_transcript

    def unread(self, text: str) -> tuple[str, ...]:
        """Return the words of `text` that have no effect."""
        return self.reader.unread(text)

    def quiet(self) -> AmbientClip:
        """Return the library's quietest clip: it asks for action sound alone."""
        return quietest(self.library)

    @torch.inference_mode()
    def generate(
        self,
        features: VideoFeatures,
        *,
        num_samples: int,
        prompt: str = "",
        negative_prompt: str = "",
        transcript: Sequence[Line] = (),
        ambient: NDArray[np.float32] | None = None,
        seed: int = 0,
        num_steps: int | None = None,
        guidance_scale: float | None = None,
        shots: Sequence[float] = (),
        progress: Callable[[float], None] | None = None,
    ) -> NDArray[np.float32]:
        """Return a waveform (1, `num_samples`) for `features` and `prompt`, led away from `negative_prompt`.

        `transcript` is what is said, for a model that takes one; each window is told the lines that lie in it, and
        another model raises ModelError. `ambient` (1, S) is a recording whose ambience is taken, by a model with an
        ambient condition. `shots` are times in seconds of picture cuts, where windows prefer to start; `progress` hears
        the share done. Raises InputError when features and samples do not cover the same time and when `ambient` is
        empty.
        """
        versions = self.versions(
            features,
            num_samples=num_samples,
            prompt=prompt,
            negative_prompt=negative_prompt,
            transcript=transcript,
            ambient=ambient,
            seed=seed,
            num_steps=num_steps,
            guidance_scale=guidance_scale,
            shots=shots,
            progress=progress,
        )
        return next(versions)[:, :]

    @torch.inference_mode()
    def versions(
        self,
        features: VideoFeatures,
        *,
        num_samples: int,
        prompt: str = "",
        negative_prompt: str = "",
        transcript: Sequence[Line] = (),
        ambient: NDArray[np.float32] | None = None,
        seed: int = 0,
        num_steps: int | None = None,
        guidance_scale: float | None = None,
        events: Sequence[SeenEvent] | None = None,
        cues: Sequence[Cue] = (),
        shots: Sequence[float] = (),
        rerolls: Sequence[Reroll] = (),
        progress: Callable[[float], None] | None = None,
    ) -> Iterator[Signal]:
        """Yield the sound that `generate` returns, and then what each of `rerolls` makes of it, one after another.

        `events` are made heard instead of those that are seen; a model that takes none raises ModelError. In the
        stretches of `cues` their prompts hold, where they have any, instead of the others; everything is denoised
        jointly. A re-roll samples the latent frames of its stretch anew, under its own prompts where it has any, and
        holds the others. All times count from the first sample.
        """
        config = self.config
        seconds = num_samples / config.sample_rate
        if num_samples < 1 or abs(seconds - features.seconds) > 1 / config.video_fps:
            raise InputError(
                f"the features are of {features.seconds:g} s of video, {num_samples} samples of {seconds:g} s"
            )
        plan = plan_clip(config, features.seconds, shots)
        steps = config.sampling.num_steps if num_steps is None else num_steps
        texts = (prompt, *(cue.prompt for cue in cues))
        scale = config.sampling.guidance_for(*texts) if guidance_scale is None else guidance_scale
        if transcript and not self.takes_transcript:
            raise ModelError("this model takes no transcript")
        told = self._told(features, events)
        wish = Wish(
            features=told,
            prompt=prompt,
            negative_prompt=negative_prompt,
            transcript=tuple(sorted(transcript, key=lambda line: line.start)),
            ambient=ambient,
            seen=self._told_in_words(features),
        )
        conditional, null = self.conditioner.known(wish, plan)
        latents = denoise(
            self.network,
            config.sampling,
            self._noise(seed, plan.latents.length),
            plan.latents,
            conditional,
            null,
            regions=self.conditioner.regions(wish, plan, cues),
            num_steps=steps,
            guidance_scale=scale,
            progress=progress,
        )
        yield self._sound(latents, plan.latents, num_samples, seed)
        for reroll in rerolls:
            free = reroll.positions(config.frame_rate, plan.latents.length)
            part, stretch = plan.part(touching(plan.latents, free))
            conditional, null = self.conditioner.known(wish.worded(reroll), part)
            held = Held(
                data=self.network.normalise(latents), noise=self._noise(reroll.seed, plan.latents.length), free=free
            )
            sampled = denoise(
                self.network,
                config.sampling,
                held.noise[:, stretch],
                part.latents,
                conditional,
                null,
                regions=[] if reroll.has_text else self.conditioner.regions(wish, part, cues, stretch),
                num_steps=steps,
                guidance_scale=scale,
                held=held.part(stretch),
                progress=progress,
            )
            latents = replace(held, data=latents).filled(sampled, stretch)
            yield self._sound(latents, plan.latents, num_samples, seed)

    def _noise(self, seed: int, length: int) -> Tensor:
        return self._draws(seed, length)[0].to(self.device)

    def _draws(self, seed: int, length: int) -> tuple[Tensor, torch.Generator]:
        """Return the noise (D, L) that sampling starts from, and what draws the codec's after it."""
        # Drawn on the CPU, so that a seed means the same sound on every device.
        generator = torch.Generator().manual_seed(seed)
        return torch.randn(self.config.network.latent_width, length, generator=generator), generator

    def _sound(self, latents: Tensor, plan: WindowPlan, num_samples: int, seed: int) -> Signal:
        """Return a waveform (1, `num_samples`) of `latents` (D, L)."""
        if isinstance(self.codec, WaveVae):
            _, generator = self._draws(seed, plan.length)
            return decode_waves(self.codec, latents, generator, num_samples)
        assert self.vocoder is not None
        return decode_mels(self.codec, self.vocoder, latents, plan, num_samples)

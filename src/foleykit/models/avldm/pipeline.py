"""Frames to waveform: encode the pictures, sample latents over joint windows, decode, trim."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from foleykit.audio.ambient import AmbientClip, load_library, mirror_to, quietest
from foleykit.codecs.istft_vocoder import IstftVocoder
from foleykit.codecs.mel_vae import MelVae
from foleykit.core.checkpoint import frozen, with_weights
from foleykit.core.config import load_config
from foleykit.core.errors import InputError, ModelError
from foleykit.core.ranges import Reroll
from foleykit.core.timeline import Timeline
from foleykit.core.types import VideoFeatures
from foleykit.diffusion.flow import shifted_schedule
from foleykit.diffusion.guidance import guide
from foleykit.diffusion.held import Held
from foleykit.diffusion.samplers import sample
from foleykit.diffusion.windows import WindowPlan, cut, merge, part_of, plan_windows, touching
from foleykit.encoders.similarity import AvSimilarity
from foleykit.encoders.visual.steering import OnsetSteering, load_steering, seen_features
from foleykit.encoders.visual.two_rate import CHUNK_FRAMES, CONTEXT_FRAMES, TwoRateEncoder, VideoLooks
from foleykit.models.avldm.config import AvLdmConfig
from foleykit.models.avldm.network import AvConditioning, Denoiser
from foleykit.models.events import EventReader, SeenEvent, happening, load_events, read_events, told_track
from foleykit.world.types import AMBIENCE_KINDS

WINDOWS_AT_ONCE = 8
"""Windows in one network call; bounds memory whatever the length of the video."""


@dataclass(frozen=True, kw_only=True)
class PictureFeatures(VideoFeatures):
    """What happens in a video, one feature per latent frame, and what it shows besides."""

    surroundings: Tensor
    """(T', P) of every slow frame, by the similarity's video tower"""


class AvLdmPipeline:
    """A loaded model of the AV-LDM family."""

    def __init__(
        self,
        config: AvLdmConfig,
        *,
        codec: MelVae,
        vocoder: nn.Module,
        video: TwoRateEncoder,
        denoiser: Denoiser,
        similarity: AvSimilarity,
        library: Sequence[AmbientClip],
        steering: OnsetSteering | None = None,
        events: EventReader | None = None,
        device: str = "cpu",
    ) -> None:
        if (events is not None) != (config.denoiser.event_width > 0):
            raise ModelError("a denoiser that is told events needs what reads them, and no other takes it")
        self.config = config
        self.device = torch.device(device)
        self.codec = frozen(codec, self.device)
        self.vocoder = frozen(vocoder, self.device)
        self.video = frozen(video, self.device)
        self.denoiser = frozen(denoiser, self.device)
        self.similarity = frozen(similarity, self.device)
        self.steering = steering
        self.events = events
        self.library = tuple(library)

    @classmethod
    def load(cls, folder: Path, *, device: str = "cpu") -> AvLdmPipeline:
        """Load a saved model: config.json, one safetensors file per part, and the folder `ambient` with its library.

        Without `steering.safetensors` features stay as they are seen.
        Raises ModelError when a part is missing or does not fit.
        """
        config = load_config(AvLdmConfig, folder / "config.json")
        return cls(
            config,
            codec=with_weights(MelVae(config.codec), folder / "codec.safetensors"),
            vocoder=with_weights(IstftVocoder(config.vocoder), folder / "vocoder.safetensors"),
            video=with_weights(TwoRateEncoder(config.video), folder / "video.safetensors"),
            denoiser=with_weights(Denoiser(config.denoiser), folder / "denoiser.safetensors"),
            similarity=with_weights(AvSimilarity(config.similarity), folder / "similarity.safetensors"),
            library=load_library(folder / "ambient", config.sample_rate),
            steering=load_steering(folder, config.video.width),
            events=load_events(folder, config.video.width) if config.denoiser.event_width else None,
            device=device,
        )

    def __call__(
        self,
        frames: Iterable[NDArray[np.uint8]],
        *,
        num_samples: int,
        ambient: AmbientClip | None = None,
        seed: int = 0,
        num_steps: int | None = None,
        guidance_scale: float | None = None,
    ) -> NDArray[np.float32]:
        """Return a waveform (1, `num_samples`) for chunks of frames (t, H, W, 3) at the model's rate and size.

        Without `ambient` the library clip whose ambience fits the pictures best is used.
        """
        features = self.encode(frames)
        return self.generate(
            features,
            num_samples=num_samples,
            ambient=(ambient or self.retrieve(features)).waveform,
            seed=seed,
            num_steps=num_steps,
            guidance_scale=guidance_scale,
        )

    @torch.inference_mode()
    def encode(self, chunks: Iterable[NDArray[np.uint8]], *, sensitivity: float = 0.0) -> PictureFeatures:
        """Return features of a stream of frame chunks (t, H, W, 3); memory does not grow with pixels already seen.

        `sensitivity`, -1 to 1, is how readily faint signs of onsets are heard, where the model has a steering. Raises
        InputError when there are no frames or their size is not the model's.
        """
        stride = self.config.video.slow_stride
        surroundings = []

        def survey(looks: VideoLooks, left: int, right: int) -> None:
            surveyed = self.similarity.survey(looks.appearance)[0].cpu()
            surroundings.append(surveyed[left // stride : len(surveyed) - right // stride].clone())

        seen = seen_features(self.video, self.steering, chunks, self.device, sensitivity=sensitivity, on_looks=survey)
        return PictureFeatures(
            values=seen.values,
            steered=seen.steered,
            evidence=seen.evidence,
            strangeness=seen.strangeness,
            surroundings=torch.cat(surroundings),
        )

    @torch.inference_mode()
    def retrieve(self, features: VideoFeatures) -> AmbientClip:
        """Return the library clip nearest to the pictures by audio-visual similarity.

        A clip that is called by a kind of ambience lies at the anchor of its kind; others, and clips of one kind among
        themselves, lie where they sound.
        """
        if not self.library:
            raise ModelError("this model has no ambient library; name a recording instead of `auto`")
        picture = self.embed_video(features)
        heard = self.embed_audio([clip.waveform for clip in self.library]) @ picture
        named = self.similarity.nearness(torch.from_numpy(picture)[None].to(self.device))[0].tolist()
        kinds = [kind_of(clip.name) for clip in self.library]
        fits = [
            (sound if kind is None else named[kind], sound) for kind, sound in zip(kinds, heard.tolist(), strict=True)
        ]
        return self.library[fits.index(max(fits))]

    @torch.inference_mode()
    def embed_video(self, features: VideoFeatures) -> NDArray[np.float32]:
        """Return the unit embedding (E,) of pictures, near that of sound which belongs to them."""
        assert isinstance(features, PictureFeatures)
        return self.similarity.embed_video(features.surroundings[None].to(self.device))[0].float().cpu().numpy()

    @torch.inference_mode()
    def embed_audio(self, waveforms: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        """Return unit embeddings (N, E) of recordings (C, S) at the model's rate, each cut or mirrored to a window."""
        latents = [self._ambient_latents(waveform) for waveform in waveforms]
        return self.similarity.embed_audio(torch.cat(latents)).float().cpu().numpy()

    def quiet(self) -> AmbientClip:
        """Return the library's quietest clip: it asks for action sound alone."""
        return quietest(self.library)

    @torch.inference_mode()
    def generate(
        self,
        features: VideoFeatures,
        *,
        num_samples: int,
        ambient: NDArray[np.float32],
        seed: int = 0,
        num_steps: int | None = None,
        guidance_scale: float | None = None,
        shots: Sequence[float] = (),
        progress: Callable[[float], None] | None = None,
    ) -> NDArray[np.float32]:
        """Return a waveform (1, `num_samples`) for `features` with the ambience of `ambient` (1, S).

        `shots` are times in seconds of picture cuts, where windows prefer to start; `progress` hears the share done.
        Raises InputError when features and samples do not cover the same time or `ambient` is empty.
        """
        return next(
            self.versions(
                features,
                num_samples=num_samples,
                ambient=ambient,
                seed=seed,
                num_steps=num_steps,
                guidance_scale=guidance_scale,
                shots=shots,
                progress=progress,
            )
        )

    @torch.inference_mode()
    def versions(
        self,
        features: VideoFeatures,
        *,
        num_samples: int,
        ambient: NDArray[np.float32],
        seed: int = 0,
        num_steps: int | None = None,
        guidance_scale: float | None = None,
        shots: Sequence[float] = (),
        rerolls: Sequence[Reroll] = (),
        events: Sequence[SeenEvent] | None = None,
        progress: Callable[[float], None] | None = None,
    ) -> Iterator[NDArray[np.float32]]:
        """Yield what `generate` returns, and then what it becomes by each of `rerolls`, one after another.

        `events` are heard instead of those that are seen; raises ModelError where the model takes none. Times count
        from the first sample. A re-roll samples the latent frames of its stretch anew and holds the others. The vocoder
        keeps its noise, so that beyond the codec's reach the sound stays what it was.
        """
        config = self.config
        timeline = Timeline(num_samples=num_samples, sample_rate=config.sample_rate, hop_length=config.hop_length)
        values = self._told(features, events, timeline.num_latent_frames)
        plan = plan_windows(
            len(values),
            config.window_frames,
            config.overlap_frames,
            preferred=[round(time * config.frame_rate) for time in shots],
        )
        known = self._ambient_latents(ambient)
        steps = num_steps or config.sampling.num_steps
        scale = config.sampling.guidance_scale if guidance_scale is None else guidance_scale
        generator = torch.Generator().manual_seed(seed)
        noise = self._noise(generator, len(values))
        latents = self._sample(values, known, noise, plan, num_steps=steps, guidance_scale=scale, progress=progress)
        shape = (1, config.vocoder.num_noise_channels, latents.shape[1] * config.codec.downsampling)
        breath = torch.randn(shape, generator=generator)
        yield self._decode(latents, breath)[None, :num_samples]
        for reroll in rerolls:
            noise = self._noise(torch.Generator().manual_seed(reroll.seed), len(values))
            held = Held(data=latents, noise=noise, free=reroll.positions(config.frame_rate, len(values)))
            part, stretch = part_of(plan, touching(plan, held.free))
            sampled = self._sample(
                values[stretch],
                known,
                noise[:, stretch],
                part,
                num_steps=steps,
                guidance_scale=scale,
                held=held.part(stretch),
                progress=progress,
            )
            latents = held.filled(sampled, stretch)
            yield self._decode(latents, breath)[None, :num_samples]

    @property
    def is_steered(self) -> bool:
        """Whether the model can be asked to hear faint signs more or less readily."""
        return self.steering is not None

    @property
    def takes_events(self) -> bool:
        """Whether the denoiser is told events: those that are seen, or a list."""
        return self.events is not None

    @torch.inference_mode()
    def read_events(self, features: VideoFeatures) -> tuple[SeenEvent, ...]:
        """Return what is seen to happen, sorted by time. Raises ModelError when this model reads no events."""
        return read_events(self.events, features, self.config.frame_rate)

    def _told(self, features: VideoFeatures, events: Sequence[SeenEvent] | None, length: int) -> Tensor:
        """Return what the denoiser is told (`length`, W): features and, where the model has one, the event track."""
        track = told_track(self.events, features, self.config.frame_rate, events=events, length=length)
        return torch.cat((fit_length(features.told, length), track), dim=1)

    def _noise(self, generator: torch.Generator, length: int) -> Tensor:
        return torch.randn(self.config.denoiser.latent_width, length, generator=generator).to(self.device)

    def _sample(
        self,
        values: Tensor,
        ambient: Tensor,
        noise: Tensor,
        plan: WindowPlan,
        *,
        num_steps: int,
        guidance_scale: float,
        held: Held | None = None,
        progress: Callable[[float], None] | None,
    ) -> Tensor:
        """Return latents (D, L) of `values` (L, W): every step averages the velocities of all overlapping windows."""
        config = self.config
        windows = cut(values.T, plan).transpose(1, 2)  # (N, width, W)
        scales = cut(self._scales(values, guidance_scale)[None], plan)  # (N, 1, width)

        def velocity(x: Tensor, t: float) -> Tensor:
            parts = [
                self._guided(x_part, t, video.to(self.device), ambient, scale.to(self.device))
                for x_part, video, scale in zip(
                    *(whole.split(WINDOWS_AT_ONCE) for whole in (cut(x, plan), windows, scales)), strict=True
                )
            ]
            return merge(torch.cat(parts), plan)

        def on_step(done: int) -> None:
            if progress is not None:
                progress(done / num_steps)

        schedule = shifted_schedule(num_steps, shift=config.sampling.shift)
        return sample(velocity, noise, schedule, sampler=config.sampling.sampler, held=held, on_step=on_step)

    def _scales(self, values: Tensor, guidance_scale: float) -> Tensor:
        """Return the weight of the video condition for every latent frame (L,)."""
        scales = torch.full((len(values),), guidance_scale)
        if self.events is None:
            return scales
        factor = self.config.sampling.event_guidance
        return scales * (1 + (factor - 1) * happening(values[:, self.config.video.width :]))

    def _guided(self, x: Tensor, t: float, video: Tensor, ambient: Tensor, scales: Tensor) -> Tensor:
        """Return the guided velocity (N, D, width) of windows `x`, each frame by its own of `scales` (N, 1, width)."""
        count = len(x)
        times = x.new_full((count,), t)
        conditioning = AvConditioning(
            video=video,
            ambient=ambient.expand(count, -1, -1),
            has_video=torch.ones(count, dtype=torch.bool, device=x.device),
        )
        conditional = self.denoiser(x, times, conditioning)
        if (scales == 1).all():
            return conditional
        return guide(conditional, self.denoiser(x, times, conditioning.without_video()), scales)

    def _ambient_latents(self, waveform: NDArray[np.float32]) -> Tensor:
        """Return latents (1, D, window) of an ambient clip, cut or mirrored to the window's length."""
        samples = torch.from_numpy(np.ascontiguousarray(waveform.mean(axis=0), dtype=np.float32))
        if samples.numel() < self.config.hop_length:
            raise InputError("the ambient recording is shorter than a twentieth of a second; give a longer one")
        latents = self.codec.encode(mirror_to(samples, self.config.window_samples)[None].to(self.device))
        return latents

    def _decode(self, latents: Tensor, noise: Tensor) -> NDArray[np.float32]:
        """Return samples (S,) of `latents` (D, L), decoded in chunks whose edges saw their neighbours.

        `noise` (1, N, F) is what the vocoder makes breath of, a column for each of the mel.
        """
        config = self.config
        per_latent = config.codec.downsampling
        out = np.empty(latents.shape[1] * config.hop_length, np.float32)
        for start in range(0, latents.shape[1], CHUNK_FRAMES):
            stop = min(start + CHUNK_FRAMES, latents.shape[1])
            left, right = max(0, start - CONTEXT_FRAMES), min(stop + CONTEXT_FRAMES, latents.shape[1])
            mel = self.codec.decode(latents[None, :, left:right])
            waveform = self.vocoder(mel, noise[:, :, left * per_latent : right * per_latent].to(self.device))[0]
            offset = (start - left) * config.hop_length
            span = (stop - start) * config.hop_length
            out[start * config.hop_length : stop * config.hop_length] = waveform[offset : offset + span].cpu().numpy()
        return out


def kind_of(name: str) -> int | None:
    """Return the anchor at which a clip called `name` lies; None where the name is no kind of ambience."""
    if name in ("quiet", "room", "silence"):
        return len(AMBIENCE_KINDS)
    return AMBIENCE_KINDS.index(name) if name in AMBIENCE_KINDS else None


def fit_length(values: Tensor, length: int) -> Tensor:
    """Return `values` (T, D) with `length` rows; up to a second may be missing at the end: the last row is held."""
    if abs(len(values) - length) > 25:
        raise InputError(f"{len(values)} video frames do not cover {length} latent frames; both run at one rate")
    return torch.cat((values, values[-1:].expand(max(0, length - len(values)), -1)))[:length]

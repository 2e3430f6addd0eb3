"""Action2Sound as published: frames to waveform over windows of three seconds, denoised jointly."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import assert_never

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from foleykit.audio.ambient import AmbientClip, load_library, mirror_to, quietest
from foleykit.audio.unit_mel import UnitMel
from foleykit.codecs.griffin_lim import GriffinLim
from foleykit.codecs.hifigan import HifiGan
from foleykit.codecs.unit_mel_vocoder import UnitMelVocoder
from foleykit.codecs.vocode import vocode
from foleykit.core.checkpoint import build_with_weights, frozen, with_weights
from foleykit.core.config import load_config
from foleykit.core.errors import InputError
from foleykit.core.ranges import Reroll
from foleykit.core.types import VideoFeatures
from foleykit.diffusion.guidance import guide
from foleykit.diffusion.held import Held
from foleykit.diffusion.noise_samplers import sample_noise_model
from foleykit.diffusion.windows import WindowPlan, cut, merge, part_of, touching
from foleykit.encoders.visual.timesformer import TimeSformer
from foleykit.models.avldm.published.config import Action2SoundConfig, NullName
from foleykit.models.avldm.published.network import Conditioner, ContextCache, Denoiser, PictureVae
from foleykit.models.avldm.published.windows import plan_of, window_mel, windows_of

WINDOWS_AT_ONCE = 8
"""Windows in one network call; bounds memory whatever the length of the video."""
MAX_CACHED_WINDOWS = 64
"""Keys and values of the context take 8 MB per window at the published size; beyond this many they are not kept."""
VOCODER_COLUMNS = 1500
"""Mel columns that become sound at a time."""

Vocoder = UnitMelVocoder | HifiGan | GriffinLim


@dataclass(frozen=True, kw_only=True)
class WindowFeatures(VideoFeatures):
    """Features (N T, D) of N windows, T frames each, and where on the latent axis the windows lie."""

    plan: WindowPlan


class Action2SoundPipeline:
    """A loaded model: Stable Diffusion's networks on mels, told by video features and an ambient clip."""

    def __init__(
        self,
        config: Action2SoundConfig,
        *,
        vae: PictureVae,
        denoiser: Denoiser,
        conditioner: Conditioner,
        video: TimeSformer,
        vocoder: Vocoder,
        library: Sequence[AmbientClip] = (),
        device: str = "cpu",
    ) -> None:
        self.config = config
        self.device = torch.device(device)
        self.schedule = config.schedule
        self.mel = UnitMel(config.mel).to(self.device)
        self.vae = frozen(vae, self.device)
        self.denoiser = frozen(denoiser, self.device)
        self.conditioner = frozen(conditioner, self.device)
        self.video = frozen(video, self.device)
        self.vocoder = frozen(vocoder, self.device)
        self.library = tuple(library)
        if self.device.type == "cuda":
            self.denoiser.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
            self.vae.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @classmethod
    def load(cls, folder: Path, *, device: str = "cpu", dtype: torch.dtype = torch.float32) -> Action2SoundPipeline:
        """Load a converted model: config.json, one safetensors file per part, and the folder `ambient`, if any.

        `dtype` is that of the U-Net and of the video encoder, which are nearly all of the work; codec and vocoder stay
        in float32. Raises ModelError when a part is missing or does not fit.
        """
        config = load_config(Action2SoundConfig, folder / "config.json")
        return cls(
            config,
            vae=build_with_weights(lambda: PictureVae(config.vae), folder / "vae.safetensors"),
            denoiser=build_with_weights(lambda: Denoiser(config.unet), folder / "denoiser.safetensors", dtype),
            conditioner=build_with_weights(lambda: Conditioner(config), folder / "conditioner.safetensors"),
            video=build_with_weights(lambda: TimeSformer(config.video), folder / "video.safetensors", dtype),
            vocoder=load_vocoder(config, folder),
            library=load_library(folder / "ambient", config.sample_rate),
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

        Without `ambient` the library's own choice is used.
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
    def encode(self, chunks: Iterable[NDArray[np.uint8]]) -> WindowFeatures:
        """Return features of a stream of frame chunks (t, H, W, 3); a window's frames are in memory at a time.

        Raises InputError when there are no frames or their size is not the model's.
        """
        dtype = next(self.video.parameters()).dtype
        num_frames = 0

        def counted() -> Iterator[NDArray[np.uint8]]:
            nonlocal num_frames
            for chunk in chunks:
                num_frames += len(chunk)
                yield chunk

        parts = []
        for pixels in windows_of(counted(), self.config):
            frames = torch.from_numpy(pixels).to(self.device).permute(0, 3, 1, 2).float() / 255
            parts.append(self.video(frames[None].to(dtype))[0].float().cpu())
        if not parts:
            raise InputError("the model needs at least one video frame and got none")
        return WindowFeatures(values=torch.cat(parts), plan=plan_of(num_frames, self.config))

    def retrieve(self, features: VideoFeatures) -> AmbientClip:
        """Return the quietest clip, with a warning: converted models have no audio-visual similarity to choose by."""
        warnings.warn("this model cannot choose an ambience by the pictures; using its quietest clip", stacklevel=2)
        return self.quiet()

    def quiet(self) -> AmbientClip:
        """Return the library's quietest clip: it asks for action sound alone."""
        return quietest(self.library)

    @torch.inference_mode()
    def generate(
        self,
        features: VideoFeatures,
        *,
        num_samples: int,
        ambient: NDArray[np.float32] | None,
        seed: int = 0,
        num_steps: int | None = None,
        guidance_scale: float | None = None,
        shots: Sequence[float] = (),
        progress: Callable[[float], None] | None = None,
    ) -> NDArray[np.float32]:
        """Return a waveform (1, `num_samples`) for `features` with the ambience of `ambient` (1, S), if one is given.

        `shots` has no effect, since windows were laid when the pictures were encoded; `progress` hears the share done.
        Raises InputError when features and samples do not cover the same time or `ambient` is too short.
        """
        return next(
            self.versions(
                features,
                num_samples=num_samples,
                ambient=ambient,
                seed=seed,
                num_steps=num_steps,
                guidance_scale=guidance_scale,
                progress=progress,
            )
        )

    @torch.inference_mode()
    def versions(
        self,
        features: VideoFeatures,
        *,
        num_samples: int,
        ambient: NDArray[np.float32] | None,
        seed: int = 0,
        num_steps: int | None = None,
        guidance_scale: float | None = None,
        shots: Sequence[float] = (),
        rerolls: Sequence[Reroll] = (),
        progress: Callable[[float], None] | None = None,
    ) -> Iterator[NDArray[np.float32]]:
        """Yield what `generate` returns, and then what it becomes by each of `rerolls`, one after another.

        Their times count from the first sample. A re-roll samples the latents of its stretch anew and holds the others.
        """
        plan = self._check(features, num_samples)
        sampling = self.config.sampling
        generator = torch.Generator().manual_seed(seed)
        noise = self._noise(generator, plan.length)
        heard = None if ambient is None else self.ambient_latents(ambient, generator)
        breath = self._breath(num_samples, generator)
        walk = partial(
            self._walk,
            features,
            ambient=heard,
            num_steps=sampling.num_steps if num_steps is None else num_steps,
            guidance_scale=sampling.guidance_scale if guidance_scale is None else guidance_scale,
            progress=progress,
        )
        latents = walk(noise, plan, slice(len(plan.starts)))
        yield self._heard(latents, plan, num_samples, breath)
        for reroll in rerolls:
            held = Held(
                data=latents,
                noise=self._noise(torch.Generator().manual_seed(reroll.seed), plan.length),
                free=reroll.positions(self.config.frame_rate, plan.length),
            )
            windows = touching(plan, held.free)
            part, stretch = part_of(plan, windows)
            sampled = walk(held.noise[..., stretch], part, windows, held=held.part(stretch))
            latents = held.filled(sampled, stretch)
            yield self._heard(latents, plan, num_samples, breath)

    def _noise(self, generator: torch.Generator, length: int) -> Tensor:
        config = self.config
        return torch.randn(config.unet.latent_width, config.latent_rows, length, generator=generator).to(self.device)

    def _breath(self, num_samples: int, generator: torch.Generator) -> tuple[Tensor, ...]:
        """Return the noise (N, F) that the vocoder takes beside the mel of `num_samples`, where it takes any."""
        if not isinstance(self.vocoder, UnitMelVocoder):
            return ()
        shape = (self.config.istft.num_noise_channels, -(-num_samples // self.config.mel.hop_length))
        return (torch.randn(shape, generator=generator).to(self.device),)

    @torch.inference_mode()
    def voice(
        self,
        features: VideoFeatures,
        *,
        noise: Tensor,
        ambient: Tensor | None,
        num_samples: int,
        num_steps: int,
        guidance_scale: float,
        generator: torch.Generator,
        progress: Callable[[float], None] | None = None,
    ) -> NDArray[np.float32]:
        """Return a waveform (1, `num_samples`) from start `noise` (4, rows, L) and `ambient` latents (1, 4, rows, L).

        `generator` draws the noise of a vocoder that takes any. Raises InputError where features, noise and samples do
        not cover the same time.
        """
        plan = self._check(features, num_samples)
        latents = self._walk(
            features,
            noise,
            plan,
            slice(len(plan.starts)),
            ambient=ambient,
            num_steps=num_steps,
            guidance_scale=guidance_scale,
            progress=progress,
        )
        return self._heard(latents, plan, num_samples, self._breath(num_samples, generator))

    def _walk(
        self,
        features: VideoFeatures,
        noise: Tensor,
        plan: WindowPlan,
        windows: slice,
        *,
        ambient: Tensor | None,
        num_steps: int,
        guidance_scale: float,
        held: Held | None = None,
        progress: Callable[[float], None] | None = None,
    ) -> Tensor:
        """Return latents (4, rows, L) from `noise`, of the `windows` of the features that `plan` lays out."""
        assert isinstance(features, WindowFeatures)
        seen = features.values.to(self.device).unflatten(0, (len(features.plan.starts), -1))[windows]
        guidance = Guidance(
            denoiser=self.denoiser,
            conditional=self.conditioner(seen, None if ambient is None else ambient.expand(len(seen), -1, -1, -1)),
            null=self.null(ambient),
            scale=guidance_scale,
        )
        return self._sample(noise, plan, guidance, num_steps=num_steps, held=held, progress=progress)

    def _heard(
        self, latents: Tensor, plan: WindowPlan, num_samples: int, breath: tuple[Tensor, ...]
    ) -> NDArray[np.float32]:
        """Return the waveform (1, `num_samples`) of `latents` (4, rows, L)."""
        mel = self._mel(latents, plan)[:, : -(-num_samples // self.config.mel.hop_length)]
        return self.vocode(self.mel.natural_log(mel), *breath)[None, :num_samples]

    def null(self, ambient: Tensor | None, kind: NullName | None = None) -> Tensor:
        """Return what guidance moves away from, (1, N, D): by default as the config's sampling says."""
        if (kind or self.config.sampling.null) == "zeros":
            width = self.config.unet.context_width
            return torch.zeros(1, self.config.num_context_tokens, width, device=self.device)
        return self.conditioner.null(ambient, 1)

    def ambient_latents(self, waveform: NDArray[np.float32], generator: torch.Generator) -> Tensor:
        """Return scaled latents (1, 4, rows, L) of an ambient clip (1, S), cut or mirrored to the window's length."""
        samples = torch.from_numpy(np.ascontiguousarray(waveform.mean(axis=0), dtype=np.float32))
        if samples.numel() < self.config.hop_length:
            raise InputError("the ambient recording is shorter than an eighth of a second; give a longer one")
        mel = window_mel(self.mel, mirror_to(samples, self.config.window_samples)[None].to(self.device), self.config)
        shape = (1, self.config.unet.latent_width, self.config.latent_rows, self.config.window_positions)
        is_drawn = self.config.sampling.posterior == "sample"
        return self.vae.encode(mel, torch.randn(shape, generator=generator).to(self.device) if is_drawn else None)

    def _check(self, features: VideoFeatures, num_samples: int) -> WindowPlan:
        """Return the windows of `features`; raises InputError where they do not cover `num_samples`."""
        if not isinstance(features, WindowFeatures) or num_samples < 1:
            raise InputError(
                "this model generates from features that its own `encode` returned, and at least one sample"
            )
        covered = features.plan.length * self.config.hop_length
        if num_samples > covered:
            raise InputError(
                f"{num_samples} samples are more than the {covered} that the video frames cover; "
                f"read frames at {self.config.video_fps:g} per second to the end"
            )
        return features.plan

    def _sample(
        self,
        noise: Tensor,
        plan: WindowPlan,
        guidance: Guidance,
        *,
        num_steps: int,
        held: Held | None,
        progress: Callable[[float], None] | None,
    ) -> Tensor:
        """Return latents (4, rows, L) from `noise`: every step averages the noise that overlapping windows predict."""

        def epsilon(x: Tensor, t: float) -> Tensor:
            return merge(guidance(cut(x, plan), t), plan)

        def on_step(done: int) -> None:
            if progress is not None:
                progress(done / num_steps)

        return sample_noise_model(
            epsilon, noise, self.schedule, num_steps, sampler=self.config.sampling.sampler, held=held, on_step=on_step
        )

    def _mel(self, latents: Tensor, plan: WindowPlan) -> Tensor:
        """Return the mel (M, F) of `latents` (4, rows, L): windows are decoded, then cross-faded."""
        columns = self.config.vae.downsampling
        decoded = torch.cat([self.vae.decode(window[None]) for window in cut(latents, plan)])
        fine = WindowPlan(
            length=plan.length * columns,
            window=plan.window * columns,
            starts=tuple(start * columns for start in plan.starts),
        )
        return merge(decoded, fine)

    def vocode(self, log_mel: Tensor, *breath: Tensor) -> NDArray[np.float32]:
        """Return samples (F hop_length,) of `log_mel` (M, F), with noise (N, F) for a vocoder that takes any."""
        return vocode(self.vocoder, (log_mel, *breath), self.config.mel.hop_length, chunk_frames=VOCODER_COLUMNS)


def load_vocoder(config: Action2SoundConfig, folder: Path) -> Vocoder:
    """Return the vocoder that `config` names, from the weights in a model's folder; Griffin-Lim has none."""
    path = folder / "vocoder.safetensors"
    match config.vocoder:
        case "istft":
            return with_weights(UnitMelVocoder(config.istft), path)
        case "hifigan":
            return build_with_weights(lambda: HifiGan(config.hifigan), path)
        case "griffin-lim":
            return GriffinLim(config.mel)
        case _:
            assert_never(config.vocoder)


class Guidance:
    """The guided noise of windows: both branches in one call, the fixed context projected once."""

    def __init__(self, *, denoiser: Denoiser, conditional: Tensor, null: Tensor, scale: float) -> None:
        """`conditional` (N, P, D) is the context of each window, `null` (1, P, D) that of none."""
        self.denoiser = denoiser
        self.scale = scale
        dtype = next(denoiser.parameters()).dtype
        self.contexts = [
            torch.cat((null.expand(len(part), -1, -1), part) if scale != 1 else (part,)).to(dtype)
            for part in conditional.split(WINDOWS_AT_ONCE)
        ]
        is_kept = len(conditional) <= MAX_CACHED_WINDOWS
        self.caches: list[ContextCache | None] = [
            denoiser.project_context(context) if is_kept else None for context in self.contexts
        ]

    def __call__(self, x: Tensor, t: float) -> Tensor:
        """Return the noise (N, 4, rows, L) in the windows `x` at training step `t`, in the dtype of `x`."""
        parts = []
        for part, context, cache in zip(x.split(WINDOWS_AT_ONCE), self.contexts, self.caches, strict=True):
            branches = part if self.scale == 1 else torch.cat((part, part))
            times = torch.full((len(branches),), t, device=x.device)
            predicted = self.denoiser(branches.to(context.dtype), times, context, cache).to(x.dtype)
            if self.scale != 1:
                null, conditional = predicted.chunk(2)
                predicted = guide(conditional, null, self.scale)
            parts.append(predicted)
        return torch.cat(parts)

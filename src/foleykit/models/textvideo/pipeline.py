"""Pictures and text to waveform: encode both, sample latents over joint windows, decode, trim."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import safe_open
from torch import Tensor

from foleykit.codecs.bigvgan import BigVgan
from foleykit.codecs.magnitude_vae import MagnitudeVae
from foleykit.codecs.vocode import vocode
from foleykit.core.checkpoint import build_with_weights, frozen, with_weights
from foleykit.core.config import load_config
from foleykit.core.errors import InputError
from foleykit.core.ranges import Cue, Reroll
from foleykit.diffusion.guidance import guide
from foleykit.diffusion.held import Held
from foleykit.diffusion.samplers import sample
from foleykit.diffusion.windows import WindowPlan, cut, merge, part_of, plan_windows, touching
from foleykit.encoders.clip import ClipImageTower, ClipTextTower, restore_positions
from foleykit.encoders.text.clip_tokens import ClipTokenizer, read_merges
from foleykit.encoders.visual.pictures import centred, squeezed
from foleykit.encoders.visual.synchformer import Synchformer
from foleykit.models.textvideo.config import TextVideoConfig
from foleykit.models.textvideo.network import Conditioning, Known, Network, Prepared

PICTURES_AT_ONCE = 8
SEGMENTS_AT_ONCE = 2
WINDOWS_AT_ONCE = 4
"""In one network call; bounds memory whatever the length of the video."""
TEXTS_KEPT = 8
MERGES_NAME = "merges.txt"
EXACT = ("latent_mean", "latent_deviation")
"""Statistics that stay in float32 whatever the network's precision."""


@dataclass(frozen=True, kw_only=True)
class VideoFeatures:
    """What the model saw, on the CPU."""

    pictures: Tensor
    """(P, W) at the config's `picture_fps`"""
    segments: Tensor
    """(S, 8, W) synchronisation tokens of stretches of video, one stretch every 0.32 s"""
    seconds: float
    """Length of the video; the features may reach beyond it, where its last picture was held."""


@dataclass(frozen=True, kw_only=True)
class ClipWindows:
    """Where the windows of a clip lie on the axes of latents, pictures and stretches of video."""

    latents: WindowPlan
    pictures: WindowPlan
    segments: WindowPlan

    def part(self, windows: slice) -> tuple[ClipWindows, slice]:
        """Return successive `windows` as a plan of their own, and the stretch of the latents that it covers."""
        latents, stretch = part_of(self.latents, windows)
        pictures, segments = (replace(plan, starts=plan.starts[windows]) for plan in (self.pictures, self.segments))
        return ClipWindows(latents=latents, pictures=pictures, segments=segments), stretch


@dataclass(frozen=True, kw_only=True)
class Region:
    """Windows that know something of their own, and the latents that they decide about."""

    positions: slice
    """On the axis of the whole signal."""
    stretch: slice
    """What the windows cover of it."""
    plan: WindowPlan
    """The windows on the axis of the stretch."""
    conditional: Prepared
    null: Prepared


def plan_clip(config: TextVideoConfig, seconds: float, shots: Sequence[float] = ()) -> ClipWindows:
    """Return the windows of a clip of `seconds`; they prefer to start at `shots`, also in seconds.

    A clip no longer than a window and half an overlap is one of its own length. In a longer one windows start with a
    stretch of video, so that each sees what it would see as a clip of its own, and the last may reach beyond the end.
    """
    if seconds <= config.window_seconds + config.overlap_seconds / 2:
        own = config.sequence_lengths(seconds)
        return ClipWindows(latents=_one(own.latents), pictures=_one(own.pictures), segments=_one(own.segments))
    unit = config.sync.segment_seconds
    window = config.sequence_lengths(config.window_seconds)
    plan = plan_windows(
        math.ceil(round(seconds / unit, 6)),
        round(config.window_seconds / unit),
        round(config.overlap_seconds / unit),
        preferred=[round(shot / unit) for shot in shots],
    )

    def on_axis(width: int, rate: float) -> WindowPlan:
        # Halves are rounded up, or the last window could end before the clip does.
        starts = tuple(math.floor(round(start * unit * rate, 6) + 0.5) for start in plan.starts)
        return WindowPlan(length=starts[-1] + width, window=width, starts=starts)

    return ClipWindows(
        latents=on_axis(window.latents, config.frame_rate),
        pictures=on_axis(window.pictures, config.picture_fps),
        segments=on_axis(window.segments, 1 / unit),
    )


def _one(length: int) -> WindowPlan:
    return WindowPlan(length=length, window=length, starts=(0,))


class TextVideoPipeline:
    """A loaded model of the textvideo family."""

    def __init__(
        self,
        config: TextVideoConfig,
        *,
        network: Network,
        codec: MagnitudeVae,
        vocoder: BigVgan,
        image: ClipImageTower,
        text: ClipTextTower,
        sync: Synchformer,
        tokenizer: ClipTokenizer,
        device: str = "cpu",
    ) -> None:
        self.config = config
        self.device = torch.device(device)
        self.network = frozen(network, self.device)
        self.codec = frozen(codec, self.device)
        self.vocoder = frozen(vocoder, self.device)
        self.image = frozen(image, self.device)
        self.text = frozen(text, self.device)
        self.sync = frozen(sync, self.device)
        self.tokenizer = tokenizer
        # Takes of one video share their texts.
        self.encode_text = lru_cache(maxsize=TEXTS_KEPT)(self._encode_text)

    @classmethod
    def load(cls, folder: Path, *, device: str = "cpu", dtype: torch.dtype = torch.float32) -> TextVideoPipeline:
        """Load a saved model: config.json, one safetensors file per part, and the vocabulary `merges.txt`.

        Network and encoders hold their weights in `dtype`, codec and vocoder in float32. Raises ModelError when a part
        is missing or does not fit.
        """
        config = load_config(TextVideoConfig, folder / "config.json")
        network = build_with_weights(lambda: Network(config.network), folder / "network.safetensors", dtype)
        with safe_open(folder / "network.safetensors", "pt") as file:
            for name in EXACT:
                setattr(network, name, file.get_tensor(name).float())
        image = build_with_weights(lambda: ClipImageTower(config.clip), folder / "image.safetensors", dtype)
        text = build_with_weights(lambda: ClipTextTower(config.clip), folder / "text.safetensors", dtype)
        for tower in (image, text):
            restore_positions(tower)
        merges = read_merges(folder / MERGES_NAME, config.clip.text.vocabulary_size)
        return cls(
            config,
            network=network,
            codec=with_weights(MagnitudeVae(config.codec), folder / "codec.safetensors"),
            vocoder=with_weights(BigVgan(config.vocoder), folder / "vocoder.safetensors"),
            image=image,
            text=text,
            sync=build_with_weights(lambda: Synchformer(config.sync), folder / "sync.safetensors", dtype),
            tokenizer=ClipTokenizer(merges, num_tokens=config.clip.text.num_tokens),
            device=device,
        )

    def __call__(
        self,
        pictures: Iterable[NDArray[np.uint8]],
        frames: Iterable[NDArray[np.uint8]],
        *,
        num_samples: int,
        prompt: str = "",
        negative_prompt: str = "",
        seed: int = 0,
        num_steps: int | None = None,
        guidance_scale: float | None = None,
    ) -> NDArray[np.float32]:
        """Return a waveform (1, `num_samples`) of one video, given in chunks (t, H, W, 3) at two rates.

        `pictures` come at the config's `picture_fps`, `frames` at its `video_fps`, both of any size.
        """
        features = self.encode(pictures, frames, seconds=num_samples / self.config.sample_rate)
        return self.generate(
            features,
            num_samples=num_samples,
            prompt=prompt,
            negative_prompt=negative_prompt,
            seed=seed,
            num_steps=num_steps,
            guidance_scale=guidance_scale,
        )

    @torch.inference_mode()
    def encode(
        self, pictures: Iterable[NDArray[np.uint8]], frames: Iterable[NDArray[np.uint8]], *, seconds: float
    ) -> VideoFeatures:
        """Return features of a video of `seconds`, given as `__call__` takes it, in memory that does not grow.

        Raises InputError where there is not one picture.
        """
        embeddings = torch.cat([self._embed(part) for part in pieces(pictures, PICTURES_AT_ONCE)] or [torch.empty(0)])
        if not len(embeddings):
            raise InputError("the model needs at least one picture and got none")
        # Shots move windows, but not the end of the last one.
        plan = plan_clip(self.config, seconds)
        segments = list(self._segments(frames, plan.segments.length))
        return VideoFeatures(
            pictures=held(embeddings, plan.pictures.length), segments=torch.cat(segments), seconds=seconds
        )

    def _embed(self, pixels: NDArray[np.uint8]) -> Tensor:
        """Return (t, W) of pictures (t, H, W, 3)."""
        pictures = squeezed(torch.from_numpy(pixels).permute(0, 3, 1, 2), self.config.clip.image.input_size)
        return self.image(pictures.to(self.device)).cpu()

    def _segments(self, frames: Iterable[NDArray[np.uint8]], count: int) -> Iterator[Tensor]:
        """Yield synchronisation tokens (n, 8, W) of the first `count` stretches; the last frame is held at the end."""
        config = self.config.sync
        length, stride = config.segment_frames, config.segment_stride
        waiting: list[Tensor] = []
        missing = count
        for pixels in pieces(frames, stride):
            waiting.extend(centred(torch.from_numpy(pixels).permute(0, 3, 1, 2), config.size))
            while missing and len(waiting) >= (enough := length + stride * (min(missing, SEGMENTS_AT_ONCE) - 1)):
                made = self._see(waiting[:enough])
                yield made
                missing -= len(made)
                del waiting[: stride * len(made)]
        if missing and not waiting:
            raise InputError("the model needs at least one video frame and got none")
        while missing:
            waiting.extend(waiting[-1:] * max(0, length - len(waiting)))
            made = self._see(waiting[:length])
            yield made
            missing -= 1
            # One frame stays to be held.
            del waiting[: min(stride, len(waiting) - 1)]

    def _see(self, frames: Sequence[Tensor]) -> Tensor:
        """Return (n, 8, W) of as many stretches as lie in `frames`, each (3, H, W)."""
        config = self.config.sync
        stretches = [
            torch.stack(list(frames[start : start + config.segment_frames]))
            for start in range(0, len(frames) - config.segment_frames + 1, config.segment_stride)
        ]
        return self.sync(torch.stack(stretches).to(self.device)).cpu()

    @torch.inference_mode()
    def _encode_text(self, text: str) -> Tensor:
        """Return tokens (N, W) of `text`; of an empty one the stored features, which training used."""
        if not text.strip():
            return self.network.null_text.float()
        return self.text(self.tokenizer([text]).to(self.device))[0]

    @torch.inference_mode()
    def generate(
        self,
        features: VideoFeatures,
        *,
        num_samples: int,
        prompt: str = "",
        negative_prompt: str = "",
        seed: int = 0,
        num_steps: int | None = None,
        guidance_scale: float | None = None,
        shots: Sequence[float] = (),
        progress: Callable[[float], None] | None = None,
    ) -> NDArray[np.float32]:
        """Return a waveform (1, `num_samples`) for `features` and `prompt`, led away from `negative_prompt`.

        `shots` are times in seconds of picture cuts, where windows prefer to start; `progress` hears the share done.
        Raises InputError when features and samples do not cover the same time.
        """
        return next(
            self.versions(
                features,
                num_samples=num_samples,
                prompt=prompt,
                negative_prompt=negative_prompt,
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
        prompt: str = "",
        negative_prompt: str = "",
        seed: int = 0,
        num_steps: int | None = None,
        guidance_scale: float | None = None,
        cues: Sequence[Cue] = (),
        shots: Sequence[float] = (),
        rerolls: Sequence[Reroll] = (),
        progress: Callable[[float], None] | None = None,
    ) -> Iterator[NDArray[np.float32]]:
        """Yield what `generate` returns, and then what it becomes by each of `rerolls`, one after another.

        In the stretches of `cues` their prompts hold, where they have any, instead of the others; everything is
        denoised jointly. A re-roll samples the latent frames of its stretch anew, under its own prompts where it has
        any, and holds the others. All times count from the first sample.
        """
        config = self.config
        seconds = num_samples / config.sample_rate
        if num_samples < 1 or abs(seconds - features.seconds) > 1 / config.video_fps:
            raise InputError(
                f"the features are of {features.seconds:g} s of video, {num_samples} samples of {seconds:g} s"
            )
        plan = plan_clip(config, features.seconds, shots)
        steps = config.sampling.num_steps if num_steps is None else num_steps
        scale = config.sampling.guidance_scale if guidance_scale is None else guidance_scale
        conditional, null = self.conditions(features, plan, prompt=prompt, negative_prompt=negative_prompt)
        latents = self.denoise(
            self._noise(seed, plan.latents.length),
            plan.latents,
            conditional,
            null,
            regions=self._regions(features, plan, cues, prompt, negative_prompt),
            num_steps=steps,
            guidance_scale=scale,
            progress=progress,
        )
        yield self._vocode(latents, plan.latents, num_samples)
        for reroll in rerolls:
            free = reroll.positions(config.frame_rate, plan.latents.length)
            part, stretch = plan.part(touching(plan.latents, free))
            conditional, null = self.conditions(
                features,
                part,
                prompt=reroll.prompt or prompt,
                negative_prompt=reroll.negative_prompt or negative_prompt,
            )
            held = Held(
                data=self.network.normalise(latents), noise=self._noise(reroll.seed, plan.latents.length), free=free
            )
            sampled = self.denoise(
                held.noise[:, stretch],
                part.latents,
                conditional,
                null,
                regions=[]
                if reroll.has_text
                else self._regions(features, part, cues, prompt, negative_prompt, stretch),
                num_steps=steps,
                guidance_scale=scale,
                held=held.part(stretch),
                progress=progress,
            )
            latents = replace(held, data=latents).filled(sampled, stretch)
            yield self._vocode(latents, plan.latents, num_samples)

    def _regions(
        self,
        features: VideoFeatures,
        plan: ClipWindows,
        cues: Sequence[Cue],
        prompt: str,
        negative_prompt: str,
        stretch: slice | None = None,
    ) -> list[Region]:
        """Return what holds in the stretches of `cues`, as far as they lie in `plan`, which covers `stretch`."""
        stretch = stretch or slice(0, plan.latents.length)
        regions = []
        for cue in cues:
            whole = cue.positions(self.config.frame_rate, stretch.stop)
            positions = slice(max(whole.start - stretch.start, 0), whole.stop - stretch.start)
            if positions.start >= positions.stop:
                continue
            part, covered = plan.part(touching(plan.latents, positions))
            conditional, null = self.conditions(
                features,
                part,
                prompt=cue.prompt or prompt,
                negative_prompt=cue.negative_prompt or negative_prompt,
            )
            regions.append(
                Region(positions=positions, stretch=covered, plan=part.latents, conditional=conditional, null=null)
            )
        return regions

    def _noise(self, seed: int, length: int) -> Tensor:
        # Drawn on the CPU, so that a seed means the same sound on every device.
        generator = torch.Generator().manual_seed(seed)
        return torch.randn(self.config.network.latent_width, length, generator=generator).to(self.device)

    def _vocode(self, latents: Tensor, plan: WindowPlan, num_samples: int) -> NDArray[np.float32]:
        """Return the waveform (1, `num_samples`) of `latents` (D, L)."""
        mel = self.decode(latents, plan)
        num_columns = -(-num_samples // self.config.codec.mel.hop_length)
        return vocode(self.vocoder, mel[:, :num_columns], self.config.vocoder.hop_length)[None, :num_samples]

    def conditions(
        self, features: VideoFeatures, plan: ClipWindows, *, prompt: str, negative_prompt: str
    ) -> tuple[Prepared, Prepared]:
        """Return what each window knows, and the one condition that guidance leads away from.

        Its text is the negative prompt; it knows no video, as in a tenth of the training.
        """
        windows = cut(held(features.pictures, plan.pictures.length).T, plan.pictures).transpose(1, 2)
        stretches = features.segments.flatten(1).T  # (8 W, S)
        tokens = cut(stretches[:, : plan.segments.length], plan.segments).transpose(1, 2)
        group = self.config.network.sync_group
        shown = Conditioning(
            pictures=windows.to(self.device),
            sync=tokens.unflatten(2, (group, -1)).flatten(1, 2).to(self.device),
            text=self.encode_text(prompt).expand(len(windows), -1, -1),
        )
        negative = replace(
            shown, pictures=shown.pictures[:1], sync=shown.sync[:1], text=self.encode_text(negative_prompt)[None]
        )
        no, yes = torch.zeros(1, dtype=torch.bool), torch.ones(1, dtype=torch.bool)
        unseen = Known(video=no.to(self.device), text=yes.to(self.device), transcript=no, ambient=no)
        length = plan.latents.width
        return (
            self.network.prepare(shown, length),
            self.network.prepare(self.network.with_nulls(negative, unseen), length),
        )

    @torch.inference_mode()
    def denoise(
        self,
        noise: Tensor,
        plan: WindowPlan,
        conditional: Prepared,
        null: Prepared,
        *,
        regions: Sequence[Region] = (),
        num_steps: int,
        guidance_scale: float,
        held: Held | None = None,
        progress: Callable[[float], None] | None = None,
    ) -> Tensor:
        """Return the codec's latents (D, L) from `noise` (D, L): at every step the velocities of windows are averaged.

        `conditional` has an entry for each window of `plan`, `null` one; what is `held` counts in normalised latents.
        In `regions` the velocity is that of their own windows (MultiDiffusion: Bar-Tal et al. 2023, sec. 4.2).
        """
        sampling = self.config.sampling
        guidance = partial(Guidance, self.network, scale=guidance_scale, interval=sampling.guidance_interval)
        guided = guidance(conditional, null)
        inside = [(region, guidance(region.conditional, region.null)) for region in regions]

        def velocity(x: Tensor, t: float) -> Tensor:
            whole = merge(guided(cut(x, plan), t), plan)
            for region, own in inside:
                part = merge(own(cut(x[..., region.stretch], region.plan), t), region.plan)
                first = region.stretch.start
                whole[..., region.positions] = part[..., region.positions.start - first : region.positions.stop - first]
            return whole

        def on_step(done: int) -> None:
            if progress is not None:
                progress(done / num_steps)

        normalised = sample(
            velocity, noise, even_times(num_steps), sampler=sampling.sampler, held=held, on_step=on_step
        )
        return self.network.unnormalise(normalised)

    @torch.inference_mode()
    def decode(self, latents: Tensor, plan: WindowPlan) -> Tensor:
        """Return log-mel (M, 2 L) of `latents` (D, L), window by window, cross-faded where they overlap.

        The decoder attends over all it is given, and has been trained on windows.
        """
        rate = self.config.codec.downsampling
        decoded = torch.cat([self.codec.decode(window[None]) for window in cut(latents, plan)])
        fine = WindowPlan(
            length=rate * plan.length, window=rate * plan.window, starts=tuple(rate * start for start in plan.starts)
        )
        return merge(decoded, fine)


class Guidance:
    """The guided velocity of windows, from data towards noise: both branches in one call, conditions projected once."""

    def __init__(
        self, network: Network, conditional: Prepared, null: Prepared, *, scale: float, interval: tuple[float, float]
    ) -> None:
        """`conditional` has an entry for each window, `null` one; up to `scale` 1 only the first is asked."""
        self.network = network
        self.scale = scale
        self.interval = interval
        self.parts = conditional.split(WINDOWS_AT_ONCE)
        self.pairs = [Prepared.cat([part, *[null] * len(part.summary)]) for part in self.parts] if scale > 1 else []

    def __call__(self, x: Tensor, t: float) -> Tensor:
        """Return the velocity (N, D, L) at the windows `x` and time `t`, in the dtype of `x`."""
        first, last = self.interval
        parts = x.split(WINDOWS_AT_ONCE)
        if self.scale <= 1 or not first <= t <= last:
            return torch.cat([self._ask(part, t, known) for part, known in zip(parts, self.parts, strict=True)])
        guided = []
        for part, known in zip(parts, self.pairs, strict=True):
            shown, null = self._ask(torch.cat((part, part)), t, known).chunk(2)
            guided.append(guide(shown, null, self.scale))
        return torch.cat(guided)

    def _ask(self, x: Tensor, t: float, known: Prepared) -> Tensor:
        # The network counts from noise to data, the samplers from data to noise.
        return -self.network(x, torch.full((len(x),), 1 - t, device=x.device), known)


def even_times(num_steps: int) -> list[float]:
    """Return `num_steps + 1` even times from 1 to 0, rounded to float32 from noise to data as the release does.

    To angles of 10 000 times the time, the last bit matters.
    """
    return [1 - progress for progress in torch.linspace(0, 1, num_steps + 1).tolist()]


def held(values: Tensor, length: int) -> Tensor:
    """Return the first `length` rows of `values` (T, W), the last one repeated where they are fewer."""
    return torch.cat((values, values[-1:].expand(max(0, length - len(values)), -1)))[:length]


def pieces(chunks: Iterable[NDArray[np.uint8]], size: int) -> Iterator[NDArray[np.uint8]]:
    """Yield the frames of `chunks` (t, H, W, 3) in pieces of at most `size`."""
    for chunk in chunks:
        for start in range(0, len(chunk), size):
            yield chunk[start : start + size]

"""Pictures and text to waveform: encode both, sample latents over joint windows, decode, trim."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import safe_open
from torch import Tensor

from foleykit.audio.ambient import AmbientClip, load_library, mirror_to, quietest
from foleykit.codecs.bigvgan import BigVgan
from foleykit.codecs.magnitude_vae import MagnitudeVae
from foleykit.codecs.vocode import vocode
from foleykit.codecs.wave_vae import WaveVae, WaveVaeConfig
from foleykit.core.checkpoint import build_with_weights, frozen, with_weights
from foleykit.core.config import load_config
from foleykit.core.errors import InputError
from foleykit.core.ranges import Cue, Reroll
from foleykit.diffusion.held import Held
from foleykit.diffusion.samplers import sample
from foleykit.diffusion.windows import WindowPlan, cut, merge, touching
from foleykit.encoders.text.readers import Reader, load_reader
from foleykit.encoders.visual.sights import Sight, load_sight
from foleykit.models.textvideo.config import ClipWindows, TextVideoConfig, plan_clip
from foleykit.models.textvideo.guidance import Guidance, even_times
from foleykit.models.textvideo.network import Conditioning, Known, Network, Prepared

TEXTS_KEPT = 8
EXACT = ("latent_mean", "latent_deviation")
"""Statistics that stay in float32 whatever the network's precision."""


@dataclass(frozen=True, kw_only=True)
class VideoFeatures:
    """What the model saw, on the CPU."""

    pictures: Tensor
    """(P, W) at the config's `picture_fps`"""
    segments: Tensor
    """(S, G, W) G synchronisation tokens of each stretch of video, one stretch every `segment_seconds`"""
    seconds: float
    """Length of the video; the features may reach beyond it, where its last picture was held."""


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


@dataclass(frozen=True, kw_only=True, eq=False)
class Wish:
    """What a clip is to sound like."""

    features: VideoFeatures
    prompt: str
    negative_prompt: str
    ambient: NDArray[np.float32] | None
    """(1, S)"""

    def worded(self, cue: Cue) -> Wish:
        """Return the same under the prompts of `cue`, where it has any."""
        return replace(
            self, prompt=cue.prompt or self.prompt, negative_prompt=cue.negative_prompt or self.negative_prompt
        )


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
        self.library = tuple(library)
        # Takes of one video share their texts.
        self.encode_text = lru_cache(maxsize=TEXTS_KEPT)(self._encode_text)

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
        return cls(
            config,
            network=network,
            codec=codec,
            vocoder=vocoder,
            sight=load_sight(
                config.sync, config.clip, folder, picture_fps=config.picture_fps, device=device, dtype=dtype
            ),
            reader=load_reader(config.words or config.clip, folder, device=device, dtype=dtype),
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
    ) -> VideoFeatures:
        """Return features of a video of `seconds`, given as `__call__` takes it, in memory that does not grow.

        Raises InputError where there is not one picture or frame.
        """
        # Shots move windows, but not the end of the last one.
        plan = plan_clip(self.config, seconds)
        seen, segments = self.sight.encode(frames, pictures, plan.segments.length)
        return VideoFeatures(pictures=held(seen, plan.pictures.length), segments=segments, seconds=seconds)

    def beginning(self, features: VideoFeatures, seconds: float) -> VideoFeatures:
        """Return the features of the first `seconds`, or all of them where the video is no longer."""
        if seconds >= features.seconds:
            return features
        lengths = self.config.sequence_lengths(seconds)
        return VideoFeatures(
            pictures=features.pictures[: lengths.pictures],
            segments=features.segments[: lengths.segments],
            seconds=seconds,
        )

    def unread(self, text: str) -> tuple[str, ...]:
        """Return the words of `text` that have no effect."""
        return self.reader.unread(text)

    @torch.inference_mode()
    def _encode_text(self, text: str) -> Tensor:
        """Return tokens (N, W) of `text`; of an empty one the stored features, which training used."""
        if not text.strip():
            return self.network.null_text.float()
        return self.reader.read(text)

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
        ambient: NDArray[np.float32] | None = None,
        seed: int = 0,
        num_steps: int | None = None,
        guidance_scale: float | None = None,
        shots: Sequence[float] = (),
        progress: Callable[[float], None] | None = None,
    ) -> NDArray[np.float32]:
        """Return a waveform (1, `num_samples`) for `features` and `prompt`, led away from `negative_prompt`.

        `ambient` (1, S) is a recording whose ambience is taken, by a model with an ambient condition. `shots` are times
        in seconds of picture cuts, where windows prefer to start; `progress` hears the share done. Raises InputError
        when features and samples do not cover the same time and when `ambient` is empty.
        """
        return next(
            self.versions(
                features,
                num_samples=num_samples,
                prompt=prompt,
                negative_prompt=negative_prompt,
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
        prompt: str = "",
        negative_prompt: str = "",
        ambient: NDArray[np.float32] | None = None,
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
        texts = (prompt, *(cue.prompt for cue in cues))
        scale = config.sampling.guidance_for(*texts) if guidance_scale is None else guidance_scale
        wish = Wish(features=features, prompt=prompt, negative_prompt=negative_prompt, ambient=ambient)
        conditional, null = self._known(wish, plan)
        latents = self.denoise(
            self._noise(seed, plan.latents.length),
            plan.latents,
            conditional,
            null,
            regions=self._regions(wish, plan, cues),
            num_steps=steps,
            guidance_scale=scale,
            progress=progress,
        )
        yield self._sound(latents, plan.latents, num_samples, seed)[None]
        for reroll in rerolls:
            free = reroll.positions(config.frame_rate, plan.latents.length)
            part, stretch = plan.part(touching(plan.latents, free))
            conditional, null = self._known(wish.worded(reroll), part)
            held = Held(
                data=self.network.normalise(latents), noise=self._noise(reroll.seed, plan.latents.length), free=free
            )
            sampled = self.denoise(
                held.noise[:, stretch],
                part.latents,
                conditional,
                null,
                regions=[] if reroll.has_text else self._regions(wish, part, cues, stretch),
                num_steps=steps,
                guidance_scale=scale,
                held=held.part(stretch),
                progress=progress,
            )
            latents = replace(held, data=latents).filled(sampled, stretch)
            yield self._sound(latents, plan.latents, num_samples, seed)[None]

    def _known(self, wish: Wish, plan: ClipWindows) -> tuple[Prepared, Prepared]:
        return self.conditions(
            wish.features,
            plan,
            prompt=wish.prompt,
            negative_prompt=wish.negative_prompt,
            ambient=wish.ambient,
        )

    def _regions(
        self, wish: Wish, plan: ClipWindows, cues: Sequence[Cue], stretch: slice | None = None
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
            conditional, null = self._known(wish.worded(cue), part)
            regions.append(
                Region(positions=positions, stretch=covered, plan=part.latents, conditional=conditional, null=null)
            )
        return regions

    def _noise(self, seed: int, length: int) -> Tensor:
        return self._draws(seed, length)[0].to(self.device)

    def _draws(self, seed: int, length: int) -> tuple[Tensor, torch.Generator]:
        """Return the noise (D, L) that sampling starts from, and what draws the codec's after it."""
        # Drawn on the CPU, so that a seed means the same sound on every device.
        generator = torch.Generator().manual_seed(seed)
        return torch.randn(self.config.network.latent_width, length, generator=generator), generator

    def conditions(
        self,
        features: VideoFeatures,
        plan: ClipWindows,
        *,
        prompt: str,
        negative_prompt: str,
        ambient: NDArray[np.float32] | None = None,
    ) -> tuple[Prepared, Prepared]:
        """Return what each window knows, and the one condition that guidance leads away from.

        Its text is the negative prompt; it knows no video, as in a part of the training, and the same ambience, which
        is therefore heard at its own level.
        """
        windows = cut(held(features.pictures, plan.pictures.length).T, plan.pictures).transpose(1, 2)
        stretches = features.segments.flatten(1).T  # (G W, S)
        tokens = cut(stretches[:, : plan.segments.length], plan.segments).transpose(1, 2)
        group = self.config.network.sync_group
        heard = None if ambient is None else self._ambient_latents(ambient)
        shown = Conditioning(
            pictures=windows.to(self.device),
            sync=tokens.unflatten(2, (group, -1)).flatten(1, 2).to(self.device),
            text=self.encode_text(prompt).expand(len(windows), -1, -1),
            ambient=None if heard is None else heard.expand(len(windows), -1, -1),
        )
        negative = replace(
            shown,
            pictures=shown.pictures[:1],
            sync=shown.sync[:1],
            text=self.encode_text(negative_prompt)[None],
            ambient=heard,
        )
        no, yes = (torch.tensor([known], device=self.device) for known in (False, True))
        unseen = Known(video=no, text=yes, transcript=no, ambient=yes)
        length = plan.latents.width
        return (
            self.network.prepare(shown, length),
            self.network.prepare(self.network.with_nulls(negative, unseen), length),
        )

    def _ambient_latents(self, waveform: NDArray[np.float32]) -> Tensor:
        """Return latents (1, D, L) of an ambient clip, cut or mirrored to the window's length."""
        if not isinstance(self.codec, WaveVae):
            raise InputError("this model has no place for an ambient clip; leave it out")
        samples = torch.from_numpy(np.ascontiguousarray(waveform.mean(axis=0), dtype=np.float32))
        if samples.numel() < self.config.hop_length:
            raise InputError("the ambient recording is shorter than a twentieth of a second; give a longer one")
        latents = self.codec.encode(mirror_to(samples, self.config.ambient_samples)[None, None].to(self.device))
        return self.network.normalise(latents)

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

    def _sound(self, latents: Tensor, plan: WindowPlan, num_samples: int, seed: int) -> NDArray[np.float32]:
        """Return samples (S,) of `latents` (D, L)."""
        if isinstance(self.codec, WaveVae):
            _, generator = self._draws(seed, plan.length)
            noise = torch.randn(self.codec.noise_shape(latents[None]), generator=generator).to(self.device)
            waveform: NDArray[np.float32] = self.codec.decode(latents[None], noise)[0, 0, :num_samples].cpu().numpy()
            return waveform
        assert self.vocoder is not None
        mel = decode_windows(self.codec, latents, plan)
        num_columns = -(-num_samples // self.codec.config.mel.hop_length)
        return vocode(self.vocoder, (mel[:, :num_columns],), self.vocoder.config.hop_length)[:num_samples]


def decode_windows(codec: MagnitudeVae, latents: Tensor, plan: WindowPlan) -> Tensor:
    """Return log-mel (M, 2 L) of `latents` (D, L), window by window, cross-faded where they overlap.

    The decoder attends over all it is given, and has been trained on windows.
    """
    rate = codec.config.downsampling
    decoded = torch.cat([codec.decode(window[None]) for window in cut(latents, plan)])
    fine = WindowPlan(
        length=rate * plan.length, window=rate * plan.window, starts=tuple(rate * start for start in plan.starts)
    )
    return merge(decoded, fine)


def held(values: Tensor, length: int) -> Tensor:
    """Return the first `length` rows of `values` (T, W), the last one repeated where they are fewer."""
    return torch.cat((values, values[-1:].expand(max(0, length - len(values)), -1)))[:length]


def load_sound(config: TextVideoConfig, folder: Path) -> tuple[MagnitudeVae | WaveVae, BigVgan | None]:
    """Return the codec of a model folder, and the vocoder that one of mels has beside it."""
    path = folder / "codec.safetensors"
    if isinstance(config.codec, WaveVaeConfig):
        return with_weights(WaveVae(config.codec), path), None
    assert config.vocoder is not None
    vocoder = with_weights(BigVgan(config.vocoder), folder / "vocoder.safetensors")
    return with_weights(MagnitudeVae(config.codec), path), vocoder

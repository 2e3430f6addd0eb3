"""Frames to waveform: encode the pictures, write codes window after window, decode them at once, trim."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from foleykit.audio.ambient import AmbientClip, load_library, mirror_to, quietest
from foleykit.codecs import TokenCodec, build_token_codec
from foleykit.core.checkpoint import frozen, with_weights
from foleykit.core.config import load_config
from foleykit.core.errors import InputError
from foleykit.core.timeline import Timeline
from foleykit.core.types import VideoFeatures
from foleykit.encoders.visual import load_visual_encoder
from foleykit.encoders.visual.steering import OnsetSteering, load_steering, seen_features
from foleykit.encoders.visual.two_rate import TwoRateConfig, TwoRateEncoder
from foleykit.models.foleygen.config import FoleyGenConfig, SamplingConfig
from foleykit.models.foleygen.generation import generate_codes
from foleykit.models.foleygen.network import LanguageModel
from foleykit.video.chunks import overlapping_chunks

CHUNK_FRAMES = 240
"""Video frames encoded at a time, those of its neighbours included; whole stretches of every encoder."""
CARRIED_SECONDS = 0.1
"""What a window is told at least of the one before, so that what rings goes on ringing."""


class FoleyGenPipeline:
    """A loaded model of the FoleyGen family."""

    def __init__(
        self,
        config: FoleyGenConfig,
        *,
        codec: TokenCodec,
        video: nn.Module,
        lm: LanguageModel,
        library: Sequence[AmbientClip] = (),
        steering: OnsetSteering | None = None,
        device: str = "cpu",
    ) -> None:
        self.config = config
        self.device = torch.device(device)
        self.codec = frozen(codec, self.device)
        self.video = frozen(video, self.device)
        self.lm = frozen(lm, self.device)
        self.steering = steering
        self.library = tuple(library)

    @classmethod
    def load(cls, folder: Path, *, device: str = "cpu", dtype: torch.dtype = torch.float32) -> FoleyGenPipeline:
        """Load a saved model: config.json, codec.safetensors, lm.safetensors, the video encoder, the folder `ambient`.

        `dtype` is that of the language model, which is nearly all of the work; codec and video encoder stay in float32.
        Raises ModelError when a part is missing or does not fit.
        """
        config = load_config(FoleyGenConfig, folder / "config.json")
        return cls(
            config,
            codec=with_weights(build_token_codec(config.codec), folder / "codec.safetensors"),
            video=load_visual_encoder(config.video, folder),
            lm=with_weights(LanguageModel(config.lm), folder / "lm.safetensors").to(dtype),
            library=load_library(folder / "ambient", config.sample_rate),
            steering=load_steering(folder, config.video.width) if isinstance(config.video, TwoRateConfig) else None,
            device=device,
        )

    def __call__(
        self,
        frames: Iterable[NDArray[np.uint8]],
        *,
        num_samples: int,
        ambient: AmbientClip | None = None,
        seed: int = 0,
        guidance_scale: float | None = None,
    ) -> NDArray[np.float32]:
        """Return a waveform (1, `num_samples`) for chunks of frames (t, H, W, 3) at the model's rate and size.

        Without `ambient` the ambience is the model's own choice.
        """
        return self.generate(
            self.encode(frames),
            num_samples=num_samples,
            ambient=None if ambient is None else ambient.waveform,
            seed=seed,
            guidance_scale=guidance_scale,
        )

    @torch.inference_mode()
    def encode(self, chunks: Iterable[NDArray[np.uint8]], *, sensitivity: float = 0.0) -> VideoFeatures:
        """Return visual vectors of a stream of frame chunks (t, H, W, 3); memory does not grow with pixels seen.

        `sensitivity`, -1 to 1, is how readily faint signs of onsets are heard, where the model has a steering. Raises
        InputError when there are no frames or their size is not the model's.
        """
        if isinstance(self.video, TwoRateEncoder):
            seen = seen_features(self.video, self.steering, chunks, self.device, sensitivity=sensitivity)
            stride = self.config.feature_stride
            steered = None if seen.steered is None else seen.steered[::stride]
            return VideoFeatures(values=seen.values[::stride], steered=steered)
        parts = []
        context = self._context_frames
        for pixels, left, right in overlapping_chunks(chunks, CHUNK_FRAMES, context):
            frames = torch.from_numpy(pixels).to(self.device).permute(0, 3, 1, 2).float().div_(255)
            features = self.video(frames[None])[0].float().cpu()
            parts.append(features[left : len(features) - right].clone())
        if not parts:
            raise InputError("the model needs at least one video frame and got none")
        return VideoFeatures(values=torch.cat(parts)[:: self.config.feature_stride])

    @property
    def is_steered(self) -> bool:
        """Whether the model can be asked to hear faint signs more or less readily."""
        return self.steering is not None

    @property
    def _context_frames(self) -> int:
        """Frames on either side of a chunk that its features may look at, in tens: slow paths keep their step."""
        return -(-self.config.video.context_frames // 10) * 10

    def quiet(self) -> AmbientClip:
        """Return the library's quietest clip: it asks for action sound alone."""
        return quietest(self.library)

    @torch.inference_mode()
    def generate(
        self,
        features: VideoFeatures,
        *,
        num_samples: int,
        ambient: NDArray[np.float32] | None = None,
        seed: int = 0,
        guidance_scale: float | None = None,
        progress: Callable[[float], None] | None = None,
    ) -> NDArray[np.float32]:
        """Return a waveform (1, `num_samples`) for `features`; `progress` hears the share done.

        The sound of `ambient` (1, S), if any, comes before the video begins: the model goes on with that ambience, and
        what was given is cut off. Raises InputError when features and samples do not cover the same time or `ambient`
        is too short.
        """
        config = self.config
        timeline = Timeline(num_samples=num_samples, sample_rate=config.sample_rate, hop_length=config.hop_length)
        values = self._covering(features.told, timeline.num_latent_frames)
        prompt = torch.zeros(1, config.lm.num_codebooks, 0, dtype=torch.long, device=self.device)
        if ambient is not None:
            prompt = self._ambient_codes(ambient)
            # Nothing moves while the ambience is heard: the first picture stands still.
            values = torch.cat((values[:1].expand(config.visual_at(config.ambient_frames), -1), values))
        sampling = config.sampling
        if guidance_scale is not None:
            sampling = replace(sampling, guidance_scale=guidance_scale)
        codes = self._write(
            values,
            prompt,
            timeline.num_latent_frames,
            sampling=sampling,
            generator=torch.Generator().manual_seed(seed),
            progress=progress,
        )
        waveform = self.codec.decode(codes)[0].float().cpu().numpy()
        skipped = prompt.shape[2] * config.hop_length
        return waveform[:, skipped : skipped + num_samples]

    def _write(
        self,
        values: Tensor,
        prompt: Tensor,
        num_frames: int,
        *,
        sampling: SamplingConfig,
        generator: torch.Generator,
        progress: Callable[[float], None] | None,
    ) -> Tensor:
        """Return the codes of `prompt` (1, K, P) and of `num_frames` that follow, window after window.

        Every window begins with the prompt's ambience, before the end of what was written: from window to window that
        alone would carry it ever further away.
        """
        config, num_known, codes = self.config, prompt.shape[2], prompt
        room = config.window_frames - config.stride_frames - round(CARRIED_SECONDS * config.lm.frame_rate)
        reminder = prompt[:, :, : max(0, min(num_known, room))]
        num_still = config.visual_at(reminder.shape[2])
        for start, stop in windows(num_known, num_known + num_frames, config.window_frames, config.stride_frames):
            written = codes.shape[2]

            def on_step(done: int, count: int, written: int = written, stop: int = stop) -> None:
                if progress is not None:
                    progress((written - num_known + (stop - written) * done / count) / num_frames)

            seen = self._seen_from(values, start)
            seen[:, :num_still] = values[0].to(seen.device)
            window = generate_codes(
                self.lm,
                seen,
                torch.cat((reminder, codes[:, :, start + reminder.shape[2] :]), dim=2),
                stop - start,
                sampling=sampling,
                generator=generator,
                on_step=on_step,
            )
            codes = torch.cat((codes, window[:, :, written - start :]), dim=2)
        return codes

    def _covering(self, values: Tensor, num_frames: int) -> Tensor:
        """Return the visual vectors (N, D) of `num_frames` codes; raises InputError where they are of another time."""
        config = self.config
        expected = -(-num_frames * config.lm.visual.rate // config.lm.frame_rate)
        # An encoder may round a second up, and two clocks may differ by a frame.
        if abs(len(values) - expected) > 1 + config.lm.visual.rate:
            raise InputError(
                f"{len(values)} visual vectors do not cover {num_frames} frames of codes; "
                f"read frames at {config.video_fps:g} per second to the end"
            )
        return values[: max(1, int(expected))]

    def _seen_from(self, values: Tensor, start: int) -> Tensor:
        """Return the visual vectors (1, N, D) of a whole window that starts at frame `start` of the codes.

        The last is held beyond the end: a shorter prefix would move every step to a place it never had in training.
        """
        first = self.config.visual_at(start)
        seen = values[first : first + self.config.window_visual]
        held = values[-1:].expand(self.config.window_visual - len(seen), -1)
        return torch.cat((seen, held))[None].to(self.device)

    def _ambient_codes(self, waveform: NDArray[np.float32]) -> Tensor:
        """Return the codes (1, K, P) of an ambient clip, cut or mirrored to the length that is heard."""
        samples = torch.from_numpy(np.ascontiguousarray(waveform.mean(axis=0), dtype=np.float32))
        if samples.numel() < self.config.hop_length:
            raise InputError("the ambient recording is shorter than one frame of codes; give a longer one")
        heard = mirror_to(samples, self.config.ambient_samples)
        return self.codec.encode(heard[None, None].to(self.device))


def windows(num_known: int, total: int, window: int, stride: int) -> list[tuple[int, int]]:
    """Return the spans (start, stop) of codes that are read and written in turn until all `total` are there.

    The first `num_known` are given and must leave room in a window. Each window after the first starts with what the
    one before wrote, all but `stride` of it, and adds at most `stride`. Raises InputError for a prompt that fills the
    window.
    """
    if num_known >= window:
        raise InputError(f"a prompt of {num_known} frames leaves no room in a window of {window}")
    spans = [(0, min(window, total))]
    while spans[-1][1] < total:
        start = spans[-1][0] + stride
        spans.append((start, min(start + window, total)))
    return spans

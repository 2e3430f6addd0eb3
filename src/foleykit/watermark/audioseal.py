"""AudioSeal (San Roman et al., ICML 2024) as the mark: two networks, one that writes it and one that finds it again.

The package `audioseal` builds the networks; a folder that `foley models convert audioseal` made holds their weights.
Both work on mono sound at 16 kHz; other rates get the mark resampled.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from foleykit.audio.resample import resample
from foleykit.core.checkpoint import frozen, weights_digest, with_weights
from foleykit.core.errors import UsageError
from foleykit.core.signals import Signal, zeros
from foleykit.watermark.code import MESSAGE_BITS, check_message
from foleykit.watermark.detection import MIN_SECONDS, STEP_SECONDS, Detection, merged_spans
from foleykit.watermark.embedding import Marked, check_waveform

Part = Literal["generator", "detector"]
PARTS: tuple[Part, ...] = ("generator", "detector")
RATE = 16_000
INSTALL = "pip install 'foleykit[audioseal]'"

_CARDS = {"generator": "audioseal_wm_16bits", "detector": "audioseal_detector_16bits"}
_BLOCK_SECONDS = 20.0
"""What the networks are shown at once, so that memory stays flat."""
_FADE_SECONDS = 0.5
"""By which the marks of successive blocks overlap, cross-faded, so that none begins with a step."""
_AUDIBLE_POWER = 10 ** (-70 / 10)
_HOP_SECONDS = 0.1
_WINDOW_HOPS = 10
"""A second counts as marked where the detector thinks so of most of its samples."""


@dataclass(frozen=True, kw_only=True, eq=False)
class AudioSealWatermarker:
    """Both networks, on the CPU."""

    generator: nn.Module
    detector: nn.Module
    name: str
    """"audioseal" and a digest of the generator's weights."""

    @classmethod
    def load(cls, folder: Path) -> AudioSealWatermarker:
        """Read a folder that `foley models convert audioseal` made.

        Raises UsageError without the package audioseal or the folder, and ModelError for weights that do not fit.
        """
        missing = [name for part in PARTS if not (folder / (name := f"{part}.safetensors")).is_file()]
        if missing:
            raise UsageError(
                f"{folder} holds no {' and no '.join(missing)}; `foley models convert audioseal` writes such a folder"
            )
        generator, detector = (
            frozen(with_weights(build(part), folder / f"{part}.safetensors"), "cpu") for part in PARTS
        )
        return cls(generator=generator, detector=detector, name=f"audioseal {weights_digest(generator)}")

    def embed(
        self,
        waveform: Signal,
        sample_rate: int,
        message: int,
        *,
        parts: tuple[Signal, ...] = (),
        shift: int | None = None,
    ) -> Marked:
        """Return `waveform` (C, S) with a mark that carries the 16 bits of `message`, channel by channel.

        `parts` (C, S) are each marked by themselves, so that what is left of the marked whole without a marked part is
        the other parts and what differs between the marks. The mark has no pattern that could go on, so `shift` means
        nothing. Raises InputError for an empty waveform, a rate under 8 kHz or a message beyond 16 bits.
        """
        check_waveform(waveform.shape, sample_rate)
        check_message(message)
        bits = torch.tensor([[message >> place & 1 for place in reversed(range(MESSAGE_BITS))]])
        whole, snr_db = self._marked(waveform, sample_rate, bits)
        return Marked(
            waveform=whole,
            parts=tuple(self._marked(part, sample_rate, bits)[0] for part in parts),
            snr_db=snr_db,
            shift=0,
        )

    def detect_parts(self, parts: Iterable[NDArray[np.float32]], sample_rate: int) -> Detection:
        """Return where the detector takes most samples of a second for marked, and the bits it reads there."""
        shares: list[float] = []
        votes = np.zeros(MESSAGE_BITS)
        audible = 0.0
        for number, part in enumerate(parts):
            check_waveform(part.shape, sample_rate)
            skipped = 0 if number == 0 else len(shares) * _HOP_SECONDS - number * STEP_SECONDS
            for found in self._found(part[:, round(skipped * sample_rate) :], sample_rate):
                shares.append(found.share)
                votes += found.votes
                audible += found.audible * _HOP_SECONDS
        return _detection(np.array(shares), votes, audible)

    @torch.inference_mode()
    def _marked(self, sound: Signal, sample_rate: int, bits: Tensor) -> tuple[Signal, float]:
        """Return `sound` (C, S) with its mark, and the level in dB of the one over the other."""
        total = zeros(*sound.shape)
        size, fade = (round(seconds * sample_rate) for seconds in (_BLOCK_SECONDS, _FADE_SECONDS))
        rising = np.linspace(0, 1, fade, dtype=np.float32)
        tail = np.zeros((sound.shape[0], 0), np.float32)
        energies = np.zeros(2)
        for start in range(0, sound.shape[1], size):
            block = sound[:, start : min(start + size + fade, sound.shape[1])]
            mark = self._mark_of(block, sample_rate, bits)
            overlap = min(tail.shape[1], mark.shape[1])
            mark[:, :overlap] = mark[:, :overlap] * rising[:overlap] + tail[:, :overlap] * (1 - rising[:overlap])
            inside, tail = mark[:, :size], mark[:, size:]
            own = block[:, : inside.shape[1]]
            total[:, start : start + own.shape[1]] = own + inside
            energies += [np.vdot(own, own), np.vdot(inside, inside)]
        level, cost = energies
        return total, 10 * math.log10(level / cost) if min(level, cost) > 0 else math.inf

    def _mark_of(self, block: NDArray[np.float32], sample_rate: int, bits: Tensor) -> NDArray[np.float32]:
        """Return the mark (C, n) that goes into `block`; digital silence gets none."""
        low = torch.from_numpy(np.ascontiguousarray(resample(block, sample_rate, RATE)))
        mark = self.generator.get_watermark(low[:, None], message=bits.expand(len(low), -1))[:, 0]  # type: ignore[operator]
        high = resample(mark.numpy(), RATE, sample_rate)
        fitted = np.zeros_like(block)
        length = min(block.shape[1], high.shape[1])
        fitted[:, :length] = high[:, :length]
        return np.where(block == 0, np.float32(0), fitted)

    @torch.inference_mode()
    def _found(self, part: NDArray[np.float32], sample_rate: int) -> Iterator[_Hop]:
        """Yield what the detector says of each tenth of a second of `part` (C, S)."""
        hop, size = round(_HOP_SECONDS * RATE), round(_BLOCK_SECONDS * RATE)
        sound = torch.from_numpy(np.ascontiguousarray(resample(part, sample_rate, RATE)))
        for start in range(0, sound.shape[1], size):
            block = sound[:, start : start + size]
            scores = self.detector.detector(block[:, None])  # type: ignore[operator]
            is_marked = scores[:, :2].softmax(1)[:, 1] > 0.5
            for first in range(0, block.shape[1] - hop + 1, hop):
                span = slice(first, first + hop)
                marked = is_marked[:, span]
                bits = (scores[:, 2:, span] * marked[:, None]).sum((0, 2))
                yield _Hop(
                    share=marked.double().mean().item(),
                    votes=bits.numpy(),
                    audible=bool(block[:, span].square().mean() > _AUDIBLE_POWER),
                )


@dataclass(frozen=True, kw_only=True)
class _Hop:
    """What the detector says of a tenth of a second."""

    share: float
    """Of the samples that are taken for marked."""
    votes: NDArray[np.float32]
    """(16,) logits of the bits, summed over those samples."""
    audible: bool


def _detection(shares: NDArray[np.float64], votes: NDArray[np.float64], audible_seconds: float) -> Detection:
    """Return the verdict on a sound of whose tenths of a second `shares` (N,) of samples are taken for marked."""
    count = max(1, min(_WINDOW_HOPS, len(shares)))
    windows = np.convolve(shares, np.full(count, 1 / count), "valid") if len(shares) else np.zeros(1)
    spans = [(first * _HOP_SECONDS, (first + count) * _HOP_SECONDS) for first in np.flatnonzero(windows > 0.5).tolist()]
    return Detection(
        verdict="found" if spans else "too little" if audible_seconds < MIN_SECONDS else "not found",
        p_value=None,
        score=float(windows.max()),
        message=int("".join("1" if vote > 0 else "0" for vote in votes), 2) if spans else None,
        spans=merged_spans(spans),
        speed=1.0,
        audible_seconds=audible_seconds,
    )


def build(part: Part) -> nn.Module:
    """Return a network of the published 16-bit model with random weights; raises UsageError without audioseal."""
    try:
        # Else its first call compiles for minutes what runs in a tenth of a second.
        os.environ.setdefault("NO_TORCH_COMPILE", "1")
        from audioseal import builder
        from audioseal.loader import AudioSeal, load_local_model_config
    except ModuleNotFoundError as error:
        raise UsageError(f"AudioSeal's mark needs the package audioseal: {INSTALL}") from error
    kind = builder.AudioSealWMConfig if part == "generator" else builder.AudioSealDetectorConfig
    config = AudioSeal.parse_config(load_local_model_config(_CARDS[part]), config_type=kind)
    network: nn.Module = (builder.create_generator if part == "generator" else builder.create_detector)(config)
    return network

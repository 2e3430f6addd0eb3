"""A vocoder against recordings: sound to mel, mel to sound, and how far the spectra are apart."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from foleykit.audio.mel import LogMel
from foleykit.audio.unit_mel import UnitMel
from foleykit.core.errors import InputError
from foleykit.evaluation.metrics.spectral_error import log_spectral_distance, multi_resolution_stft_error


@dataclass(frozen=True, kw_only=True)
class VocoderScore:
    """Spectral errors clip by clip, in the order of the clips; each is better when lower."""

    distances_db: tuple[float, ...]
    """Log-spectral distances."""
    stft_errors: tuple[float, ...]
    """Multi-resolution STFT errors."""

    def means(self) -> dict[str, float]:
        """Return the mean over clips of either figure."""
        return {
            "log_spectral_distance_db": sum(self.distances_db) / len(self.distances_db),
            "multi_resolution_stft": sum(self.stft_errors) / len(self.stft_errors),
        }


@torch.inference_mode()
def score_vocoder(vocoder: Callable[[Tensor], Tensor], mel: UnitMel, waveforms: Sequence[Tensor]) -> VocoderScore:
    """Return how well `vocoder`, natural-log mel (B, M, F) to (B, 1, F hop), gives back `waveforms`, each (S,).

    Raises InputError without waveforms.
    """
    if not waveforms:
        raise InputError("a vocoder is scored on at least one clip")
    distances, errors = [], []
    for waveform in waveforms:
        made = vocoder(mel.natural_log(mel(waveform[None])))[0, 0, : len(waveform)]
        distances.append(log_spectral_distance(waveform, made))
        errors.append(multi_resolution_stft_error(waveform, made))
    return VocoderScore(distances_db=tuple(distances), stft_errors=tuple(errors))


LEAST_LEVEL_DB = -60.0
"""Of a waveform in dBFS, whose level in a reconstruction says something: softer ones are mostly floor."""


def level_error_db(references: Tensor, generated: Tensor) -> float:
    """Return how much louder `generated` is than `references`, both (B, S), in dB: the mean over those above -60 dBFS.

    0 where none is.
    """
    made, true = (10 * (part.square().mean(dim=1) + 1e-12).log10() for part in (generated, references))
    is_heard = true > LEAST_LEVEL_DB
    return (made - true)[is_heard].mean().item() if is_heard.any() else 0.0


@torch.inference_mode()
def reconstruction_scores(
    log_mel: LogMel, references: Sequence[Tensor], generated: Sequence[Tensor]
) -> dict[str, float]:
    """Return how near waveforms (S,) of any codec are to what they were made from, in the mean over clips.

    L1 of log-mels and log-spectral distance in dB, lower is better; level in dB over the reference, best at 0. Raises
    InputError without waveforms and where lengths differ.
    """
    if not references:
        raise InputError("a codec is scored on at least one clip")
    mels, levels, distances = [], [], []
    for reference, made in zip(references, generated, strict=True):
        distances.append(log_spectral_distance(reference, made))
        whole = len(reference) // log_mel.config.hop_length * log_mel.config.hop_length
        one, other = (log_mel(part[None, :whole]) for part in (reference, made))
        mels.append((one - other).abs().mean() * log_mel.config.deviation * 8.686)
        power, reference_power = (part.square().mean() + 1e-12 for part in (made, reference))
        levels.append(10 * (power / reference_power).log10())
    return {
        "mel_l1_db": torch.stack(mels).mean().item(),
        "level_db": torch.stack(levels).mean().item(),
        "log_spectral_distance_db": sum(distances) / len(distances),
    }

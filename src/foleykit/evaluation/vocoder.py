"""A vocoder against recordings: sound to mel, mel to sound, and how far the spectra are apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

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
def score_vocoder(vocoder: nn.Module, mel: UnitMel, waveforms: Sequence[Tensor]) -> VocoderScore:
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

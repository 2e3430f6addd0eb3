"""What is said about a trained vocoder beside its weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from foleykit.codecs.unit_mel_vocoder import WEIGHTS_NAME
from foleykit.core.checkpoint import load_tensors
from foleykit.evaluation.vocoder import VocoderScore

Scores = Mapping[str, VocoderScore]
"""By where the clips come from."""
PLACES = {"world": "unseen places of the world", "recordings": "unseen recordings"}
CARD_NAME, ATTRIBUTION_NAME = "MODEL_CARD.md", "ATTRIBUTION.md"


def write_attribution(folder: Path, credits: Sequence[str]) -> None:
    """Write the list that must go with the vocoder in `folder`: recordings that it was trained on, a line each."""
    licences = {
        "CC BY 3.0": "https://creativecommons.org/licenses/by/3.0/",
        "CC BY 4.0": "https://creativecommons.org/licenses/by/4.0/",
        "CC0": "https://creativecommons.org/publicdomain/zero/1.0/",
    }
    lines = [
        f"# Recordings in the training sound of {folder.name}",
        "",
        "Each line: file in the training set, author, licence, source; cut, levelled and resampled.",
        " · ".join(f"{name}: {address}" for name, address in licences.items()),
        "",
        *(f"- {credit}" for credit in credits),
    ]
    (folder / ATTRIBUTION_NAME).write_text("\n".join(lines) + "\n")


def write_card(folder: Path, settings: Mapping[str, Any], *, ours: Scores, griffin_lim: Scores) -> None:
    """Write the model card of the vocoder in `folder`, trained with `settings`."""
    training = settings["training"]
    num_parameters = sum(tensor.numel() for tensor in load_tensors(folder / WEIGHTS_NAME).values())
    num_bytes = (folder / WEIGHTS_NAME).stat().st_size
    rows = [
        f"| {PLACES[source]} | {len(scores[source].distances_db)} | {name} | "
        f"{scores[source].means()['log_spectral_distance_db']:.2f} dB | "
        f"{scores[source].means()['multi_resolution_stft']:.3f} |"
        for source in ours
        for name, scores in (("this vocoder", ours), ("Griffin-Lim, 32 iterations", griffin_lim))
    ]
    recordings = settings["num_recordings"]
    sources = "sound of the procedural world" + (
        f" and {recordings} recordings, used as they are; [ATTRIBUTION.md]({ATTRIBUTION_NAME}) names them"
        if recordings
        else ""
    )
    lines = [
        "---",
        "license: apache-2.0",
        "---",
        f"# {folder.name}",
        "",
        f"ConvNeXt blocks and an inverse STFT (the idea of Vocos, Siuzdak 2023), {num_parameters / 1e6:.2f} million "
        f"parameters, stored as fp16 in {num_bytes / 1e6:.1f} MB: natural-log mel of 128 bins, 125 to 7600 Hz, hop "
        "256, and noise, to 16 kHz mono sound. Converted Action2Sound models use it unless they are given another.",
        "",
        "## Training",
        "",
        f"{training['num_steps']} steps of {settings['batch_size']} crops, learning rate "
        f"{training['learning_rate']:g}, the first {training['adversarial_start']} without discriminators, seed "
        f"{training['seed']}, torch {settings['torch']}. Data: {sources}.",
        "",
        "## Results",
        "",
        "Sound to mel and back; lower is better. `benchmarks/vocoder.py` makes the same table of the test split.",
        "",
        "| validation clips | number | vocoder | log-spectral distance | multi-resolution STFT error |",
        "|---|---|---|---|---|",
        *rows,
        "",
        "## Limits",
        "",
        "Sound above 7.6 kHz and below 125 Hz is not in the mel: what is heard there is a guess. Speech and music "
        "were no part of the training.",
    ]
    (folder / CARD_NAME).write_text("\n".join(lines) + "\n")

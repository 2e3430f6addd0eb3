"""A trained vocoder on disk: hifigan.json in the words of published vocoders, vocoder.safetensors, MODEL_CARD.md."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from foleykit.audio.unit_mel import UnitMelConfig
from foleykit.codecs.hifigan import HifiGan
from foleykit.core.checkpoint import frozen, load_tensors, save_weights
from foleykit.core.errors import ModelError
from foleykit.evaluation.vocoder import VocoderScore
from foleykit.models.avldm.published.convert import from_vocoder, vocoder_config
from foleykit.models.avldm.published.presets import action2sound

CONFIG_NAME = "hifigan.json"
WEIGHTS_NAME = "vocoder.safetensors"
CARD_NAME = "MODEL_CARD.md"


def save_vocoder(vocoder: HifiGan, mel: UnitMelConfig, folder: Path) -> None:
    """Write weights as fp16, and sizes with the mel that the vocoder takes."""
    sizes = vocoder.config
    stated = {
        "resblock": sizes.resblock,
        "num_mels": sizes.num_mels,
        "upsample_initial_channel": sizes.width,
        "upsample_rates": sizes.upsample_rates,
        "upsample_kernel_sizes": sizes.upsample_kernels,
        "resblock_kernel_sizes": sizes.resblock_kernels,
        "resblock_dilation_sizes": sizes.resblock_dilations,
        "sampling_rate": mel.sample_rate,
        "n_fft": mel.n_fft,
        "win_size": mel.n_fft,
        "hop_size": mel.hop_length,
        "fmin": mel.min_hz,
        "fmax": mel.max_hz,
    }
    folder.mkdir(parents=True, exist_ok=True)
    save_weights(vocoder, folder / WEIGHTS_NAME, half=True)
    (folder / CONFIG_NAME).write_text(json.dumps(stated, indent=2) + "\n")


def load_vocoder(folder: Path) -> HifiGan:
    """Return the vocoder of a folder, read as a conversion of Action2Sound reads it.

    Raises ModelError when the folder holds none or one for another mel.
    """
    entries = load_tensors(folder / WEIGHTS_NAME)
    try:
        stated = json.loads((folder / CONFIG_NAME).read_text())
    except (OSError, json.JSONDecodeError) as error:
        raise ModelError(f"{folder / CONFIG_NAME} does not describe the vocoder: {error}") from error
    config = vocoder_config(entries, stated, action2sound(), source=WEIGHTS_NAME)
    vocoder = HifiGan(config)
    vocoder.load_state_dict(from_vocoder(entries, config, source=WEIGHTS_NAME).parts["vocoder"])
    return frozen(vocoder, "cpu")


def write_card(folder: Path, settings: Mapping[str, Any], *, ours: VocoderScore, griffin_lim: VocoderScore) -> None:
    """Write the model card of the vocoder in `folder`, trained with `settings`."""
    training = settings["training"]
    num_parameters = sum(tensor.numel() for tensor in load_tensors(folder / WEIGHTS_NAME).values())
    num_bytes = (folder / WEIGHTS_NAME).stat().st_size
    rows = [
        f"| {name} | {means['log_spectral_distance_db']:.2f} dB | {means['multi_resolution_stft']:.3f} |"
        for name, means in (("this vocoder", ours.means()), ("Griffin-Lim, 32 iterations", griffin_lim.means()))
    ]
    recordings = settings["num_recordings"]
    sources = "sound of the procedural world" + (
        f" and {recordings} recordings, used as they are; name their authors and licences in ATTRIBUTION.md"
        if recordings
        else ""
    )
    lines = [
        "---",
        "license: apache-2.0",
        "---",
        f"# {folder.name}",
        "",
        f"HiFi-GAN (Kong et al. 2020) with {num_parameters / 1e6:.2f} million parameters, stored as fp16 in "
        f"{num_bytes / 1e6:.1f} MB: natural-log mel of 128 bins, 125 to 7600 Hz, hop 256, to 16 kHz mono sound. "
        "Converted Action2Sound models use it unless they are given another.",
        "",
        "## Training",
        "",
        f"{training['num_steps']} steps of {settings['batch_size']} crops, learning rate "
        f"{training['learning_rate']:g}, the first {training['adversarial_start']} without discriminators, seed "
        f"{training['seed']}, torch {settings['torch']}. Data: {sources}.",
        "",
        "## Results",
        "",
        f"{len(ours.distances_db)} clips of unseen places of the world, sound to mel and back; lower is better. "
        "`benchmarks/vocoder.py` makes the same table on held-out recordings.",
        "",
        "| | log-spectral distance | multi-resolution STFT error |",
        "|---|---|---|",
        *rows,
        "",
        "## Limits",
        "",
        "Sound above 7.6 kHz and below 125 Hz is not in the mel: what is heard there is a guess. Speech and music "
        "were no part of the training.",
    ]
    (folder / CARD_NAME).write_text("\n".join(lines) + "\n")

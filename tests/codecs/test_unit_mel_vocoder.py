"""The vocoder of published mels: lengths, noise, where its tones lie, its folder, and what the shipped one can do."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor

from foleykit.audio.unit_mel import UnitMel, UnitMelConfig
from foleykit.codecs.griffin_lim import GriffinLim
from foleykit.codecs.unit_mel_vocoder import (
    FRAMES_PER_TURN,
    UnitMelVocoder,
    UnitMelVocoderConfig,
    carrier_of,
    load_vocoder,
    save_vocoder,
)
from foleykit.core.errors import ConfigError, ModelError
from foleykit.evaluation.vocoder import score_vocoder
from foleykit.jobs.convert import SHIPPED_VOCODER

SMALL = UnitMelVocoderConfig(width=16, num_blocks=1)


def small() -> UnitMelVocoder:
    torch.manual_seed(0)
    return UnitMelVocoder(SMALL).eval()


@pytest.mark.parametrize("num_columns", [1, 2, 7, 40])
@torch.inference_mode()
def test_a_column_is_a_hop_of_samples(num_columns: int) -> None:
    vocoder, mel = small(), torch.randn(2, 128, num_columns)
    assert vocoder.sound(mel).shape == (2, 1, num_columns * 256)
    assert vocoder.sound(mel).isfinite().all()


@torch.inference_mode()
def test_the_noise_is_a_function_of_the_seed_and_reaches_the_sound() -> None:
    vocoder, mel = small(), torch.randn(1, 128, 12)
    assert torch.equal(vocoder.sound(mel, seed=3), vocoder.sound(mel, seed=3))
    assert not torch.equal(vocoder.sound(mel, seed=3), vocoder.sound(mel, seed=4))


@torch.inference_mode()
def test_the_level_is_that_of_the_mel_from_the_first_sample_to_the_last() -> None:
    """Frames say the same at every place here; where fewer of them overlap, what is there is not quieter."""
    vocoder = small()
    for parameter in vocoder.head.parameters():
        parameter.zero_()
    made = vocoder.sound(torch.full((1, 128, 20), -3.0))[0, 0]
    inner = made[2048:-2048].square().mean()
    for end in (made[:1024], made[-1024:]):
        assert 0.2 < end.square().mean() / inner < 5


@torch.inference_mode()
def test_a_steady_mel_gives_tones_at_the_bins_and_not_at_the_frame_rate() -> None:
    """Without its carrier a network that says the same in every frame could only make multiples of 62.5 Hz."""
    vocoder = small()
    for parameter in vocoder.head.parameters():
        parameter.zero_()
    log_mel = torch.full((1, 128, 64), -9.0)
    log_mel[:, 17] = 0.0
    made = vocoder.sound(log_mel)[0, 0, 4096:-4096]
    spectrum = torch.fft.rfft(made * torch.hann_window(len(made))).abs()
    loudest = float(spectrum.argmax()) * 16_000 / len(made)
    centre = float((UnitMel(UnitMelConfig()).filters[:, 17].argmax()) * 16_000 / 1024)
    assert abs(loudest - centre) < 16_000 / 1024
    assert abs(loudest / 62.5 - round(loudest / 62.5)) > 0.1


def test_a_part_of_a_mel_has_the_carrier_of_the_whole() -> None:
    whole = carrier_of(513, 40)
    assert torch.equal(whole[:, 3 * FRAMES_PER_TURN :], carrier_of(513, 40 - 3 * FRAMES_PER_TURN))
    # A tone at a bin's own frequency turns by this much over a hop.
    turned = torch.polar(torch.ones(513), 2 * torch.pi * torch.arange(513) * 256 / 1024)
    step = torch.polar(torch.ones(513), whole[:, 6] - whole[:, 5])
    torch.testing.assert_close(step, turned, atol=1e-3, rtol=0)


def test_a_folder_gives_back_the_vocoder(tmp_path: Path) -> None:
    vocoder = small()
    save_vocoder(vocoder, tmp_path / "vocoder")
    loaded = load_vocoder(tmp_path / "vocoder")
    assert loaded.config == SMALL
    for name, tensor in vocoder.state_dict().items():
        torch.testing.assert_close(loaded.state_dict()[name], tensor.half().float())
    (tmp_path / "vocoder" / "vocoder.json").unlink()
    with pytest.raises(ModelError, match=r"no vocoder\.json"):
        load_vocoder(tmp_path / "vocoder")


def test_impossible_sizes_are_refused() -> None:
    with pytest.raises(ConfigError, match="four hops"):
        UnitMelVocoderConfig(n_fft=2048)
    with pytest.raises(ConfigError, match="beyond the 80 that chunks"):
        UnitMelVocoderConfig(num_iterations=18)


@torch.no_grad()
def test_nothing_is_seen_beyond_the_reach() -> None:
    vocoder, generator = small(), torch.Generator().manual_seed(0)
    log_mel = torch.randn(1, SMALL.mel.num_mels, 120, generator=generator) - 4
    noise = torch.randn(vocoder.noise_shape(log_mel), generator=generator)
    sound = vocoder(log_mel, noise)[0, 0, : SMALL.mel.hop_length]
    for distance, is_seen in ((SMALL.reach + 1, False), (SMALL.reach // 2, True)):
        changed = log_mel.clone()
        changed[..., distance:] += 3
        assert torch.equal(sound, vocoder(changed, noise)[0, 0, : SMALL.mel.hop_length]) != is_seen


def knocks() -> Tensor:
    """Return 3 s (S,) of damped modes over a breath of noise: nothing that the shipped weights have heard."""
    generator = torch.Generator().manual_seed(5)
    times = torch.arange(48_000) / 16_000
    sound = 0.003 * torch.randn(48_000, generator=generator)
    for start, pitches in (
        (0.4, (310.0, 820.0, 1730.0)),
        (1.3, (540.0, 1390.0, 3110.0)),
        (2.2, (205.0, 610.0, 2450.0)),
    ):
        after = (times - start).clamp(min=0)
        for number, pitch in enumerate(pitches):
            mode = torch.sin(2 * torch.pi * pitch * after) * torch.exp(-after * (8 + 6 * number))
            sound += 0.15 / (1 + number) * mode * (times >= start)
    return sound


@pytest.fixture(scope="module")
def shipped() -> UnitMelVocoder:
    return load_vocoder(SHIPPED_VOCODER)


def test_the_shipped_vocoder_fits_the_published_mel_in_six_megabytes(shipped: UnitMelVocoder) -> None:
    assert shipped.config.mel == UnitMelConfig()
    assert sum(path.stat().st_size for path in SHIPPED_VOCODER.iterdir()) <= 6e6
    stated = json.loads((SHIPPED_VOCODER / "vocoder.json").read_text())
    assert stated["mel"]["num_mels"] == 128
    assert {"MODEL_CARD.md", "ATTRIBUTION.md"} <= {path.name for path in SHIPPED_VOCODER.iterdir()}


def test_the_shipped_vocoder_is_nearer_to_a_sound_than_griffin_lim(shipped: UnitMelVocoder) -> None:
    mel, clip = UnitMel(UnitMelConfig()), knocks()
    ours, theirs = (score_vocoder(each, mel, [clip]).means() for each in (shipped.sound, GriffinLim(UnitMelConfig())))
    assert ours["log_spectral_distance_db"] < theirs["log_spectral_distance_db"]


@torch.inference_mode()
def test_the_shipped_vocoder_keeps_the_level(shipped: UnitMelVocoder) -> None:
    mel, clip = UnitMel(UnitMelConfig()), knocks()
    made = shipped.sound(mel.natural_log(mel(clip[None])))[0, 0, : len(clip)]
    assert abs(20 * float((made.std() / clip.std()).log10())) < 3

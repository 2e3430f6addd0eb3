"""Cnn14: decibels, sizes, and what a published file must hold."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from foleykit.core.checkpoint import save_weights
from foleykit.core.config import save_config
from foleykit.core.errors import ConfigError, InputError, ModelError
from foleykit.encoders.audio.cnn14 import (
    COSINES,
    FILTERS,
    SINES,
    Cnn14,
    Cnn14Config,
    Cnn14Encoder,
    DecibelMel,
    cnn14_16k,
    cnn14_32k,
    config_of,
    from_published,
    front_end_entries,
)

SMALL = replace(cnn14_16k(), widths=(2, 4, 4, 8), num_classes=5)


@pytest.mark.parametrize("config", [cnn14_16k(), cnn14_32k()], ids=["16k", "32k"])
def test_twice_the_amplitude_is_six_decibels_more(config: Cnn14Config) -> None:
    waveform = torch.randn(1, config.sample_rate)
    front_end = DecibelMel(config)
    once, twice = front_end(waveform), front_end(2 * waveform)
    assert once.shape == (1, 1, 101, 64)
    torch.testing.assert_close(twice - once, torch.full_like(once, 6.0206), atol=1e-3, rtol=0)


def test_silence_is_at_the_floor() -> None:
    assert DecibelMel(SMALL)(torch.zeros(1, 8000)).unique().tolist() == [-100]


def test_an_encoder_is_the_same_after_saving(tmp_path: Path) -> None:
    network = Cnn14(SMALL).eval()
    save_weights(network, tmp_path / "model.safetensors")
    save_config(SMALL, tmp_path / "config.json")
    waveform = torch.randn(2, 8000)
    tags = Cnn14Encoder.load(tmp_path)(waveform)
    assert tags.embedding.shape == (2, 8) and tags.logits.shape == (2, 5)
    assert tags.embedding.min() >= 0
    torch.testing.assert_close(tags.logits, Cnn14Encoder(network).eval()(waveform).logits)


def test_clips_do_not_influence_each_other() -> None:
    encoder = Cnn14Encoder(Cnn14(SMALL)).eval()
    waveform = torch.randn(3, 8000)
    torch.testing.assert_close(encoder(waveform).logits[1:2], encoder(waveform[1:2]).logits)


def test_too_short_a_sound_is_refused() -> None:
    shortest = 31 * 320
    assert len(Cnn14(SMALL)(torch.zeros(1, 1, 8, 64)).logits) == 1
    assert DecibelMel(cnn14_32k())(torch.randn(1, shortest)).shape[2] == 32
    with pytest.raises(InputError, match=r"at least 9920 samples at 32000 Hz \(0.31 s\)"):
        DecibelMel(cnn14_32k())(torch.randn(1, shortest - 1))


def published() -> dict[str, Tensor]:
    return Cnn14(SMALL).state_dict() | front_end_entries(SMALL)


def test_a_published_file_says_which_network_it_is() -> None:
    for config in (cnn14_16k(), cnn14_32k()):
        assert config_of(front_end_entries(config), source="c.pth") == config
    with pytest.raises(ModelError, match=r"neither Cnn14 nor Cnn14_16k: .*absent"):
        config_of({}, source="c.pth")
    with pytest.raises(ModelError, match=r"neither .* has shape \(129, 64\)"):
        config_of({FILTERS: torch.zeros(129, 64)}, source="c.pth")


def test_a_published_file_needs_no_counters_and_any_sign_of_sines() -> None:
    entries = published()
    whole = from_published(entries, SMALL, source="c.pth")
    old = {name: tensor for name, tensor in entries.items() if not name.endswith("num_batches_tracked")}
    old[SINES] = -old[SINES]
    assert from_published(old, SMALL, source="c.pth").keys() == whole.keys() == Cnn14(SMALL).state_dict().keys()
    Cnn14(SMALL).load_state_dict(from_published(old, SMALL, source="c.pth"))


@pytest.mark.parametrize("name", [COSINES, SINES, FILTERS])
def test_another_front_end_is_refused(name: str) -> None:
    entries = published()
    entries[name] = entries[name] * 1.01 + 1e-4
    with pytest.raises(ModelError, match=f"another front end: {name}"):
        from_published(entries, SMALL, source="c.pth")


def test_the_filters_of_another_range_are_refused() -> None:
    entries = published() | {FILTERS: DecibelMel(replace(SMALL, max_hz=7_000.0)).filters}
    with pytest.raises(ModelError, match="another front end"):
        from_published(entries, SMALL, source="c.pth")


def test_other_files_are_refused_in_one_line() -> None:
    entries = published()
    del entries["fc1.bias"]
    entries["fc2.bias"] = torch.zeros(3)
    with pytest.raises(ModelError, match=r"c.pth does not fit; 1 missing: fc1.bias; 1 unexpected: fc2.bias$"):
        from_published(entries, SMALL, source="c.pth")


def test_a_config_refuses_frequencies_that_do_not_exist() -> None:
    with pytest.raises(ConfigError, match="does not fit"):
        replace(cnn14_16k(), max_hz=14_000.0)

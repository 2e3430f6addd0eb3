"""Front end, autoencoder and vocoder agree on their clocks."""

import pytest
import torch

from foleykit.audio.mel import LogMel, LogMelConfig
from foleykit.codecs.griffin_lim import LogMelGriffinLim
from foleykit.codecs.istft_vocoder import IstftVocoder, IstftVocoderConfig
from foleykit.codecs.mel_vae import MelVae, MelVaeConfig
from foleykit.core.errors import ConfigError


def test_a_click_shows_in_the_mel_frame_whose_span_holds_it() -> None:
    waveform = torch.zeros(1, 16_000)
    waveform[0, 160 * 37 + 80] = 1.0
    assert LogMel(LogMelConfig())(waveform).mean(dim=1).argmax().item() == 37


def test_mel_has_one_frame_per_hop() -> None:
    assert LogMel(LogMelConfig())(torch.randn(2, 160 * 50)).shape == (2, 80, 50)


def test_louder_by_ten_decibels_adds_the_same_to_every_bin() -> None:
    config = LogMelConfig(floor=1e-9)
    front = LogMel(config)
    waveform = torch.randn(1, 8_000)
    gain = 10 ** (10 / 20)
    difference = (front(waveform * gain) - front(waveform)) * config.deviation
    torch.testing.assert_close(difference.exp(), torch.full_like(difference, gain), rtol=1e-3, atol=0)


def test_an_odd_margin_is_refused() -> None:
    with pytest.raises(ConfigError, match="even"):
        LogMelConfig(hop_length=161)


def test_latents_cover_exactly_their_hops_and_decode_to_as_many_mel_frames() -> None:
    codec = MelVae(MelVaeConfig(width=16, latent_width=4, num_blocks=1))
    latents = codec.encode(torch.randn(2, codec.config.hop_length * 10))
    assert latents.shape == (2, 4, 10)
    assert codec.decode(latents).shape == (2, 80, 40)


def test_each_halving_doubles_the_mel_frames_of_a_latent() -> None:
    codec = MelVae(MelVaeConfig(width=16, latent_width=4, num_blocks=1, num_halvings=3))
    latents = codec.encode(torch.randn(1, codec.config.hop_length * 5))
    assert codec.config.hop_length == 8 * 160 and latents.shape == (1, 4, 5)
    assert codec.decode(latents).shape == (1, 80, 40)
    with pytest.raises(ConfigError, match="num_halvings"):
        MelVaeConfig(num_halvings=0)


def test_latent_statistics_only_rescale() -> None:
    codec = MelVae(MelVaeConfig(width=16, latent_width=4, num_blocks=1)).eval()
    waveform = torch.randn(1, codec.config.hop_length * 8)
    before = codec.decode(codec.encode(waveform))
    codec.latent_mean.fill_(0.7)
    codec.latent_deviation.fill_(2.5)
    torch.testing.assert_close(codec.decode(codec.encode(waveform)), before)


def test_the_vocoder_writes_one_hop_of_samples_per_mel_frame() -> None:
    vocoder = IstftVocoder(IstftVocoderConfig(width=16, num_blocks=1))
    mel = torch.randn(2, 80, 30)
    assert vocoder(mel, torch.randn(vocoder.noise_shape(mel))).shape == (2, 30 * 160)


def test_overlap_add_inverts_a_windowed_analysis() -> None:
    """Frames cut from a signal and windowed once sum back to the signal."""
    vocoder = IstftVocoder(IstftVocoderConfig(width=16, num_blocks=1))
    signal = torch.randn(1, 160 * 40)
    padded = torch.nn.functional.pad(signal, (240, 240))
    frames = padded.unfold(1, 640, 160).transpose(1, 2) * vocoder.window[:, None]
    torch.testing.assert_close(vocoder._overlap_add(frames)[:, 480:-480], signal[:, 480:-480])


def test_an_untrained_vocoder_already_follows_the_level_of_the_mel() -> None:
    """The guess from the mel itself is within a few dB per decade, whatever the head's noise says about phase."""
    torch.manual_seed(0)
    vocoder = IstftVocoder(IstftVocoderConfig(width=16, num_blocks=1))
    front = LogMel(vocoder.config.mel)

    def level_db(gain: float) -> float:
        mel = front(gain * torch.randn(1, 16_000))
        return 20 * vocoder(mel, torch.randn(vocoder.noise_shape(mel))).std().log10().item()

    assert level_db(0.1) - level_db(0.001) == pytest.approx(40, abs=1)


def test_griffin_lim_returns_the_mel_it_was_given() -> None:
    """Its own mel is within a decibel or two of the given one, in place: half a hop off would be seen."""
    config = LogMelConfig()
    front, phase = LogMel(config), LogMelGriffinLim(config)
    time = torch.arange(16_000) / config.sample_rate
    waveform = 0.2 * (2 * torch.pi * 440 * time).sin() + 0.01 * torch.randn(16_000)
    waveform[8000:8400] += 0.5 * torch.randn(400)
    mel = front(waveform[None])
    made = phase(mel)
    assert made.shape == (1, 16_000) and torch.equal(made, phase(mel))
    assert float((front(made) - mel).abs().mean()) * config.deviation * 8.686 < 1.5
    assert int(made[0].abs().unfold(0, 400, 80).mean(dim=1).argmax()) * 80 == pytest.approx(8000, abs=160)

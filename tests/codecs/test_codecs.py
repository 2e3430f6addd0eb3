"""Front end, autoencoder and vocoder agree on their clocks."""

import pytest
import torch

from foleykit.audio.mel import LogMel, LogMelConfig
from foleykit.codecs.griffin_lim import LogMelGriffinLim
from foleykit.codecs.istft_vocoder import IstftVocoder, IstftVocoderConfig
from foleykit.codecs.mel_vae import MelVae, MelVaeConfig
from foleykit.codecs.wave_vae import mel_48k
from foleykit.core.checkpoint import frozen, with_weights
from foleykit.core.config import load_config
from foleykit.core.errors import ConfigError
from foleykit.evaluation.metrics.frame_pattern import frame_pattern_db
from foleykit.jobs.models import model_folder
from foleykit.models.avldm.config import AvLdmConfig


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


def test_louder_latents_sound_louder_and_mean_the_same() -> None:
    codec = MelVae(MelVaeConfig(width=16, latent_width=4, num_blocks=1)).eval()
    waveform = torch.randn(1, codec.config.hop_length * 8)
    latents = codec.encode(waveform)
    before = codec.log_mel.magnitude(codec.decode(latents))
    codec.louder_(6.0)
    assert torch.equal(codec.encode(waveform), latents)
    louder = codec.log_mel.magnitude(codec.decode(latents))
    torch.testing.assert_close(louder / before, torch.full_like(before, 10 ** (6 / 20)), rtol=1e-3, atol=0)


def test_the_vocoder_writes_one_hop_of_samples_per_mel_frame() -> None:
    vocoder = IstftVocoder(IstftVocoderConfig(width=16, num_blocks=1))
    mel = torch.randn(2, 80, 30)
    assert vocoder(mel, torch.randn(vocoder.noise_shape(mel))).shape == (2, 30 * 160)


def test_synthesis_inverts_analysis() -> None:
    vocoder = IstftVocoder(IstftVocoderConfig(width=16, num_blocks=1))
    signal = torch.randn(1, 160 * 40)
    torch.testing.assert_close(vocoder.synthesised(vocoder.analysed(signal))[:, 480:-480], signal[:, 480:-480])


def test_iterations_lead_to_the_mel_that_was_given() -> None:
    torch.manual_seed(0)
    vocoder = IstftVocoder(IstftVocoderConfig(width=16, num_blocks=1)).eval()
    front = LogMel(vocoder.config.mel)
    noise = 0.05 * torch.randn(1, 48_000)
    tone = 0.2 * (2 * torch.pi * 437 * torch.arange(48_000) / 16_000).sin()
    for waveform in (noise, noise + tone):
        mel = front(waveform)
        breath = torch.randn(vocoder.noise_shape(mel))
        errors = []
        with torch.inference_mode():
            for count in (0, 4, 16):
                made = vocoder(mel, breath, num_iterations=count)
                errors.append(float((front(made) - mel).abs().mean()) * vocoder.config.mel.deviation * 8.686)
        assert errors[0] > errors[1] > errors[2] and errors[2] < 2
    level = 20 * (vocoder(front(noise), breath).std() / noise.std()).log10().item()
    assert abs(level) < 1.5


def test_iterations_take_the_pulse_of_frames_from_what_the_shipped_vocoder_says() -> None:
    torch.manual_seed(0)
    folder = model_folder("tiny-avldm")
    config = load_config(AvLdmConfig, folder / "config.json")
    vocoder = frozen(with_weights(IstftVocoder(config.vocoder), folder / "vocoder.safetensors"), "cpu")
    hum = sum(
        0.05 / order * (2 * torch.pi * 118 * order * torch.arange(48_000) / 16_000).sin() for order in range(1, 9)
    )
    mel = LogMel(config.codec.mel)(hum + 0.002 * torch.randn(1, 48_000))
    breath = torch.randn(vocoder.noise_shape(mel))
    before, after = (
        frame_pattern_db([vocoder(mel, breath, num_iterations=count)[0]], sample_rate=16_000, hop_length=160)
        for count in (0, config.vocoder.num_iterations)
    )
    assert after < before - 3


def test_a_window_of_its_own_does_not_shift_the_level_of_noise() -> None:
    torch.manual_seed(0)
    vocoder = IstftVocoder(IstftVocoderConfig(mel=mel_48k(), n_fft=960, width=16, num_blocks=1)).eval()
    noise = 0.05 * torch.randn(1, 48_000)
    mel = LogMel(mel_48k())(noise)
    made = vocoder(mel, torch.randn(vocoder.noise_shape(mel)))
    assert abs(20 * (made.std() / noise.std()).log10().item()) < 1.5


@torch.no_grad()
def test_nothing_is_heard_from_beyond_the_reach() -> None:
    torch.manual_seed(0)
    vocoder = IstftVocoder(IstftVocoderConfig(width=16, num_blocks=1, num_iterations=5)).eval()
    mel = torch.randn(1, 80, 120)
    breath, reach = torch.randn(vocoder.noise_shape(mel)), vocoder.config.reach
    one, other = (vocoder(mel * (torch.arange(120) < last), breath)[:, : 40 * 160] for last in (40 + reach, 120))
    torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-5)
    with pytest.raises(ConfigError, match="0 or more"):
        IstftVocoderConfig(num_iterations=-1)


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

"""Operations keep magnitudes, weights have unit norm, shapes fit; BigVGAN's activations do not alias."""

from __future__ import annotations

import math

import pytest
import torch

from foleykit.codecs.bigvgan import BigVganConfig, SnakeActivation, low_pass
from foleykit.codecs.magnitude_vae import (
    MagnitudeVae,
    MagnitudeVaeConfig,
    activate,
    blend,
    effective_weight,
    mel_16k,
    mel_44k,
    pixel_norm,
)
from foleykit.core.errors import ConfigError

TINY = BigVganConfig(width=64, resblock_kernels=(3,), dilations=(1,))


def rms(x: torch.Tensor) -> float:
    return float(x.square().mean().sqrt())


def test_operations_keep_the_magnitude_of_unit_signals() -> None:
    torch.manual_seed(0)
    a, b = torch.randn(2, 64, 2000), torch.randn(2, 64, 2000)
    assert rms(activate(a)) == pytest.approx(1, abs=0.01)
    assert rms(blend(a, b)) == pytest.approx(1, abs=0.01)
    norms = pixel_norm(7 * a).square().mean(dim=1)
    torch.testing.assert_close(norms, torch.ones_like(norms), atol=1e-3, rtol=0)


def test_effective_weights_have_unit_norm_whatever_their_size() -> None:
    raw = torch.randn(5, 7, 3)
    made = effective_weight(raw)
    torch.testing.assert_close(made.flatten(1).norm(dim=1), torch.ones(5), atol=1e-3, rtol=0)
    torch.testing.assert_close(effective_weight(10 * raw), made, atol=1e-3, rtol=0)


def test_shapes_and_statistics_of_the_codec() -> None:
    codec = MagnitudeVae(MagnitudeVaeConfig(width=8, num_blocks=1)).eval()
    codec.data_mean += 3
    mel = torch.randn(2, 80, 21)
    mean, log_variance = codec.posterior(mel)
    assert mean.shape == log_variance.shape == (2, 20, 10)
    assert codec.decode(mean).shape == (2, 80, 20)
    # The untrained gain is one, and the statistics are put back at the end.
    torch.testing.assert_close(codec.decode(mean), codec.decoder(mean) + 3)


@pytest.mark.parametrize(("config", "base"), [(mel_16k(), 10.0), (mel_44k(), math.e)])
def test_mels_are_logarithms_of_the_stated_base(config, base: float) -> None:
    codec = MagnitudeVae(MagnitudeVaeConfig(mel=config, width=8, num_blocks=1))
    waveform = 0.1 * torch.randn(1, 20 * config.hop_length)
    louder = codec.mel(2 * waveform) - codec.mel(waveform)
    torch.testing.assert_close(louder.median(), torch.tensor(math.log(2, base)), atol=1e-3, rtol=0)
    assert codec.mel(waveform[:, :-3]).shape[2] == 19
    assert torch.equal(codec.mel(30 * waveform), codec.mel((30 * waveform).clamp(-1, 1)))


def test_the_filter_passes_low_and_stops_high_frequencies() -> None:
    response = torch.fft.rfft(low_pass(), 240).abs()
    assert low_pass().sum() == pytest.approx(1)
    assert (response[:12] - 1).abs().max() < 0.02 and response[110:].max() < 0.01


def test_resampling_around_the_activation_gives_slow_signals_back() -> None:
    activation = SnakeActivation(1)
    x = torch.sin(torch.arange(200) * 0.2)[None, None]
    torch.testing.assert_close(
        activation.downsample(activation.upsample(x))[..., 20:-20], x[..., 20:-20], atol=0.01, rtol=0
    )
    # With an endless beta nothing is added, and the activation is that round trip.
    activation.log_beta.data.fill_(20.0)
    torch.testing.assert_close(activation(x), activation.downsample(activation.upsample(x)), atol=1e-6, rtol=0)


def test_impossible_sizes_are_refused() -> None:
    with pytest.raises(ConfigError, match="cannot be halved"):
        BigVganConfig(width=100)

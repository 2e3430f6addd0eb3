"""The waveform autoencoder at debug size: lengths, channels, chunks, refusals, and that it learns one batch."""

from __future__ import annotations

import math

import pytest
import torch

from foleykit.codecs.hifigan_discriminators import (
    HifiGanDiscriminators,
    HifiGanDiscriminatorsConfig,
    debug_discriminators,
)
from foleykit.codecs.istft_vocoder import IstftVocoderConfig
from foleykit.codecs.mel_vae import MelVaeConfig
from foleykit.codecs.wave_vae import CHUNK_FRAMES, WaveVae, WaveVaeConfig, mel_48k
from foleykit.codecs.wave_vae_objective import WaveVaeObjective, WaveVaeObjectiveConfig
from foleykit.core.checkpoint import shapes_of
from foleykit.core.errors import ConfigError, InputError
from foleykit.core.types import AudioBatch

CONFIG = WaveVaeConfig(
    mel_vae=MelVaeConfig(mel=mel_48k(), width=16, latent_width=6, num_blocks=1, num_halvings=3),
    vocoder=IstftVocoderConfig(mel=mel_48k(), n_fft=960, width=16, num_blocks=1),
)
HOP = CONFIG.hop_length


def codec_of() -> WaveVae:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        codec = WaveVae(CONFIG).eval()
    generator = torch.Generator().manual_seed(1)
    mel = torch.cat([codec.mel_vae.log_mel(hits(generator)) for _ in range(8)])
    codec.mel_vae.fit_linear(mel)
    return codec


def hits(generator: torch.Generator) -> torch.Tensor:
    """Return (2, S): decaying tones over noise, as struck things sound."""
    time = torch.arange(8 * HOP) / CONFIG.sample_rate
    tones = [
        0.5 * torch.exp(-30 * time) * torch.sin(2 * torch.pi * hz * time)
        for hz in (300 + 6000 * torch.rand(2, generator=generator)).tolist()
    ]
    return torch.stack(tones) + 0.003 * torch.randn(2, len(time), generator=generator)


def noise_for(codec: WaveVae, latents: torch.Tensor) -> torch.Tensor:
    return torch.randn(codec.noise_shape(latents), generator=torch.Generator().manual_seed(5))


@pytest.mark.parametrize("num_samples", [1, HOP, HOP + 1, 20_000])
@torch.inference_mode()
def test_frames_cover_every_sample_at_a_constant_rate(num_samples: int) -> None:
    codec = codec_of()
    latents = codec.encode(0.1 * torch.randn(2, 1, num_samples))
    assert latents.shape == (2, 6, -(-num_samples // HOP))
    assert codec.decode(latents, noise_for(codec, latents)).shape == (2, 1, latents.shape[2] * HOP)


@torch.inference_mode()
def test_stereo_is_two_channels_coded_one_by_one() -> None:
    codec = codec_of()
    stereo = hits(torch.Generator().manual_seed(3))[None]
    latents = codec.encode(stereo)
    assert latents.shape == (1, 12, 8)
    torch.testing.assert_close(latents[:, 6:], codec.encode(stereo[:, 1:]))
    noise = noise_for(codec, latents)
    made = codec.decode(latents, noise)
    assert made.shape == (1, 2, 8 * HOP)
    torch.testing.assert_close(made[:, 1:], codec.decode(latents[:, 6:], noise[1:]), atol=1e-3, rtol=0)


@torch.inference_mode()
def test_chunks_of_a_long_sound_are_those_of_one_pass() -> None:
    codec = codec_of()
    latents = torch.randn(1, 6, CHUNK_FRAMES + 30, generator=torch.Generator().manual_seed(0))
    noise = noise_for(codec, latents)
    whole = codec.vocoder(codec.mel_vae.decode(latents), noise)[:, None]
    torch.testing.assert_close(codec.decode(latents, noise), whole, atol=1e-4, rtol=1e-4)


def test_an_untrained_codec_is_silent_where_it_hears_next_to_nothing() -> None:
    """No bin is left without a guess at its magnitude, not even where the last filter ends, at half the sample rate."""
    vocoder = codec_of().vocoder
    torch.testing.assert_close(vocoder.spread.sum(dim=1), torch.ones(vocoder.num_bins))
    silence = torch.full((1, 128, 40), (math.log(1e-5) - mel_48k().mean) / mel_48k().deviation)
    made = vocoder(silence, torch.randn(vocoder.noise_shape(silence), generator=torch.Generator().manual_seed(0)))
    assert made.abs().max() < 1e-3


def test_what_it_cannot_take_is_refused() -> None:
    codec = codec_of()
    with pytest.raises(InputError, match=r"\(B, C, S\)"):
        codec.encode(torch.zeros(1, HOP))
    with pytest.raises(InputError, match=r"\(B, C 6, L\)"):
        codec.decode(torch.zeros(1, 7, 3), torch.zeros(1, 16, 24))
    with pytest.raises(InputError, match="noise beside"):
        codec.decode(torch.zeros(1, 6, 3), torch.zeros(1, 16, 23))
    with pytest.raises(ConfigError, match="share one mel"):
        WaveVaeConfig(vocoder=IstftVocoderConfig())


def test_the_default_runs_at_48_khz_and_25_frames_in_5_mb() -> None:
    config = WaveVaeConfig()
    shapes = shapes_of(lambda: WaveVae(config))
    assert (config.sample_rate, config.frame_rate) == (48_000, 25.0)
    assert 2 * sum(torch.Size(shape).numel() for shape in shapes.values()) < 5e6


def test_one_batch_is_learnt_and_its_attacks_stay_in_place() -> None:
    codec = codec_of().train()
    sizes = debug_discriminators()
    objective = WaveVaeObjective(codec, HifiGanDiscriminators(sizes), WaveVaeObjectiveConfig())
    sound = torch.zeros(2, 12 * HOP)
    struck = hits(torch.Generator().manual_seed(4))
    starts = (3000, 5200)
    for row, start in enumerate(starts):
        sound[row, start : start + 8 * HOP] = struck[row]
    batch = AudioBatch(waveform=sound)
    optimizer = torch.optim.AdamW(codec.parameters(), lr=3e-3)
    generator = torch.Generator().manual_seed(2)
    losses = []
    for _ in range(80):
        loss = objective.reconstruction_losses(batch, objective.generate(batch, generator)).total
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.6 * losses[0]
    with torch.inference_mode():
        latents = codec.encode(sound[:, None])
        made = codec.decode(latents, noise_for(codec, latents))[:, 0]
    for row, start in enumerate(starts):
        # Its 5 ms frames are windows of 20 ms: an attack may begin one frame early, and no more.
        loudness = made[row].abs().unfold(0, 240, 240).amax(dim=1)
        first = int((loudness > 0.2 * loudness.max()).nonzero()[0, 0]) * 240
        assert abs(first - start) < 600


def test_both_sides_of_the_adversary_get_a_gradient() -> None:
    codec = codec_of().train()
    sizes = HifiGanDiscriminatorsConfig(periods=(2,), period_widths=(4, 8), num_scales=0)
    objective = WaveVaeObjective(codec, HifiGanDiscriminators(sizes), WaveVaeObjectiveConfig())
    batch = AudioBatch(waveform=hits(torch.Generator().manual_seed(4)))
    generated = objective.generate(batch, torch.Generator().manual_seed(0))
    objective.judging_losses(batch, generated.detach()).total.backward()
    assert all(parameter.grad is not None for parameter in objective.discriminator.parameters())
    assert all(parameter.grad is None for parameter in codec.parameters())
    objective.deceiving_losses(batch, generated).total.backward()
    assert any(parameter.grad is not None and parameter.grad.any() for parameter in codec.mel_vae.parameters())

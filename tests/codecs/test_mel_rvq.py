"""The small token codec at debug size: lengths, determinism, refusals, and that it learns one batch."""

import pytest
import torch

from foleykit.codecs.hifigan_discriminators import HifiGanDiscriminators, debug_discriminators
from foleykit.codecs.mel_rvq import MelRvqCodec, MelRvqConfig
from foleykit.codecs.mel_rvq_objective import MelRvqObjective, MelRvqObjectiveConfig
from foleykit.core.errors import ConfigError, InputError
from foleykit.core.types import AudioBatch
from foleykit.models.foleygen.presets import debug, tiny_foleygen

CONFIG = debug().codec
assert isinstance(CONFIG, MelRvqConfig)


def codec_of() -> MelRvqCodec:
    torch.manual_seed(0)
    assert isinstance(CONFIG, MelRvqConfig)
    codec = MelRvqCodec(CONFIG)
    codec.quantizer.entries.normal_(std=0.3)
    return codec.eval()


@pytest.mark.parametrize("num_samples", [1, 320, 321, 5000])
@torch.inference_mode()
def test_frames_cover_every_sample_and_decode_to_whole_hops(num_samples: int) -> None:
    codec = codec_of()
    codes = codec.encode(0.1 * torch.randn(2, 1, num_samples))
    assert codes.shape == (2, 4, -(-num_samples // 320))
    assert codec.decode(codes).shape == (2, 1, codes.shape[2] * 320)


@torch.inference_mode()
def test_the_same_codes_always_sound_the_same() -> None:
    codec = codec_of()
    codes = torch.randint(0, 16, (3, 4, 20))
    whole = codec.decode(codes)
    assert torch.equal(whole, codec.decode(codes))
    torch.testing.assert_close(whole[2:], codec.decode(codes[2:]))


def test_what_it_cannot_take_is_refused() -> None:
    codec = codec_of()
    with pytest.raises(InputError, match="mono waveforms"):
        codec.encode(torch.zeros(1, 320))
    with pytest.raises(InputError, match="0 to 15; got"):
        codec.decode(torch.full((1, 4, 3), 16))
    with pytest.raises(ConfigError, match="two entries"):
        MelRvqConfig(codebook_size=1)


def objective_of() -> MelRvqObjective:
    sizes = debug_discriminators()
    return MelRvqObjective(codec_of(), HifiGanDiscriminators(sizes), MelRvqObjectiveConfig(codebook_decay=0.8))


def tones() -> torch.Tensor:
    """Return waveforms (4, 6400) of which every twenty milliseconds have another pitch and level."""
    generator = torch.Generator().manual_seed(0)
    hertz = 200 * 2 ** (5 * torch.rand(4, 20, 1, generator=generator))
    level = 10 ** (-2 * torch.rand(4, 20, 1, generator=generator))
    return (0.5 * level * torch.sin(2 * torch.pi * hertz * torch.arange(320) / 16_000)).flatten(1)


def test_one_batch_is_learnt_with_codes_in_use() -> None:
    objective = objective_of().train()
    batch = AudioBatch(waveform=tones())
    codec = objective.generator
    latents = codec.latents(codec.log_mel(batch.waveform)).detach()
    codec.quantizer.start_(latents, torch.Generator().manual_seed(0), batch_frames=80)
    optimizer = torch.optim.AdamW(objective.generator.parameters(), lr=3e-3)
    losses = []
    for step in range(60):
        generator = torch.Generator().manual_seed(step)
        made = objective.generate(batch, generator)
        loss = objective.reconstruction_losses(batch, made)
        optimizer.zero_grad()
        loss.total.backward()
        optimizer.step()
        losses.append(loss.total.item())
    assert losses[-1] < 0.7 * losses[0]
    codes = objective.generator.encode(batch.waveform[:, None])
    assert all(len(codes[:, index].unique()) >= 8 for index in range(4)), "of sixteen"


def test_both_sides_of_the_adversary_have_their_own_gradient() -> None:
    objective = objective_of().train()
    batch = AudioBatch(waveform=0.1 * torch.randn(2, 320 * 10))
    made = objective.generate(batch, torch.Generator().manual_seed(0))
    objective.judging_losses(batch, made.detach()).total.backward()
    assert all(parameter.grad is None for parameter in objective.generator.parameters())
    assert all(parameter.grad is not None for parameter in objective.discriminator.parameters())
    objective.deceiving_losses(batch, made).total.backward()
    assert any(parameter.grad is not None for parameter in objective.generator.encoder.parameters())


def test_the_shipped_size_is_at_most_six_megabytes() -> None:
    config = tiny_foleygen().codec
    assert isinstance(config, MelRvqConfig)
    with torch.device("meta"):
        state = MelRvqCodec(config).state_dict()
    assert 2 * sum(tensor.numel() for tensor in state.values()) <= 6e6
    assert (config.sample_rate, config.frame_rate, config.num_codebooks) == (16_000, 50.0, 4)

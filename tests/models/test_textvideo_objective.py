"""Flow matching learns one batch, and drops every condition by itself."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from foleykit.core.errors import ConfigError
from foleykit.diffusion.flow import shifted_schedule
from foleykit.diffusion.samplers import sample
from foleykit.models.textvideo.network import Conditioning, Network
from foleykit.models.textvideo.objective import DropoutConfig, TextVideoBatch, TextVideoObjective
from foleykit.models.textvideo.presets import debug_network

NONE = DropoutConfig(video=0.0, text=0.0, transcript=0.0, ambient=0.0)


def batch_of(count: int) -> TextVideoBatch:
    config = debug_network()
    generator = torch.Generator().manual_seed(0)

    def drawn(*shape: int) -> torch.Tensor:
        return torch.randn(count, *shape, generator=generator)

    yes = torch.ones(count, dtype=torch.bool)
    return TextVideoBatch(
        latents=drawn(config.latent_width, 12),
        weights=torch.ones(count, 12),
        conditioning=Conditioning(
            pictures=drawn(3, config.picture_width),
            sync=drawn(config.sync_group, config.sync_width),
            text=drawn(config.num_text_tokens, config.text_width),
            transcript=drawn(config.num_transcript_tokens, config.text_width),
            ambient=drawn(config.latent_width, 8),
        ),
        has_text=yes,
        has_transcript=yes,
        has_ambient=yes,
    )


def test_only_frames_that_count_are_learnt() -> None:
    torch.manual_seed(0)
    batch = batch_of(2)
    objective = TextVideoObjective(Network(debug_network()), NONE)
    half = replace(batch, weights=torch.cat((torch.ones(2, 6), torch.zeros(2, 6)), dim=1))
    other = replace(half, latents=torch.cat((batch.latents[..., :6], batch.latents[..., 6:] + 1), dim=2))
    one, three = (objective(part, torch.Generator().manual_seed(1)).total for part in (half, batch))
    torch.testing.assert_close(
        objective(replace(half, weights=3 * half.weights), torch.Generator().manual_seed(1)).total, one
    )
    assert one != three
    # The untrained network returns zero, so that nothing of the frames without weight enters.
    torch.testing.assert_close(objective(other, torch.Generator().manual_seed(1)).total, one)


def test_one_batch_is_learnt_and_sampled_back() -> None:
    torch.manual_seed(0)
    batch = batch_of(2)
    objective = TextVideoObjective(Network(debug_network()), NONE)
    optimizer = torch.optim.AdamW(objective.parameters(), lr=3e-3, betas=(0.9, 0.95))
    generator = torch.Generator().manual_seed(1)
    losses = []
    for _ in range(250):
        loss = objective(batch, generator).total
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    # The untrained network returns zero, whose error is the variance of data plus that of noise.
    assert losses[0] == pytest.approx(2, abs=0.5)
    assert sum(losses[-25:]) / 25 < 0.35
    network = objective.model.eval()
    with torch.no_grad():
        prepared = network.prepare(batch.conditioning, 12)
        noise = torch.randn(batch.latents.shape, generator=torch.Generator().manual_seed(2))
        made = sample(lambda x, t: -network(x, torch.full((2,), 1 - t), prepared), noise, shifted_schedule(16))
        # Each clip's conditions lead to its own latents and not to the other's.
        own = (made - batch.latents).square().mean()
        other = (made - batch.latents.flip(0)).square().mean()
    assert own < 0.3 and other > 1


def test_every_parameter_learns() -> None:
    objective = TextVideoObjective(
        Network(debug_network()), DropoutConfig(video=0.5, text=0.5, transcript=0.5, ambient=0.5)
    )
    generator = torch.Generator().manual_seed(1)
    optimizer = torch.optim.SGD(objective.parameters(), lr=0.1)
    # Zero gates and a zero last layer let gradients through step by step.
    for _ in range(4):
        objective(batch_of(8), generator).total.backward()
        optimizer.step()
    idle = {name for name, parameter in objective.model.named_parameters() if not parameter.grad.any()}
    # In the last joint block pictures and context are only read, and ask nothing.
    assert idle == {f"joint_blocks.0.streams.{stream}.query_norm.weight" for stream in (1, 2)}


def test_conditions_are_dropped_independently_and_in_the_wished_shares() -> None:
    shares = DropoutConfig(video=0.1, text=0.3, transcript=0.5, ambient=0.7)
    objective = TextVideoObjective(Network(debug_network()), shares)
    batch = batch_of(4000)
    known = objective.known(batch, torch.Generator().manual_seed(0))
    columns = torch.stack([known.video, known.text, known.transcript, known.ambient]).double()
    torch.testing.assert_close(1 - columns.mean(dim=1), torch.tensor([0.1, 0.3, 0.5, 0.7]).double(), atol=0.03, rtol=0)
    correlation = torch.corrcoef(columns) - torch.eye(4)
    assert correlation.abs().max() < 0.06
    without = replace(batch, has_text=torch.zeros(4000, dtype=torch.bool))
    assert not objective.known(without, torch.Generator().manual_seed(0)).text.any()


def test_impossible_shares_are_refused() -> None:
    with pytest.raises(ConfigError):
        DropoutConfig(video=1.0)

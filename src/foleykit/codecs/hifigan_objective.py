"""What HiFi-GAN descends (Kong et al. 2020, section 2.4): adversaries, their features, and mels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn.functional import l1_loss
from torch.nn.utils.parametrizations import weight_norm

from foleykit.audio.unit_mel import UnitMel, UnitMelConfig
from foleykit.codecs.hifigan import HifiGan
from foleykit.codecs.hifigan_discriminators import HifiGanDiscriminators, Judgement
from foleykit.core.checkpoint import frozen
from foleykit.core.errors import ConfigError, InputError
from foleykit.core.types import AudioBatch, Losses

FLOOR = 1e-5
"""Added to a mel magnitude before its logarithm, so that a silent start has a gradient too."""


def least_squares_judging(real: Sequence[Judgement], generated: Sequence[Judgement]) -> Tensor:
    """Return what discriminators descend: recorded sound scores 1, generated sound 0 (eq. 1)."""
    losses = [
        (one.score - 1).square().mean() + other.score.square().mean()
        for one, other in zip(real, generated, strict=True)
    ]
    return torch.stack(losses).sum()


def least_squares_deceiving(generated: Sequence[Judgement]) -> Tensor:
    """Return what a generator descends: its sound scores 1 (eq. 2)."""
    return torch.stack([(judgement.score - 1).square().mean() for judgement in generated]).sum()


def feature_matching(real: Sequence[Judgement], generated: Sequence[Judgement]) -> Tensor:
    """Return the L1 distance of features, summed over layers and discriminators (eq. 4)."""
    losses = [
        l1_loss(made, true)
        for one, other in zip(real, generated, strict=True)
        for true, made in zip(one.features, other.features, strict=True)
    ]
    return torch.stack(losses).sum()


def log_mel_l1(mels: Sequence[UnitMel], reference: Tensor, generated: Tensor) -> Tensor:
    """Return the L1 distance of natural-log mels of waveforms (B, S) in the mean over front ends (eq. 3)."""
    losses = [
        l1_loss((mel.magnitude(generated) + FLOOR).log(), (mel.magnitude(reference) + FLOOR).log()) for mel in mels
    ]
    return torch.stack(losses).mean()


def judging_losses(discriminator: nn.Module, reference: Tensor, generated: Tensor) -> Losses:
    """Return what `discriminator` descends on waveforms (B, S); `generated` carries no gradient."""
    real, fake = halves(discriminator(torch.cat((reference, generated))[:, None]))
    total = least_squares_judging(real, fake)
    return Losses(total=total, parts={"judging": total.detach()})


def deceiving_losses(
    discriminator: nn.Module,
    reference: Tensor,
    generated: Tensor,
    *,
    adversarial_weight: float = 1.0,
    feature_weight: float,
) -> Losses:
    """Return what a generator of waveforms (B, S) descends against `discriminator`."""
    with torch.no_grad():
        real = discriminator(reference[:, None])
    fake = discriminator(generated[:, None])
    deceiving, features = least_squares_deceiving(fake), feature_matching(real, fake)
    return Losses(
        total=adversarial_weight * deceiving + feature_weight * features,
        parts={"deceiving": deceiving.detach(), "features": features.detach()},
    )


@dataclass(frozen=True, kw_only=True)
class HifiGanObjectiveConfig:
    """Weights of the losses; those of the paper, but for more than one mel."""

    mel: UnitMelConfig = field(default_factory=UnitMelConfig)
    """What the generator is fed."""
    mel_weight: float = 45.0
    feature_weight: float = 2.0
    loss_windows: tuple[int, ...] = (256, 512, 1024, 2048)
    """FFT sizes of the mels that are compared, each over all frequencies; short ones see attacks."""

    def __post_init__(self) -> None:
        if not self.loss_windows or min(self.loss_windows) < 64:
            raise ConfigError(f"loss_windows {self.loss_windows} needs FFT sizes of 64 samples or more")

    @property
    def margin(self) -> int:
        """Samples on either side of a crop that its mel looks at: what a mel mirrors there is not learnt."""
        hop = self.mel.hop_length
        return -(-self.mel.n_fft // 2 // hop) * hop


class HifiGanObjective(nn.Module):
    """Trains `generator` on mels of recordings against `discriminator`."""

    def __init__(
        self, generator: HifiGan, discriminator: HifiGanDiscriminators, config: HifiGanObjectiveConfig
    ) -> None:
        super().__init__()
        if generator.config.hop_length != config.mel.hop_length or generator.config.num_mels != config.mel.num_mels:
            raise ConfigError("the vocoder and the mel it is fed differ in hop length or number of bins")
        self.generator = generator
        self.discriminator = discriminator
        self.config = config
        self.mel = UnitMel(config.mel)
        self.loss_mels = nn.ModuleList(
            UnitMel(
                UnitMelConfig(
                    sample_rate=config.mel.sample_rate,
                    n_fft=window,
                    hop_length=window // 4,
                    num_mels=window // 16,
                    min_hz=0.0,
                    max_hz=config.mel.sample_rate / 2,
                )
            )
            for window in config.loss_windows
        )

    def reference(self, batch: AudioBatch) -> Tensor:
        """Return what is to be generated (B, S): the batch without its margins."""
        margin = self.config.margin
        num_samples = batch.waveform.shape[-1] - 2 * margin
        if num_samples <= 0 or num_samples % self.config.mel.hop_length:
            raise InputError(f"a crop is whole hops long and has margins of {margin} samples, not {num_samples} of it")
        return batch.waveform[:, margin : margin + num_samples]

    def log_mel(self, batch: AudioBatch) -> Tensor:
        """Return the natural-log mel (B, M, S / hop + 1) whose first column is centred on the first sample."""
        skipped = self.config.margin // self.config.mel.hop_length
        mel = self.mel.natural_log(self.mel(batch.waveform))
        return mel[..., skipped : mel.shape[-1] - skipped]

    def generate(self, batch: AudioBatch, generator: torch.Generator) -> Tensor:
        """Return the generated waveform (B, S); HiFi-GAN draws nothing from `generator`."""
        num_samples = self.reference(batch).shape[-1]
        # The last column is centred on the sample after the crop; generation trims what comes of it as well.
        waveform: Tensor = self.generator(self.log_mel(batch))[:, 0, :num_samples]
        return waveform

    def judging_losses(self, batch: AudioBatch, generated: Tensor) -> Losses:
        """Return what the discriminators descend."""
        return judging_losses(self.discriminator, self.reference(batch), generated)

    def reconstruction_losses(self, batch: AudioBatch, generated: Tensor) -> Losses:
        """Return what the generator descends on its own."""
        distance = log_mel_l1(list(self.loss_mels), self.reference(batch), generated)  # type: ignore[arg-type]
        return Losses(total=self.config.mel_weight * distance, parts={"mel": distance.detach()})

    def deceiving_losses(self, batch: AudioBatch, generated: Tensor) -> Losses:
        """Return what the generator descends besides, against the discriminators."""
        return deceiving_losses(
            self.discriminator, self.reference(batch), generated, feature_weight=self.config.feature_weight
        )


def halves(judgements: Sequence[Judgement]) -> tuple[list[Judgement], list[Judgement]]:
    """Return the judgements of the first and of the second half of a batch."""
    pairs = [
        [
            Judgement(score=score, features=features)
            for score, features in zip(
                judgement.score.chunk(2),
                zip(*(feature.chunk(2) for feature in judgement.features), strict=True),
                strict=True,
            )
        ]
        for judgement in judgements
    ]
    return [pair[0] for pair in pairs], [pair[1] for pair in pairs]


def weight_normed(vocoder: HifiGan) -> HifiGan:
    """Return `vocoder`, every convolution split into direction and norm; small at first except where mels enter."""
    for name, module in vocoder.named_modules():
        if isinstance(module, nn.Conv1d | nn.ConvTranspose1d):
            if name != "conv_pre":
                nn.init.normal_(module.weight, std=0.01)
            weight_norm(module)
    return vocoder


def folded(vocoder: HifiGan) -> HifiGan:
    """Return a frozen copy of `vocoder` whose directions and norms are multiplied out, under the published names."""
    # Taking the parametrization off a deep copy would take it off the original too: both share their classes.
    plain = {
        f"{name}.{part}": getattr(module, part).detach()
        for name, module in vocoder.named_modules()
        if isinstance(module, nn.Conv1d | nn.ConvTranspose1d)
        for part in ("weight", "bias")
    }
    copied = HifiGan(vocoder.config)
    copied.load_state_dict(plain)
    return frozen(copied, plain["conv_pre.weight"].device)

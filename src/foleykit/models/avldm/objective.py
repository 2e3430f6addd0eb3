"""Batches to losses, one objective per training stage."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from foleykit.audio.spectral_loss import pooled_energy_error, spectral_errors
from foleykit.codecs.istft_vocoder import TRAINED_ITERATIONS, IstftVocoder
from foleykit.codecs.mel_vae import MelVae
from foleykit.core.types import IGNORED, AudioBatch, GeneratorBatch, Losses, SimilarityBatch, VideoBatch
from foleykit.diffusion.flow import interpolate, logit_normal_times, velocity_target
from foleykit.encoders.similarity import AvSimilarity
from foleykit.encoders.visual.two_rate import TwoRateEncoder, VideoHeads, VideoPredictions
from foleykit.models.avldm.network import AvConditioning, Denoiser


class CodecObjective(nn.Module):
    """Log-mel reconstruction with a small KL term."""

    def __init__(self, codec: MelVae, *, kl_weight: float = 3e-4, energy_weight: float = 0.5) -> None:
        super().__init__()
        self.model = codec
        self.kl_weight = kl_weight
        self.energy_weight = energy_weight

    def forward(self, batch: AudioBatch, generator: torch.Generator) -> Losses:
        codec = self.model
        mel = codec.log_mel(batch.waveform)
        mean, log_variance = codec.posterior(mel)
        noise = torch.randn(mean.shape, generator=generator).to(mean.device)
        decoded = codec.decode_raw(mean + (0.5 * log_variance).exp() * noise)
        reconstruction = (decoded - mel).abs().mean() + 0.5 * (decoded - mel).square().mean()
        made, true = codec.log_mel.magnitude(decoded), codec.log_mel.magnitude(mel)
        energy = pooled_energy_error(made, true, bins=4, frames=8)
        # Attacks and single tones carry most of a frame's energy in few bins; patches of equal weight lose them.
        frame_energy = pooled_energy_error(made, true, bins=mel.shape[1], frames=1)
        kl = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).mean()
        total = reconstruction + self.energy_weight * (energy + frame_energy) + self.kl_weight * kl
        parts = {"reconstruction": reconstruction, "energy": energy, "frame_energy": frame_energy, "kl": kl}
        return Losses(total=total, parts=parts)


class VocoderObjective(nn.Module):
    """Multi-resolution spectral loss on mels of the recording and on mels that went through the codec."""

    def __init__(self, vocoder: IstftVocoder, codec: MelVae, *, energy_weight: float = 1.0) -> None:
        super().__init__()
        self.model = vocoder
        self.codec = codec.eval().requires_grad_(False)
        self.energy_weight = energy_weight

    def forward(self, batch: AudioBatch, generator: torch.Generator) -> Losses:
        mel = self.codec.log_mel(batch.waveform)
        with torch.no_grad():
            decoded = self.codec.decode(self.codec.encode(batch.waveform))
        half = mel.shape[0] // 2
        mel = torch.cat((mel[:half], decoded[half:]))
        noise = torch.randn(self.model.noise_shape(mel), generator=generator).to(mel.device)
        generated = self.model(mel, noise, num_iterations=TRAINED_ITERATIONS)
        magnitude_error, energy_error = spectral_errors(generated, batch.waveform)
        total = magnitude_error + self.energy_weight * energy_error
        return Losses(total=total, parts={"magnitude": magnitude_error, "energy": energy_error})


class SupervisedEncoder(nn.Module):
    """A video encoder and the heads that teach it."""

    def __init__(self, encoder: TwoRateEncoder) -> None:
        super().__init__()
        self.encoder = encoder
        self.heads = VideoHeads(encoder.config)

    def forward(self, frames: Tensor) -> VideoPredictions:
        """Return what encoder and heads say of `frames` (B, T, 3, H, W)."""
        predictions: VideoPredictions = self.heads(self.encoder.look(frames))
        return predictions


def heatmap_error(logits: Tensor, target: Tensor) -> Tensor:
    """Return the penalty-reduced focal loss of heat maps in [0, 1], per peak (Zhou et al. 2019, eq. 1)."""
    probability = logits.sigmoid()
    missed = (1 - probability).square() * nn.functional.logsigmoid(logits)
    false = (1 - target) ** 4 * probability.square() * nn.functional.logsigmoid(-logits)
    is_peak = target == 1
    return -torch.where(is_peak, missed, false).sum() / is_peak.sum().clamp(min=1)


def surface_error(logits: Tensor, surface: Tensor) -> Tensor:
    """Return the cross-entropy of cell logits (B, T', K, C, C) against the classes (B, T', M, M) within them.

    What rings is rare beside table and wall: each class counts with the inverse root of its share.
    """
    num_classes = logits.shape[2]
    shown = nn.functional.one_hot(surface.flatten(0, 1), num_classes).permute(0, 3, 1, 2).float()
    shares = nn.functional.adaptive_avg_pool2d(shown, logits.shape[-1])  # (B T', K, C, C)
    weight = shares.mean(dim=(0, 2, 3)).clamp(min=1e-3) ** -0.5
    weighted = shares * (weight / weight.mean())[:, None, None]
    return -(weighted * logits.flatten(0, 1).log_softmax(dim=1)).sum(dim=1).mean()


class VideoObjective(nn.Module):
    """When, what, how loud and amid what: supervision by what the world knows of its own events."""

    def __init__(self, encoder: TwoRateEncoder, *, onset_weight: float = 2.0) -> None:
        super().__init__()
        self.model = SupervisedEncoder(encoder)
        self.onset_weight = onset_weight

    def forward(self, batch: VideoBatch, generator: torch.Generator) -> Losses:
        predicted = self.model(batch.frames)
        onset = nn.functional.binary_cross_entropy_with_logits(
            predicted.onset, batch.onset, pos_weight=predicted.onset.new_tensor(4.0)
        )
        material = nn.functional.cross_entropy(
            predicted.material.flatten(0, 1), batch.material.flatten(), ignore_index=IGNORED
        )
        action = nn.functional.cross_entropy(
            predicted.action.flatten(0, 1), batch.action.flatten(), ignore_index=IGNORED
        )
        sound = (predicted.sound - batch.sound).abs().mean()
        contact = heatmap_error(predicted.contact, batch.contact)
        surface = surface_error(predicted.surface, batch.surface)
        ambience = nn.functional.binary_cross_entropy_with_logits(predicted.ambience, batch.ambience)
        events = self.onset_weight * onset + 0.5 * material + 0.25 * action + sound + 0.25 * contact
        total = events + surface + 0.5 * ambience
        parts = {"onset": onset, "material": material, "action": action, "sound": sound}
        places = {"contact": contact, "surface": surface, "ambience": ambience}
        return Losses(total=total, parts=parts | places)


class GeneratorObjective(nn.Module):
    """Rectified flow with video dropout; the ambient condition is never dropped (Action2Sound, sec. 4.3)."""

    def __init__(self, denoiser: Denoiser, *, video_dropout: float = 0.2) -> None:
        super().__init__()
        self.model = denoiser
        self.video_dropout = video_dropout

    def forward(self, batch: GeneratorBatch, generator: torch.Generator) -> Losses:
        count, device = batch.latents.shape[0], batch.latents.device
        t = logit_normal_times(count, generator).to(device)
        noise = torch.randn(batch.latents.shape, generator=generator).to(device)
        has_video = (torch.rand(count, generator=generator) >= self.video_dropout).to(device)
        conditioning = AvConditioning(video=batch.video, ambient=batch.ambient, has_video=has_video)
        velocity = self.model(interpolate(batch.latents, noise, t), t, conditioning)
        errors = (velocity.float() - velocity_target(batch.latents, noise)).square().mean(dim=1)
        total = (batch.weights * errors).sum() / batch.weights.sum()
        return Losses(total=total, parts={})


class SimilarityObjective(nn.Module):
    """Symmetric cross-entropy over the batch (Radford et al. 2021): each picture finds sounds of places like its own.

    Sounds of other places with the same backgrounds are as right as its own (Khosla et al. 2020): the target weighs the
    batch by how much of the backgrounds two places share. Pictures and sounds by themselves learn to name the
    backgrounds, and so do backgrounds of one kind: a library's clip is one, and half of the world's places are not.
    """

    def __init__(self, towers: AvSimilarity) -> None:
        super().__init__()
        self.model = towers

    def forward(self, batch: SimilarityBatch, generator: torch.Generator) -> Losses:
        scale = self.model.log_scale.clamp(max=4.6).exp()
        pictures = self.model.embed_video(self.model.survey(batch.maps))
        sounds = self.model.embed_audio(batch.latents)
        scores = scale * pictures @ sounds.T
        shared = batch.seen @ batch.seen.T
        counts = batch.seen.sum(dim=1)
        overlap = shared / (counts[:, None] + counts - shared)
        target = overlap / overlap.sum(dim=1, keepdim=True)
        matched = 0.5 * (nn.functional.cross_entropy(scores, target) + nn.functional.cross_entropy(scores.T, target))
        kinds = batch.seen / counts[:, None]
        alone = self.model.embed_audio(batch.alone)
        named = {
            name: nn.functional.cross_entropy(scale * self.model.nearness(side), right)
            for name, side, right in (
                ("pictures", pictures, kinds),
                ("sounds", sounds, kinds),
                ("alone", alone, batch.alone_kinds),
            )
        }
        return Losses(total=matched + sum(named.values(), matched.new_zeros(())), parts={"matched": matched} | named)

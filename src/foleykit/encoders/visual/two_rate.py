"""A small video encoder for timing and matter: fast motion at every frame, slow appearance at every fifth.

The split follows SlowFast networks (Feichtenhofer et al. 2019): what was struck changes slowly and needs depth,
when it was struck needs every frame and little width.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from foleykit.core.errors import ConfigError, InputError


@dataclass(frozen=True, kw_only=True)
class TwoRateConfig:
    fps: float = 25.0
    """Frames per second that the encoder expects."""
    size: int = 96
    """Height and width of its frames in pixels; a multiple of 16."""
    width: int = 192
    """Channels of the features."""
    motion_width: int = 24
    """Channels of the fast path's first layer."""
    appearance_width: int = 32
    """Channels of the slow path's first layer."""
    slow_stride: int = 5
    """Fast frames per slow frame."""
    num_temporal_blocks: int = 4
    """Residual temporal convolutions after the paths meet."""
    num_materials: int = 7
    num_actions: int = 11
    num_bands: int = 16
    """Bands of the predicted action-sound envelope."""
    embedding_width: int = 64
    """Width of the audio-visual similarity space."""

    def __post_init__(self) -> None:
        if self.size % 16:
            raise ConfigError(f"size {self.size} must be a multiple of 16")

    @property
    def context_frames(self) -> int:
        """Frames on either side that can influence a feature: temporal convolutions plus one slow frame."""
        return sum(2**block for block in range(self.num_temporal_blocks)) + self.slow_stride + 2


class TemporalBlock(nn.Module):
    """Residual dilated convolution over time on (B, D, T)."""

    def __init__(self, width: int, dilation: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.mix = nn.Conv1d(width, width, 3, padding=dilation, dilation=dilation)
        self.out = nn.Conv1d(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.norm(x.transpose(1, 2)).transpose(1, 2)
        return x + self.out(nn.functional.gelu(self.mix(hidden)))


def strided(in_width: int, out_width: int, kernel_size: int = 3, stride: int = 2) -> nn.Sequential:
    """Return a convolution that shrinks the picture by `stride`, with batch-independent normalisation."""
    padding = (kernel_size - stride + 1) // 2
    return nn.Sequential(
        nn.Conv2d(in_width, out_width, kernel_size, stride=stride, padding=padding),
        nn.GroupNorm(8, out_width),
        nn.GELU(),
    )


class TwoRateEncoder(nn.Module):
    """Frames to features at the full frame rate."""

    def __init__(self, config: TwoRateConfig) -> None:
        super().__init__()
        self.config = config
        fast, slow = config.motion_width, config.appearance_width
        # Linear up to the frame differences: a difference of linear responses equals the response to the difference,
        # and costs a fraction of differencing the pixels.
        self.motion_stem = nn.Sequential(
            nn.Conv2d(3, fast, 4, stride=4, bias=False), nn.Conv2d(fast, 32, 3, stride=2, padding=1, bias=False)
        )
        # Differences are small and their size is the message: batch norm scales them once and for all, where one over
        # the frame would make a still picture look as busy as a moving one.
        self.motion = nn.Sequential(
            nn.BatchNorm2d(64),
            nn.Conv2d(64, 48, 1, bias=False),
            nn.BatchNorm2d(48),
            nn.GELU(),
            nn.Conv2d(48, 64, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(64),
            nn.GELU(),
        )
        self.appearance = nn.Sequential(
            strided(3, slow, kernel_size=4, stride=4),
            strided(slow, 2 * slow),
            strided(2 * slow, 2 * slow, stride=1),
            strided(2 * slow, 4 * slow),
        )
        cells = (config.size // 16) ** 2
        fused = 96
        self.fuse = nn.Conv2d(64 + 4 * slow, fused, 1)
        self.spread = nn.Conv2d(65, 16, 1)
        self.num_glances = 4
        self.glance = nn.Conv2d(64 + 4 * slow, self.num_glances, 1)
        # What is struck lies where something moves: each glance starts out following the motion, more or less closely.
        self.follow = nn.Parameter(torch.linspace(0.0, 3.0, self.num_glances))
        self.project = nn.Linear(16 * cells + self.num_glances * fused + 4 * slow, config.width)
        self.scale = nn.BatchNorm1d(config.width)
        self.temporal = nn.ModuleList(
            TemporalBlock(config.width, 2**block) for block in range(config.num_temporal_blocks)
        )
        self.norm = nn.LayerNorm(config.width)

    def forward(self, frames: Tensor) -> Tensor:
        """Return features (B, T, D) of `frames` (B, T, 3, H, W) in [0, 1] at `config.fps`.

        Raises InputError when the frames are not `config.size` square.
        """
        config = self.config
        batch, num_frames, _, height, width = frames.shape
        if (height, width) != (config.size, config.size):
            raise InputError(f"this encoder takes {config.size} x {config.size} frames, not {height} x {width}")
        motion, energy = (part.flatten(0, 1) for part in self._motion(frames))
        appearance = self._appearance(frames).flatten(0, 1)
        both = torch.cat((motion, appearance), dim=1)
        fused = nn.functional.gelu(self.fuse(both)).flatten(2)  # (BT, 96, cells)
        interest = self.glance(both) + self.follow[:, None, None] * energy
        attention = interest.flatten(2).softmax(dim=-1)  # (BT, glances, cells)
        glanced = torch.einsum("ngc,ndc->ngd", attention, fused).flatten(1)
        spread = self.spread(torch.cat((motion, energy), dim=1)).flatten(1)
        scene = appearance.mean(dim=(2, 3))
        hidden = self.scale(self.project(torch.cat((spread, glanced, scene), dim=1)))
        hidden = hidden.view(batch, num_frames, -1).transpose(1, 2)
        for block in self.temporal:
            hidden = block(hidden)
        return self.norm(hidden.transpose(1, 2))

    def _motion(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Return motion maps (B, T, 64, H / 16, W / 16) and how much each cell moves against the rest (B, T, 1, ...).

        Both see the differences to the frame before and to the frame after. The second is a log energy relative to the
        frame's mean, so that a moving camera, which moves every cell, leaves little in it.
        """
        batch, num_frames = frames.shape[:2]
        pixels = frames.flatten(0, 1).contiguous(memory_format=torch.channels_last)
        stem = self.motion_stem(pixels).unflatten(0, (batch, num_frames))
        before = torch.cat((stem[:, :1], stem[:, :-1]), dim=1)
        after = torch.cat((stem[:, 1:], stem[:, -1:]), dim=1)
        differences = torch.cat((stem - before, after - stem), dim=2).flatten(0, 1)
        moved = nn.functional.avg_pool2d(differences.square().mean(dim=1, keepdim=True), 2)
        energy = 0.5 * (moved + 1e-6).log()
        energy = energy - energy.mean(dim=(2, 3), keepdim=True)
        shape = (batch, num_frames)
        return self.motion(differences).unflatten(0, shape), energy.unflatten(0, shape)

    def _appearance(self, frames: Tensor) -> Tensor:
        """Return (B, T, C, H / 16, W / 16): every slow frame's map, held until the next."""
        batch, num_frames = frames.shape[:2]
        stride = self.config.slow_stride
        slow = frames[:, stride // 2 :: stride] if num_frames > stride // 2 else frames[:, :1]
        maps = self.appearance(slow.flatten(0, 1).contiguous(memory_format=torch.channels_last))
        maps = maps.unflatten(0, (batch, slow.shape[1]))
        index = (torch.arange(num_frames, device=frames.device) // stride).clamp(max=slow.shape[1] - 1)
        return maps[:, index]


@dataclass(frozen=True, kw_only=True)
class VideoPredictions:
    """What the training heads read from features; used to train and to inspect, not to generate."""

    onset: Tensor
    """(B, T) logits of an on-screen onset in this frame."""
    material: Tensor
    """(B, T, materials) logits of what rings."""
    action: Tensor
    """(B, T, actions) logits of what is done."""
    envelope: Tensor
    """(B, T, bands) level of the action sound, normalised log."""


class VideoHeads(nn.Module):
    """Linear heads that ask features about events: the supervision that the world's stems make free."""

    def __init__(self, config: TwoRateConfig) -> None:
        super().__init__()
        self.onset = nn.Linear(config.width, 1)
        self.material = nn.Linear(config.width, config.num_materials)
        self.action = nn.Linear(config.width, config.num_actions)
        self.envelope = nn.Linear(config.width, config.num_bands)

    def forward(self, features: Tensor) -> VideoPredictions:
        """Return predictions for `features` (B, T, D)."""
        return VideoPredictions(
            onset=self.onset(features).squeeze(-1),
            material=self.material(features),
            action=self.action(features),
            envelope=self.envelope(features),
        )

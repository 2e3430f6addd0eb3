"""A small video encoder for timing and matter: fast motion at every frame, slow appearance at every fifth.

The split follows SlowFast networks (Feichtenhofer et al. 2019): what was struck changes slowly and needs depth,
when it was struck needs every frame and little width.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from foleykit.core.errors import ConfigError, InputError
from foleykit.video.chunks import overlapping_chunks

CHUNK_FRAMES = 250
"""Frames of a stream that are encoded at a time, those of its neighbours included."""
CONTEXT_FRAMES = 35
"""Frames on either side of a chunk that its convolutions may look at; a multiple of the slow path's stride."""


@dataclass(frozen=True, kw_only=True)
class TwoRateConfig:
    kind: Literal["two_rate"] = "two_rate"
    """Tells a saved encoder of this kind from others."""
    fps: float = 25.0
    """Frames per second that the encoder expects."""
    size: int = 96
    """Height and width of its frames in pixels; a multiple of 32."""
    width: int = 192
    """Channels of the features."""
    motion_width: int = 64
    """Channels of the fast path."""
    num_motion_blocks: int = 4
    """Blocks of the fast path, each of which sees one frame further to either side."""
    appearance_width: int = 32
    """Channels of the slow path's first layer."""
    slow_stride: int = 5
    """Fast frames per slow frame."""
    num_temporal_blocks: int = 4
    """Residual temporal convolutions after the paths meet."""
    num_materials: int = 7
    num_actions: int = 11
    num_surfaces: int = 9
    """Kinds of surface that a cell may show: materials, the actor, the background."""
    sound_width: int = 48
    """Channels of the predicted action sound, which are those of a codec's latents."""
    num_ambiences: int = 11
    """Kinds of background whose source may be in sight."""

    def __post_init__(self) -> None:
        if self.kind != "two_rate":
            raise ConfigError(f'kind is "two_rate", not "{self.kind}"')
        if self.size % 32:
            raise ConfigError(f"size {self.size} must be a multiple of 32")

    @property
    def num_cells(self) -> int:
        """Cells of a map in each direction."""
        return self.size // 8

    @property
    def feature_rate(self) -> float:
        """Features per second."""
        return self.fps

    @property
    def is_cropped(self) -> bool:
        """Whether the encoder sees the middle square of a picture; else the whole is stretched to a square."""
        return False

    @property
    def context_frames(self) -> int:
        """Frames on either side that can influence a feature: both kinds of temporal block plus two slow frames."""
        temporal = sum(2**block for block in range(self.num_temporal_blocks))
        return temporal + self.num_motion_blocks + 2 * self.slow_stride + 2


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


class ShiftBlock(nn.Module):
    """Residual convolution on (B, T, D, C, C) that sees the frame before and the frame after.

    A quarter of the channels comes from either neighbour and the rest stays, so that looking along time costs nothing
    (temporal shift: Lin et al. 2019, sec. 3).
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.mix = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        quarter = self.width // 4
        earlier, later, own = x.split((quarter, quarter, self.width - 2 * quarter), dim=2)
        edge = torch.zeros_like(earlier[:, :1])
        shifted = torch.cat(
            (torch.cat((edge, earlier[:, :-1]), dim=1), torch.cat((later[:, 1:], edge), dim=1), own), dim=2
        )
        mixed = self.norm(self.mix(shifted.flatten(0, 1)))
        return nn.functional.relu(x + mixed.unflatten(0, x.shape[:2]))


def strided(in_width: int, out_width: int, kernel_size: int = 3, stride: int = 2) -> nn.Sequential:
    """Return a convolution that shrinks the picture by `stride`, with batch-independent normalisation."""
    padding = (kernel_size - stride + 1) // 2
    return nn.Sequential(
        nn.Conv2d(in_width, out_width, kernel_size, stride=stride, padding=padding),
        nn.GroupNorm(8, out_width),
        nn.GELU(),
    )


@dataclass(frozen=True, kw_only=True)
class VideoLooks:
    """What the encoder sees: its features, and the maps that they were read from."""

    features: Tensor
    """(B, T, D)"""
    contact: Tensor
    """(B, T, C, C) logits that something is struck in this cell of this frame."""
    appearance: Tensor
    """(B, T', A, C, C) maps of every slow frame."""


class TwoRateEncoder(nn.Module):
    """Frames to features at the full frame rate.

    Cells of 8 pixels keep what small objects look like and where they meet. A contact is looked for in every cell; the
    features read the maps where it is likely.
    """

    def __init__(self, config: TwoRateConfig) -> None:
        super().__init__()
        self.config = config
        fast, slow = config.motion_width, config.appearance_width
        # Linear up to the frame differences: a difference of linear responses equals the response to the difference,
        # and costs a fraction of differencing the pixels.
        self.motion_stem = nn.Conv2d(3, 24, 4, stride=4, bias=False)
        # Differences are small and their size is the message: batch norm scales them once and for all, where one over
        # the frame would make a still picture look as busy as a moving one.
        self.motion_in = nn.Sequential(
            nn.Conv2d(48, fast // 2, 1, bias=False),
            nn.BatchNorm2d(fast // 2),
            nn.ReLU(),
            nn.Conv2d(fast // 2, fast, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(fast),
            nn.ReLU(),
        )
        # What stops, turns or sets off is a contact: it takes several frames of one place to see it.
        self.motion = nn.Sequential(*(ShiftBlock(fast) for _ in range(config.num_motion_blocks)))
        self.appearance = nn.Sequential(
            strided(3, slow, kernel_size=4, stride=4),
            strided(slow, 2 * slow),
            strided(2 * slow, 2 * slow, stride=1),
            strided(2 * slow, 4 * slow, stride=1),
        )
        # A hand often hides what it strikes; the slow frames beside this one show it.
        self.remember = nn.Conv3d(4 * slow, 4 * slow, (3, 1, 1), padding=(1, 0, 0), groups=4 * slow)
        fused = 64
        self.fuse_motion = nn.Conv2d(fast + 1, fused, 1)
        self.fuse_appearance = nn.Conv2d(4 * slow, fused, 1)
        self.num_glances = 4
        # The first channel looks for contact, the others are free.
        self.glance = nn.Conv2d(fused, 1 + self.num_glances, 1)
        # What is struck lies where something moves: each glance starts out following the motion, more or less closely.
        self.follow = nn.Parameter(torch.linspace(0.0, 3.0, self.num_glances))
        self.contact_bias = nn.Parameter(torch.tensor(-4.0))
        self.spread = nn.Conv2d(fast + 2, 16, 1)
        num_inputs = 16 * (config.num_cells // 4) ** 2 + (self.num_glances + 1) * fused + 4 * slow + 1
        self.project = nn.Linear(num_inputs, config.width)
        self.scale = nn.BatchNorm1d(config.width)
        self.temporal = nn.ModuleList(
            TemporalBlock(config.width, 2**block) for block in range(config.num_temporal_blocks)
        )
        self.norm = nn.LayerNorm(config.width)

    def forward(self, frames: Tensor) -> Tensor:
        """Return features (B, T, D) of `frames` (B, T, 3, H, W) in [0, 1] at `config.fps`.

        Raises InputError when the frames are not `config.size` square.
        """
        return self.look(frames).features

    def look(self, frames: Tensor) -> VideoLooks:
        """Return the features of `frames` (B, T, 3, H, W) with the maps behind them; raises as `forward` does."""
        config = self.config
        batch, num_frames, _, height, width = frames.shape
        if (height, width) != (config.size, config.size):
            raise InputError(f"this encoder takes {config.size} x {config.size} frames, not {height} x {width}")
        motion, energy = self._motion(frames)
        appearance = self._appearance(frames)
        remembered = appearance + self.remember(appearance.transpose(1, 2)).transpose(1, 2)
        moving = torch.cat((motion, energy), dim=2).flatten(0, 1)  # (BT, D + 1, C, C)
        look = self.fuse_appearance(remembered.flatten(0, 1)).unflatten(0, remembered.shape[:2])
        fused = nn.functional.relu(self.fuse_motion(moving) + self._held(look, num_frames).flatten(0, 1))
        contact, free = self.glance(fused).split((1, self.num_glances), dim=1)
        contact = contact + self.contact_bias
        interest = torch.cat((contact, free + self.follow[:, None, None] * energy.flatten(0, 1)), dim=1)
        attention = interest.flatten(2).softmax(dim=-1)  # (BT, 1 + glances, cells)
        glanced = torch.einsum("ngc,ndc->ngd", attention, fused.flatten(2)).flatten(1)
        spread = self.spread(nn.functional.avg_pool2d(torch.cat((moving, contact), dim=1), 4)).flatten(1)
        scene = self._held(appearance.mean(dim=(3, 4)), num_frames).flatten(0, 1)
        evidence = contact.flatten(1).logsumexp(dim=1, keepdim=True)
        hidden = self.scale(self.project(torch.cat((spread, glanced, scene, evidence), dim=1)))
        hidden = hidden.view(batch, num_frames, -1).transpose(1, 2)
        for block in self.temporal:
            hidden = block(hidden)
        return VideoLooks(
            features=self.norm(hidden.transpose(1, 2)),
            contact=contact.squeeze(1).unflatten(0, (batch, num_frames)),
            appearance=appearance,
        )

    def _motion(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Return motion maps (B, T, D, C, C) and how much each cell moves against the rest (B, T, 1, C, C).

        Both see the changes from the frame before and to the frame after. The second is a log energy relative to the
        frame's mean, so that a moving camera, which moves every cell, leaves little in it.
        """
        batch, num_frames = frames.shape[:2]
        pixels = frames.flatten(0, 1).contiguous(memory_format=torch.channels_last)
        # Small differences of large numbers: in bfloat16 nothing would be left of slow motion.
        with torch.autocast(frames.device.type, enabled=False):
            stem = self.motion_stem(pixels).unflatten(0, (batch, num_frames))
        still = torch.zeros_like(stem[:, :1])
        changes = torch.cat((still, stem[:, 1:] - stem[:, :-1], still), dim=1)
        differences = torch.cat((changes[:, :-1], changes[:, 1:]), dim=2).flatten(0, 1)
        # A guide to where to look, not a thing to learn: no gradient, which would cost as much as a layer.
        moved = nn.functional.avg_pool2d(differences.detach().square().mean(dim=1, keepdim=True), 2)
        energy = 0.5 * (moved.float() + 1e-6).log()
        energy = energy - energy.mean(dim=(2, 3), keepdim=True)
        shape = (batch, num_frames)
        return self.motion(self.motion_in(differences).unflatten(0, shape)), energy.unflatten(0, shape)

    def _appearance(self, frames: Tensor) -> Tensor:
        """Return the maps (B, T', A, C, C) of every slow frame."""
        offset = self.config.slow_stride // 2
        slow = frames[:, offset :: self.config.slow_stride] if frames.shape[1] > offset else frames[:, :1]
        maps = self.appearance(slow.flatten(0, 1).contiguous(memory_format=torch.channels_last))
        return maps.unflatten(0, slow.shape[:2])

    def _held(self, slow: Tensor, num_frames: int) -> Tensor:
        """Return (B, T, ...): each slow entry of (B, T', ...) held until the next."""
        index = torch.arange(num_frames, device=slow.device) // self.config.slow_stride
        return slow[:, index.clamp(max=slow.shape[1] - 1)]


@torch.inference_mode()
def features_of(
    encoder: TwoRateEncoder,
    chunks: Iterable[NDArray[np.uint8]],
    device: torch.device,
    *,
    on_looks: Callable[[VideoLooks, int, int], None] | None = None,
) -> tuple[Tensor, Tensor]:
    """Return features (T, D) of a stream of frame chunks (t, H, W, 3) and its evidence of contact (T,), on the CPU.

    The evidence is the log of the summed odds that something is struck in a cell of the frame. Memory does not grow
    with pixels already seen. `on_looks` is shown each piece, with the counts of frames at its start and its end that
    belong to its neighbours. Raises InputError when there are no frames or their size is not the encoder's.
    """
    features, contact = [], []
    for pixels, left, right in overlapping_chunks(chunks, CHUNK_FRAMES, CONTEXT_FRAMES):
        frames = torch.from_numpy(pixels).to(device).permute(0, 3, 1, 2).float().div_(255)
        looks = encoder.look(frames[None])
        if on_looks is not None:
            on_looks(looks, left, right)
        own = slice(left, len(pixels) - right)
        features.append(looks.features[0].cpu()[own].clone())
        contact.append(looks.contact[0].flatten(1).logsumexp(dim=1).cpu()[own].clone())
        # The next piece would be read while this one is still held.
        del pixels, frames, looks
    if not features:
        raise InputError("the model needs at least one video frame and got none")
    return torch.cat(features), torch.cat(contact)


@dataclass(frozen=True, kw_only=True)
class VideoPredictions:
    """What the training heads read from an encoder's looks; used to train and to inspect, not to generate."""

    onset: Tensor
    """(B, T) logits of an on-screen onset in this frame."""
    material: Tensor
    """(B, T, materials) logits of what rings."""
    action: Tensor
    """(B, T, actions) logits of what is done."""
    sound: Tensor
    """(B, T, D) latents of the action sound alone."""
    contact: Tensor
    """(B, T, C, C) logits of an impact in this cell of this frame."""
    surface: Tensor
    """(B, T', surfaces, C, C) logits of what a cell of a slow frame shows."""
    ambience: Tensor
    """(B, ambiences) logits that this background is heard during the clip."""


class VideoHeads(nn.Module):
    """Linear heads that ask about events and surfaces: the supervision that the world makes free."""

    def __init__(self, config: TwoRateConfig) -> None:
        super().__init__()
        self.onset = nn.Linear(config.width, 1)
        self.material = nn.Linear(config.width, config.num_materials)
        self.action = nn.Linear(config.width, config.num_actions)
        self.sound = nn.Linear(config.width, config.sound_width)
        self.ambience = nn.Linear(config.width, config.num_ambiences)
        self.surface = nn.Conv2d(4 * config.appearance_width, config.num_surfaces, 1)

    def forward(self, looks: VideoLooks) -> VideoPredictions:
        """Return predictions, in fp32, for what an encoder saw."""
        features = looks.features
        surface = self.surface(looks.appearance.flatten(0, 1))
        return VideoPredictions(
            onset=self.onset(features).squeeze(-1).float(),
            material=self.material(features).float(),
            action=self.action(features).float(),
            sound=self.sound(features).float(),
            contact=looks.contact.float(),
            surface=surface.unflatten(0, looks.appearance.shape[:2]).float(),
            ambience=self.ambience(features.mean(dim=1)).float(),
        )

"""Features are turned to what their own signs of an onset say, and calmed where a video is unlike all training."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from foleykit.core.checkpoint import frozen, with_weights
from foleykit.core.types import VideoFeatures
from foleykit.encoders.visual.two_rate import TwoRateEncoder, VideoLooks, features_of

FILE_NAME = "steering.safetensors"

_CONTACT_WEIGHT = 1.25
"""Logits of an onset that one standard deviation of the contact evidence counts for."""
_SURE, _FAINT, _STRANGELY_FAINT = 3.0, 0.0, -0.5
"""Least evidence of an onset in logits: alone, and beside sure ones in familiar and in strange pictures."""
_NUM_SURE, _NEAR_FRAMES = 3, 150
"""How many sure onsets within how many frames to either side, 6 s, make faint ones believed."""
_REACH = 3
"""Frames to either side among which an onset is the strongest."""
_SENSITIVITY_LOGITS = 2.0
"""Logits by which a sensitivity of 1 raises the evidence of onsets."""
_SHAPE = (-1.5, 1.0, 4.0, 1.0, -1.5)
"""Logits around an onset, as a clear one of the world has them."""
_BETWEEN = -4.0
"""Logit between onsets, the world's median."""
_HEARD_FRAMES, _FADING_FRAMES = 25, 6
"""Around an onset, in which features are kept, and further ones over which they fade to the mean of the training."""
_FAMILIAR, _STRANGE = 18.0, 26.0
"""Distances at which a video begins to look strange and wholly does: 7 in 10 places of the world lie nearer."""
_SETTLING_FRAMES = 75
"""The mean of few frames lies further off by chance."""
_RIDGE = 1e-2
"""Added to the variance of mean features in every direction, so that none counts without bound."""


class OnsetSteering(nn.Module):
    """Features that say clearly what was seen faintly.

    A generator that learnt from clear features keeps still where they are faint, as they often are on footage that a
    camera took. The encoder's contact maps, which are made before anything learnt how the world moves, add to what the
    onset head says. Where both together call for an onset, the features move along the head's own direction until it
    says so with the clearness of the world. Faint signs count only near sure ones, as faint edges in a picture do
    (hysteresis: Canny 1986, sec. VI): who strikes once strikes again, and where nothing is struck no sign is sure.

    Features of pictures unlike the training's say nothing else that could be trusted, and a generator makes sounds of
    them. The stranger a video is, the more its features say between onsets that there is none, and away from them they
    become the mean of the training videos, wholly where all of it is strange and not at all where it is so by half or
    less.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.onset = nn.Linear(width, 1)
        self.familiar = nn.Parameter(torch.zeros(width))
        """Mean feature of the training videos."""
        self.whitening = nn.Parameter(torch.eye(width))
        """(D, D), which makes mean features of training videos vary alike in all directions."""
        self.contact = nn.Parameter(torch.tensor([0.0, 1.0]))
        """Mean and standard deviation of the contact evidence in training videos."""

    def forward(self, features: Tensor, contact: Tensor, sensitivity: float = 0.0) -> VideoFeatures:
        """Return features (T, D) and what they become by their frames' evidence of contact (T,).

        Those of a familiar video change at believed onsets alone. `sensitivity` goes from -1, which leaves only the
        clearest onsets, to 1, at which the faintest are heard too.
        """
        share = self.strangeness(features)
        raised = _SENSITIVITY_LOGITS * sensitivity
        logits = self.onset(features).squeeze(-1)
        mean, deviation = self.contact
        contact_logits = _CONTACT_WEIGHT * (contact - mean) / deviation
        onsets = believed_peaks(logits + contact_logits + raised, _FAINT + share * (_STRANGELY_FAINT - _FAINT))
        clear = clear_logits(onsets, len(features))
        kept = 1 - max(2 * share - 1, 0.0) * (1 - nearness(onsets, len(features)))[:, None]
        calmed = kept * features + (1 - kept) * self.familiar
        wanted = clear - self.onset(calmed).squeeze(-1)
        of_familiar = wanted.clamp(min=0) * (clear > 0) + min(raised, 0.0) * at_signs(logits, _FAINT)
        steered = moved(calmed, self.onset, share * wanted + (1 - share) * of_familiar)
        return VideoFeatures(
            values=features, steered=steered, evidence=logits + share * contact_logits, strangeness=share
        )

    def strangeness(self, features: Tensor) -> float:
        """Return how unlike the training videos one is, 0 to 1, by the distance of its mean feature from theirs."""
        distance = float((self.whitening @ (features.mean(dim=0) - self.familiar)).square().sum())
        distance *= len(features) / (len(features) + _SETTLING_FRAMES)
        return min(max((distance - _FAMILIAR) / (_STRANGE - _FAMILIAR), 0.0), 1.0)

    @torch.no_grad()
    def fit_(self, onset: nn.Linear, means: Tensor, contact: Tensor) -> None:
        """Take over the onset head, and what is usual in training: mean features (N, D), contact evidence (T,)."""
        self.onset.load_state_dict(onset.state_dict())
        self.familiar.copy_(means.mean(dim=0))
        variances, directions = torch.linalg.eigh(means.T.cov() + _RIDGE * torch.eye(means.shape[1]))
        self.whitening.copy_((directions / variances.sqrt()).T)
        self.contact.copy_(torch.stack((contact.mean(), contact.std())))


def moved(features: Tensor, onset: nn.Linear, change: Tensor) -> Tensor:
    """Return features (T, D), moved along the direction of a head until its logits have changed by `change` (T,)."""
    return features + change[:, None] * (onset.weight[0] / onset.weight.square().sum())


def is_peak_above(evidence: Tensor, least: float) -> Tensor:
    """Return whether each frame (T,) has the strongest of the `evidence` (T,) around it, above `least`."""
    strongest = nn.functional.max_pool1d(evidence[None], 2 * _REACH + 1, stride=1, padding=_REACH)[0]
    return (evidence >= strongest) & (evidence > least)


def at_signs(evidence: Tensor, least: float) -> Tensor:
    """Return 1 at peaks of `evidence` (T,) above `least` and at the frames beside them, else 0 (T,)."""
    return nn.functional.max_pool1d(is_peak_above(evidence, least)[None].float(), 3, stride=1, padding=1)[0]


def believed_peaks(evidence: Tensor, faint: float) -> list[int]:
    """Return the frames of the peaks of `evidence` (T,) that are sure, or above `faint` and near enough sure ones."""
    is_peak = is_peak_above(evidence, faint)
    is_sure = is_peak & (evidence > _SURE)
    near = nn.functional.pad(is_sure.int(), (_NEAR_FRAMES, _NEAR_FRAMES)).unfold(0, 2 * _NEAR_FRAMES + 1, 1).sum(dim=1)
    return (is_sure | (is_peak & (near >= _NUM_SURE))).nonzero()[:, 0].tolist()


def clear_logits(onsets: Sequence[int], num_frames: int) -> Tensor:
    """Return logits (T,) of clear onsets at the frames `onsets` and of none elsewhere."""
    shaped = torch.full((num_frames,), _BETWEEN)
    middle = len(_SHAPE) // 2
    for onset in onsets:
        for frame, logit in enumerate(_SHAPE, start=onset - middle):
            if 0 <= frame < num_frames:
                shaped[frame] = max(float(shaped[frame]), logit)
    return shaped


def nearness(onsets: Sequence[int], num_frames: int) -> Tensor:
    """Return how near each frame (T,) lies to one of the sorted frames `onsets`: 1 nearby, falling to 0."""
    if not onsets:
        return torch.zeros(num_frames)
    frames, marks = torch.arange(num_frames), torch.tensor(onsets)
    later = torch.searchsorted(marks, frames).clamp(max=len(marks) - 1)
    distance = torch.minimum((marks[later] - frames).abs(), (frames - marks[(later - 1).clamp(min=0)]).abs())
    return (1 - (distance - _HEARD_FRAMES) / _FADING_FRAMES).clamp(0, 1)


def load_steering(folder: Path, width: int) -> OnsetSteering | None:
    """Return the steering of a model folder; None where it has none. Raises ModelError when it does not fit."""
    path = folder / FILE_NAME
    return frozen(with_weights(OnsetSteering(width), path), "cpu") if path.is_file() else None


@torch.inference_mode()
def seen_features(
    encoder: TwoRateEncoder,
    steering: OnsetSteering | None,
    chunks: Iterable[NDArray[np.uint8]],
    device: torch.device,
    *,
    sensitivity: float = 0.0,
    on_looks: Callable[[VideoLooks, int, int], None] | None = None,
) -> VideoFeatures:
    """Return what an encoder sees in a stream of frame chunks (t, H, W, 3), and what a generator is told of it.

    `sensitivity` is that of the steering, without which it does nothing; `on_looks` is that of `features_of`. Raises
    InputError when there are no frames or their size is not the encoder's.
    """
    features, contact = features_of(encoder, chunks, device, on_looks=on_looks)
    return VideoFeatures(values=features) if steering is None else steering(features, contact, sensitivity)

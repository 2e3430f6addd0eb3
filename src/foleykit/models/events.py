"""What is done in a video and when: events that are read from the pictures' features, and how the denoiser is told.

Features say softly what they know, and a small denoiser makes little of it: of the materials that the features name, it
conveyed hardly any. Named outright, as a track beside the features, they are obeyed, and they can be shown to people.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from foleykit.core.checkpoint import frozen, with_weights
from foleykit.core.errors import ModelError, UsageError
from foleykit.core.types import VideoFeatures
from foleykit.encoders.visual.steering import moved
from foleykit.encoders.visual.two_rate import VideoHeads
from foleykit.world.types import ACTIONS, EVENT_KINDS, MATERIALS, Action, EventKind, Material

LASTING: tuple[EventKind, ...] = tuple(kind for kind in EVENT_KINDS if kind != "impact")
"""Kinds of event that go on sounding after they began."""
FILE_NAME = "events.safetensors"

_LEVEL, _MATERIAL = 1, 2
_ACTION = _MATERIAL + len(MATERIALS)
_LAST = _ACTION + len(ACTIONS)
TRACK_WIDTH = _LAST + len(LASTING)
"""Channels of a track: onset, level, materials, actions, and what lasts."""
MATERIAL_CHANNELS = slice(_MATERIAL, _ACTION)
"""Those of them that say what rings."""

_MEAN_DB, _DEVIATION_DB = -35.0, 12.0
"""Levels of events are told in units of their spread around their mean."""
_HELD_FRAMES = 3
"""For which a track names an impact: its attack and the start of its ringing."""
_RINGING_FRAMES = 16
"""For which most impacts are heard above a background."""
_THRESHOLD = 1.0
"""Least logit of an onset, by onset F1 and quiet gaps of generated sound on held-out places of the world."""
_FAINT = 0.0
"""Least logit of an onset near which features are left as they are."""
_STILL = -6.0
"""Logit of an onset where there is none, clearer than the world's median of -4."""
_FAINT_REACH = 3
"""Frames to either side of a faint onset that are left as they are."""
_LASTING_THRESHOLD = 0.0
"""Least logit that something goes on: scrapes are rare and long, and a false one costs more than a missed one."""
_ONLY_LASTING = [ACTIONS.index("scrape"), ACTIONS.index("pour")]
"""What is no impact, and is not said of one."""
_LEAST_LASTING = 3
"""Frames for which something must be seen to go on."""
_REACH = 1
"""Frames to either side of an onset that have a say in its material and action."""
_NEAR_SECONDS = 3.0
_LIKENESS = 8.0
"""What events have a say in each other's material: those so near, and the more the more alike they look. On held-out
places that raises the share of impacts named rightly, those that are not found included, from .61 to .65."""
_RIDGE = 1e-3
_IN_DOUBT = 0.5
"""Least chance of a material that is said of strange pictures: likelier than all others together."""
_SHORT: tuple[Material, ...] = ("wood", "plastic", "stone", "cloth")
"""What rings on after no blow. Of these the likeliest is said in doubt: a wrong knock is noticed least."""
_SAME_EVENT_FRAMES = 1.5
"""Within which of a true onset a finding is right: 60 ms."""


@dataclass(frozen=True, kw_only=True)
class SeenEvent:
    """One visible cause of sound."""

    time: float
    """Onset in seconds from the first picture."""
    material: Material
    """What rings."""
    action: Action = "hit"
    kind: EventKind = "impact"
    duration: float = 0.0
    """Seconds for which it goes on; 0 for an impact."""
    level_db: float = _MEAN_DB
    """RMS of the 40 ms after the onset in dBFS, -90 to 0."""
    confidence: float = 1.0
    """Chance in [0, 1] that it is there, by what was seen; a person's list is sure. It changes no sound."""

    def __post_init__(self) -> None:
        for value, known, what in (
            (self.material, MATERIALS, "a material"),
            (self.action, ACTIONS, "an action"),
            (self.kind, EVENT_KINDS, "a kind of event"),
        ):
            if value not in known:
                raise UsageError(f'{what} is one of {", ".join(known)}, not "{value}"')
        if not (0 <= self.time < math.inf and 0 <= self.duration < math.inf):
            raise UsageError(
                f"an event has a time and a duration of 0 s or more, not {self.time:g} and {self.duration:g} s"
            )
        if not -90 <= self.level_db <= 0:
            raise UsageError(f"the level of an event lies between -90 and 0 dBFS, not {self.level_db:g}")
        if not 0 <= self.confidence <= 1:
            raise UsageError(f"the confidence of an event lies between 0 and 1, not {self.confidence:g}")


def event_track(events: Sequence[SeenEvent], num_frames: int, fps: float) -> NDArray[np.float32]:
    """Return the track (T, TRACK_WIDTH) of `events` at `fps` frames per second.

    An onset lies on the two frames around it, the more on the nearer; what rings and what is done stand in the frames
    after it, until the next event or, if it lasts, until its end.
    """
    track = np.zeros((num_frames, TRACK_WIDTH), np.float32)
    for event in sorted(events, key=lambda event: event.time):
        at = event.time * fps
        first = int(np.floor(at))
        if 0 <= first < num_frames:
            track[first, 0] = max(track[first, 0], first + 1 - at)
        if 0 <= first + 1 < num_frames:
            track[first + 1, 0] = max(track[first + 1, 0], at - first)
        end = at + event.duration * fps
        rows = slice(max(first, 0), max(first + _HELD_FRAMES, int(np.ceil(end)), 0))
        track[rows, _LEVEL:_LAST] = 0
        track[rows, _LEVEL] = (event.level_db - _MEAN_DB) / _DEVIATION_DB
        track[rows, _MATERIAL + MATERIALS.index(event.material)] = 1
        track[rows, _ACTION + ACTIONS.index(event.action)] = 1
        if event.kind in LASTING:
            track[max(first, 0) : max(int(np.ceil(end)), 0), _LAST + LASTING.index(event.kind)] = 1
    return track


def happening(track: Tensor) -> Tensor:
    """Return how much of each frame (T,) of a `track` (T, K) belongs to an event: 1 at its onset, falling after it."""
    onset = (nn.functional.max_pool1d(track[None, :, 0], 3, stride=1, padding=1)[0] > 0).float()
    lags = torch.arange(_RINGING_FRAMES)
    later = nn.functional.pad(onset, (_RINGING_FRAMES - 1, 0)).unfold(0, _RINGING_FRAMES, 1).flip(1)
    return (later * (1 - lags / _RINGING_FRAMES)).amax(dim=1)


@dataclass(frozen=True, kw_only=True)
class _Span:
    """Frames in which something goes on."""

    start: int
    stop: int
    kind: EventKind


class EventReader(nn.Module):
    """Events from the features of a video encoder, by linear heads.

    Onset, material and action are the heads that taught the encoder; level and what lasts are read from the finished
    features. Deeper heads found no more: onset F1 .80 on unseen places whatever their depth.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.onset = nn.Linear(width, 1)
        self.material = nn.Linear(width, len(MATERIALS))
        self.action = nn.Linear(width, len(ACTIONS))
        self.level = nn.Linear(width, 1)
        self.lasting = nn.Linear(width, len(LASTING))
        self.confidence = nn.Parameter(torch.tensor([1.0, 0.0]))
        """Slope and offset of an onset's logit in the logit of its being there."""

    @torch.inference_mode()
    def read(self, seen: VideoFeatures, fps: float) -> tuple[SeenEvent, ...]:
        """Return the events of `seen`, features (T, D) at `fps`, sorted by time.

        Where the pictures look strange and the material is in doubt, one is said that rings on after no blow.
        """
        features = seen.told
        found = peaks(self.onset(features)[:, 0], _THRESHOLD)
        if not found:
            return ()
        frames, positions = torch.tensor([frame for frame, _ in found]), [position for _, position in found]
        around = nn.functional.pad(features.T, (_REACH, _REACH), mode="replicate").T.unfold(0, 2 * _REACH + 1, 1)[
            frames
        ]
        actions = self.action(around.transpose(1, 2)).softmax(dim=2).mean(dim=1)
        struck = actions.index_fill(1, torch.tensor(_ONLY_LASTING), 0)
        materials = self._materials(around.transpose(1, 2), torch.tensor(positions) / fps)
        named = _said(materials, _IN_DOUBT * seen.strangeness).tolist()
        evidence = self.onset(features)[:, 0] if seen.evidence is None else seen.evidence
        slope, offset = self.confidence
        confidences = (slope * evidence[frames] + offset).sigmoid().tolist()
        levels = (_MEAN_DB + _DEVIATION_DB * self.level(features[frames])[:, 0]).clamp(-90, 0).tolist()
        spans = [span for kind in LASTING for span in self._spans(features, kind)]
        events = []
        for index, (position, material, level_db, confidence) in enumerate(
            zip(positions, named, levels, confidences, strict=True)
        ):
            lasting = [span for span in spans if abs(span.start - position) <= _HELD_FRAMES]
            likely = actions[index] if lasting else struck[index]
            events.append(
                SeenEvent(
                    time=max(position, 0.0) / fps,
                    duration=max(lasting[0].stop - position, 0.0) / fps if lasting else 0.0,
                    kind=lasting[0].kind if lasting else "impact",
                    action=ACTIONS[int(likely.argmax())],
                    material=MATERIALS[material],
                    level_db=level_db,
                    confidence=confidence,
                )
            )
        return tuple(events)

    @torch.inference_mode()
    def settle(self, seen: VideoFeatures) -> Tensor:
        """Return features (T, D) that say clearly where nothing happens.

        Where no onset is even faint and nothing goes on, they move along the onset head's own direction until it says
        that there is none: a generator plays on what is left open. The stranger the pictures, in which signs are
        fainter, the less.
        """
        features = seen.values
        logits = self.onset(features)[:, 0]
        is_open = (self.lasting(features) > _LASTING_THRESHOLD).any(dim=1)
        for frame, _ in peaks(logits, _FAINT):
            is_open[max(0, frame - _FAINT_REACH) : frame + _FAINT_REACH + 1] = True
        lowered = (1 - seen.strangeness) * (logits.clamp(max=_STILL) - logits) * ~is_open
        return moved(features, self.onset, lowered)

    def _materials(self, around: Tensor, times: Tensor) -> Tensor:
        """Return chances (N, M) of materials by the features around events (N, F, D) and their times (N,) in seconds.

        Events that look alike and lie close together mostly strike one body: they have a say in each other's.
        """
        seen = nn.functional.normalize(around.mean(dim=1), dim=1)
        say = (_LIKENESS * (seen @ seen.T - 1)).exp() * ((times[:, None] - times).abs() < _NEAR_SECONDS)
        return nn.functional.normalize(say @ self.material(around).softmax(dim=2).mean(dim=1), p=1.0, dim=1)

    def _spans(self, features: Tensor, kind: EventKind) -> list[_Span]:
        """Return every run of frames in which `kind` is seen to go on."""
        is_on = self.lasting(features)[:, LASTING.index(kind)] > _LASTING_THRESHOLD
        edges = nn.functional.pad(is_on.int(), (1, 1)).diff()
        starts, stops = (edges == 1).nonzero()[:, 0].tolist(), (edges == -1).nonzero()[:, 0].tolist()
        return [
            _Span(start=start, stop=stop, kind=kind)
            for start, stop in zip(starts, stops, strict=True)
            if stop - start >= _LEAST_LASTING
        ]

    def fit_(self, heads: VideoHeads, features: Tensor, track: Tensor) -> None:
        """Take over an encoder's heads; learn level and what lasts from features (N, D) and their true track (N, K)."""
        for name in ("onset", "material", "action"):
            getattr(self, name).load_state_dict(getattr(heads, name).state_dict())
        is_onset = track[:, 0] >= 0.5
        _fit_linear(self.level, features[is_onset], track[is_onset, _LEVEL : _LEVEL + 1])
        _fit_logistic(self.lasting, features, track[:, _LAST:])

    def fit_confidence_(self, videos: Sequence[tuple[Tensor, Tensor]]) -> None:
        """Learn how often findings are right from features (T, D) and true tracks (T, K) that the encoder never saw."""
        evidence, is_right = [], []
        for features, track in videos:
            logits = self.onset(features)[:, 0].detach()
            onsets = (track[:, 0] >= 0.5).nonzero()[:, 0]
            for frame, position in peaks(logits, _THRESHOLD):
                evidence.append(logits[frame])
                is_right.append(bool(((onsets - position).abs() <= _SAME_EVENT_FRAMES).any()))
        if evidence:
            curve = nn.Linear(1, 1)
            _fit_logistic(curve, torch.stack(evidence)[:, None], torch.tensor(is_right).float()[:, None])
            self.confidence.data.copy_(torch.cat((curve.weight[0], curve.bias)))


def _said(chances: Tensor, least: float) -> Tensor:
    """Return the material (N,) to say for `chances` (N, M): the likeliest, or in doubt the likeliest that is short."""
    short = torch.tensor([MATERIALS.index(material) for material in _SHORT])
    likeliest = chances.max(dim=1)
    return torch.where(likeliest.values < least, short[chances[:, short].argmax(dim=1)], likeliest.indices)


def peaks(evidence: Tensor, threshold: float) -> list[tuple[int, float]]:
    """Return frame and exact position, in frames, of every maximum of `evidence` (T,) above `threshold`."""
    probability = nn.functional.pad(evidence.sigmoid(), (1, 1))
    before, middle, after = probability[:-2], probability[1:-1], probability[2:]
    is_peak = (middle >= before) & (middle > after) & (evidence > threshold)
    curvature = before - 2 * middle + after
    shift = torch.where(curvature < 0, 0.5 * (before - after) / curvature, torch.zeros_like(curvature))
    return [(frame, frame + float(shift[frame])) for frame in is_peak.nonzero()[:, 0].tolist()]


def read_events(reader: EventReader | None, seen: VideoFeatures, fps: float) -> tuple[SeenEvent, ...]:
    """Return what `reader` finds in features (T, D) at `fps`; raises ModelError where a model has none."""
    if reader is None:
        raise ModelError("this model reads no events")
    return reader.read(seen, fps)


def told_track(
    reader: EventReader | None, seen: VideoFeatures, fps: float, *, events: Sequence[SeenEvent] | None, length: int
) -> Tensor:
    """Return the track (`length`, K) of `events`, or else of those that `reader` finds in features (T, D) at `fps`.

    A model without a reader is told none: K is 0. Raises ModelError where it is given events all the same.
    """
    if reader is None:
        if events is not None:
            raise ModelError("this model takes no events")
        return torch.zeros(length, 0)
    return torch.from_numpy(event_track(reader.read(seen, fps) if events is None else events, length, fps))


def load_events(folder: Path, width: int) -> EventReader:
    """Return the reader of a model folder. Raises ModelError when it is missing or does not fit."""
    return frozen(with_weights(EventReader(width), folder / FILE_NAME), "cpu")


@torch.no_grad()
def _fit_linear(layer: nn.Linear, inputs: Tensor, targets: Tensor) -> None:
    """Set `layer` to the ridge regression of `targets` (N, O) on `inputs` (N, I)."""
    ones = torch.cat((inputs, torch.ones_like(inputs[:, :1])), dim=1).double()
    normal = ones.T @ ones + _RIDGE * len(ones) * torch.eye(ones.shape[1], dtype=torch.float64)
    solution = torch.linalg.solve(normal, ones.T @ targets.double())
    layer.weight.copy_(solution[:-1].T)
    layer.bias.copy_(solution[-1])


def _fit_logistic(layer: nn.Linear, inputs: Tensor, targets: Tensor) -> None:
    """Set `layer` to the logistic regression of `targets` (N, O) in {0, 1} on `inputs` (N, I)."""
    optimizer = torch.optim.LBFGS(layer.parameters(), max_iter=60, history_size=20, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = nn.functional.binary_cross_entropy_with_logits(layer(inputs), targets)
        loss = loss + _RIDGE * layer.weight.square().sum()
        loss.backward()
        return loss

    optimizer.step(closure)

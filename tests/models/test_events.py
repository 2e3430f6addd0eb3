"""Events: what a denoiser is told of them, and what is read from features."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from foleykit.core.errors import UsageError
from foleykit.encoders.visual.two_rate import TwoRateConfig, VideoHeads
from foleykit.models.events import TRACK_WIDTH, EventReader, SeenEvent, event_track, happening, peaks
from foleykit.world.types import ACTIONS, MATERIALS

HIT = SeenEvent(time=0.41, material="metal", action="hammer", level_db=-23.0)
SCRAPE = SeenEvent(time=0.8, material="wood", action="scrape", kind="scrape", duration=0.4)


def test_an_onset_lies_between_frames_and_is_named_in_those_after_it() -> None:
    track = event_track([HIT], 25, 25.0)
    assert track.shape == (25, TRACK_WIDTH)
    assert track[:, 0].nonzero()[0].tolist() == [10, 11] and track[10:12, 0] == pytest.approx([0.75, 0.25])
    named = track[:, 1:].any(axis=1)
    assert np.flatnonzero(named).tolist() == [10, 11, 12]
    materials, actions = track[10, 2 : 2 + len(MATERIALS)], track[10, 2 + len(MATERIALS) :][: len(ACTIONS)]
    assert MATERIALS[int(materials.argmax())] == "metal" and materials.sum() == 1
    assert ACTIONS[int(actions.argmax())] == "hammer" and actions.sum() == 1
    assert track[10, 1] == pytest.approx(1.0)


def test_what_lasts_is_told_to_its_end_and_gives_way_to_what_follows() -> None:
    alone = event_track([SCRAPE], 50, 25.0)
    assert np.flatnonzero(alone[:, -3]).tolist() == list(range(20, 30))
    later = replace(HIT, time=1.0)
    both = event_track([later, SCRAPE], 50, 25.0)
    assert MATERIALS[int(both[24, 2 : 2 + len(MATERIALS)].argmax())] == "wood"
    assert MATERIALS[int(both[25, 2 : 2 + len(MATERIALS)].argmax())] == "metal"


def test_what_happens_is_whole_at_an_onset_and_fades_after_it() -> None:
    shares = happening(torch.from_numpy(event_track([HIT], 50, 25.0)))
    assert shares.shape == (50,) and shares[9:13].tolist() == [1.0] * 4
    assert (shares[12:29].diff() < 0).all() and not shares[:9].any() and not shares[28:].any()
    assert not happening(torch.zeros(50, TRACK_WIDTH)).any()


@pytest.mark.parametrize("time", [0.0, 0.99, 1.5])
def test_events_at_the_edges_and_beyond_them_leave_a_track_of_the_right_length(time: float) -> None:
    track = event_track([replace(SCRAPE, time=time)], 25, 25.0)
    assert track.shape == (25, TRACK_WIDTH) and np.isfinite(track).all()
    assert track.any() == (time < 1)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"material": "jelly"}, "a material is one of wood, metal"),
        ({"action": "sing"}, "an action is one of hit"),
        ({"kind": "bang"}, "a kind of event is one of impact"),
        ({"time": -0.1}, "0 s or more"),
        ({"time": float("nan")}, "0 s or more"),
        ({"duration": -1.0}, "0 s or more"),
        ({"level_db": 3.0}, "between -90 and 0 dBFS"),
    ],
)
def test_an_event_that_cannot_be_is_refused(values: dict[str, float | str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        replace(HIT, **values)  # type: ignore[arg-type]


def test_peaks_lie_between_frames_where_their_neighbours_differ() -> None:
    evidence = torch.tensor([-4.0, -1.0, 2.0, 1.0, -4.0, 0.2, -4.0, 3.0, 3.0, -4.0])
    found = peaks(evidence, 0.5)
    assert [frame for frame, _ in found] == [2, 8]
    assert 2.0 < found[0][1] < 2.5 and found[1][1] == pytest.approx(7.5, abs=0.2)


def features_of(track: Tensor, width: int) -> Tensor:
    """Return features that hold a track plainly, amid noise."""
    generator = torch.Generator().manual_seed(0)
    mixing = torch.randn(TRACK_WIDTH, width, generator=generator)
    return track @ mixing + 0.05 * torch.randn(len(track), width, generator=generator)


def test_a_reader_finds_the_events_that_its_heads_know_and_learns_level_and_duration() -> None:
    rng = np.random.default_rng(0)
    events = [
        SeenEvent(
            time=at + int(rng.integers(8)) / 25,
            material=MATERIALS[int(rng.integers(len(MATERIALS)))],
            action="scrape" if lasts else "hit",
            kind="scrape" if lasts else "impact",
            duration=0.3 if lasts else 0.0,
            level_db=float(rng.uniform(-50, -20)),
        )
        for at in range(200)
        for lasts in [rng.random() < 0.3]
    ]
    track = torch.from_numpy(event_track(events, 200 * 25, 25.0))
    features = features_of(track, 48)
    heads = VideoHeads(TwoRateConfig(width=48))
    optimizer = torch.optim.Adam(heads.parameters(), 0.05)
    for _ in range(400):
        first, named = track[:, 0], track[:, 2:9].sum(dim=1) > 0
        loss = torch.nn.functional.binary_cross_entropy_with_logits(heads.onset(features)[:, 0], (first > 0.5).float())
        loss = loss + torch.nn.functional.cross_entropy(heads.material(features[named]), track[named, 2:9])
        loss = loss + torch.nn.functional.cross_entropy(heads.action(features[named]), track[named, 9:20])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    reader = EventReader(48)
    reader.fit_(heads, features, track)
    read = reader.read(features, 25.0)
    assert len(read) == len(events)
    assert max(abs(one.time - other.time) for one, other in zip(read, events, strict=True)) < 0.04
    assert np.mean([one.material == other.material for one, other in zip(read, events, strict=True)]) > 0.95
    assert np.mean([one.kind == other.kind for one, other in zip(read, events, strict=True)]) > 0.95
    assert np.mean([abs(one.level_db - other.level_db) for one, other in zip(read, events, strict=True)]) < 3

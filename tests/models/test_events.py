"""Events: what a denoiser is told of them, and what is read from features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from foleykit.core.errors import UsageError
from foleykit.core.types import VideoFeatures
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
    read = reader.read(VideoFeatures(values=features), 25.0)
    assert len(read) == len(events)
    assert max(abs(one.time - other.time) for one, other in zip(read, events, strict=True)) < 0.04
    assert np.mean([one.material == other.material for one, other in zip(read, events, strict=True)]) > 0.95
    assert np.mean([one.kind == other.kind for one, other in zip(read, events, strict=True)]) > 0.95
    assert np.mean([abs(one.level_db - other.level_db) for one, other in zip(read, events, strict=True)]) < 3


def reader_of(materials: Sequence[float]) -> EventReader:
    """Return a reader to whom the first feature is the logit of an onset and `materials` always the chances."""
    reader = EventReader(4).requires_grad_(False)
    for parameter in reader.parameters():
        parameter.zero_()
    reader.onset.weight[0, 0] = 1
    reader.material.bias.copy_(torch.tensor(materials).log())
    reader.lasting.bias -= 1
    return reader


def features_with(logits: Sequence[float]) -> Tensor:
    """Return features (T, 4) whose first is low but for a peak of each of `logits`, a second apart."""
    features = torch.full((25 * len(logits), 4), -4.0)
    features[12::25, 0] = torch.tensor(logits)
    return features


def test_where_nothing_happens_features_say_so_and_around_faint_signs_they_stay() -> None:
    reader = reader_of([1 / len(MATERIALS)] * len(MATERIALS))
    features = features_with([2.0, 0.5, -1.0])
    settled = reader.settle(VideoFeatures(values=features))
    logits = reader.onset(settled)[:, 0]
    kept = [frame for peak in (12, 37) for frame in range(peak - 3, peak + 4)]
    torch.testing.assert_close(settled[kept], features[kept])
    others = [frame for frame in range(75) if frame not in kept]
    torch.testing.assert_close(logits[others], torch.full((len(others),), -6.0))
    torch.testing.assert_close(settled[:, 1:], features[:, 1:])  # nothing but the onset is touched
    half = reader.settle(VideoFeatures(values=features, strangeness=0.5))
    torch.testing.assert_close(half, (features + settled) / 2)
    torch.testing.assert_close(reader.settle(VideoFeatures(values=features, strangeness=1.0)), features)


def test_what_goes_on_is_not_settled() -> None:
    reader = reader_of([1 / len(MATERIALS)] * len(MATERIALS))
    features = features_with([-1.0, -1.0])
    reader.lasting.weight[0, 1] = 1
    features[10:20, 1] = 3
    settled = reader.settle(VideoFeatures(values=features))
    torch.testing.assert_close(settled[10:20], features[10:20])
    assert (settled[20:, 0] == -6).all() and (settled[:10, 0] == -6).all()


@pytest.mark.parametrize(
    ("chances", "strangeness", "said"),
    [
        ((0.1, 0.40, 0.2, 0.03, 0.02, 0.2, 0.05), 0.0, "metal"),  # familiar pictures: the likeliest
        ((0.1, 0.40, 0.2, 0.03, 0.02, 0.2, 0.05), 1.0, "stone"),  # strange ones: in doubt, what does not ring
        ((0.1, 0.40, 0.2, 0.03, 0.02, 0.2, 0.05), 0.7, "metal"),  # hardly strange: less doubt is enough
        ((0.1, 0.55, 0.1, 0.03, 0.02, 0.15, 0.05), 1.0, "metal"),  # strange, and sure
        ((0.3, 0.10, 0.2, 0.10, 0.10, 0.1, 0.10), 1.0, "wood"),
    ],
)
def test_in_doubt_about_strange_pictures_a_short_sound_is_said(
    chances: Sequence[float], strangeness: float, said: str
) -> None:
    seen = VideoFeatures(values=features_with([3.0, 2.0]), strangeness=strangeness)
    assert [event.material for event in reader_of(chances).read(seen, 25.0)] == [said, said]


def test_confidence_is_the_share_of_findings_that_were_right() -> None:
    generator = torch.Generator().manual_seed(0)
    reader = reader_of([1 / 7] * 7).requires_grad_(True)
    videos = []
    for _ in range(60):
        logits = (1.2 + 4 * torch.rand(40, generator=generator)).tolist()
        is_true = torch.rand(40, generator=generator) < torch.sigmoid(torch.tensor(logits) - 2.5)
        events = [SeenEvent(time=(12 + 25 * at) / 25, material="wood") for at in is_true.nonzero()[:, 0].tolist()]
        videos.append((features_with(logits), torch.from_numpy(event_track(events, 1000, 25.0))))
    reader.fit_confidence_(videos)
    found = reader.read(VideoFeatures(values=features_with([1.5, 2.5, 4.5])), 25.0)
    expected = torch.sigmoid(torch.tensor([-1.0, 0.0, 2.0])).tolist()
    assert [event.confidence for event in found] == pytest.approx(expected, abs=0.05)


def test_a_clear_onset_made_of_a_faint_sign_is_not_sure() -> None:
    reader = reader_of([1 / 7] * 7)
    reader.confidence[0] = 1
    told = features_with([4.0, 4.0])
    evidence = torch.full((50,), -4.0)
    evidence[[12, 37]] = torch.tensor([1.0, 3.0])
    seen = VideoFeatures(values=torch.full((50, 4), -4.0), steered=told, evidence=evidence, strangeness=1.0)
    found = reader.read(seen, 25.0)
    assert [event.confidence for event in found] == pytest.approx(torch.sigmoid(torch.tensor([1.0, 3.0])).tolist())
    assert [event.confidence for event in reader.read(VideoFeatures(values=told), 25.0)] == pytest.approx(
        [0.982] * 2, abs=1e-3
    )

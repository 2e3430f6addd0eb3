"""What counts as an onset is decided by the true stems."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from foleykit.core.errors import InputError
from foleykit.evaluation.clips import ClipAudio, ClipEvent, ClipInfo
from foleykit.evaluation.metrics.onset_f1 import onset_counts
from foleykit.evaluation.onsets import OnsetCandidates, detect_onsets, onset_candidates
from foleykit.evaluation.thresholds import count_clips, split_by_video, tune_threshold
from foleykit.evaluation.truth import clip_truth

RATE = 16_000


def blow_at(action: np.ndarray, time: float, peak: float) -> None:
    start = round(time * RATE)
    length = min(4000, len(action) - start)
    decay = np.exp(-np.arange(length) / 800) * np.sin(np.arange(length) * 0.9)
    action[start : start + length] += (peak * decay).astype(np.float32)


def scene(blows: list[tuple[float, float]], **changes: object) -> tuple[ClipInfo, ClipAudio]:
    """Return a clip of 4 s with wooden blows (time, peak)."""
    action = np.zeros(4 * RATE, np.float32)
    for time, peak in blows:
        blow_at(action, time, peak)
    ambient = np.full_like(action, 0.001)
    events = tuple(
        ClipEvent(time=time, duration=0, kind="impact", action="hit", material="wood", strength=1, on_screen=True)
        for time, _ in blows
    )
    info = ClipInfo(
        clip_id="a",
        video_id="a",
        start=0,
        seconds=4,
        neighbour_start=4,
        ambience=("room",),
        ambient_level_db=-60,
        events=events,
    )
    audio = ClipAudio(sample_rate=RATE, mix=action + ambient, action=action, ambient=ambient, neighbour=ambient)
    return replace(info, **changes), audio  # type: ignore[arg-type]


def test_audible_blows_are_onsets_and_the_inaudible_are_ignored() -> None:
    truth = clip_truth(*scene([(0.5, 0.5), (1.5, 0.001), (2.5, 0.3)]))
    assert truth.onsets.tolist() == [0.5, 2.5]
    assert truth.ignored_spans.tolist() == [[1.5, 1.5]]
    assert [impact.time for impact in truth.impacts] == [0.5, 2.5]


def test_blows_in_quick_succession_are_one_onset() -> None:
    truth = clip_truth(*scene([(0.5, 0.2), (0.53, 0.5), (1.5, 0.5)]))
    assert truth.onsets.tolist() == [0.5, 1.5]


def test_a_blow_under_the_ringing_of_a_louder_one_is_no_onset() -> None:
    assert clip_truth(*scene([(0.5, 0.9), (0.56, 0.02)])).onsets.tolist() == [0.5]


def test_unseen_events_are_neither_onsets_nor_ignored() -> None:
    info, audio = scene([(0.5, 0.5), (2.0, 0.5)])
    hidden = replace(info.events[1], on_screen=False)
    truth = clip_truth(replace(info, events=(info.events[0], hidden)), audio)
    assert truth.onsets.tolist() == [0.5] and truth.ignored_spans.size == 0
    assert not truth.gaps[2 * RATE]


def test_the_toe_of_a_visible_step_is_ignored() -> None:
    info, audio = scene([(0.5, 0.5)])
    truth = clip_truth(replace(info, events=(replace(info.events[0], action="step"),)), audio)
    counts = onset_counts(truth.onsets, [0.5, 0.62], ignored_spans=truth.ignored_spans)
    assert (counts.num_matched, counts.num_generated) == (1, 1)


def test_material_is_judged_only_where_one_material_sounds() -> None:
    info, audio = scene([(0.5, 0.5), (2.0, 0.5), (2.3, 0.5)])
    glass = replace(info.events[2], material="glass")
    truth = clip_truth(replace(info, events=(*info.events[:2], glass)), audio)
    assert [(impact.time, impact.material) for impact in truth.impacts] == [(0.5, "wood"), (2.3, "glass")]


def test_gaps_hold_ambience_only() -> None:
    info, audio = scene([(1.0, 0.5), (3.0, 0.5)])
    truth = clip_truth(info, audio)
    assert 0.3 < truth.gaps.mean() < 0.9
    np.testing.assert_allclose(audio.mix[truth.gaps], audio.ambient[truth.gaps], atol=1e-3)


def test_the_true_action_stem_agrees_with_its_own_truth() -> None:
    info, audio = scene([(0.5, 0.5), (1.5, 0.2), (2.5, 0.3), (3.2, 0.4)])
    assert onset_counts(clip_truth(info, audio).onsets, detect_onsets(audio.action, RATE), tolerance=0.01).f1 == 1


def test_tuning_finds_the_threshold_that_separates() -> None:
    truth = clip_truth(*scene([(0.5, 0.5), (2.5, 0.3)]))
    heard = OnsetCandidates(times=np.array([0.5, 1.0, 1.7, 2.5]), strengths=np.array([2.0, 0.3, 0.5, 1.0]))
    threshold = tune_threshold([truth], [heard])
    assert 0.5 < threshold <= 1.0
    assert count_clips([truth], [heard], threshold)[0].f1 == 1


def test_tuning_never_loses_against_a_fixed_threshold() -> None:
    scenes = [scene([(0.4 + 0.1 * k, 0.5), (1.7, 0.05 * (k + 1)), (3.0, 0.2)]) for k in range(4)]
    truths = [clip_truth(*clip) for clip in scenes]
    rng = np.random.default_rng(0)
    heard = [onset_candidates(a.mix + rng.normal(0, 0.02, a.mix.shape).astype(np.float32), RATE) for _, a in scenes]

    def f1(threshold: float) -> float:
        counts = count_clips(truths, heard, threshold)
        return 2 * sum(c.num_matched for c in counts) / sum(c.num_reference + c.num_generated for c in counts)

    assert f1(tune_threshold(truths, heard)) >= max(f1(threshold) for threshold in (0.1, 0.3, 1.0)) - 0.02


def test_halves_keep_a_long_video_together() -> None:
    videos = [f"v{index // 3}" for index in range(12)]
    half = split_by_video(videos)
    assert half.sum() == 6
    assert all(len({bool(h) for h, v in zip(half, videos, strict=True) if v == video}) == 1 for video in videos)
    with pytest.raises(InputError, match="two long videos"):
        split_by_video(["a", "a"])


def test_tuning_without_clips_is_refused() -> None:
    with pytest.raises(InputError, match="one truth per clip"):
        tune_threshold([], [])

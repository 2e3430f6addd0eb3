"""A reference set survives the disk, and a broken one is refused in words."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from foleykit.audio.files import write_waveform
from foleykit.core.errors import InputError, MediaError
from foleykit.evaluation.clips import (
    MANIFEST,
    cut_clips,
    read_clip,
    read_generated,
    read_manifest,
    write_reference,
)
from foleykit.world.types import LongVideo

VideoMaker = Callable[[int], LongVideo]


def test_what_is_written_is_read(tmp_path: Path, drawn_video: VideoMaker) -> None:
    clips = list(cut_clips(drawn_video(0), "a", seconds=4.0))
    infos = write_reference(tmp_path, clips)
    assert read_manifest(tmp_path) == infos == tuple(info for info, _ in clips)
    for info, audio in clips:
        read = read_clip(tmp_path, info)
        assert read.sample_rate == audio.sample_rate
        for name in ("mix", "action", "ambient", "neighbour"):
            np.testing.assert_allclose(getattr(read, name), getattr(audio, name), atol=1e-6)


def test_clips_keep_the_clock_and_the_neighbour_is_elsewhere(drawn_video: VideoMaker) -> None:
    video = drawn_video(1)
    (first, one), (second, two) = cut_clips(video, "a", seconds=4.0)
    assert (first.start, first.neighbour_start, second.start, second.neighbour_start) == (0, 4, 4, 0)
    np.testing.assert_array_equal(one.neighbour, two.mix)
    np.testing.assert_array_equal(one.mix, video.stems.mix[:64_000])
    true_times = [event.time for event in video.take.events]
    assert [event.time + second.start for event in second.events] == pytest.approx([t for t in true_times if t >= 4])
    np.testing.assert_allclose(one.foreground, one.action, atol=1e-6)


def test_clips_without_visible_events_are_left_out(drawn_video: VideoMaker) -> None:
    assert list(cut_clips(drawn_video(0), "a", seconds=4.0, min_events=99)) == []


def test_a_video_without_room_for_a_neighbour_is_refused(drawn_video: VideoMaker) -> None:
    with pytest.raises(InputError, match="neighbour"):
        list(cut_clips(drawn_video(0), "a", seconds=5.0))


def test_generated_sound_of_another_rate_is_converted_and_of_another_length_refused(
    tmp_path: Path, drawn_video: VideoMaker
) -> None:
    (info, _), *_ = cut_clips(drawn_video(0), "a", seconds=4.0)
    path = tmp_path / f"{info.clip_id}.wav"
    write_waveform(path, np.full((2, 4 * 48_000 + 90), 0.5, np.float32), 48_000)
    assert read_generated(tmp_path, info, 16_000).shape == (64_000,)
    write_waveform(path, np.zeros(3 * 16_000, np.float32), 16_000)
    with pytest.raises(MediaError, match=r"3\.000 s, the clip lasts 4\.000 s"):
        read_generated(tmp_path, info, 16_000)


def test_broken_sets_are_refused(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="manifest"):
        read_manifest(tmp_path)
    (tmp_path / MANIFEST).write_text('{"clip": 3}\n')
    with pytest.raises(MediaError, match=r'line 1 .* unknown key "clip"; did you mean "clip_id"'):
        read_manifest(tmp_path)
    (tmp_path / MANIFEST).write_text("\n".join([]))
    with pytest.raises(MediaError, match="no clip"):
        read_manifest(tmp_path)
    with pytest.raises(InputError, match="distinct"):
        write_reference(tmp_path, [])

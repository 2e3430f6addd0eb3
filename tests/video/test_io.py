"""Frames are the right ones at the right time, upright, whatever the file looks like."""

from __future__ import annotations

import warnings
from fractions import Fraction
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from fixtures.media import (
    BLUE,
    RED,
    Clip,
    cut,
    index_of,
    indices_of,
    overwrite,
    payload_spans,
    picture,
    regular,
    write_clip,
)
from foleykit.core.errors import InputError, MediaError, MediaWarning
from foleykit.core.timeline import Timeline
from foleykit.video.edits import trim_edit_list
from foleykit.video.encode import write_video
from foleykit.video.info import Orientation
from foleykit.video.io import VideoReader
from foleykit.video.probe import probe

SIZE = (48, 64)


def read(path: Path, fps: float = 25, size: tuple[int, int] = SIZE, **span: float) -> NDArray[np.uint8]:
    """Return all frames (t, H, W, 3), treating any warning as an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return np.concatenate(list(VideoReader(path, fps=fps, size=size, **span)))


def expected_indices(times: list[Fraction], duration: Fraction, fps: int) -> list[int]:
    """Return by brute force the picture nearest to each k / fps that appears less than half an interval later."""
    count = Timeline.from_seconds(duration, 48_000).num_video_frames(fps)
    chosen = []
    for time in (Fraction(k, fps) for k in range(count)):
        allowed = [i for i, t in enumerate(times) if t - time < Fraction(1, 2 * fps)]
        chosen.append(min(allowed, key=lambda i: (abs(times[i] - time), i)))
    return chosen


@pytest.mark.parametrize("fps", [10, 24, 25, 50])
@pytest.mark.parametrize("num_b_frames", [0, 2])
def test_frames_are_the_nearest_pictures(tmp_path: Path, fps: int, num_b_frames: int) -> None:
    times = regular(50)
    path = write_clip(tmp_path / "clip.mp4", Clip(times=times, num_b_frames=num_b_frames))
    assert indices_of(read(path, fps)) == expected_indices(times, Fraction(2), fps)


@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(gaps=st.lists(st.integers(8, 300), min_size=1, max_size=20), fps=st.sampled_from([8, 15, 25, 60]))
def test_uneven_pictures_are_shown_at_their_times(tmp_path: Path, gaps: list[int], fps: int) -> None:
    """The law of choice holds for any gaps, in milliseconds."""
    times = [Fraction(int(t), 1000) for t in np.cumsum([0, *gaps])]
    path = write_clip(tmp_path / "vfr.mp4", Clip(times=times))
    assert indices_of(read(path, fps)) == expected_indices(times, times[-1] + Fraction(1, 25), fps)


def test_what_follows_a_gap_is_not_seen_early(tmp_path: Path) -> None:
    times = [Fraction(0), Fraction(1, 25), Fraction(37, 25), Fraction(38, 25)]
    shown = indices_of(read(write_clip(tmp_path / "gap.mp4", Clip(times=times)), 25))
    assert shown == [0] + [1] * 36 + [2, 3]


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".avi", ".ts"])
def test_every_container_gives_the_same_frames(tmp_path: Path, suffix: str) -> None:
    path = write_clip(tmp_path / f"clip{suffix}", Clip(times=regular(40), time_base=Fraction(1, 25)))
    assert indices_of(read(path)) == list(range(40))


def test_the_clock_starts_with_the_first_picture(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "late.mp4", Clip(times=regular(20, start=Fraction(7, 10))))
    assert probe(path).start_time == Fraction(7, 10)
    assert indices_of(read(path)) == list(range(20))


def test_hidden_pictures_stay_hidden(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "edited.mp4", Clip(times=regular(60, start=Fraction(-10, 25)), num_b_frames=2))
    trim_edit_list(path, Fraction(6, 5))
    assert indices_of(read(path)) == list(range(10, 40))


@pytest.mark.parametrize(
    "orientation", [Orientation(transpose=t, flip_x=x, flip_y=y) for t, x, y in product((False, True), repeat=3)]
)
def test_pictures_are_turned_upright(tmp_path: Path, orientation: Orientation) -> None:
    path = write_clip(tmp_path / "turned.mp4", Clip(times=regular(2), display_matrix=orientation.matrix))
    size = (64, 48) if orientation.transpose else (48, 64)
    wanted = orientation.apply(read(write_clip(tmp_path / "plain.mp4", Clip(times=regular(2))))[1])
    assert np.abs(read(path, size=size)[1].astype(int) - wanted).mean() < 1


@pytest.mark.parametrize(
    ("name", "codec", "pixel_format", "size"),
    [
        ("ten_bit.mkv", "ffv1", "yuv420p10le", (96, 128)),
        ("full_colour.mp4", "libx264", "yuv444p", (96, 128)),
        ("odd.webm", "libvpx-vp9", "yuv420p", (97, 131)),
        ("alpha.webm", "libvpx-vp9", "yuva420p", (96, 128)),
        ("full_range.mp4", "libx264", "yuvj420p", (96, 128)),
        ("rgb.mkv", "ffv1", "bgr0", (96, 128)),
    ],
)
def test_pixel_formats_and_odd_sizes(
    tmp_path: Path, name: str, codec: str, pixel_format: str, size: tuple[int, int]
) -> None:
    clip = Clip(times=regular(6), codec=codec, pixel_format=pixel_format, size=size, time_base=Fraction(1, 25))
    frames = read(write_clip(tmp_path / name, clip))
    assert indices_of(frames) == list(range(6))
    assert np.abs(frames[:, 40, 8].astype(int) - RED).max() < 10
    assert np.abs(frames[:, 40, -8].astype(int) - BLUE).max() < 10


@pytest.mark.parametrize("size", [(96, 128), (720, 1280)])
def test_colours_survive_a_round_trip(tmp_path: Path, size: tuple[int, int]) -> None:
    path = tmp_path / "colours.mp4"
    write_video(path, [picture(5, size)[None].repeat(3, 0)], 25)
    frame = read(path)[1].astype(int)
    assert np.abs(frame[40, 8] - RED).max() < 6
    assert np.abs(frame[40, -8] - BLUE).max() < 6


def test_combing_does_not_read_as_detail(tmp_path: Path) -> None:
    """Woven fields of a moving square differ from line to line; after reading, neighbouring lines agree."""
    clip = Clip(times=regular(20), codec="mpeg2video", is_interlaced=True, time_base=Fraction(1, 25), size=(96, 128))
    path = write_clip(tmp_path / "woven.ts", clip)
    assert probe(path).is_interlaced
    frames = read(path, size=(96, 128))[3:-3].astype(float).mean(-1)
    inside = frames[:, 32:64]
    combing = np.abs(inside[:, 1:-1] - (inside[:, :-2] + inside[:, 2:]) / 2).mean()
    steps = np.abs(np.diff(inside, axis=0)).mean()
    assert len(frames) == 14
    assert combing < 0.1 * steps


@pytest.mark.parametrize("chunk_frames", [1, 7, 64])
def test_chunks_do_not_change_frames(tmp_path: Path, chunk_frames: int) -> None:
    path = write_clip(tmp_path / "clip.mp4", Clip(times=regular(30)))
    reader = VideoReader(path, fps=25, size=SIZE, chunk_frames=chunk_frames)
    chunks = list(reader)
    assert [len(chunk) for chunk in chunks[:-1]] == [chunk_frames] * (len(chunks) - 1)
    assert sum(len(chunk) for chunk in chunks) == len(reader) == 30
    assert (np.concatenate(chunks) == read(path)).all()


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".avi"])
@pytest.mark.parametrize(("start", "end"), [(0, 1.2), (0.4, 1.6), (2.4, 3.2), (1.48, 9)])
def test_a_range_is_a_slice(tmp_path: Path, suffix: str, start: float, end: float) -> None:
    """Also across key frames that are far apart, and past the end."""
    clip = Clip(times=regular(90), time_base=Fraction(1, 25), key_interval=30)
    path = write_clip(tmp_path / f"long{suffix}", clip)
    assert indices_of(read(path, start=start, end=end)) == list(range(90))[round(start * 25) : round(end * 25)]


@pytest.mark.parametrize("span", [{"start": 3.0}, {"start": -1.0}, {"start": 1.0, "end": 1.0}])
def test_an_empty_range_is_refused(tmp_path: Path, span: dict[str, float]) -> None:
    path = write_clip(tmp_path / "clip.mp4", Clip(times=regular(50)))
    with pytest.raises(InputError, match="lasts 2 s"):
        VideoReader(path, fps=25, size=SIZE, **span)


def test_one_picture_is_a_video(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "one.mp4", Clip(times=[Fraction(0)], last_duration=Fraction(1, 2)))
    assert indices_of(read(path)) == [0] * 13


def test_damage_in_the_middle_holds_the_last_good_picture(tmp_path: Path) -> None:
    clip = Clip(times=regular(50), codec="libvpx-vp9", key_interval=10)
    path = write_clip(tmp_path / "damaged.mp4", clip)
    overwrite(path, payload_spans(path)[20:25])
    with pytest.warns(MediaWarning, match=r"^damaged.mp4: used 1.80 of 2.00 s of its pictures") as caught:
        shown = indices_of(np.concatenate(list(VideoReader(path, fps=25, size=SIZE))))
    assert len(caught) == 1
    assert shown[:25] == [*range(20), *[19] * 5]
    assert shown[30:] == list(range(30, 50))


def test_a_cut_off_file_is_used_as_far_as_it_goes(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "cut.mp4", Clip(times=regular(75)), container_options={"movflags": "+faststart"})
    cut(path, 0.6)
    with pytest.warns(MediaWarning, match=r"^cut.mp4: used \d\.\d of 3.0 s of its pictures") as caught:
        frames = np.concatenate(list(VideoReader(path, fps=25, size=SIZE)))
    assert len(caught) == 1
    assert len(frames) == round(probe(path).duration * 25)
    assert indices_of(frames[:-1]) == list(range(len(frames) - 1))


def test_nothing_that_decodes_is_an_error(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "dead.mp4", Clip(times=regular(20), codec="libvpx-vp9"))
    overwrite(path, payload_spans(path))
    with pytest.raises(MediaError):
        VideoReader(path, fps=25, size=SIZE)


def test_the_index_can_be_read_back() -> None:
    assert [index_of(picture(i)) for i in range(128)] == list(range(128))

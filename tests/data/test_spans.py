from __future__ import annotations

import io
from fractions import Fraction

import av
import numpy as np
import pytest

from fixtures.media import Clip, cut, index_of, overwrite, payload_spans, regular, write_clip
from foleykit.core.errors import ConfigError, MediaError
from foleykit.data.span_types import CutConfig, Span
from foleykit.data.spans import cut_spans, header_seconds


def spans_at(*starts: float, seconds: float = 3.0) -> list[Span]:
    return [Span(key=f"s{start:g}", start=start, end=start + seconds) for start in starts]


def shown(movie: bytes) -> list[tuple[float, int]]:
    """Return (seconds, index) of every picture of an mp4."""
    with av.open(io.BytesIO(movie)) as container:
        return [(float(frame.time), index_of(frame.to_ndarray(format="rgb24"))) for frame in container.decode(video=0)]


def clicks(waveform: np.ndarray, rate: int = 16_000) -> list[float]:
    """Return the seconds at which clicks begin."""
    loud = np.flatnonzero(np.abs(waveform) > 0.3)
    return [float(first / rate) for first in loud[np.diff(loud, prepend=-rate) > rate / 2]]


def test_pictures_and_sound_keep_their_time(long_video):
    """Spans overlap and start between two pictures; every picture and click is where it was."""
    cuts = list(cut_spans(long_video, spans_at(2.0, 3.51, 8.999)))
    assert [cut.key for cut in cuts] == ["s2", "s3.51", "s8.999"]
    for start, result in zip((2.0, 3.51, 8.999), cuts, strict=True):
        assert result.problem is None
        assert result.waveform.shape == (48_000,)
        pictures = shown(result.movie)
        assert len(pictures) == result.num_frames
        assert pictures[0][0] == 0
        for time, index in pictures[1:]:
            assert round((start + time) * 25) % 128 == index
        # The picture on show when the span begins is its first.
        assert pictures[0][1] == int(start * 25 + 1e-6) % 128
        expected = [time - start for time in np.arange(0.4, 12, 1.0) if start <= time < start + 3]
        assert clicks(result.waveform) == pytest.approx(expected, abs=2e-3)


def test_one_pass_equals_a_pass_for_each_span(long_video):
    spans = spans_at(0.0, 1.2, 4.4, 9.0)
    together = list(cut_spans(long_video, spans))
    for span, result in zip(spans, together, strict=True):
        (alone,) = cut_spans(long_video, [span])
        np.testing.assert_array_equal(alone.waveform, result.waveform)
        assert alone.movie == result.movie


def test_sound_alone_is_the_same_sound(long_video):
    spans = spans_at(0.3, 7.7)
    for heard, both in zip(
        cut_spans(long_video, spans, with_pictures=False), cut_spans(long_video, spans), strict=True
    ):
        assert heard.movie == b""
        np.testing.assert_array_equal(heard.waveform, both.waveform)


def test_what_is_not_there_is_refused_not_invented(long_video):
    early, late, outside = cut_spans(long_video, spans_at(8.0, 9.5, 20.0))
    assert early.problem is None
    assert (late.problem, outside.problem) == ("sound-missing", "sound-missing")
    assert late.movie == outside.movie == b""


def test_a_video_without_sound_is_refused_by_name(tmp_path, make_long_video):
    path = make_long_video(tmp_path / "mute.mp4", seconds=4.0, with_sound=False)
    (result,) = cut_spans(path, spans_at(0.5))
    assert result.problem == "no-sound"
    assert result.waveform.size == 0


@pytest.mark.parametrize("late", [Fraction(0), Fraction(1, 64), Fraction(3, 2)])
def test_sound_that_starts_late_is_missing_where_it_is_missing(tmp_path, late):
    clip = Clip(
        times=regular(200), codec="libx264", audio_codec="aac", audio_start=late, audio_seconds=8 - late,
        click_seconds=Fraction(5),
    )  # fmt: skip
    path = write_clip(tmp_path / "late.mp4", clip)
    first, second = cut_spans(path, spans_at(0.0, 4.0))
    assert first.problem == (None if late < 1 else "sound-missing")
    assert first.missing_sound == pytest.approx(float(late), abs=0.05)
    assert clicks(second.waveform) == pytest.approx([1.0], abs=2e-3)


def test_damaged_pictures_are_refused_and_the_others_kept(tmp_path, make_long_video):
    path = make_long_video(tmp_path / "damaged.mp4")
    overwrite(path, payload_spans(path)[120:170], byte=0)
    results = {result.key: result for result in cut_spans(path, spans_at(0.0, 4.5))}
    assert results["s0"].problem is None
    assert results["s4.5"].problem in ("pictures-missing", None)
    whole = list(cut_spans(make_long_video(tmp_path / "whole.mp4"), spans_at(0.0)))
    assert results["s0"].movie == whole[0].movie


def test_a_file_that_was_cut_off_keeps_its_first_clips(tmp_path):
    clip = Clip(times=regular(300), codec="libx264", audio_codec="aac", audio_seconds=Fraction(12))
    path = write_clip(tmp_path / "cut.mkv", clip)
    cut(path, 0.6)
    first, last = cut_spans(path, spans_at(0.0, 9.0))
    assert first.problem is None
    assert last.problem in ("pictures-missing", "sound-missing")


def test_a_rotated_video_is_cut_upright(tmp_path):
    turned = (0, 1 << 16, 0, -(1 << 16), 0, 0, 0, 0, 1 << 30)
    clip = Clip(
        times=regular(100), codec="libx264", audio_codec="aac", audio_seconds=Fraction(4), display_matrix=turned
    )
    path = write_clip(tmp_path / "turned.mp4", clip)
    (result,) = cut_spans(path, spans_at(0.0))
    with av.open(io.BytesIO(result.movie)) as container:
        image = next(container.decode(video=0)).to_ndarray(format="rgb24").astype(int)
    # The red and the blue block of the lower corners are now one above the other.
    red = image[..., 0] - image[..., 2]
    rows_of_red, rows_of_blue = np.nonzero(red > 100)[0].mean(), np.nonzero(red < -100)[0].mean()
    assert abs(rows_of_red - rows_of_blue) > 100


def test_clips_have_the_size_that_was_asked_for(long_video):
    (result,) = cut_spans(long_video, spans_at(1.0), CutConfig(size=(96, 160), sample_rate=8_000))
    with av.open(io.BytesIO(result.movie)) as container:
        assert (container.streams.video[0].height, container.streams.video[0].width) == (96, 160)
    assert result.waveform.shape == (24_000,)


def test_the_header_tells_the_length(long_video, tmp_path):
    assert header_seconds(long_video) == pytest.approx(12.0, abs=0.05)
    (tmp_path / "text.mp4").write_text("no video")
    with pytest.raises(MediaError, match=r"text\.mp4"):
        header_seconds(tmp_path / "text.mp4")


def test_impossible_settings_are_refused():
    with pytest.raises(ConfigError, match="size"):
        CutConfig(size=(225, 224))
    with pytest.raises(ConfigError, match="sample_rate"):
        CutConfig(sample_rate=0)


@pytest.mark.parametrize(
    ("codec", "num_b_frames", "container"),
    [("mpeg4", 0, "mp4"), ("libx264", 3, "mp4"), ("libx264", 3, "mkv"), ("libx265", 3, "mp4")],
)
def test_pictures_that_nobody_needs_may_be_left_out(tmp_path, codec, num_b_frames, container):
    """Spans far apart come out as they do when every picture is decoded."""
    clip = Clip(
        times=regular(250), codec=codec, audio_codec="aac", audio_seconds=Fraction(10), num_b_frames=num_b_frames,
        key_interval=15,
    )  # fmt: skip
    path = write_clip(tmp_path / f"groups.{container}", clip)
    sparse = spans_at(1.3, 4.0, 7.17, seconds=0.9)
    everywhere = [Span(key=f"all{start}", start=start, end=start + 1) for start in np.arange(0, 9, 0.5)]
    whole = {result.key: result for result in cut_spans(path, [*everywhere, *sparse])}
    for result in cut_spans(path, sparse):
        assert result.problem is None
        assert shown(result.movie) == shown(whole[result.key].movie)
        assert shown(result.movie)[0] == (0, int(float(result.key[1:]) * 25 + 1e-6) % 128)
        assert result.movie == whole[result.key].movie

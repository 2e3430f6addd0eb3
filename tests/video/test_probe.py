"""What a file holds is read from its packets, and bad input gets one line."""

from __future__ import annotations

import os
from collections.abc import Callable
from fractions import Fraction
from itertools import product
from pathlib import Path

import av
import numpy as np
import pytest

from fixtures.media import Clip, cut, regular, write_clip
from foleykit.core.errors import MediaError
from foleykit.video.edits import trim_edit_list
from foleykit.video.info import MediaLimits, Orientation
from foleykit.video.probe import probe

VFR_TIMES = [Fraction(t, 1000) for t in (0, 33, 66, 100, 433, 466, 1700, 1733, 1766)]
SIGNS = (False, True)
ORIENTATIONS = [Orientation(transpose=t, flip_x=x, flip_y=y) for t, x, y in product(SIGNS, repeat=3)]


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".avi", ".ts"])
def test_duration_is_the_span_of_the_pictures(tmp_path: Path, suffix: str) -> None:
    """Also where the first time stamp is not 0, and where the sound is longer."""
    clip = Clip(times=regular(40), time_base=Fraction(1, 25), audio_codec="mp2", audio_seconds=Fraction(3))
    if suffix in (".mp4", ".mov"):
        clip = Clip(times=regular(40), audio_codec="aac", audio_seconds=Fraction(3))
    info = probe(write_clip(tmp_path / f"clip{suffix}", clip))
    assert float(info.duration) == pytest.approx(1.6, abs=0.0011)
    assert info.num_frames == 40
    assert not info.is_vfr
    assert info.average_fps == pytest.approx(25, rel=1e-3)
    assert info.audio is not None
    assert (info.audio.sample_rate, info.audio.channels) == (48_000, 1)


def test_duration_of_uneven_pictures_is_exact(tmp_path: Path) -> None:
    clip = Clip(times=VFR_TIMES, last_duration=Fraction(77, 1000))
    info = probe(write_clip(tmp_path / "clip.mp4", clip))
    assert info.duration == VFR_TIMES[-1] + Fraction(77, 1000)
    assert info.last_duration == Fraction(77, 1000)
    assert info.is_vfr
    assert not info.has_audio


def test_duration_is_found_where_no_header_has_it(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "live.mkv", Clip(times=regular(50)), container_options={"live": "1"})
    with av.open(str(path)) as container:
        assert container.duration is None
    assert probe(path).duration == 2


def test_a_cut_off_file_lasts_as_long_as_what_is_there(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "cut.mp4", Clip(times=regular(75)), container_options={"movflags": "+faststart"})
    cut(path, 0.6)
    info = probe(path)
    assert 0.5 < info.duration < 2.5
    assert info.promised_duration == 3


def test_an_edit_list_hides_pictures_at_both_ends(tmp_path: Path) -> None:
    start = Fraction(-8, 25)
    path = write_clip(tmp_path / "edited.mp4", Clip(times=regular(58, start=start), num_b_frames=2))
    assert probe(path).duration == 2
    trim_edit_list(path, Fraction(3, 2))
    info = probe(path)
    assert info.duration == Fraction(3, 2)
    assert info.start_time == 0
    assert info.has_hidden_start and info.has_hidden_end


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_an_orientation_is_its_matrix(orientation: Orientation) -> None:
    """`apply` moves pixel (x, y) to where the matrix sends it, (a x + c y, b x + d y), moved back into view."""
    assert Orientation.from_matrix(np.array(orientation.matrix, np.int32)) == orientation
    a, b, _, c, d = (value >> 16 for value in orientation.matrix[:5])
    coded = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    shown = orientation.apply(coded)
    y, x = np.indices((2, 3))
    columns, rows = a * x + c * y, b * x + d * y
    assert (shown[rows - rows.min(), columns - columns.min()] == coded).all()


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_size_and_rotation_are_those_of_the_upright_picture(tmp_path: Path, orientation: Orientation) -> None:
    clip = Clip(times=regular(3), display_matrix=orientation.matrix)
    info = probe(write_clip(tmp_path / "turned.mp4", clip))
    assert info.orientation == orientation
    assert (info.height, info.width) == ((128, 96) if orientation.transpose else (96, 128))


def test_a_nonsense_matrix_means_upright() -> None:
    assert Orientation.from_matrix(np.zeros(9, np.int32)) == Orientation()


def _missing(folder: Path) -> Path:
    return folder / "missing.mp4"


def _folder(folder: Path) -> Path:
    return folder


def _empty(folder: Path) -> Path:
    path = folder / "empty.mp4"
    path.touch()
    return path


def _text(folder: Path) -> Path:
    path = folder / "text.mp4"
    path.write_text("this is not a video\n" * 9)
    return path


def _screen_text(folder: Path) -> Path:
    path = folder / "read.nfo"
    path.write_text("FFmpeg would render this page as a video\n" * 9)
    return path


def _pipe(folder: Path) -> Path:
    path = folder / "pipe.mp4"
    os.mkfifo(path)
    return path


def _playlist(folder: Path) -> Path:
    path = folder / "list.m3u8"
    path.write_text("#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\nhttp://127.0.0.1:9/a.ts\n#EXT-X-ENDLIST\n")
    return path


def _still(folder: Path) -> Path:
    path = folder / "still.png"
    with av.open(str(path), "w", format="image2") as container:
        stream = container.add_stream("png", rate=1)
        stream.width, stream.height, stream.pix_fmt = 16, 16, "rgb24"
        frame = av.VideoFrame.from_ndarray(np.zeros((16, 16, 3), np.uint8))
        container.mux(stream.encode(frame))
    return path


def _sound_only(folder: Path, *, with_cover: bool = False) -> Path:
    path = folder / "sound.mp4"
    with av.open(str(path), "w") as container:
        sound = container.add_stream("aac", 48_000, layout="mono")
        cover = container.add_stream("png", rate=1) if with_cover else None
        if cover is not None:
            cover.width, cover.height, cover.pix_fmt = 16, 16, "rgb24"
            cover.disposition = av.stream.Disposition.attached_pic
            for packet in cover.encode(av.VideoFrame.from_ndarray(np.zeros((16, 16, 3), np.uint8))):
                container.mux(packet)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 4096), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 48_000
        container.mux(sound.encode(frame))
        container.mux(sound.encode(None))
    return path


def _cover_only(folder: Path) -> Path:
    return _sound_only(folder, with_cover=True)


def _index_missing(folder: Path) -> Path:
    path = write_clip(folder / "noindex.mp4", Clip(times=regular(50)))
    cut(path, 0.5)
    return path


def _only_header(folder: Path) -> Path:
    path = write_clip(folder / "header.mp4", Clip(times=regular(50)), container_options={"movflags": "+faststart"})
    data = path.read_bytes()
    path.write_bytes(data[: data.index(b"mdat") + 4])
    return path


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (_missing, "no such file"),
        (_folder, "folder"),
        (_empty, "empty"),
        (_text, "cannot be opened as media"),
        (_screen_text, "not a video"),
        (_pipe, "not a regular file"),
        (_playlist, "list.m3u8"),
        (_still, "not a video"),
        (_sound_only, "only sound"),
        (_cover_only, "only a cover picture"),
        (_index_missing, "cannot be opened as media"),
        (_only_header, "no picture"),
    ],
)
def test_bad_input_gets_one_line(tmp_path: Path, make: Callable[[Path], Path], says: str) -> None:
    with pytest.raises(MediaError, match=says) as caught:
        probe(make(tmp_path))
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 3


def test_limits_are_options(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mp4", Clip(times=regular(50)))
    with pytest.raises(MediaError, match="128 x 96 pixels"):
        probe(path, MediaLimits(max_pixels=100 * 100))
    with pytest.raises(MediaError, match=r"longer than the limit of 1.5 s"):
        probe(path, MediaLimits(max_seconds=1.5))
    assert probe(path, MediaLimits(max_pixels=128 * 96, max_seconds=2)).duration == 2


def test_an_odd_name_is_only_a_name(tmp_path: Path) -> None:
    """A colon makes no protocol and a percent sign no picture sequence."""
    path = write_clip(tmp_path / "plain.mp4", Clip(times=regular(5)))
    for name in ("pipe:1.mp4", "a%03d.mp4", "-x.mp4", "ümläut é.mp4", "http:x.mp4"):
        renamed = path.rename(tmp_path / name)
        assert probe(renamed).num_frames == 5
        path = renamed


def test_tags_that_are_not_unicode_do_not_matter(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "tags.mkv", Clip(times=regular(5), tags={"title": "\udcfe\udcff"}))
    assert probe(path).num_frames == 5

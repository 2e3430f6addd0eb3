"""Both layers of provenance, from the job that writes them to the job that reads them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from fixtures.foley import hits
from foleykit.audio.files import read_waveform, write_waveform
from foleykit.core.errors import MediaError, UsageError
from foleykit.jobs.detect import DetectRequest, DetectResult, detect_file
from foleykit.jobs.generate import GenerateRequest, generate
from foleykit.jobs.load import load
from foleykit.jobs.mark import mark, read_key
from foleykit.jobs.pipeline import FoleyPipeline
from foleykit.jobs.provenance import find_note, make_note
from foleykit.jobs.sidecar import read_sidecar
from foleykit.jobs.soundtrack import Settings, Soundtrack
from foleykit.video.probe import probe
from foleykit.watermark import Detection, KeyedWatermarker, embed

KEY = b"a key of the test, long enough"


@pytest.fixture(scope="module")
def pipeline(debug_model: Path) -> FoleyPipeline:
    return load(debug_model)


@pytest.fixture(scope="module")
def long_clip(make_video: Callable[..., Path]) -> Path:
    return make_video("long.mp4", seconds=8.0, fps=10, size=(32, 32), tone_hz=440.0)


def soundtrack(video: Path, seed: int = 0) -> Soundtrack:
    """Return hits as the sound of `video`, unmarked: models with random weights make no foley."""
    info = probe(video)
    seconds = float(info.duration)
    generated = hits(seed, seconds=seconds)
    return Soundtrack(
        video=info,
        num_samples=round(seconds * 48_000),
        generated=generated,
        action=0.5 * generated,
        model_rate=16_000,
        settings=Settings(),
        ambience="test",
    )


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".webm", ".wav", ".flac"])
def test_every_output_tells_what_it_is(long_clip: Path, tmp_path: Path, suffix: str) -> None:
    track = mark(soundtrack(long_clip))
    assert track.watermark is not None
    found = detect_file(DetectRequest(file=track.save(tmp_path / f"made{suffix}")))
    assert found.watermark.verdict == "found"
    assert f"{found.watermark.message:04x}" == track.watermark.message
    assert found.note is not None
    assert (found.note.watermark, found.note.content_sha256) == (
        track.watermark.message,
        track.watermark.content_sha256,
    )
    assert "watermark found (message" in found.summary() and "its tags name foleykit" in found.summary()


@pytest.mark.parametrize(
    ("name", "codec"), [("a.m4a", "aac"), ("a.mp3", "libmp3lame"), ("a.ogg", "libopus"), ("a.mkv", "libopus")]
)
def test_the_mark_survives_another_program(long_clip: Path, tmp_path: Path, name: str, codec: str) -> None:
    waveform, rate = read_waveform(mark(soundtrack(long_clip)).save(tmp_path / "made.mp4"))
    encode(waveform, rate, tmp_path / name, codec)
    found = detect_file(DetectRequest(file=tmp_path / name))
    assert found.watermark.verdict == "found" and found.note is None


def encode(waveform: NDArray[np.float32], rate: int, path: Path, codec: str) -> None:
    """Write `waveform` (1, S) at 64 kb/s, as another program would."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate, layout="mono")
        stream.codec_context.bit_rate = 64_000
        container.start_encoding()
        context = stream.codec_context
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(waveform), format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
        fitted = av.AudioResampler(
            format=context.format.name, layout="mono", rate=rate, frame_size=context.frame_size or None
        )
        for piece in [*fitted.resample(frame), *fitted.resample(None)]:
            container.mux(stream.encode(piece))
        container.mux(stream.encode(None))


def test_the_original_is_not_marked_and_stems_still_sum(long_clip: Path, pipeline: FoleyPipeline) -> None:
    unmarked = pipeline(long_clip, original="keep", stems=True, watermark=False)
    marked = pipeline(long_clip, original="keep", stems=True)
    scale = 10 ** ((marked.gain_db - unmarked.gain_db) / 20)
    np.testing.assert_allclose(marked.stems["original"], unmarked.stems["original"] * scale, atol=1e-6)
    np.testing.assert_allclose(sum(marked.stems.values()), marked.waveform, atol=1e-6)
    assert unmarked.watermark is None and marked.watermark is not None
    assert not np.array_equal(marked.generated, unmarked.generated)


def test_stems_carry_the_mark_too(long_clip: Path) -> None:
    track = mark(soundtrack(long_clip))
    for name in ("action", "ambience"):
        assert embedded(track.stems[name])


def embedded(waveform: NDArray[np.float32]) -> bool:
    from foleykit.watermark import detect

    return detect(waveform, 48_000).verdict == "found"


def test_leaving_the_mark_out_warns_and_is_recorded(
    clip: Path, tmp_path: Path, pipeline: FoleyPipeline, debug_model: Path
) -> None:
    request = GenerateRequest(
        video=clip, output=tmp_path / "out.wav", model=str(debug_model), settings=Settings(is_marked=False)
    )
    with pytest.warns(UserWarning, match="left unmarked"):
        take = generate(request, pipeline=pipeline).takes[0]
    sidecar = read_sidecar(take.sidecar)
    assert sidecar.watermark is None and not sidecar.settings.is_marked
    with av.open(str(take.output)) as container:
        note = find_note(dict(container.metadata))
    assert note is not None and note.watermark is None
    with pytest.warns(UserWarning, match="left unmarked"):
        again = generate(GenerateRequest(replay=take.sidecar, output=tmp_path / "again.wav"), pipeline=pipeline)
    assert read_sidecar(again.takes[0].sidecar).output.samples_sha256 == sidecar.output.samples_sha256


def test_a_key_of_ones_own_is_needed_to_find_and_to_replay(
    clip: Path, tmp_path: Path, pipeline: FoleyPipeline, debug_model: Path
) -> None:
    request = GenerateRequest(
        video=clip, output=tmp_path / "out.wav", model=str(debug_model), watermarker=KeyedWatermarker(key=KEY)
    )
    take = generate(request, pipeline=pipeline).takes[0]
    values = json.loads(take.sidecar.read_text())
    assert values["watermark"]["key"] not in ("public", KEY.decode()) and len(values["watermark"]["key"]) == 16
    with pytest.raises(UsageError, match="another watermark"):
        generate(GenerateRequest(replay=take.sidecar, output=tmp_path / "b.wav"), pipeline=pipeline)
    again = generate(
        GenerateRequest(replay=take.sidecar, output=tmp_path / "b.wav", watermarker=KeyedWatermarker(key=KEY)),
        pipeline=pipeline,
    )
    assert read_sidecar(again.takes[0].sidecar).output.samples_sha256 == values["output"]["samples_sha256"]
    waveform = embed(hits(), 16_000, 1, KEY).waveform
    write_waveform(tmp_path / "c.wav", waveform, 16_000)
    assert detect_file(DetectRequest(file=tmp_path / "c.wav")).watermark.verdict == "not found"
    assert (
        detect_file(DetectRequest(file=tmp_path / "c.wav", watermarker=KeyedWatermarker(key=KEY))).watermark.message
        == 1
    )


def test_the_sidecar_is_bound_to_its_file(
    clip: Path, tmp_path: Path, pipeline: FoleyPipeline, debug_model: Path
) -> None:
    request = GenerateRequest(video=clip, output=tmp_path / "out.mp4", model=str(debug_model))
    output = generate(request, pipeline=pipeline).takes[0].output
    assert detect_file(DetectRequest(file=output)).sidecar == "same file"
    output.write_bytes(output.read_bytes() + b"\0")
    assert detect_file(DetectRequest(file=output)).sidecar == "changed file"


def test_results_are_signed_where_there_is_a_certificate(
    clip: Path, tmp_path: Path, pipeline: FoleyPipeline, debug_model: Path
) -> None:
    pytest.importorskip("c2pa")
    pytest.importorskip("cryptography")
    from fixtures.certificates import make_certificate

    certificate = make_certificate(tmp_path)

    def made(name: str) -> Path:
        request = GenerateRequest(video=clip, output=tmp_path / name, model=str(debug_model), certificate=certificate)
        return generate(request, pipeline=pipeline).takes[0].output

    output = made("out.mp4")
    sidecar = read_sidecar(output.with_suffix(".json"))
    found = detect_file(DetectRequest(file=output))
    assert found.credentials is not None and found.credentials.state == "valid"
    assert sidecar.output.is_signed and sidecar.watermark is not None
    assert found.credentials.content_sha256 == sidecar.watermark.content_sha256
    assert (found.sidecar, found.note is not None) == ("same file", True)
    assert "signed by Test Studio, unchanged since" in found.summary()
    with pytest.warns(UserWarning, match="cannot hold content credentials"):
        assert not read_sidecar(made("other.mkv").with_suffix(".json")).output.is_signed


def test_a_new_note_replaces_an_old_one_and_nothing_else(clip: Path, tmp_path: Path) -> None:
    tagged = tmp_path / "tagged.mp4"
    with av.open(str(clip)) as reading, av.open(str(tagged), "w") as writing:
        stream = writing.add_stream_from_template(reading.streams.video[0], opaque=True)
        old = make_note(is_composite=True, watermark="0000", content_sha256=None)
        writing.metadata["comment"] = f"shot on a train\n{old.text()}"
        for packet in reading.demux(reading.streams.video[0]):
            if packet.size:
                packet.stream = stream
                writing.mux(packet)
    made = mark(soundtrack(tagged)).save(tmp_path / "made.mp4")
    with av.open(str(made)) as container:
        lines = container.metadata["comment"].splitlines()
    assert lines[0] == "shot on a train" and len(lines) == 2
    note = find_note({"comment": "\n".join(lines)})
    assert note is not None and note.watermark != "0000"


@pytest.mark.parametrize(
    "value", ["", "nothing", "foleykit-provenance", "foleykit-provenance {", "foleykit-provenance []"]
)
def test_tags_that_are_no_note_are_none(value: str) -> None:
    assert find_note({"comment": value}) is None


def test_long_files_are_read_in_parts(tmp_path: Path) -> None:
    long = np.concatenate([hits(number, seconds=50.0) for number in range(3)], axis=-1)
    part = embed(hits(9), 16_000, 77, b"foleykit").waveform
    long[:, 100 * 16_000 : 100 * 16_000 + part.shape[-1]] = part
    write_waveform(tmp_path / "long.flac", long, 16_000)
    found = detect_file(DetectRequest(file=tmp_path / "long.flac")).watermark
    assert found.message == 77
    assert abs(found.spans[0][0] - 100) < 1.1 and abs(found.spans[-1][1] - 108) < 1.1


def test_what_cannot_be_heard_is_refused(clip: Path, tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("no media")
    with pytest.raises(MediaError, match="not a media file"):
        detect_file(DetectRequest(file=tmp_path / "text.mp4"))
    with pytest.raises(MediaError, match="holds no sound"):
        detect_file(DetectRequest(file=clip))
    for missing in (tmp_path, tmp_path / "absent.wav"):
        with pytest.raises(UsageError, match="name a sound or video file"):
            detect_file(DetectRequest(file=missing))


def test_keys_are_read_from_files(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(KEY + b"\n")
    assert read_key(tmp_path / "key") == KEY
    (tmp_path / "short").write_bytes(b"secret")
    with pytest.raises(UsageError, match="at least 16"):
        read_key(tmp_path / "short")
    with pytest.raises(UsageError, match="no such file"):
        read_key(tmp_path / "absent")


def test_a_mark_that_is_likely_but_not_certain_is_spoken_of() -> None:
    unsure = Detection(
        verdict="not found", p_value=2e-4, score=5.0, message=None, spans=(), speed=1.0, audible_seconds=4.0
    )
    for detection, said in (
        (unsure, "watermark not found for certain, chance 2e-04"),
        (replace(unsure, p_value=0.3), "watermark not found"),
        (replace(unsure, p_value=None), "watermark not found"),
    ):
        result = DetectResult(
            file=Path("a.wav"),
            key="public",
            watermark=detection,
            credentials=None,
            credentials_unread="",
            note=None,
            sidecar="none",
        )
        assert result.summary() == f"a.wav: {said}"

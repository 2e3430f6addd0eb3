"""A folder of media becomes a library: what is usable goes in once, the rest is counted with its reason."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from foleykit.audio.files import read_waveform, write_waveform
from foleykit.core.errors import MediaError, ModelError, UsageError
from foleykit.jobs.ambience import rms_dbfs
from foleykit.jobs.index import (
    IndexRequest,
    add_to_index,
    build_index,
    index_stats,
    query_index,
    remove_index,
)
from foleykit.jobs.library import clip_by_key, clip_sha256, embedding_space
from foleykit.jobs.library_media import Labels, find_media
from foleykit.jobs.load import load
from foleykit.jobs.pipeline import FoleyPipeline
from foleykit.retrieval import open_index
from foleykit.retrieval.filters import parse_filter

RATE = 16_000


@pytest.fixture(scope="module")
def pipeline(debug_model: Path) -> FoleyPipeline:
    return load(debug_model)


def tone(hz: float, level: float, seconds: float = 4.0) -> np.ndarray:
    time = np.arange(round(seconds * RATE)) / RATE
    return (level * np.sin(2 * np.pi * hz * time))[None].astype(np.float32)


@pytest.fixture
def media(tmp_path: Path, clip: Path, clip_with_tone: Path) -> Path:
    """Return a folder of three usable files in two scenes, four unusable ones, and two that are no media."""
    folder = tmp_path / "media"
    for name in ("kitchen", "street", ".hidden"):
        (folder / name).mkdir(parents=True)
    write_waveform(folder / "kitchen" / "loud.wav", tone(300, 0.4), RATE)
    write_waveform(folder / "kitchen" / "soft.flac", tone(2000, 0.002), RATE)
    (folder / "street" / "tone.mp4").write_bytes(clip_with_tone.read_bytes())
    (folder / "street" / "mute.mp4").write_bytes(clip.read_bytes())
    write_waveform(folder / "silent.wav", np.zeros((1, 50_000), np.float32), RATE)
    (folder / "broken.wav").write_bytes(b"RIFF" + bytes(100))
    (folder / "empty.flac").touch()
    (folder / "notes.txt").write_text("not media")
    write_waveform(folder / ".hidden" / "secret.wav", tone(300, 0.4), RATE)
    return folder


def request(media: Path, tmp_path: Path, debug_model: Path, name: str = "library.index") -> IndexRequest:
    return IndexRequest(index=str(tmp_path / name), media=(media,), model=str(debug_model))


def test_usable_files_go_in_and_the_rest_is_counted(
    media: Path, tmp_path: Path, debug_model: Path, pipeline: FoleyPipeline
) -> None:
    result = build_index(request(media, tmp_path, debug_model), pipeline=pipeline)
    assert (result.num_files, result.num_added, result.num_known) == (7, 3, 0)
    reasons = {skip.path.name: skip.reason for skip in result.skipped}
    assert reasons.keys() == {"mute.mp4", "silent.wav", "broken.wav", "empty.flac"}
    assert reasons["silent.wav"] == "silent" and "no sound" in reasons["mute.mp4"]
    assert all("/" not in reason for reason in reasons.values())
    assert sum(result.reasons.values()) == 4
    stats = index_stats(result.index)
    assert stats.scenes == {"kitchen": 2, "street": 1} and stats.num_with_audio == 0
    assert stats.space == embedding_space(pipeline.model, pipeline.description)


def test_level_and_origin_are_measured(media: Path, tmp_path: Path, debug_model: Path, pipeline: FoleyPipeline) -> None:
    result = build_index(request(media, tmp_path, debug_model), pipeline=pipeline)
    index = open_index(result.index)
    soft = index.find("media/kitchen/soft.flac#0")
    assert soft is not None and soft.ambient_db == pytest.approx(20 * np.log10(0.002 / np.sqrt(2)), abs=0.1)
    assert (soft.source, soft.seconds) == ("media/kitchen/soft.flac", pipeline.model.config.window_seconds)
    assert soft.start == pytest.approx((4 - soft.seconds) / 2)
    heard = clip_by_key(index, soft.key, RATE)
    whole, _ = read_waveform(media / "kitchen" / "soft.flac")
    first = round(soft.start * RATE)
    np.testing.assert_array_equal(heard.waveform, whole[:, first : first + heard.waveform.shape[-1]])


def test_stored_sound_outlives_its_files(
    media: Path, tmp_path: Path, debug_model: Path, pipeline: FoleyPipeline
) -> None:
    wished = request(media, tmp_path, debug_model)
    build_index(replace(wished, index=str(tmp_path / "by-path")), pipeline=pipeline)
    build_index(replace(wished, stores_audio=True), pipeline=pipeline)
    stored, named = open_index(wished.index), open_index(tmp_path / "by-path")
    for key in ("media/kitchen/loud.wav#0", "media/street/tone.mp4#0"):
        a, b = clip_by_key(stored, key, RATE), clip_by_key(named, key, RATE)
        np.testing.assert_allclose(a.waveform, b.waveform, atol=2**-15)
        (media / key.split("#")[0].removeprefix("media/")).unlink()
        np.testing.assert_array_equal(clip_by_key(stored, key, RATE).waveform, a.waveform)
        with pytest.raises(MediaError, match="no longer at"):
            clip_by_key(named, key, RATE)
        assert clip_sha256(wished.index, key) != clip_sha256(wished.index, "media/kitchen/soft.flac#0")


def test_adding_takes_only_what_is_new(media: Path, tmp_path: Path, debug_model: Path, pipeline: FoleyPipeline) -> None:
    wished = request(media, tmp_path, debug_model)
    build_index(wished, pipeline=pipeline)
    write_waveform(media / "street" / "another.wav", tone(700, 0.1), RATE)
    again = add_to_index(wished, pipeline=pipeline)
    assert (again.num_added, again.num_known, len(again.skipped)) == (1, 3, 4)
    assert index_stats(wished.index).num_clips == 4


def test_the_order_of_adding_does_not_change_what_is_found(
    media: Path, tmp_path: Path, debug_model: Path, pipeline: FoleyPipeline
) -> None:
    whole = request(media, tmp_path, debug_model, "whole")
    build_index(whole, pipeline=pipeline)
    parts = replace(whole, index=str(tmp_path / "parts"), media=(media / "street",))
    build_index(parts, pipeline=pipeline)
    add_to_index(replace(parts, media=(media / "kitchen",)), pipeline=pipeline)
    answers = [
        query_index(index, media / "kitchen" / "loud.wav", pipeline=pipeline) for index in (whole.index, parts.index)
    ]
    assert [m.clip.key for m in answers[0]] == [m.clip.key for m in answers[1]]
    np.testing.assert_allclose([m.score for m in answers[0]], [m.score for m in answers[1]], atol=1e-5)
    assert answers[0][0].clip.source.endswith("loud.wav") and answers[0][0].score == pytest.approx(1, abs=1e-4)


def test_queries_by_picture_and_by_sound(
    media: Path, tmp_path: Path, debug_model: Path, pipeline: FoleyPipeline, clip: Path
) -> None:
    index = build_index(request(media, tmp_path, debug_model), pipeline=pipeline).index
    video = media / "street" / "tone.mp4"
    pictures = query_index(index, video, pipeline=pipeline)
    sound = query_index(index, video, by="sound", pipeline=pipeline)
    assert sound[0].clip.source.endswith("tone.mp4") and sound[0].score == pytest.approx(1, abs=1e-4)
    assert len(pictures) == 3 and [m.score for m in pictures] == sorted([m.score for m in pictures], reverse=True)
    assert [m.score for m in pictures] != [m.score for m in sound]
    quiet = query_index(index, video, where=parse_filter("ambient_db < -50"), pipeline=pipeline)
    assert [m.clip.key for m in quiet] == ["media/kitchen/soft.flac#0"]
    with pytest.raises(MediaError, match="shows nothing"):
        query_index(index, media / "kitchen" / "loud.wav", by="pictures", pipeline=pipeline)
    with pytest.raises(MediaError, match="no sound"):
        query_index(index, clip, by="sound", pipeline=pipeline)


def test_a_table_tells_what_differs(media: Path, tmp_path: Path, debug_model: Path) -> None:
    table = media / "table.csv"
    table.write_text(
        "path,scene,captions,licence\n"
        "kitchen/loud.wav,galley,a pan | a lid,CC0-1.0\n"
        "street/gone.wav,street,,CC BY 4.0\n"
    )
    wished = replace(request(media, tmp_path, debug_model), table=table, labels=Labels(licence="unknown"))
    found = {path.name: labels for path, labels in find_media(wished.media, wished.labels, wished.table).items()}
    assert found["loud.wav"] == Labels(scene="galley", captions=("a pan", "a lid"), licence="CC0-1.0")
    assert found["soft.flac"] == Labels(scene="kitchen", licence="unknown")
    assert found["silent.wav"].scene == "" and "gone.wav" in found and "secret.wav" not in found
    for text in ("path,scene,ambiance\n", "scene,licence\n"):
        table.write_text(text)
        with pytest.raises(UsageError, match=r'unknown column "ambiance"|no column path'):
            find_media(wished.media, wished.labels, wished.table)


def test_a_missing_file_of_the_table_is_counted(
    media: Path, tmp_path: Path, debug_model: Path, pipeline: FoleyPipeline
) -> None:
    table = media / "table.csv"
    table.write_text("path\nstreet/gone.wav\n")
    result = build_index(replace(request(media, tmp_path, debug_model), table=table), pipeline=pipeline)
    assert [skip.reason for skip in result.skipped if skip.path.name == "gone.wav"] == ["no such file"]


def test_clips_of_a_file_are_found_by_their_own_sound(
    tmp_path: Path, debug_model: Path, pipeline: FoleyPipeline
) -> None:
    noise = np.random.default_rng(0).standard_normal((1, 10 * RATE)).astype(np.float32)
    rising = noise * np.linspace(0.001, 0.2, 10 * RATE, dtype=np.float32)
    write_waveform(tmp_path / "rising.wav", rising, RATE)
    wished = replace(request(tmp_path / "rising.wav", tmp_path, debug_model), every=3.0)
    assert build_index(wished, pipeline=pipeline).num_added == 3
    index = open_index(wished.index)
    clips = [index.find(f"rising.wav#{number}") for number in range(3)]
    levels = [clip.ambient_db for clip in clips if clip is not None]
    assert len(levels) == 3 and levels == sorted(levels)
    for clip in clips:
        assert clip is not None
        heard = clip_by_key(index, clip.key, RATE).waveform
        assert rms_dbfs(heard) > clip.ambient_db > rms_dbfs(heard) - 10


def test_an_index_is_replaced_only_when_asked(
    media: Path, tmp_path: Path, debug_model: Path, pipeline: FoleyPipeline
) -> None:
    wished = request(media, tmp_path, debug_model)
    build_index(wished, pipeline=pipeline)
    with pytest.raises(UsageError, match="exists; use `foley index add`"):
        build_index(wished, pipeline=pipeline)
    smaller = build_index(replace(wished, media=(media / "street",)), overwrite=True, pipeline=pipeline)
    assert smaller.num_added == index_stats(wished.index).num_clips == 1


def test_only_an_index_is_ever_deleted(media: Path, tmp_path: Path, debug_model: Path, pipeline: FoleyPipeline) -> None:
    precious = media / "notes.txt"
    for location in (precious, media):
        wished = replace(request(media, tmp_path, debug_model), index=str(location))
        with pytest.raises((UsageError, MediaError), match="media"):
            build_index(wished, overwrite=True, pipeline=pipeline)
        with pytest.raises((UsageError, MediaError)):
            remove_index(str(location))
    assert precious.read_text() == "not media"


def test_an_index_of_other_embeddings_is_refused_by_name(
    media: Path, tmp_path: Path, debug_model: Path, pipeline: FoleyPipeline, clip: Path
) -> None:
    wished = request(media, tmp_path, debug_model)
    build_index(wished, pipeline=pipeline)
    other_folder = tmp_path / "retrained"
    other_folder.mkdir()
    for path in debug_model.rglob("*"):
        if path.is_file():
            target = other_folder / path.relative_to(debug_model)
            target.parent.mkdir(exist_ok=True)
            target.write_bytes(path.read_bytes())
    from foleykit.core.checkpoint import load_tensors, save_tensors

    tensors = load_tensors(other_folder / "similarity.safetensors")
    save_tensors({name: 2 * value for name, value in tensors.items()}, other_folder / "similarity.safetensors")
    retrained = load(other_folder)
    for act in (
        lambda: add_to_index(wished, pipeline=retrained),
        lambda: query_index(wished.index, clip, pipeline=retrained),
    ):
        with pytest.raises(UsageError, match=r'"debug/similarity@\w+" with \d+ dimensions, not of "retrained/'):
            act()
    assert index_stats(wished.index).num_clips == 3


def test_nothing_usable_and_nothing_there_are_told(
    media: Path, tmp_path: Path, debug_model: Path, pipeline: FoleyPipeline
) -> None:
    wished = request(media, tmp_path, debug_model)
    with pytest.raises(MediaError, match=r"none of 1 files can be used; .*silent"):
        build_index(replace(wished, media=(media / "silent.wav",)), pipeline=pipeline)
    with pytest.raises(UsageError, match="no such file or folder"):
        build_index(replace(wished, media=(tmp_path / "none",)), pipeline=pipeline)
    with pytest.raises(UsageError, match="there is no index"):
        add_to_index(replace(wished, index=str(tmp_path / "none")), pipeline=pipeline)
    with pytest.raises(ModelError):
        build_index(replace(wished, index=str(tmp_path / "new"), model="no-such-model"))
    assert not (tmp_path / "new").exists()


def test_a_killed_build_is_readable_and_add_completes_it(
    tmp_path: Path, debug_model: Path, pipeline: FoleyPipeline, make_video: Callable[..., Path]
) -> None:
    """SIGKILL after the second commit: those clips are there, whole, and `add` does the rest and nothing twice."""
    folder = tmp_path / "media"
    folder.mkdir()
    for number in range(120):
        write_waveform(folder / f"{number:03}.wav", tone(200 + 20 * number, 0.1, 1.0), RATE)
    script = f"""
import os, signal
from pathlib import Path
import foleykit.jobs.index as jobs
from foleykit.retrieval.sqlite import SqliteIndex
jobs.COMMIT_CLIPS = 16
append, commits = SqliteIndex.append, []
def counted(self, rows):
    if len(commits) == 2:
        # In the middle of the third: rows are written, the transaction is open.
        self._connection.set_trace_callback(lambda s: s == "COMMIT" and os.kill(os.getpid(), signal.SIGKILL))
    commits.append(append(self, rows))
    return commits[-1]
SqliteIndex.append = counted
wished = dict(index={str(tmp_path / "library")!r}, media=(Path({str(folder)!r}),), model={str(debug_model)!r})
jobs.build_index(jobs.IndexRequest(**wished))
"""
    done = subprocess.run([sys.executable, "-c", script], env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert done.returncode == -signal.SIGKILL
    assert index_stats(str(tmp_path / "library")).num_clips == 32
    wished = request(folder, tmp_path, debug_model, "library")
    result = add_to_index(wished, pipeline=pipeline)
    assert (result.num_known, result.num_added, index_stats(wished.index).num_clips) == (32, 88, 120)

"""A user's library as the source of the ambience that fits the pictures."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from foleykit.audio.files import write_waveform
from foleykit.core.errors import MediaError, UsageError
from foleykit.jobs.generate import GenerateRequest, generate
from foleykit.jobs.index import IndexRequest, build_index, query_index
from foleykit.jobs.load import load
from foleykit.jobs.pipeline import FoleyPipeline
from foleykit.jobs.sidecar import read_sidecar
from foleykit.jobs.soundtrack import Settings
from foleykit.retrieval import create_index
from foleykit.retrieval.types import EmbeddingSpace

RATE = 16_000


@pytest.fixture(scope="module")
def pipeline(debug_model: Path) -> FoleyPipeline:
    return load(debug_model)


@pytest.fixture
def library(tmp_path: Path, debug_model: Path, pipeline: FoleyPipeline) -> Path:
    """Return an index of three noises of different colour and level."""
    folder = tmp_path / "noises"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name, width, level in (("dark", 40, 0.1), ("grey", 8, 0.01), ("white", 1, 0.001)):
        noise = np.convolve(rng.standard_normal(4 * RATE), np.ones(width) / np.sqrt(width), "same")
        write_waveform(folder / f"{name}.flac", level * np.clip(noise, -5, 5)[None].astype(np.float32), RATE)
    index = tmp_path / "library.index"
    build_index(IndexRequest(index=str(index), media=(folder,), model=str(debug_model)), pipeline=pipeline)
    return index


def run(video: Path, output: Path, settings: Settings, pipeline: FoleyPipeline, debug_model: Path) -> dict[str, object]:
    wished = GenerateRequest(video=video, output=output, model=str(debug_model), settings=settings)
    result = generate(wished, pipeline=pipeline)
    return json.loads(result.takes[0].sidecar.read_text())


def test_auto_takes_the_nearest_clip_of_the_library(
    library: Path, clip: Path, tmp_path: Path, pipeline: FoleyPipeline, debug_model: Path
) -> None:
    best = query_index(str(library), clip, num_matches=1, pipeline=pipeline)[0].clip
    named = run(clip, tmp_path / "a.wav", Settings(ambient_library=str(library)), pipeline, debug_model)
    given = Settings(ambient=str(tmp_path / best.source))
    by_file = run(clip, tmp_path / "b.wav", given, pipeline, debug_model)
    shipped = run(clip, tmp_path / "c.wav", Settings(), pipeline, debug_model)
    assert named["ambience"]["name"] == best.key
    digest = [values["output"]["samples_sha256"] for values in (named, by_file, shipped)]
    assert digest[0] == digest[1] != digest[2]


def test_a_filter_narrows_the_choice(library: Path, clip: Path, pipeline: FoleyPipeline) -> None:
    for text, name in (("ambient_db < -50", "white"), ("ambient_db > -25", "dark")):
        track = pipeline(clip, ambient_library=library, ambient_filter=text)
        assert track.ambience == f"noises/{name}.flac#0" == track.settings.ambient_clip
    with pytest.raises(MediaError, match=r"no clip with ambient_db < -90; widen the filter"):
        pipeline(clip, ambient_library=library, ambient_filter="ambient_db < -90")


def test_replay_takes_the_same_clip_though_the_library_grew(
    library: Path, clip: Path, tmp_path: Path, pipeline: FoleyPipeline, debug_model: Path
) -> None:
    output = tmp_path / "a.wav"
    first = run(clip, output, Settings(ambient_library=str(library)), pipeline, debug_model)
    chosen = first["ambience"]["name"]
    # Twins of the chosen clip under names that come first.
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "0.flac").write_bytes((tmp_path / str(chosen).split("#")[0]).read_bytes())
    from foleykit.jobs.index import add_to_index

    added = IndexRequest(index=str(library), media=(tmp_path / "more",), model=str(debug_model))
    assert add_to_index(added, pipeline=pipeline).num_added == 1
    sidecar = output.with_suffix(".json")
    again = generate(GenerateRequest(replay=sidecar, output=tmp_path / "again.wav"))
    repeated = read_sidecar(again.takes[0].sidecar)
    assert repeated.output.samples_sha256 == first["output"]["samples_sha256"]
    assert repeated.ambience.name == chosen
    write_waveform(tmp_path / str(chosen).split("#")[0], np.full((1, RATE), 0.1, np.float32), RATE)
    with pytest.raises(MediaError, match="not the one that the sidecar was made with"):
        generate(GenerateRequest(replay=sidecar, output=tmp_path / "third.wav"))


def test_a_library_of_other_embeddings_is_refused_by_name(clip: Path, tmp_path: Path, pipeline: FoleyPipeline) -> None:
    create_index(tmp_path / "other", EmbeddingSpace(model_id="elsewhere", num_dimensions=256)).close()
    with pytest.raises(UsageError, match=r'"elsewhere" with 256 dimensions, not of "debug/similarity@'):
        pipeline(clip, ambient_library=tmp_path / "other")


def test_options_that_would_have_no_effect_are_refused(library: Path, clip: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match='leave it out with "quiet"'):
        Settings(ambient="quiet", ambient_library=str(library))
    with pytest.raises(UsageError, match="name one with --ambient-library"):
        Settings(ambient_filter="ambient_db < -50")
    with pytest.raises(UsageError, match="cannot read the filter"):
        Settings(ambient_library=str(library), ambient_filter="loudness < 3")
    wished = GenerateRequest(video=clip, output=tmp_path / "a.wav", settings=Settings(ambient_library="nowhere"))
    with pytest.raises(UsageError, match="there is no index at nowhere"):
        generate(wished)
    assert not (tmp_path / "a.wav").exists()


def test_a_take_depends_on_its_clip_only_through_the_sound(library: Path, clip: Path, pipeline: FoleyPipeline) -> None:
    free = pipeline(clip, ambient_library=library)
    fixed = replace(free.settings, ambient_clip=free.ambience)
    np.testing.assert_array_equal(next(pipeline.takes(clip, fixed)).waveform, free.waveform)

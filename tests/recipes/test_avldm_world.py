"""Every training stage runs from one command's arguments, at debug size, on a world rendered for the test."""

import shutil
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch

from foleykit.codecs.hifigan_discriminators import debug_discriminators
from foleykit.core.checkpoint import load_tensors
from foleykit.core.errors import FoleyError, ModelError, UsageError
from foleykit.evaluation.clips import read_clip
from foleykit.models.avldm.pipeline import AvLdmPipeline
from foleykit.models.avldm.presets import debug
from foleykit.recipes.ambient_library import write_library
from foleykit.recipes.avldm_batches import draw_neighbour, is_audible
from foleykit.recipes.avldm_bundle import bundle
from foleykit.recipes.avldm_evaluation import (
    WorldSetArgs,
    generate_condition,
    neighbour_ambient,
    quiet_ambient,
    retrieve_condition,
    told_condition,
    true_events,
    with_denoiser,
    without_vocoder,
    write_world_reference,
)
from foleykit.recipes.avldm_run import STAGES, TrainArgs
from foleykit.recipes.avldm_video_batches import Crop, VideoBatches, contact_targets, crop_frames, onset_targets
from foleykit.recipes.avldm_world import train
from foleykit.recipes.world_data import WorldDataArgs, open_world
from foleykit.world.cache import CachedVideo
from foleykit.world.config import WorldConfig
from foleykit.world.places import draw_place
from foleykit.world.types import Place, SoundEvent


@pytest.fixture(scope="module")
def renders() -> None:
    """Skip what renders the world where MuJoCo or an off-screen OpenGL library is missing."""
    # Looked for, not imported: MuJoCo chooses its GL library on first import, before the world could name one.
    if find_spec("mujoco") is None:
        pytest.skip("the world needs MuJoCo: pip install 'foleykit[world]'")
    from foleykit.world.stream import make_take

    try:
        make_take(WorldConfig(seconds=1.0, frame_size=(16, 16)), seed=0, index=0, split="train")
    except FoleyError as error:
        pytest.skip(f"the world cannot be rendered here: {error}")


def event(time: float, on_screen: bool = True) -> SoundEvent:
    return SoundEvent(
        time=time,
        duration=0.0,
        kind="impact",
        action="hit",
        material="wood",
        striker="metal",
        shape="block",
        size=0.1,
        strength=1.0,
        body_seed=1,
        on_screen=on_screen,
    )


def test_onset_targets_mark_the_nearest_frame_and_ignore_what_is_not_seen() -> None:
    targets = onset_targets([event(1.2), event(1.6, on_screen=False)], 1.0, 25, 25.0)
    assert targets[5] == 1.0 and targets[[4, 6]].tolist() == pytest.approx([0.4, 0.4]) and targets[10:].max() == 0


def test_a_contact_is_hottest_in_its_cell_and_frame_and_unseen_ones_leave_no_heat() -> None:
    seen = replace(event(1.2), point=(0.9, 0.3))
    heat = contact_targets([seen, event(1.6)], 1.0, 25, 25.0, 4)
    assert heat.shape == (25, 4, 4) and heat[5, 1, 3] == 1.0 and (heat == 1).sum() == 1
    assert heat[[4, 6], 1, 3].tolist() == pytest.approx([0.6, 0.6]) and heat[10:].max() == 0


def test_a_crop_moves_and_drops_what_is_seen_as_it_does_the_picture() -> None:
    """The cell of a marked pixel, of its event and of its surface stay one cell."""
    frames = np.zeros((1, 96, 96, 3), np.uint8)
    frames[0, 60:64, 40:44] = 255
    surface = np.zeros((24, 24), np.int64)
    surface[15, 10] = 1
    seen = replace(event(1.0), point=(42 / 96, 62 / 96))
    crop = Crop(left=0.25, top=0.125, size=0.75)
    shown = crop_frames(frames, crop)[0, ..., 0]
    moved = crop.seen(seen)
    assert moved.point == pytest.approx((0.25, (62 / 96 - 0.125) / 0.75)) and moved.on_screen
    down, right = (float(pixels.mean()) for pixels in np.nonzero(shown > 128))
    assert (right / 96, down / 96) == pytest.approx(moved.point, abs=0.01)
    rows, columns = crop.cells(24)
    assert surface[rows, columns][int(moved.point[1] * 24), int(moved.point[0] * 24)] == 1
    outside = replace(crop, left=0.0, size=0.4).seen(seen)
    assert not outside.on_screen and outside.point is None


def stated_video(place: Place) -> CachedVideo:
    """Return ten seconds whose every frame states its number, with one audible blow at 5 s."""
    action = np.zeros(160_000, np.int16)
    action[80_000:82_000] = 8000
    numbers = np.arange(250, dtype=np.uint8)
    return CachedVideo(
        index=0,
        seed=0,
        sample_rate=16_000,
        seconds=10.0,
        frames=np.broadcast_to(numbers[:, None, None, None], (250, 8, 8, 3)),
        frame_times=numbers / 25.0,
        surface_maps=np.broadcast_to((numbers[:50])[:, None, None], (50, 4, 4)),
        action=action,
        off_screen=np.zeros(160_000, np.int16),
        ambient=np.zeros((1, 160_000), np.int16),
        revoiced=np.zeros((0, 160_000), np.int16),
        revoiced_materials=(),
        events=(replace(event(5.0), point=(0.5, 0.5)),),
        places=(place,),
        gestures=(),
        narrations=(),
        credits=(),
    )


def test_pictures_targets_and_sound_of_a_clip_are_of_the_same_time() -> None:
    video = stated_video(draw_place("train", np.random.default_rng(0))[0])
    sounds = np.arange(250, dtype=np.float16)[:, None]
    batches = VideoBatches(
        videos=[video],
        sounds=[sounds],
        config=debug(),
        batch_size=8,
        device="cpu",
        event_share=1.0,
        crop_share=0.0,
    )
    seen = 0
    for step in range(6):
        rng = np.random.default_rng(step)
        frames, contact, surface, onset, *_, sound, _ = batches._clip(rng)
        shown = frames[:, 0, 0, 0].astype(int)
        assert (sound[:, 0] == shown).all()
        assert (surface[:, 0, 0] == shown[::5][: len(surface)] // 5).all()
        if onset.max() == 1:
            seen += 1
            assert abs(shown[onset.argmax()] - 125) <= 1 and contact.max(axis=(1, 2)).argmax() == onset.argmax()
    assert seen > 1


def test_a_touch_counts_when_the_sound_rises_with_it() -> None:
    sound = np.zeros(16_000, np.int16)
    sound[8000:12_000] = 1000
    assert is_audible(event(0.5), sound, 16_000)
    assert not is_audible(event(0.2), sound, 16_000) and not is_audible(event(0.6), sound, 16_000)


def test_a_neighbour_never_overlaps_its_clip_and_every_place_is_drawn() -> None:
    rng = np.random.default_rng(0)
    drawn = {draw_neighbour(rng, 30, 20, 100) for _ in range(2000)}
    assert all(start + 20 <= 30 or start >= 50 for start in drawn)
    assert drawn == set(range(11)) | set(range(50, 81))


def test_all_stages_train_and_the_bundle_generates(tmp_path: Path, renders: None) -> None:
    world = WorldConfig(seconds=10.0, frame_size=(32, 32))
    data = WorldDataArgs(cache=tmp_path / "cache", num_videos=4, workers=1, world=world)
    args = TrainArgs(
        preset="debug",
        stage="codec",
        data=data,
        output=tmp_path / "run",
        num_steps=3,
        batch_size=2,
        checkpoint_every=3,
        discriminators=debug_discriminators(),
    )
    for stage in ("vocoder", "decoder"):
        with pytest.raises(ModelError, match="train the stage"):
            train(replace(args, stage=stage))
    for stage in STAGES:
        assert (train(replace(args, stage=stage)) / "model.safetensors").is_file()
    before = {
        f"{part}.{name}": tensor
        for part, stage in (("mel_vae", "codec"), ("vocoder", "vocoder"))
        for name, tensor in load_tensors(args.output / stage / "model.safetensors").items()
    }
    after = load_tensors(args.output / "decoder" / "model.safetensors")
    changed = {".".join(name.split(".")[:2]) for name, part in before.items() if not torch.equal(part, after[name])}
    assert {"mel_vae.synthesis", "mel_vae.decoder", "vocoder.head"} <= changed
    assert not changed & {
        "mel_vae.analysis",
        "mel_vae.encoder",
        "mel_vae.latent_mean",
        "mel_vae.latent_deviation",
    }
    folder = tmp_path / "model"
    bundle(args, folder)
    bundled = load_tensors(folder / "vocoder.safetensors")["head.bias"]
    assert torch.equal(bundled, after["vocoder.head.bias"].half())
    with pytest.raises(UsageError, match="already holds a model"):
        bundle(args, folder)
    write_library(folder / "ambient", sample_rate=16_000, seconds=3.0)
    pipeline = AvLdmPipeline.load(folder)
    assert pipeline.steering is not None and 0 < float(pipeline.steering.contact[1]) < 10
    waveform = pipeline([np.zeros((75, 32, 32, 3), np.uint8)], num_samples=48_000, num_steps=2)
    assert waveform.shape == (1, 48_000) and np.isfinite(waveform).all()

    held_out = WorldSetArgs(data=data, folder=tmp_path / "set", num_clips=2)
    infos = write_world_reference(held_out)
    neighbour = neighbour_ambient(held_out.folder / "reference")
    with_neighbour = generate_condition(held_out, pipeline, "neighbour", neighbour)
    assert sorted(path.stem for path in with_neighbour.glob("*.wav")) == sorted(info.clip_id for info in infos)
    ids = sorted(info.clip_id for info in infos)
    library = open_world(data, "train")[:2]
    for written in (told_condition(held_out, pipeline), retrieve_condition(held_out, pipeline, library)):
        assert sorted(path.stem for path in written.glob("*.wav")) == ids
    events = [event for info in infos for event in true_events(info, read_clip(held_out.folder / "reference", info))]
    assert events and all(-90 <= event.level_db <= 0 for event in events)
    blind = with_denoiser(pipeline, tmp_path / "run" / "generator" / "model.safetensors", uses_ambient=False)
    generate_condition(held_out, blind, "blind", quiet_ambient(blind))
    phased = without_vocoder(pipeline)
    sound = phased([np.zeros((75, 32, 32, 3), np.uint8)], num_samples=48_000, num_steps=2)
    assert sound.shape == (1, 48_000) and np.isfinite(sound).all() and not np.allclose(sound, waveform)

    ablation = train(replace(args, stage="generator", uses_ambient=False, is_denoised=True))
    assert ablation.name == "generator-no-neighbour-denoised" and (ablation / "model.safetensors").is_file()
    kinds = {path.name.rsplit("-", 1)[0] for path in (tmp_path / "run" / "encoded").iterdir()}
    assert {"train", "train-denoised", "valid-denoised"} <= kinds

    again = replace(args, stage="video", num_steps=1, learning_rate=1e-9)
    for name in ("on", "new"):
        shutil.copytree(args.output / "codec", tmp_path / name / "codec")
    from_run, from_nothing = (
        load_tensors(train(replace(again, output=tmp_path / name, start=start)) / "model.safetensors")
        for name, start in (("on", args.output), ("new", None))
    )
    before = load_tensors(args.output / "video" / "model.safetensors")
    weights = "encoder.project.weight"
    assert torch.allclose(from_run[weights], before[weights], atol=1e-6)
    assert not torch.allclose(from_nothing[weights], before[weights], atol=1e-6)


def test_what_is_encoded_of_one_world_is_not_taken_for_another(tmp_path: Path) -> None:
    here, elsewhere = (WorldDataArgs(cache=tmp_path, seed=seed) for seed in (0, 3))
    assert here.name_of("train") == "train" and elsewhere.name_of("train") == "train-world3"
    assert elsewhere.name_of("valid") != elsewhere.name_of("train")

"""The recipe of tiny-textvideo at debug size: three stages, a run killed and resumed, a folder that generates."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch

from foleykit.cli.main import main
from foleykit.codecs.hifigan_discriminators import debug_discriminators
from foleykit.core.checkpoint import load_tensors
from foleykit.core.errors import ConfigError, FoleyError, ModelError, UsageError
from foleykit.encoders.text.words import UNKNOWN, WordEncoder, WordEncoderConfig
from foleykit.jobs.load import load
from foleykit.jobs.sidecar import read_sidecar
from foleykit.models.events import MATERIAL_CHANNELS, TRACK_WIDTH, SeenEvent
from foleykit.models.textvideo.network import Conditioning
from foleykit.recipes.avldm_batches import share_of
from foleykit.recipes.textvideo_batches import EncodedVideo, HeardEvent, TextVideoBatches
from foleykit.recipes.textvideo_text import TextBatches, reader_of, score_reader
from foleykit.recipes.textvideo_world import STAGES, TextVideoTrainArgs, bundle, train, trained_codec
from foleykit.recipes.wave_vae_world import WaveVaeTrainArgs
from foleykit.recipes.world_data import WorldDataArgs
from foleykit.video.mux import packet_hashes
from foleykit.world.config import WorldConfig
from foleykit.world.prompts import WORDS, Claim, words_of
from foleykit.world.types import ACTIONS, MATERIALS

WORD_CONFIG = WordEncoderConfig(words=WORDS, width=16, num_blocks=1, num_heads=2)


@pytest.fixture(scope="module")
def args(tmp_path_factory: pytest.TempPathFactory, debug_model: Path) -> TextVideoTrainArgs:
    """Return a codec stage on a world of short videos; skip where it cannot be rendered."""
    if find_spec("mujoco") is None:
        pytest.skip("the world needs MuJoCo: pip install 'foleykit[world]'")
    from foleykit.world.stream import make_take

    world = WorldConfig(seconds=4.0, frame_size=(32, 32))
    try:
        make_take(world, seed=0, index=0, split="train")
    except FoleyError as error:
        pytest.skip(f"the world cannot be rendered here: {error}")
    cache = tmp_path_factory.mktemp("cache")
    return TextVideoTrainArgs(
        preset="debug",
        stage="codec",
        data=WorldDataArgs(cache=cache, num_videos=1, workers=0, world=world, sample_rate=48_000, num_revoicings=1),
        base=debug_model,
        output=cache / "unused",
        num_steps=4,
        batch_size=2,
        checkpoint_every=2,
        discriminators=debug_discriminators(),
    )


class Killed(Exception):
    pass


def kill_at_three(step: int, loss: float) -> None:
    if step == 3:
        raise Killed


def numbers_of(folder: Path) -> list[dict[str, float]]:
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [line for line in lines if "step" in line]


def test_all_stages_train_resume_and_the_command_generates(
    args: TextVideoTrainArgs, tmp_path: Path, make_video: Callable[..., Path]
) -> None:
    whole, cut = (replace(args, output=tmp_path / name) for name in ("whole", "cut"))
    with pytest.raises(ModelError, match="train the stage"):
        train(replace(whole, stage="generator"))
    for stage in STAGES:
        folder = train(replace(whole, stage=stage))
        with pytest.raises(Killed):
            train(replace(cut, stage=stage), on_step=kill_at_three)
        resumed = train(replace(cut, stage=stage))
        one, other = (load_tensors(place / "model.safetensors") for place in (folder, resumed))
        assert all(torch.equal(tensor, other[name]) for name, tensor in one.items()), stage
        assert numbers_of(folder) == numbers_of(resumed)

    lines = numbers_of(whole.output / "codec")
    assert {"mel", "spectral", "energy", "kl"} <= lines[0].keys()
    assert "judging" not in lines[-1] and "judging" in numbers_of(whole.output / "decoder")[0]
    assert lines[-1]["valid/world/bandwidth_hz"] > 0 and lines[-1]["valid/world/mel_l1_db"] < 20
    assert 0 <= numbers_of(whole.output / "text")[-1]["valid/materials_right"] <= 1
    lines = numbers_of(whole.output / "generator")
    for name in ("loss", "loss_other_video", "loss_other_text", "loss_other_ambience"):
        assert lines[-1][f"valid/{name}"] > 0 and lines[-1][f"valid/revoiced/{name}"] > 0

    codec, sharper = (trained_codec(whole, stage) for stage in ("codec", "decoder"))
    waveform = torch.randn(1, 1, 9600, generator=torch.Generator().manual_seed(0)) / 10
    latents = codec.encode(waveform)
    noise = torch.zeros(codec.noise_shape(latents))
    assert torch.equal(latents, sharper.encode(waveform))
    assert not torch.allclose(codec.decode(latents, noise), sharper.decode(latents, noise))

    bundle(whole, tmp_path / "model")
    with pytest.raises(UsageError, match="already holds a model"):
        bundle(whole, tmp_path / "model")
    clip, output = make_video(seconds=1.6, fps=25), tmp_path / "out.mp4"
    words = ["--prompt", "metal hits", "--negative-prompt", "wood", "-o", str(output), "-q"]
    with pytest.raises(SystemExit) as end:
        main(["generate", str(clip), "--model", str(tmp_path / "model"), *words])
    assert not end.value.code
    assert read_sidecar(output.with_suffix(".json")).output.num_samples == 76_800
    assert packet_hashes(output) == packet_hashes(clip)

    pipeline = load(tmp_path / "model")
    told = (SeenEvent(time=0.4, material="metal"), SeenEvent(time=1.2, material="wood", level_db=-20))
    seen, again, other = (
        pipeline(clip, events=events).generated for events in (None, pipeline.read_events(clip), told)
    )
    assert np.array_equal(seen, again) and not np.array_equal(seen, other)
    # Where a text names a material, no event does.
    glass = tuple(replace(event, material="glass") for event in told)
    for prompt, is_changed in (("hits", True), ("wooden hits", False)):
        one, another = (pipeline(clip, events=events, prompt=prompt).generated for events in (told, glass))
        assert np.array_equal(one, another) != is_changed

    further = replace(whole, stage="generator", output=tmp_path / "further", start=whole.output, num_steps=1)
    for stage in ("codec", "text"):
        shutil.copytree(whole.output / stage, further.output / stage)
    train(replace(further, learning_rate=1e-12))
    one, other = (load_tensors(run.output / "generator" / "model.safetensors") for run in (whole, further))
    assert all(torch.allclose(tensor, other[name], atol=1e-6) for name, tensor in one.items())
    with pytest.raises(UsageError, match="start text or generator"):
        train(replace(further, stage="codec"))


def test_sound_of_another_rate_is_refused(args: TextVideoTrainArgs) -> None:
    from foleykit.models.textvideo.presets import debug_tiny

    with pytest.raises(ConfigError, match="of 16000 Hz"):
        WaveVaeTrainArgs(
            stage="codec",
            codec=debug_tiny().codec,
            data=replace(args.data, sample_rate=16_000),
            output=args.output,
        )


def encoded_video(seed: int) -> EncodedVideo:
    """Return a long video whose latents and features say where they come from: voice, background and frame."""
    num_frames, rng = 120, np.random.default_rng(seed)
    latents = np.zeros((2, 3, 8, num_frames), np.float16)
    for voice in range(2):
        for variant in range(3):
            latents[voice, variant, 0], latents[voice, variant, 1] = voice, variant
            latents[voice, variant, 2] = np.arange(num_frames)
    features = np.zeros((num_frames, 32), np.float16)
    features[:, 0] = np.arange(num_frames)
    times = np.sort(rng.uniform(0, 4.8, 6))
    true, false = (
        tuple(HeardEvent(time=float(time), claim=Claim(action="hit", material=material)) for time in times)
        for material in ("wood", "metal")
    )
    tracks = np.zeros((2, num_frames, TRACK_WIDTH), np.float16)
    tracks[..., 1] = np.arange(num_frames) + np.array([[0.0], [1000.0]])
    tracks[..., MATERIAL_CHANNELS] = 1
    return EncodedVideo(
        features=features,
        tracks=tracks,
        latents=latents,
        action_shares=(latents[:, :, 2] % 2).astype(np.float16),
        heard=(true, false),
        place="a kitchen",
        backgrounds=(("rain",), (), ("fan",)),
    )


def batches_of(**changes) -> TextVideoBatches:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        reader = WordEncoder(WORD_CONFIG).eval()
    settings = {"videos": [encoded_video(0), encoded_video(1)], "batch_size": 64} | changes
    return TextVideoBatches(
        reader=reader, window_frames=25, frame_rate=25.0, picture_stride=5, device="cpu", **settings
    )


def test_a_batch_is_a_function_of_its_step() -> None:
    one, again, other = batches_of()(3), batches_of()(3), batches_of()(4)
    assert torch.equal(one.latents, again.latents) and torch.equal(one.conditioning.text, again.conditioning.text)
    assert not torch.equal(one.latents, other.latents)


def test_conditions_belong_to_their_clip_and_the_neighbour_to_the_truth() -> None:
    batch = batches_of()(0)
    conditioning: Conditioning = batch.conditioning
    assert conditioning.ambient is not None
    # The same frames are heard, seen and told, in the same voice, and the pictures are means of what is seen.
    torch.testing.assert_close(batch.latents[:, 2], conditioning.sync[:, :, 0])
    assert conditioning.sync.shape[2] == 32 + TRACK_WIDTH
    torch.testing.assert_close(batch.latents[:, 2] + 1000 * batch.latents[:, 0], conditioning.sync[:, :, 32 + 1])
    # What is seen to ring is told only where it is heard and no prompt names it.
    told, is_revoiced = conditioning.sync[:, :, 32:][:, :, MATERIAL_CHANNELS], batch.latents[:, 0, 0] == 1
    assert not told[is_revoiced].any() and (told[~batch.has_text] == 1).all()
    assert (told[batch.has_text & ~is_revoiced] == 0).any()
    torch.testing.assert_close(conditioning.pictures[:, :, 0], conditioning.sync[:, 2::5, 0])
    # The neighbour has the same background, another time, and never a false voice.
    torch.testing.assert_close(conditioning.ambient[:, 1, 0], batch.latents[:, 1, 0])
    assert ((conditioning.ambient[:, 2] - batch.latents[:, 2]).abs().amin(dim=1) >= 25).all()
    assert not conditioning.ambient[:, 0].any()
    assert batch.has_ambient.all() and not batch.has_transcript.any()


def test_frames_of_action_weigh_more() -> None:
    batch = batches_of(action_weight=4.0)(0)
    torch.testing.assert_close(batch.weights, 1 + 3 * (batch.latents[:, 2] % 2))
    action = np.zeros(2400, np.float32)
    action[:600] = 0.1
    rest = np.stack([np.full(2400, 0.1, np.float32), np.zeros(2400, np.float32)])
    np.testing.assert_allclose(share_of(action, rest, 600), [[0.5, 0, 0, 0], [1, 0, 0, 0]], atol=1e-3)
    assert share_of(action[:601], rest[:, :601], 600).shape == (2, 2)


def test_where_the_picture_is_wrong_the_text_is_always_shown() -> None:
    batch = batches_of(text_share=0.4, batch_size=400)(1)
    is_revoiced = batch.latents[:, 0, 0] == 1
    assert 0.25 < is_revoiced.float().mean() < 0.45
    assert batch.has_text[is_revoiced].all()
    assert 0.3 < batch.has_text[~is_revoiced].float().mean() < 0.5


def test_prompts_name_what_is_heard_and_not_what_is_seen() -> None:
    batches = batches_of(revoiced_share=1.0)
    rng = np.random.default_rng(0)
    texts = [batches._clip(rng).prompt for _ in range(200)]
    words = {word for text in texts for word in words_of(text)}
    assert words & {"metal", "steel", "metallic", "iron"} and not words & {"wood", "wooden", "timber"}


def test_text_batches_hide_a_word_now_and_then() -> None:
    encoder = WordEncoder(WORD_CONFIG)
    shown = TextBatches(encoder=encoder, batch_size=64, device="cpu", unknown_share=0.0)(5)
    hidden = TextBatches(encoder=encoder, batch_size=64, device="cpu", unknown_share=0.5)(5)
    assert not (shown.ids == UNKNOWN).any()
    changed = shown.ids != hidden.ids
    assert changed.any() and (hidden.ids[changed] == UNKNOWN).all()
    assert torch.equal(shown.named.pairs, hidden.named.pairs)
    assert shown.named.pairs.shape == (64, len(ACTIONS), len(MATERIALS))


def test_a_reader_that_knows_everything_scores_one() -> None:
    encoder = WordEncoder(WORD_CONFIG)
    batch = TextBatches(encoder=encoder, batch_size=32, device="cpu")(0)

    class Oracle(torch.nn.Module):
        def forward(self, ids: torch.Tensor):
            return replace(
                batch.named,
                **{
                    name: 2 * getattr(batch.named, name) - 1 for name in ("pairs", "actions", "materials", "background")
                },
            )

    assert set(score_reader(Oracle(), [batch]).values()) == {1.0}
    untrained = score_reader(reader_of(encoder).eval(), [batch])
    assert untrained["pairs_right"] < 0.5

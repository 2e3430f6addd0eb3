"""The AV-LDM family at debug size: objectives learn, the pipeline keeps its promises about time and seeds."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from foleykit.audio.ambient import AmbientClip, mirror_to
from foleykit.audio.spectral_loss import pooled_energy_error
from foleykit.codecs.istft_vocoder import IstftVocoder
from foleykit.codecs.mel_vae import MelVae
from foleykit.core.checkpoint import save_weights
from foleykit.core.config import from_dict, save_config, to_dict
from foleykit.core.errors import ConfigError, InputError, ModelError
from foleykit.core.ranges import Reroll
from foleykit.core.types import AudioBatch, GeneratorBatch, SimilarityBatch, VideoBatch
from foleykit.encoders.similarity import AvSimilarity
from foleykit.encoders.visual.steering import OnsetSteering
from foleykit.encoders.visual.two_rate import CHUNK_FRAMES, TwoRateEncoder
from foleykit.jobs.models import model_folder
from foleykit.models.avldm.config import AvLdmConfig
from foleykit.models.avldm.network import AvConditioning, Denoiser
from foleykit.models.avldm.objective import (
    CodecObjective,
    GeneratorObjective,
    SimilarityObjective,
    VideoObjective,
    VocoderObjective,
    heatmap_error,
    surface_error,
)
from foleykit.models.avldm.pipeline import AvLdmPipeline, kind_of
from foleykit.models.avldm.presets import debug, tiny_avldm
from foleykit.models.events import TRACK_WIDTH, EventReader, SeenEvent
from foleykit.video.chunks import overlapping_chunks

CONFIG = debug()


def pipeline_of(config: AvLdmConfig = CONFIG) -> AvLdmPipeline:
    torch.manual_seed(0)
    denoiser = Denoiser(config.denoiser)
    # The output layer starts at zero; a random one makes every condition matter.
    torch.nn.init.normal_(denoiser.project_out.weight, std=0.3)
    rng = np.random.default_rng(0)
    clips = [
        AmbientClip(name=name, waveform=(level * rng.standard_normal((1, 48_000))).astype(np.float32))
        for name, level in (("loud", 0.1), ("quiet", 0.001))
    ]
    return AvLdmPipeline(
        config,
        codec=MelVae(config.codec),
        vocoder=IstftVocoder(config.vocoder),
        video=TwoRateEncoder(config.video),
        denoiser=denoiser,
        similarity=AvSimilarity(config.similarity),
        library=clips,
        events=EventReader(config.video.width),
    )


def frames_of(num_frames: int) -> NDArray[np.uint8]:
    return np.random.default_rng(3).integers(0, 255, (num_frames, 32, 32, 3), dtype=np.uint8)


def learns(objective: torch.nn.Module, batch: object, *, steps: int = 60, factor: float = 0.8) -> bool:
    """Return whether repeating one batch brings its loss below `factor` of the first."""
    optimizer = torch.optim.AdamW([p for p in objective.parameters() if p.requires_grad], lr=3e-3)
    losses = []
    for _ in range(steps):
        loss = objective(batch, torch.Generator().manual_seed(0)).total
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses[-1] < factor * losses[0]


def test_the_codec_and_the_vocoder_learn_one_batch() -> None:
    torch.manual_seed(0)
    batch = AudioBatch(waveform=0.1 * torch.randn(4, 640 * 10))
    codec = MelVae(CONFIG.codec)
    assert learns(CodecObjective(codec), batch)
    assert learns(VocoderObjective(IstftVocoder(CONFIG.vocoder), codec), batch)


def test_the_video_encoder_learns_one_batch() -> None:
    torch.manual_seed(0)
    batch = VideoBatch(
        frames=torch.rand(2, 20, 3, 32, 32),
        onset=(torch.rand(2, 20) > 0.8).float(),
        material=torch.randint(0, 7, (2, 20)),
        action=torch.randint(0, 11, (2, 20)),
        sound=torch.randn(2, 20, 8),
        contact=(torch.rand(2, 20, 4, 4) > 0.95).float(),
        surface=torch.randint(0, 9, (2, 4, 8, 8)),
        ambience=torch.randint(0, 2, (2, 11)).float(),
    )
    assert learns(VideoObjective(TwoRateEncoder(CONFIG.video)), batch)


def test_the_error_of_a_heat_map_falls_with_every_peak_found_and_every_false_one_dropped() -> None:
    target = torch.zeros(1, 3, 4, 4)
    target[0, 1, 2, 2], target[0, 1, 2, 1] = 1.0, 0.6
    blank = torch.full_like(target, -8.0)
    found, false, beside = blank.clone(), blank.clone(), blank.clone()
    found[0, 1, 2, 2] = false[0, 0, 0, 0] = beside[0, 1, 2, 1] = 8.0
    errors = [heatmap_error(logits, target).item() for logits in (found, blank, beside, false)]
    assert errors[0] < 1e-3 and errors == sorted(errors)


def test_a_cell_that_shows_two_surfaces_is_best_called_half_of_each() -> None:
    surface = torch.zeros(1, 1, 2, 2, dtype=torch.int64)
    surface[..., 1] = 1
    logits = [
        torch.tensor(values).view(1, 1, 3, 1, 1) for values in ([5.0, 5.0, 0.0], [9.0, 0.0, 0.0], [0.0, 0.0, 9.0])
    ]
    errors = [surface_error(part, surface).item() for part in logits]
    assert errors == sorted(errors)


def generator_batch() -> GeneratorBatch:
    torch.manual_seed(0)
    return GeneratorBatch(
        latents=torch.randn(4, 8, 30),
        weights=torch.ones(4, 30),
        video=torch.randn(4, 30, 32 + TRACK_WIDTH),
        ambient=torch.randn(4, 8, 30),
    )


def similarity_batch(seen: Tensor) -> SimilarityBatch:
    return SimilarityBatch(
        latents=generator_batch().latents,
        maps=torch.randn(4, 2, CONFIG.similarity.map_width, 4, 4),
        seen=seen,
        alone=torch.randn(3, 8, 30),
        alone_kinds=torch.tensor([2, 5, 11]),
    )


def test_the_denoiser_and_the_towers_learn_one_batch() -> None:
    assert learns(GeneratorObjective(Denoiser(CONFIG.denoiser), video_dropout=0.0), generator_batch(), steps=150)
    towers = AvSimilarity(CONFIG.similarity)
    pairs = similarity_batch(torch.eye(4, 12))
    assert learns(SimilarityObjective(towers), pairs)


def test_sounds_of_places_with_the_same_backgrounds_are_equally_right() -> None:
    """Two places with one background between them: the loss is least when both sounds score alike for both pictures."""
    towers = AvSimilarity(CONFIG.similarity)
    seen = torch.eye(4, 12)[[0, 0, 1, 1]]
    pairs = similarity_batch(seen)
    assert learns(SimilarityObjective(towers), pairs, steps=300)
    towers.eval()
    scores = towers.embed_video(towers.survey(pairs.maps)) @ towers.embed_audio(pairs.latents).T
    same = seen @ seen.T > 0
    assert scores[same].min() > scores[~same].max()
    assert scores[same].std() < 0.1


def test_without_video_the_pictures_do_not_matter_and_without_ambient_the_neighbour_does_not() -> None:
    batch = generator_batch()
    x, t = torch.randn(4, 8, 30), torch.full((4,), 0.5)
    given = AvConditioning(video=batch.video, ambient=batch.ambient, has_video=torch.ones(4, dtype=torch.bool))
    other_video = replace(given, video=torch.randn_like(batch.video))
    other_ambient = replace(given, ambient=torch.randn_like(batch.ambient))
    full = pipeline_of().denoiser
    blind = pipeline_of(replace(CONFIG, denoiser=replace(CONFIG.denoiser, uses_ambient=False))).denoiser
    assert not torch.equal(full(x, t, given), full(x, t, other_video))
    assert torch.equal(full(x, t, given.without_video()), full(x, t, other_video.without_video()))
    assert not torch.equal(full(x, t, given), full(x, t, other_ambient))
    assert torch.equal(blind(x, t, given), blind(x, t, other_ambient))


@pytest.mark.parametrize("num_samples", [700, 16_000, 48_000, 48_001, 160_123])
def test_the_waveform_is_exactly_as_long_as_asked(num_samples: int) -> None:
    pipeline = pipeline_of()
    num_frames = -(-num_samples * 25 // 16_000)
    waveform = pipeline([frames_of(num_frames)], num_samples=num_samples, num_steps=2)
    assert waveform.shape == (1, num_samples) and np.isfinite(waveform).all()


def test_one_seed_gives_one_sound_and_another_seed_another() -> None:
    pipeline = pipeline_of()
    features = pipeline.encode([frames_of(100)])
    first, again, other = (
        pipeline.generate(features, num_samples=64_000, ambient=pipeline.quiet().waveform, num_steps=2, seed=seed)
        for seed in (5, 5, 6)
    )
    assert np.array_equal(first, again) and not np.array_equal(first, other)


def test_a_model_that_is_told_features_alone_takes_no_events() -> None:
    config = replace(CONFIG, denoiser=replace(CONFIG.denoiser, event_width=0))
    with pytest.raises(ModelError, match="needs what reads them"):
        pipeline_of(config)
    told = pipeline_of()
    parts = {name: getattr(told, name) for name in ("codec", "vocoder", "video", "similarity", "library")}
    plain = AvLdmPipeline(config, denoiser=Denoiser(config.denoiser), **parts)
    features, ambient = plain.encode([frames_of(75)]), plain.quiet().waveform
    assert told.takes_events and not plain.takes_events
    assert plain.generate(features, num_samples=48_000, ambient=ambient, num_steps=2).shape == (1, 48_000)
    with pytest.raises(ModelError, match="takes no events"):
        next(plain.versions(features, num_samples=48_000, ambient=ambient, events=()))
    with pytest.raises(ModelError, match="reads no events"):
        plain.read_events(features)


def test_guidance_of_events_leaves_a_video_without_any_as_it_is() -> None:
    plain = pipeline_of()
    stressed = pipeline_of(replace(CONFIG, sampling=replace(CONFIG.sampling, event_guidance=2.0)))
    features = plain.encode([frames_of(75)])

    def sound(pipeline: AvLdmPipeline, events: tuple[SeenEvent, ...]) -> NDArray[np.float32]:
        ambient = pipeline.quiet().waveform
        return next(pipeline.versions(features, num_samples=48_000, ambient=ambient, num_steps=2, events=events))

    hit = SeenEvent(time=1.5, material="metal")
    assert np.array_equal(sound(plain, ()), sound(stressed, ()))
    assert not np.array_equal(sound(plain, (hit,)), sound(plain, ()))
    assert not np.array_equal(sound(plain, (hit,)), sound(stressed, (hit,)))


def test_features_do_not_depend_on_how_the_stream_is_cut() -> None:
    pipeline = pipeline_of()
    frames = frames_of(610)
    whole = pipeline.encode([frames])
    pieces = pipeline.encode(frames[start : start + 64] for start in range(0, 610, 64))
    looks = pipeline.video.look(torch.from_numpy(frames)[None].permute(0, 1, 4, 2, 3).float() / 255)
    torch.testing.assert_close(whole.values, pieces.values)
    torch.testing.assert_close(whole.values, looks.features[0], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(whole.surroundings, pieces.surroundings)
    at_once = pipeline.similarity.survey(looks.appearance)[0]
    assert len(whole.surroundings) == len(at_once) == 122
    torch.testing.assert_close(whole.surroundings, at_once, atol=1e-4, rtol=1e-4)


@torch.inference_mode()
def test_chunks_of_a_long_sound_see_all_that_codec_and_vocoder_look_at() -> None:
    pipeline = AvLdmPipeline.load(model_folder("tiny-avldm"))
    generator = torch.Generator().manual_seed(0)
    length = CHUNK_FRAMES + 60
    latents = 0.5 * torch.randn(48, length, generator=generator)
    noise = torch.randn(1, 16, 4 * length, generator=generator)
    whole = pipeline.vocoder(pipeline.codec.decode(latents[None]), noise)[0]
    np.testing.assert_allclose(pipeline._decode(latents, noise), whole.numpy(), atol=1e-5)


@pytest.mark.parametrize("num_frames", [1, 24, 250, 275, 276, 600])
def test_chunks_cover_every_frame_once(num_frames: int) -> None:
    frames = np.arange(num_frames)[:, None, None, None].astype(np.uint16)
    parts = list(overlapping_chunks([frames[:7], frames[7:]], 250, 25))
    cores = [part[left : len(part) - right, 0, 0, 0] for part, left, right in parts]
    assert np.array_equal(np.concatenate(cores), np.arange(num_frames))
    # The peak of memory: a long video's pieces are no larger than a short one is whole.
    assert max(len(part) for part, _, _ in parts) <= 250


def test_guidance_of_one_ignores_the_null() -> None:
    pipeline = pipeline_of()
    features = pipeline.encode([frames_of(75)])
    ambient = pipeline.quiet().waveform
    plain = pipeline.generate(features, num_samples=48_000, ambient=ambient, num_steps=2, guidance_scale=1.0)
    with torch.no_grad():
        pipeline.denoiser.null_video.add_(1.0)
    moved = pipeline.generate(features, num_samples=48_000, ambient=ambient, num_steps=2, guidance_scale=1.0)
    assert np.array_equal(plain, moved)


def test_a_clip_named_by_its_kind_is_chosen_by_that_kind_and_others_by_their_sound() -> None:
    pipeline = pipeline_of()
    features = pipeline.encode([frames_of(50)])
    picture = torch.from_numpy(pipeline.embed_video(features))
    rng = np.random.default_rng(1)
    noises = [rng.standard_normal((1, 48_000)).astype(np.float32) for _ in range(3)]

    def chosen(*names: str) -> str:
        pipeline.library = tuple(AmbientClip(name=n, waveform=w) for n, w in zip(names, noises, strict=True))
        return pipeline.retrieve(features).name

    with torch.no_grad():
        pipeline.similarity.anchors[:] = -picture
        for kind in ("birds", "rain", "fan"):
            pipeline.similarity.anchors[kind_of(kind)] = picture
            assert chosen("rain", "fan", "birds") == kind
            pipeline.similarity.anchors[kind_of(kind)] = -picture
        pipeline.similarity.anchors[kind_of("quiet")] = picture
        assert chosen("rain", "fan", "room") == "room"
    heard = pipeline.embed_audio(noises) @ picture.numpy()
    assert chosen("a", "b", "c") == "abc"[int(heard.argmax())]


def test_quiet_is_the_quietest_clip_of_the_library() -> None:
    assert pipeline_of().quiet().name == "quiet"


def test_a_short_recording_is_mirrored_until_it_fills_the_window() -> None:
    samples = torch.arange(5.0)
    assert mirror_to(samples, 12).tolist() == [0, 1, 2, 3, 4, 4, 3, 2, 1, 0, 0, 1]
    assert mirror_to(samples, 3).tolist() == [1, 2, 3]


def test_wrong_inputs_are_named() -> None:
    pipeline = pipeline_of()
    features = pipeline.encode([frames_of(75)])
    with pytest.raises(InputError, match="shorter than"):
        pipeline.generate(features, num_samples=48_000, ambient=np.zeros((1, 100), np.float32))
    with pytest.raises(InputError, match="do not cover"):
        pipeline.generate(features, num_samples=480_000, ambient=pipeline.quiet().waveform)
    with pytest.raises(InputError, match="at least one video frame"):
        pipeline.encode([])


def test_a_saved_model_loads_to_the_same_sound(tmp_path: Path) -> None:
    pipeline = pipeline_of()
    for name in ("codec", "vocoder", "video", "denoiser", "similarity", "events"):
        save_weights(getattr(pipeline, name), tmp_path / f"{name}.safetensors")
    save_config(CONFIG, tmp_path / "config.json")
    loaded = AvLdmPipeline.load(tmp_path)
    features = pipeline.encode([frames_of(75)])
    torch.testing.assert_close(loaded.encode([frames_of(75)]).values, features.values)
    ambient = pipeline.quiet().waveform
    first, second = (
        model.generate(features, num_samples=48_000, ambient=ambient, num_steps=2) for model in (pipeline, loaded)
    )
    assert np.array_equal(first, second)
    (tmp_path / "vocoder.safetensors").unlink()
    with pytest.raises(ModelError, match="no weights at"):
        AvLdmPipeline.load(tmp_path)


def test_configs_survive_json_and_name_a_misspelt_key() -> None:
    values = to_dict(tiny_avldm())
    assert from_dict(AvLdmConfig, values) == tiny_avldm()
    values["denoiser"]["num_heds"] = 4
    with pytest.raises(ConfigError, match='"num_heds"; did you mean "num_heads"'):
        from_dict(AvLdmConfig, values)


def test_rates_that_do_not_match_are_refused() -> None:
    with pytest.raises(ConfigError, match="do not match"):
        replace(CONFIG, video=replace(CONFIG.video, fps=30.0))


def test_local_energy_of_noise_does_not_depend_on_its_draw_as_single_bins_do() -> None:
    """Two draws of one noise differ by several dB per bin, by little per patch."""
    generator = torch.Generator().manual_seed(0)
    first, second = (torch.randn(1, 64, 400, generator=generator).abs() for _ in range(2))
    single = (first.clamp(min=1e-5).log() - second.clamp(min=1e-5).log()).abs().mean()
    assert pooled_energy_error(first, second, bins=8, frames=16) < 0.15 * single


def test_a_re_roll_changes_its_stretch_and_what_the_codec_reaches() -> None:
    pipeline = pipeline_of()
    features = pipeline.encode([frames_of(200)])
    base, again = pipeline.versions(
        features,
        num_samples=128_000,
        ambient=pipeline.quiet().waveform,
        num_steps=2,
        rerolls=[Reroll(start=4.0, end=5.0, seed=7)],
    )
    reach = 16_000
    np.testing.assert_allclose(again[:, : 64_000 - reach], base[:, : 64_000 - reach], atol=1e-6)
    np.testing.assert_allclose(again[:, 80_000 + reach :], base[:, 80_000 + reach :], atol=1e-6)
    inside = slice(66_000, 78_000)
    assert np.abs(again[:, inside] - base[:, inside]).max() > 0.01 * np.abs(base[:, inside]).max()
    np.testing.assert_array_equal(
        base, pipeline.generate(features, num_samples=128_000, ambient=pipeline.quiet().waveform, num_steps=2)
    )


def test_steering_changes_the_sound_and_not_what_pictures_are_compared_by() -> None:
    pipeline = pipeline_of()
    plain = pipeline.encode([frames_of(50)])
    pipeline.steering = OnsetSteering(CONFIG.video.width).requires_grad_(False)
    pipeline.steering.familiar += 100
    steered = pipeline.encode([frames_of(50)])
    assert np.array_equal(pipeline.embed_video(plain), pipeline.embed_video(steered))
    quiet = pipeline.quiet().waveform
    sounds = [pipeline.generate(seen, num_samples=32_000, ambient=quiet, num_steps=2) for seen in (plain, steered)]
    assert sounds[0].shape == sounds[1].shape and not np.array_equal(*sounds)

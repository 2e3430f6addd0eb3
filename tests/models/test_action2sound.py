"""Action2Sound at debug size: windows, lengths, guidance, the context's cache."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from foleykit.audio.ambient import AmbientClip
from foleykit.audio.unit_mel import UnitMelConfig
from foleykit.codecs.hifigan import HifiGan
from foleykit.codecs.unit_mel_vocoder import UnitMelVocoder, UnitMelVocoderConfig
from foleykit.core.config import from_dict, to_dict
from foleykit.core.errors import ConfigError, InputError, ModelError
from foleykit.core.ranges import Reroll
from foleykit.encoders.visual.timesformer import TimeSformer
from foleykit.models.avldm.published.config import Action2SoundConfig, PublishedSampling
from foleykit.models.avldm.published.network import Conditioner, Denoiser, PictureVae
from foleykit.models.avldm.published.pipeline import Action2SoundPipeline, Guidance, Vocoder
from foleykit.models.avldm.published.presets import action2sound, debug
from foleykit.models.avldm.published.windows import plan_of, windows_of

pytest.importorskip("diffusers")

CONFIG = debug()


def build(config: Action2SoundConfig, vocoder: Vocoder | None = None) -> Action2SoundPipeline:
    torch.manual_seed(0)
    noise = 0.05 * np.random.default_rng(0).standard_normal((1, 48_000)).astype(np.float32)
    return Action2SoundPipeline(
        config,
        vae=PictureVae(config.vae),
        denoiser=Denoiser(config.unet),
        conditioner=Conditioner(config),
        video=TimeSformer(config.video),
        vocoder=vocoder or HifiGan(config.hifigan),
        library=[AmbientClip(name="loud", waveform=noise), AmbientClip(name="quiet", waveform=0.01 * noise)],
    )


@pytest.fixture(scope="module")
def pipeline() -> Action2SoundPipeline:
    return build(CONFIG)


def frames_of(num_frames: int) -> NDArray[np.uint8]:
    """Return frames that tell their own index in their first pixel."""
    frames = np.random.default_rng(3).integers(0, 255, (num_frames, 32, 32, 3), dtype=np.uint8)
    frames[:, 0, 0, 0], frames[:, 0, 0, 1] = np.arange(num_frames) % 256, np.arange(num_frames) // 256
    return frames


def indices_of(frames: NDArray[np.uint8]) -> list[int]:
    return [int(frame[0, 0, 0]) + 256 * int(frame[0, 0, 1]) for frame in frames]


def test_the_published_preset_has_the_published_lengths() -> None:
    config = action2sound()
    assert config.window_positions == 24 and config.num_context_tokens == 40 and config.latent_rows == 16
    assert from_dict(Action2SoundConfig, to_dict(config)) == config


@given(num_frames=st.integers(1, 700), chunk=st.integers(1, 64))
def test_windows_are_those_of_the_whole_video_however_it_is_cut(num_frames: int, chunk: int) -> None:
    frames = frames_of(num_frames)
    plan = plan_of(num_frames, CONFIG)
    seen = [indices_of(window) for window in windows_of(np.split(frames, range(chunk, num_frames, chunk)), CONFIG)]
    assert len(seen) == len(plan.starts)
    per_position = CONFIG.video_fps / CONFIG.frame_rate
    for start, indices in zip(plan.starts, seen, strict=True):
        first = min(round(start * per_position), num_frames - 1)
        assert indices[0] == first
        assert indices[-1] == min(first + CONFIG.window_frames - 1, num_frames - 1)
    assert plan.length * CONFIG.hop_length >= num_frames / CONFIG.video_fps * CONFIG.sample_rate - 1


@pytest.mark.parametrize("seconds", [0.5, 3.0, 3.1, 7.3])
def test_output_is_as_long_as_asked_and_a_function_of_the_seed(pipeline: Action2SoundPipeline, seconds: float) -> None:
    num_samples = round(seconds * CONFIG.sample_rate)
    frames = frames_of(int(np.ceil(seconds * CONFIG.video_fps)))
    clip = pipeline.quiet()
    assert clip.name == "quiet"
    runs = [pipeline([frames], num_samples=num_samples, ambient=clip, seed=seed) for seed in (1, 1, 2)]
    assert runs[0].shape == (1, num_samples) and np.isfinite(runs[0]).all()
    assert np.array_equal(runs[0], runs[1]) and not np.array_equal(runs[0], runs[2])


def test_every_condition_reaches_the_sound(pipeline: Action2SoundPipeline) -> None:
    loud, quiet = (clip.waveform for clip in pipeline.library)
    features = pipeline.encode([frames_of(90)])
    other = pipeline.encode([255 - frames_of(90)])

    def made(features: object, ambient: NDArray[np.float32] | None, scale: float = 3.0) -> NDArray[np.float32]:
        return pipeline.generate(features, num_samples=48_000, ambient=ambient, guidance_scale=scale)  # type: ignore

    base = made(features, quiet)
    for changed in (made(other, quiet), made(features, loud), made(features, None), made(features, quiet, 1.0)):
        assert not np.allclose(base, changed, atol=1e-7)


def test_the_cached_context_changes_nothing(pipeline: Action2SoundPipeline) -> None:
    context = torch.randn(3, CONFIG.num_context_tokens, CONFIG.unet.context_width)
    x = torch.randn(3, 4, CONFIG.latent_rows, CONFIG.window_positions)
    with torch.inference_mode():
        plain = pipeline.denoiser(x, torch.full((3,), 7.5), context)
        cached = pipeline.denoiser(x, torch.full((3,), 7.5), context, pipeline.denoiser.project_context(context))
    torch.testing.assert_close(plain, cached, atol=1e-5, rtol=1e-5)


def test_guidance_at_scale_one_is_the_conditional_branch(pipeline: Action2SoundPipeline) -> None:
    context = torch.randn(2, CONFIG.num_context_tokens, CONFIG.unet.context_width)
    x = torch.randn(2, 4, CONFIG.latent_rows, CONFIG.window_positions)
    with torch.inference_mode():
        null = torch.zeros_like(context[:1])
        alone, nearly = (
            Guidance(denoiser=pipeline.denoiser, conditional=context, null=null, scale=scale)(x, 500.0)
            for scale in (1.0, 1.0 + 1e-7)
        )
    torch.testing.assert_close(alone, nearly, atol=1e-4, rtol=1e-4)


def test_the_null_of_training_keeps_the_ambience(pipeline: Action2SoundPipeline) -> None:
    ambient = pipeline.ambient_latents(pipeline.library[0].waveform, torch.Generator())
    with torch.inference_mode():
        trained, zeros = pipeline.null(ambient, "training"), pipeline.null(ambient, "zeros")
        tokens = pipeline.conditioner.ambient_tokens(ambient, 1)
    assert torch.equal(trained[:, CONFIG.video.num_frames :], tokens)
    assert trained.shape == zeros.shape and not zeros.any()


def test_a_drawn_posterior_follows_the_seed() -> None:
    drawing = build(replace(CONFIG, sampling=PublishedSampling(posterior="sample")))
    clip = drawing.library[0].waveform
    one, same, other = (drawing.ambient_latents(clip, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert torch.equal(one, same) and not torch.equal(one, other)


def test_long_sound_is_the_same_in_chunks(pipeline: Action2SoundPipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    log_mel = torch.randn(CONFIG.mel.num_mels, 203)
    with torch.inference_mode():
        whole = pipeline.vocode(log_mel)
        monkeypatch.setattr("foleykit.models.avldm.published.pipeline.VOCODER_COLUMNS", 68)
        pieces = pipeline.vocode(log_mel)
    assert np.abs(whole - pieces).max() < 1e-5


def test_a_vocoder_that_takes_noise_keeps_it_in_chunks_and_re_rolls(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the stretch that is sampled anew, and what the vocoder sees of it, every sample stays."""
    config = replace(CONFIG, mel=UnitMelConfig(), vocoder="istft", istft=UnitMelVocoderConfig(width=16, num_blocks=2))
    torch.manual_seed(0)
    pipeline = build(config, UnitMelVocoder(config.istft))
    features = pipeline.encode([frames_of(300)])
    whole = {"num_samples": 160_000, "ambient": None, "num_steps": 3}
    base, again = pipeline.versions(features, **whole, rerolls=[Reroll(start=1.0, end=2.0, seed=7)])
    np.testing.assert_allclose(again[:, 112_000:], base[:, 112_000:], atol=1e-5)
    assert np.abs(again[:, 20_000:28_000] - base[:, 20_000:28_000]).max() > 0
    monkeypatch.setattr("foleykit.models.avldm.published.pipeline.VOCODER_COLUMNS", 100)
    np.testing.assert_allclose(pipeline.generate(features, **whole), base, atol=1e-5 * np.abs(base).max())
    assert not np.array_equal(pipeline.generate(features, **whole, seed=1), base)


def test_impossible_requests_are_refused(pipeline: Action2SoundPipeline) -> None:
    with pytest.raises(InputError, match="at least one video frame"):
        pipeline.encode([])
    features = pipeline.encode([frames_of(90)])
    with pytest.raises(InputError, match="more than"):
        pipeline.generate(features, num_samples=60_000, ambient=None)
    with pytest.raises(InputError, match="longer one"):
        pipeline.generate(features, num_samples=48_000, ambient=np.zeros((1, 100), np.float32))
    with pytest.raises(ConfigError, match="at least 2 steps"):
        pipeline.generate(features, num_samples=48_000, ambient=None, num_steps=1)
    with pytest.raises(ConfigError, match="not one of"):
        PublishedSampling(null="none")  # type: ignore[arg-type]
    pipeline.library, library = (), pipeline.library
    with pytest.raises(ModelError, match="no ambient library"):
        pipeline.quiet()
    pipeline.library = library


def test_a_re_roll_changes_its_stretch_and_keeps_what_is_far(pipeline: Action2SoundPipeline) -> None:
    features = pipeline.encode([frames_of(300)])
    base, again = pipeline.versions(
        features,
        num_samples=160_000,
        ambient=None,
        num_steps=3,
        rerolls=[Reroll(start=1.0, end=2.0, seed=7)],
    )
    np.testing.assert_allclose(again[:, 112_000:], base[:, 112_000:], atol=1e-5)
    inside = slice(20_000, 28_000)
    assert np.abs(again[:, inside] - base[:, inside]).max() > 0.01 * np.abs(base[:, inside]).max()
    np.testing.assert_array_equal(base, pipeline.generate(features, num_samples=160_000, ambient=None, num_steps=3))

"""The textvideo family beyond its published numbers: lengths, windows, guidance, nulls."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from fixtures.mmaudio import write_published
from foleykit.codecs.wave_vae import WaveVae, WaveVaeConfig
from foleykit.core.checkpoint import shapes_of
from foleykit.core.config import load_config, save_config
from foleykit.core.errors import ConfigError, InputError
from foleykit.core.ranges import Cue, Reroll
from foleykit.diffusion.windows import WindowPlan
from foleykit.encoders.text.words import WordEncoder
from foleykit.encoders.visual.two_rate import TwoRateConfig, TwoRateEncoder
from foleykit.jobs.convert_mmaudio import MMAudioRequest, convert_mmaudio
from foleykit.models.textvideo.config import TextVideoConfig, plan_clip
from foleykit.models.textvideo.network import Conditioning, Known, Network
from foleykit.models.textvideo.pipeline import TextVideoPipeline, VideoFeatures
from foleykit.models.textvideo.presets import (
    debug,
    debug_network,
    mmaudio,
    textvideo,
    textvideo_network,
    tiny_textvideo,
    tiny_textvideo_network,
)

CONFIG = debug()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("textvideo")
    files = folder / "files"
    files.mkdir()
    write_published(CONFIG, files)
    convert_mmaudio(MMAudioRequest(files=(files,), output=folder / "model", sizes={"debug": CONFIG}))
    return folder / "model"


@pytest.fixture(scope="module")
def pipeline(model: Path) -> TextVideoPipeline:
    return TextVideoPipeline.load(model)


def chunks(seconds: float, fps: float, *, seed: int = 0) -> list[np.ndarray]:
    """Return frames of noise in uneven chunks."""
    count = max(1, math.ceil(seconds * fps))
    frames = np.random.default_rng(seed).integers(0, 256, (count, 36, 48, 3), np.uint8)
    return [frames[start : start + 7] for start in range(0, count, 7)]


def encoded(pipeline: TextVideoPipeline, seconds: float) -> VideoFeatures:
    return pipeline.encode(chunks(seconds, 25), chunks(seconds, 8), seconds=seconds)


@pytest.mark.parametrize("seconds", [0.05, 1.0, 8.5, 13.12])
def test_any_length_is_exact(pipeline: TextVideoPipeline, seconds: float) -> None:
    num_samples = round(seconds * CONFIG.sample_rate)
    waveform = pipeline.generate(encoded(pipeline, seconds), num_samples=num_samples, num_steps=1)
    assert waveform.shape == (1, num_samples) and np.isfinite(waveform).all()


@pytest.mark.parametrize(
    "config", [mmaudio("small-16k"), mmaudio("large-44k-v2"), tiny_textvideo()], ids=["16k", "44k", "tiny"]
)
def test_windows_cover_every_length(config) -> None:
    for hundredths in range(5, 6000, 7):
        seconds = hundredths / 100
        plan = plan_clip(config, seconds)
        assert plan.latents.length * config.hop_length >= round(seconds * config.sample_rate)
        assert len(plan.latents.starts) == len(plan.pictures.starts) == len(plan.segments.starts)
        assert plan_clip(config, seconds, shots=[3.3, 9.0, 21.0]).latents.length == plan.latents.length
        if len(plan.latents.starts) > 1:
            window = config.sequence_lengths(config.window_seconds)
            assert plan.latents.width == window.latents and plan.segments.width == window.segments
            for latent, segment in zip(plan.latents.starts, plan.segments.starts, strict=True):
                assert abs(latent / config.frame_rate - segment * config.segment_seconds) < 0.6 / config.frame_rate


def test_a_window_sees_what_it_would_see_alone(pipeline: TextVideoPipeline) -> None:
    """The second window's synchronisation tokens are those of the video that starts there."""
    seconds = 12.0
    plan = plan_clip(CONFIG, seconds)
    first = plan.segments.starts[1]
    pictures, frames = (np.concatenate(chunks(seconds, fps)) for fps in (8, 25))
    whole = pipeline.encode([frames], [pictures], seconds=seconds)
    later = pipeline.encode([frames[first * CONFIG.sync.segment_stride :]], [pictures], seconds=8.0)
    torch.testing.assert_close(whole.segments[first : first + 24], later.segments[:24], atol=1e-5, rtol=1e-5)


def test_the_last_frame_is_held_where_frames_are_missing(pipeline: TextVideoPipeline) -> None:
    frames = np.concatenate(chunks(1.0, 25))
    short = pipeline.encode([frames[:10]], [frames[:8]], seconds=1.0)
    padded = np.concatenate((frames[:10], np.repeat(frames[9:10], 15, axis=0)))
    held = pipeline.encode([padded], [frames[:8]], seconds=1.0)
    torch.testing.assert_close(short.segments, held.segments, atol=1e-5, rtol=1e-5)
    with pytest.raises(InputError, match="at least one picture"):
        pipeline.encode([frames], [], seconds=1.0)


def test_guidance_at_one_and_below_is_the_conditional_branch(pipeline: TextVideoPipeline) -> None:
    features = encoded(pipeline, 1.0)

    def made(scale: float, negative: str) -> np.ndarray:
        return pipeline.generate(
            features, num_samples=16_000, guidance_scale=scale, negative_prompt=negative, num_steps=2
        )

    assert np.array_equal(made(1.0, "ab"), made(0.3, "cd"))
    assert not np.array_equal(made(4.5, "ab"), made(4.5, "cd"))


def test_features_of_another_length_are_refused(pipeline: TextVideoPipeline) -> None:
    with pytest.raises(InputError, match="samples"):
        pipeline.generate(encoded(pipeline, 1.0), num_samples=32_000)


def test_half_precision_is_near_and_keeps_statistics_exact(pipeline: TextVideoPipeline, model: Path) -> None:
    half = TextVideoPipeline.load(model, dtype=torch.bfloat16)
    assert half.network.project_out.weight.dtype == torch.bfloat16
    assert torch.equal(half.network.latent_mean, pipeline.network.latent_mean)
    assert half.codec.decoder.conv_in.weight.dtype == torch.float32
    exact, rounded = (
        one.generate(encoded(one, 1.0), num_samples=16_000, prompt="ab", num_steps=2) for one in (pipeline, half)
    )
    assert np.corrcoef(exact[0], rounded[0])[0, 1] > 0.9


def test_time_stays_exact_in_half_precision() -> None:
    network = Network(debug_network()).bfloat16()
    features = network.time_features(torch.tensor([0.04]))
    assert features.dtype == torch.float32
    torch.testing.assert_close(features, Network(debug_network()).time_features(torch.tensor([0.04])))


def random_conditioning(network: Network, batch: int) -> Conditioning:
    config = network.config
    generator = torch.Generator().manual_seed(1)
    return Conditioning(
        pictures=torch.randn(batch, 6, config.picture_width, generator=generator),
        sync=torch.randn(batch, 2 * config.sync_group, config.sync_width, generator=generator),
        text=torch.randn(batch, config.num_text_tokens, config.text_width, generator=generator),
        transcript=torch.randn(batch, config.num_transcript_tokens, config.text_width, generator=generator),
        ambient=torch.randn(batch, config.latent_width, 9, generator=generator),
    )


def awake(network: Network) -> Network:
    """Return the network with random weights where training starts from zeros."""
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in network.parameters():
            if not parameter.any():
                parameter.copy_(0.2 * torch.randn(parameter.shape, generator=generator))
    return network.eval()


def test_every_condition_matters_and_its_null_hides_it() -> None:
    network = awake(Network(debug_network()))
    x, progress = torch.randn(1, 4, 20), torch.tensor([0.3])
    shown = random_conditioning(network, 1)
    other = random_conditioning(network, 2)
    parts = {"video": ("pictures", "sync"), "text": ("text",), "transcript": ("transcript",), "ambient": ("ambient",)}

    def velocity(conditioning: Conditioning, hidden: str | None = None) -> torch.Tensor:
        known = Known(**{part: torch.tensor([part != hidden]) for part in parts})
        return network(x, progress, network.prepare(network.with_nulls(conditioning, known), 20))

    for part, names in parts.items():
        changed = replace(shown, **{name: getattr(other, name)[1:] for name in names})
        assert not torch.allclose(velocity(shown), velocity(changed), atol=1e-4), part
        torch.testing.assert_close(velocity(shown, hidden=part), velocity(changed, hidden=part))


def test_a_condition_without_a_place_is_refused() -> None:
    network = Network(CONFIG.network)
    conditioning = random_conditioning(Network(debug_network()), 1)
    with pytest.raises(InputError, match="pictures must be"):
        network.prepare(conditioning, 10)
    fitting = Conditioning(
        pictures=torch.zeros(1, 3, 16),
        sync=torch.zeros(1, 8, 16),
        text=torch.zeros(1, 77, 16),
        ambient=torch.zeros(1, 20, 8),
    )
    with pytest.raises(InputError, match="no place for an ambient clip"):
        network.prepare(fitting, 10)


def test_sizes_of_the_presets() -> None:
    def millions(config) -> float:
        return sum(math.prod(shape) for shape in shapes_of(lambda: Network(config)).values()) / 1e6

    assert millions(mmaudio("small-16k").network) == pytest.approx(157.28, abs=0.01)
    assert millions(mmaudio("large-44k-v2").network) == pytest.approx(1030.58, abs=0.01)
    assert 300 < millions(textvideo_network()) < 900
    assert millions(tiny_textvideo_network()) < 5


@pytest.mark.parametrize("seconds", [2.0, 13.12])
def test_a_re_roll_has_prompts_of_its_own_and_holds_the_rest(pipeline: TextVideoPipeline, seconds: float) -> None:
    features = encoded(pipeline, seconds)
    seen: list[torch.Tensor] = []
    sound = pipeline._sound

    def kept(latents: torch.Tensor, plan: WindowPlan, num_samples: int, seed: int) -> np.ndarray:
        seen.append(latents)
        return sound(latents, plan, num_samples, seed)

    ranges = [Reroll(start=0.5, end=1.0, seed=1, prompt=prompt) for prompt in ("", "ab", "")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline, "_sound", kept)
        versions = list(
            pipeline.versions(
                features, num_samples=round(seconds * CONFIG.sample_rate), num_steps=2, seed=3, rerolls=ranges
            )
        )
    assert len(versions) == 4 and len({version.shape for version in versions}) == 1
    free = ranges[0].positions(CONFIG.frame_rate, seen[0].shape[1])
    for earlier, later in pairwise(seen):
        assert torch.equal(earlier[:, : free.start], later[:, : free.start])
        assert torch.equal(earlier[:, free.stop :], later[:, free.stop :])
        assert not torch.allclose(earlier[:, free], later[:, free], atol=1e-4)
    # What lies inside is no part of what is known: the same request gives the same.
    torch.testing.assert_close(seen[3], seen[1])


@pytest.mark.parametrize("seconds", [2.0, 13.12])
def test_a_cue_holds_in_its_stretch(pipeline: TextVideoPipeline, seconds: float) -> None:
    features = encoded(pipeline, seconds)

    def made(prompt: str = "", *cues: Cue, rerolls: Sequence[Reroll] = ()) -> np.ndarray:
        versions = pipeline.versions(
            features,
            num_samples=round(seconds * CONFIG.sample_rate),
            num_steps=2,
            seed=3,
            prompt=prompt,
            cues=cues,
            rerolls=rerolls,
        )
        return list(versions)[-1]

    throughout = Cue(start=0.0, end=seconds, prompt="ab")
    base, worded = made(), made("ab")
    # Windows in other batches are rounded otherwise.
    assert np.abs(base - worded).max() > 0.01
    np.testing.assert_allclose(made("", throughout), worded, atol=1e-3)
    np.testing.assert_allclose(made("ab", replace(throughout, start=0.5, end=1.0)), worded, atol=1e-3)
    part = made("", Cue(start=0.5, end=1.0, prompt="ab"))
    assert np.abs(part - base).max() > 0.01 and np.abs(part - worded).max() > 0.01
    # Cues hold in what is made anew as well.
    again = [Reroll(start=0.4, end=0.9, seed=8)]
    np.testing.assert_allclose(made("", throughout, rerolls=again), made("ab", rerolls=again), atol=1e-3)


def test_all_of_tiny_fits_into_16_mb() -> None:
    config = tiny_textvideo()
    assert isinstance(config.codec, WaveVaeConfig) and isinstance(config.sync, TwoRateConfig) and config.words
    codec, sync, words = config.codec, config.sync, config.words
    builders = (
        lambda: Network(config.network),
        lambda: WaveVae(codec),
        lambda: TwoRateEncoder(sync),
        lambda: WordEncoder(words),
    )
    weights = sum(math.prod(shape) for build in builders for shape in shapes_of(build).values())
    assert 2 * weights < 15.5e6


@pytest.mark.parametrize("config", [mmaudio("small-16k"), textvideo(), tiny_textvideo()], ids=["mm", "whole", "tiny"])
def test_a_configuration_of_any_parts_survives_its_file(config: TextVideoConfig, tmp_path: Path) -> None:
    save_config(config, tmp_path / "config.json")
    assert load_config(TextVideoConfig, tmp_path / "config.json") == config


def test_parts_that_do_not_fit_are_refused() -> None:
    tiny = tiny_textvideo()
    for changes, message in (
        ({"words": None}, "CLIP's beside Synchformer"),
        ({"sync": mmaudio("small-16k").sync}, "CLIP's beside Synchformer"),
        ({"vocoder": mmaudio("small-16k").vocoder}, "its own vocoder"),
        ({"picture_fps": 4.0}, "whole frames"),
        ({"network": replace(tiny.network, text_width=64)}, "text gives 96 channels"),
        ({"network": replace(tiny.network, num_transcript_tokens=77)}, "as 32 tokens, not 77"),
    ):
        with pytest.raises(ConfigError, match=message):
            replace(tiny, **changes)
    with pytest.raises(ConfigError, match="by a codec of waveforms"):
        replace(mmaudio("small-16k"), network=replace(mmaudio("small-16k").network, ambient_pool=4))
    with pytest.raises(ConfigError, match="needs a vocoder"):
        replace(mmaudio("small-16k"), vocoder=None)


def test_a_two_rate_window_shows_every_latent_its_own_frame() -> None:
    config = tiny_textvideo()
    plan = plan_clip(config, 10.0)
    assert plan.latents.starts == plan.segments.starts and plan.latents.width == plan.segments.width == 75
    # Windows start with a picture, which is a mean over five frames.
    assert [start * 5 for start in plan.pictures.starts] == list(plan.latents.starts)

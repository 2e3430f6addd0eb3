"""The FoleyGen pipeline at debug size: exact lengths, windows that go on, an ambience heard first and then cut off."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from fixtures.foleygen import parts_of, write_foleygen
from foleykit.core.config import from_dict, to_dict
from foleykit.core.errors import ConfigError, InputError, ModelError
from foleykit.core.types import VideoFeatures
from foleykit.encoders.visual.clip import ClipConfig
from foleykit.encoders.visual.steering import OnsetSteering
from foleykit.models.foleygen.config import FoleyGenConfig, Mechanism, SamplingConfig, VisualConfig
from foleykit.models.foleygen.generation import generate_codes
from foleykit.models.foleygen.network import LanguageModel
from foleykit.models.foleygen.pipeline import CARRIED_SECONDS, FoleyGenPipeline, windows
from foleykit.models.foleygen.presets import debug, foleygen, tiny_foleygen

CONFIG = debug()
RATE = CONFIG.sample_rate


@pytest.fixture(scope="module")
def pipeline() -> FoleyGenPipeline:
    return parts_of(CONFIG)


def frames_of(seconds: float, seed: int = 3) -> NDArray[np.uint8]:
    count = round(seconds * CONFIG.video_fps)
    return np.random.default_rng(seed).integers(0, 255, (count, 32, 32, 3), dtype=np.uint8)


def noise_of(seconds: float, seed: int = 0) -> NDArray[np.float32]:
    return (0.1 * np.random.default_rng(seed).standard_normal((1, round(seconds * RATE)))).astype(np.float32)


@pytest.mark.parametrize("num_samples", [100, RATE, 2 * RATE, 2 * RATE + 1, 5 * RATE + 123])
@pytest.mark.parametrize("has_ambience", [False, True])
def test_the_waveform_is_exactly_as_long_as_asked(
    pipeline: FoleyGenPipeline, num_samples: int, has_ambience: bool
) -> None:
    features = pipeline.encode([frames_of(max(0.04, num_samples / RATE))])
    waveform = pipeline.generate(features, num_samples=num_samples, ambient=noise_of(1.5) if has_ambience else None)
    assert waveform.shape == (1, num_samples) and np.isfinite(waveform).all()


def test_one_seed_gives_one_sound_and_pictures_prompts_and_guidance_matter(pipeline: FoleyGenPipeline) -> None:
    features, other = pipeline.encode([frames_of(2)]), pipeline.encode([frames_of(2, seed=9)])
    sounds = [
        pipeline.generate(features, num_samples=2 * RATE, seed=5),
        pipeline.generate(features, num_samples=2 * RATE, seed=6),
        pipeline.generate(other, num_samples=2 * RATE, seed=5),
        pipeline.generate(features, num_samples=2 * RATE, seed=5, ambient=noise_of(1)),
        pipeline.generate(features, num_samples=2 * RATE, seed=5, guidance_scale=0.0),
    ]
    assert np.array_equal(sounds[0], pipeline.generate(features, num_samples=2 * RATE, seed=5))
    assert all(not np.array_equal(sounds[0], sound) for sound in sounds[1:])


def test_windows_cover_all_and_each_goes_on_from_what_was_written() -> None:
    for num_known, total in ((0, 1), (0, 100), (0, 730), (50, 60), (50, 331)):
        spans = windows(num_known, total, 100, 40)
        written = num_known
        for start, stop in spans:
            assert start % 40 == 0 and start <= written < stop <= start + 100
            written = stop
        assert written == total
        assert all(later - earlier <= 40 for (_, earlier), (_, later) in pairwise(spans))
    with pytest.raises(InputError, match="no room in a window of 100"):
        windows(100, 200, 100, 40)


def test_each_window_is_what_one_window_of_its_own_would_be() -> None:
    """With the likeliest code always taken, the second window depends on its own frames and its prompt alone."""
    pipeline = parts_of(replace(CONFIG, sampling=SamplingConfig(temperature=0.0)))
    features = pipeline.encode([frames_of(3)])
    codes = codes_decoded(pipeline, features, num_samples=3 * RATE)
    second = generate_codes(
        pipeline.lm,
        features.values[None, 1:3],
        codes[:, :, 50:100],
        100,
        sampling=pipeline.config.sampling,
        generator=torch.Generator(),
    )
    assert codes.shape[2] == 150 and torch.equal(second, codes[:, :, 50:150])


def codes_decoded(
    pipeline: FoleyGenPipeline,
    features: VideoFeatures,
    *,
    num_samples: int,
    ambient: NDArray[np.float32] | None = None,
) -> torch.Tensor:
    """Return the codes (1, K, L) that become the sound."""
    seen: list[torch.Tensor] = []
    with pytest.MonkeyPatch.context() as patch:
        decode = pipeline.codec.decode
        patch.setattr(pipeline.codec, "decode", lambda codes: (seen.append(codes), decode(codes))[1])
        pipeline.generate(features, num_samples=num_samples, ambient=ambient)
    (codes,) = seen
    return codes


def test_the_ambience_is_the_prompt_and_nothing_of_it_remains(pipeline: FoleyGenPipeline) -> None:
    """All codes are decoded at once, the ambience's among them; its samples are cut off to the sample."""
    features = pipeline.encode([frames_of(1)])
    ambient = noise_of(CONFIG.ambient_seconds)
    codes = codes_decoded(pipeline, features, num_samples=RATE, ambient=ambient)
    given = pipeline.codec.encode(torch.from_numpy(ambient)[None])
    assert torch.equal(codes[:, :, : CONFIG.ambient_frames], given)
    whole = pipeline.codec.decode(codes)[0].numpy()
    sound = pipeline.generate(features, num_samples=RATE, ambient=ambient)
    assert np.array_equal(sound, whole[:, CONFIG.ambient_samples : CONFIG.ambient_samples + RATE])


def test_every_window_begins_with_the_ambience_before_what_was_written(
    pipeline: FoleyGenPipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = []

    def listening(model: LanguageModel, features: Tensor, prompt: Tensor, num_frames: int, **rest: Any) -> Tensor:
        told.append((features, prompt))
        return generate_codes(model, features, prompt, num_frames, **rest)

    monkeypatch.setattr("foleykit.models.foleygen.pipeline.generate_codes", listening)
    features = pipeline.encode([frames_of(4)])
    ambient = noise_of(CONFIG.ambient_seconds)
    codes = codes_decoded(pipeline, features, num_samples=4 * RATE, ambient=ambient)
    given = pipeline.codec.encode(torch.from_numpy(ambient)[None])
    room = CONFIG.window_frames - CONFIG.stride_frames - round(CARRIED_SECONDS * CONFIG.lm.frame_rate)
    assert len(told) > 2
    for index, (seen, prompt) in enumerate(told[1:], 1):
        assert torch.equal(prompt[:, :, :room], given[:, :, :room])
        start = index * CONFIG.stride_frames
        assert torch.equal(prompt[:, :, room:], codes[:, :, start + room : start + prompt.shape[2]])
        still = CONFIG.visual_at(room)
        assert torch.equal(seen[0, :still], features.values[:1].expand(still, -1))


def test_a_prefix_is_always_whole_and_holds_its_last_frame(pipeline: FoleyGenPipeline) -> None:
    values = torch.arange(3.0)[:, None]
    assert pipeline._seen_from(values, 0)[0, :, 0].tolist() == [0, 1]
    assert pipeline._seen_from(values, 100)[0, :, 0].tolist() == [2, 2]


@pytest.mark.parametrize("rate", [1.0, 5.0, 25.0])
def test_features_do_not_depend_on_how_the_stream_is_cut_and_are_those_of_the_start(rate: float) -> None:
    visual = replace(CONFIG.lm.visual, rate=rate)
    pipeline = parts_of(replace(CONFIG, lm=replace(CONFIG.lm, visual=visual)))
    frames = frames_of(24.4)
    whole = pipeline.encode([frames]).values
    pieces = pipeline.encode(frames[start : start + 64] for start in range(0, len(frames), 64)).values
    with torch.inference_mode():
        all_features = pipeline.video(torch.from_numpy(frames)[None].permute(0, 1, 4, 2, 3).float() / 255)[0]
    assert torch.equal(whole, pieces)
    torch.testing.assert_close(whole, all_features[:: round(25 / rate)], atol=1e-4, rtol=1e-4)


def test_wrong_inputs_are_named(pipeline: FoleyGenPipeline) -> None:
    features = pipeline.encode([frames_of(2)])
    with pytest.raises(InputError, match="do not cover"):
        pipeline.generate(features, num_samples=20 * RATE)
    with pytest.raises(InputError, match="shorter than one frame"):
        pipeline.generate(features, num_samples=RATE, ambient=np.zeros((1, 10), np.float32))
    with pytest.raises(InputError, match="at least one video frame"):
        pipeline.encode([])
    with pytest.raises(ModelError, match="no quiet clip"):
        pipeline.quiet()


@pytest.mark.parametrize("mechanism", ["all_frame", "causal", "frame_wise", "aligned"])
def test_a_saved_model_loads_to_the_same_sound(tmp_path: Path, mechanism: str) -> None:
    visual = VisualConfig(mechanism=mechanism)  # type: ignore[arg-type]
    config = replace(CONFIG, lm=replace(CONFIG.lm, visual=visual))
    loaded = FoleyGenPipeline.load(write_foleygen(tmp_path / "model", config))
    assert loaded.config == config and loaded.quiet().name == "quiet"
    original = parts_of(config)
    features = original.encode([frames_of(1)])
    torch.testing.assert_close(loaded.encode([frames_of(1)]).values, features.values)
    first, second = (model.generate(features, num_samples=RATE) for model in (original, loaded))
    assert np.array_equal(first, second)
    (tmp_path / "model" / "lm.safetensors").unlink()
    with pytest.raises(ModelError, match="no weights at"):
        FoleyGenPipeline.load(tmp_path / "model")


def test_the_language_model_may_be_in_another_precision(tmp_path: Path) -> None:
    loaded = FoleyGenPipeline.load(write_foleygen(tmp_path / "model"), dtype=torch.bfloat16)
    assert loaded.lm.norm.weight.dtype == torch.bfloat16 and loaded.codec.log_mel.window.dtype == torch.float32
    sound = loaded.generate(loaded.encode([frames_of(1)]), num_samples=RATE, ambient=noise_of(1))
    assert sound.dtype == np.float32 and np.isfinite(sound).all()


@pytest.mark.parametrize("config", [foleygen(), tiny_foleygen(), debug()], ids=["foleygen", "tiny", "debug"])
def test_configs_survive_json(config: FoleyGenConfig) -> None:
    assert from_dict(FoleyGenConfig, to_dict(config)) == config


def test_a_config_names_its_parts_kinds() -> None:
    values = to_dict(CONFIG)
    values["codec"]["kind"] = "dac"
    with pytest.raises(ConfigError, match=r'config\.codec needs a "kind", one of encodec, mel_rvq, not \'dac\''):
        from_dict(FoleyGenConfig, values)


def test_parts_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ConfigError, match="codebooks"):
        replace(CONFIG, codec=replace(CONFIG.codec, codebook_size=32))
    with pytest.raises(ConfigError, match="video features have"):
        replace(CONFIG, video=ClipConfig())
    with pytest.raises(ConfigError, match="no whole part"):
        replace(CONFIG, lm=replace(CONFIG.lm, visual=VisualConfig(rate=4.0)))
    with pytest.raises(ConfigError, match=r"stride_seconds 1\.5 must be a whole number of visual"):
        replace(CONFIG, stride_seconds=1.5)
    with pytest.raises(ConfigError, match="shorter than window"):
        replace(CONFIG, ambient_seconds=2.0)


@pytest.mark.parametrize("mechanism", ["all_frame", "causal", "frame_wise", "aligned"])
def test_tiny_may_see_the_video_in_any_way(mechanism: Mechanism) -> None:
    """At one vector a second windows move by whole seconds."""
    tiny = tiny_foleygen()
    rate = 25.0 if mechanism == "aligned" else 1.0
    visual = replace(tiny.lm.visual, mechanism=mechanism, rate=rate)
    assert replace(tiny, lm=replace(tiny.lm, visual=visual)).window_visual == 5 * rate


def test_the_papers_model_has_the_papers_sizes() -> None:
    config = foleygen()
    assert (config.window_frames, config.window_visual, config.hop_length) == (500, 10, 320)
    assert config.reading_size(720, 1280) == (224, 398) and tiny_foleygen().reading_size(720, 1280) == (96, 96)


def test_steered_features_are_what_the_language_model_is_told() -> None:
    steered = parts_of(CONFIG)
    plain = steered.encode([frames_of(2)])
    steered.steering = OnsetSteering(CONFIG.video.width).requires_grad_(False)
    steered.steering.familiar += 100
    seen = steered.encode([frames_of(2)])
    assert torch.equal(seen.values, plain.values) and seen.told.shape == seen.values.shape
    assert not torch.equal(seen.told, seen.values)
    sounds = [steered.generate(features, num_samples=RATE, seed=5) for features in (plain, seen)]
    assert not np.array_equal(*sounds)

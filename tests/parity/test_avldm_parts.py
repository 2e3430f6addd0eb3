"""Front end, encoder, vocoder, schedule and samplers of Action2Sound against the public implementation's numbers."""

from __future__ import annotations

import json
import re

import pytest
import torch
from torch import Tensor

from foleykit.audio.unit_mel import UnitMel, UnitMelConfig
from foleykit.codecs.hifigan import HifiGan, HifiGanConfig, fold_weight_norm
from foleykit.diffusion.guidance import guide
from foleykit.diffusion.noise_samplers import ContinuousTimes, sample_noise_model
from foleykit.diffusion.noise_schedule import sqrt_linear_schedule
from foleykit.encoders.visual.timesformer import TimeSformer, TimeSformerConfig, even_frame_indices
from parity.fixtures import (
    Recording,
    assert_near,
    formula_video,
    manifest,
    recipe,
    recording,
    root,
    shapes,
    weights,
)

SCHEDULE = sqrt_linear_schedule()


def timesformer(name: str, *, offset: int = 0) -> TimeSformer:
    stated = manifest(name)["config"]
    sizes = {
        "size": stated.get("img_size", 224),
        "patch_size": stated.get("patch_size", 16),
        "num_frames": stated["num_frames"],
        "width": stated.get("embed_dim", 768),
        "num_blocks": stated.get("depth", 12),
        "num_heads": stated.get("num_heads", 12),
    }
    network = TimeSformer(TimeSformerConfig(**sizes)).eval()
    network.load_state_dict(weights(name, offset=offset))
    return network


def hifigan(name: str) -> HifiGan:
    stated = manifest(name)["config"]
    network = HifiGan(
        HifiGanConfig(
            num_mels=stated["conv_pre_size"],
            width=stated["upsample_initial_channel"],
            upsample_rates=tuple(stated["upsample_rates"]),
            upsample_kernels=tuple(stated["upsample_kernel_sizes"]),
            resblock=stated["resblock"],
            resblock_kernels=tuple(stated["resblock_kernel_sizes"]),
            resblock_dilations=tuple(tuple(row) for row in stated["resblock_dilation_sizes"]),
        )
    ).eval()
    network.load_state_dict(fold_weight_norm(weights(name)))
    return network


@pytest.mark.parametrize("name", ["chirp", "quiet", "short"])
def test_mel(name: str) -> None:
    recorded = recording("mel")
    mel = UnitMel(UnitMelConfig())
    assert_near("mel: filters", mel.filters.T, recorded.expected("mel_basis"), 1e-4)
    waveform = recorded.given(f"wav_{name}")
    waveform = torch.nn.functional.pad(waveform, (0, 48_000 - len(waveform)))
    made = mel(waveform[None])[0]
    assert_near(f"mel: {name}", made, recorded.expected(f"spec_{name}"), 1e-4)
    padded = torch.nn.functional.pad(made, (0, 196 - made.shape[1]))
    expected = recorded.expected(f"padded_{name}")
    assert_near(f"mel: {name}, last columns", padded[:, -expected.shape[1] :], expected, 1e-4)
    if name == "chirp":
        log = mel.natural_log(recorded.expected("spec_chirp"))
        assert_near("mel: natural logarithm", log, recorded.expected("lnmel_chirp"), 1e-4)


@torch.inference_mode()
def test_timesformer_tiny() -> None:
    recorded = recording("timesformer_tiny")
    network = timesformer("timesformer_tiny")
    recorded.check_spots(network.state_dict())
    video = recorded.given("video")
    tokens = network.tokens(video)
    assert_near("timesformer_tiny: tokens", tokens, recorded.expected("tokens"), 1e-4)
    assert_near("timesformer_tiny: cls", tokens[:, 0], recorded.expected("cls"), 1e-4)
    for name in recorded.outputs:
        if match := re.fullmatch(r"cls_(\d+)frames", name):
            fewer = network.tokens(video[:, : int(match[1])])
            assert_near(f"timesformer_tiny: {name}", fewer[:, 0], recorded.expected(name), 1e-4)
    check_pools("timesformer_tiny", recorded, tokens, video.shape[1], 1e-4)


def check_pools(what: str, recorded: Recording, tokens: Tensor, num_frames: int, tolerance: float) -> None:
    for pool in ("max", "mean"):
        width = tokens.shape[-1]
        pooling = TimeSformer(TimeSformerConfig(num_blocks=0, pool=pool, width=width, num_heads=1))
        made = pooling.pool(tokens, num_frames)
        assert_near(f"{what}: {pool} over patches", made, recorded.expected(pool), tolerance)


@pytest.mark.slow
@torch.inference_mode()
def test_timesformer_real() -> None:
    recorded = recording("timesformer_real")
    network = timesformer("timesformer_real")
    recorded.check_spots(network.state_dict())
    video = formula_video(1, 16, 224, recipe()["phi16"])
    assert_near("timesformer_real: input", video[0, :, :, :2, :2], recorded.given("video_corner"), 1e-6)
    tokens = network.tokens(video)
    assert_near("timesformer_real: cls", tokens[:, 0], recorded.expected("cls"), 2e-4)
    check_pools("timesformer_real", recorded, tokens, 16, 2e-4)


@pytest.mark.parametrize("name", ["hifigan_tiny", "hifigan_tiny_resblock2", "hifigan_v1"])
@torch.inference_mode()
def test_hifigan(name: str) -> None:
    recorded = recording(name)
    recorded.check_spots(weights(name))
    vocoder = hifigan(name)
    assert_near(f"{name}: waveform", vocoder(recorded.given("lnmel")), recorded.expected("wav"), 1e-4)
    if "in.spec" in recorded.tensors:
        log_mel = UnitMel(UnitMelConfig()).natural_log(recorded.given("spec"))
        made = vocoder(log_mel[None])[0, 0]
        assert_near(f"{name}: waveform of a mel in [0, 1]", made, recorded.expected("wav_from_spec"), 1e-4)


def test_folded_names_are_the_published_ones() -> None:
    network = HifiGan(HifiGanConfig())
    assert {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()} == shapes("hifigan_v1_fused")


def test_schedule() -> None:
    recorded = recording("schedule")
    ours = {
        "betas": SCHEDULE.betas,
        "alphas_cumprod": SCHEDULE.alphas_cumprod,
        "alphas_cumprod_prev": SCHEDULE.alphas_cumprod_prev,
        "sqrt_alphas_cumprod": SCHEDULE.alphas_cumprod.sqrt(),
        "sqrt_one_minus_alphas_cumprod": (1 - SCHEDULE.alphas_cumprod).sqrt(),
        "log_one_minus_alphas_cumprod": (1 - SCHEDULE.alphas_cumprod).log(),
        "sqrt_recip_alphas_cumprod": (1 / SCHEDULE.alphas_cumprod).sqrt(),
        "sqrt_recipm1_alphas_cumprod": (1 / SCHEDULE.alphas_cumprod - 1).sqrt(),
        "posterior_variance": SCHEDULE.posterior_variance,
        "posterior_log_variance_clipped": SCHEDULE.posterior_log_variance,
        "posterior_mean_coef1": SCHEDULE.posterior_data_weight,
        "posterior_mean_coef2": SCHEDULE.posterior_state_weight,
        "lvlb_weights": SCHEDULE.bound_weights,
    }
    for name, tensor in ours.items():
        tolerance = 1e-6 if name in ("betas", "alphas_cumprod") else 1e-5
        assert_near(f"schedule: {name}", tensor.float(), recorded.expected(name), tolerance)
    data, noise, steps = recorded.given("x0"), recorded.given("noise"), recorded.given("t")
    x = SCHEDULE.add_noise(data, noise, steps)
    assert_near("schedule: x_t", x, recorded.expected("x_t"), 1e-5)
    x = recorded.expected("x_t")
    made = SCHEDULE.data_from_noise(x, noise, steps)
    assert_near("schedule: x0 from noise", made, recorded.expected("x0_from_noise"), 1e-5)
    made = SCHEDULE.posterior_mean(data, x, steps)
    assert_near("schedule: posterior mean", made, recorded.expected("posterior_mean"), 1e-5)
    made = SCHEDULE.posterior_log_variance[steps].float()
    assert_near("schedule: posterior log variance", made, recorded.expected("posterior_logvar"), 1e-5)


def test_the_times_of_dpm_solver() -> None:
    recorded = recording("sampler_toy")
    times = ContinuousTimes(schedule=SCHEDULE)
    num_steps = next(int(match[1]) for name in recorded.outputs if (match := re.fullmatch(r"grid(\d+)_t", name)))
    grid = times.grid(num_steps)
    for name, made in {
        "t": grid,
        "model_t": [times.training_time(t) for t in grid],
        "log_alpha": [times.log_alpha(t) for t in grid],
        "sigma": [times.sigma(t) for t in grid],
        "lambda": [times.half_log_snr(t) for t in grid],
    }.items():
        expected = recorded.expected(f"grid{num_steps}_{name}").float()
        assert_near(f"sampler_toy: grid, {name}", torch.tensor(made), expected, 1e-3)


def test_samplers_on_a_closed_form_network() -> None:
    recorded = recording("sampler_toy")
    context = recorded.given("context")

    def network(x: Tensor, t: float, context: Tensor) -> Tensor:
        mean = context.mean(dim=(1, 2))[:, None, None, None]
        channels = context[:, 0, :4, None, None]
        return torch.tanh(0.7 * x + 0.3 * torch.cos(torch.tensor(t / 200)) + 20 * mean + 0.2 * channels)

    runs = [match for name in recorded.outputs if (match := re.fullmatch(r"(dpm|ddim)_w([\d.]+)_(\d+)", name))]
    assert runs
    for match in runs:
        scale = float(match[2])

        def epsilon(x: Tensor, t: float, scale: float = scale) -> Tensor:
            conditional = network(x, t, context)
            return conditional if scale == 1 else guide(conditional, network(x, t, torch.zeros_like(context)), scale)

        made = sample_noise_model(
            epsilon,
            recorded.given("x_T"),
            SCHEDULE,
            int(match[3]),
            sampler="ddim" if match[1] == "ddim" else "dpm-solver++",
        )
        assert_near(f"sampler_toy: {match[0]}", made, recorded.expected(match[0]), 1e-3)


def test_frame_indices() -> None:
    rules = json.loads((root() / "avldm" / "sampling_rules.json").read_text())
    for key, table in rules.items():
        if match := re.fullmatch(r"frame_indices_(\d+)", key):
            for num_frames, indices in table.items():
                assert even_frame_indices(int(num_frames), int(match[1])) == indices

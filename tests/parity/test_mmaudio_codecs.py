"""MMAudio's mel front ends, autoencoders and vocoders against the public implementation's numbers."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from foleykit.audio.mel import LogMel
from foleykit.codecs.bigvgan import BigVgan, BigVganConfig, SnakeActivation, bigvgan_16k, bigvgan_v2_44k, low_pass
from foleykit.codecs.bigvgan import from_published as bigvgan_from_published
from foleykit.codecs.magnitude_vae import (
    MagnitudeVae,
    MagnitudeVaeConfig,
    activate,
    blend,
    mel_16k,
    mel_44k,
    pixel_norm,
    vae_16k,
    vae_44k,
)
from foleykit.codecs.magnitude_vae import from_published as vae_from_published
from foleykit.core.checkpoint import shapes_of
from parity.fixtures import assert_near, shapes
from parity.mmaudio import check_spots, config_of, recorded, weights


@pytest.mark.parametrize(("name", "config"), [("16k", mel_16k()), ("44k", mel_44k())])
def test_mel(name: str, config) -> None:
    recording = recorded("mel")
    vae = MagnitudeVae(MagnitudeVaeConfig(mel=config, width=1))
    waveform = recording.given(f"wave_{name}")
    assert_near(f"mmaudio mel: {name}", vae.mel(waveform), recording.expected(f"mel_{name}"), 1e-4)
    sums = recording.tensors[f"const.mel_basis_{name}_row_sums"]
    assert_near(f"mmaudio mel: {name}, sums of filters", LogMel(config).filters.sum(dim=0), sums, 1e-4)
    shorter = vae.mel(waveform[:1, :-300])
    assert shorter.shape[2] == int(recording.expected(f"frames_{name}_other_length"))
    expected = recording.expected(f"mel_{name}_other_length")
    assert_near(f"mmaudio mel: {name}, other length", shorter[:, :, -expected.shape[2] :], expected, 1e-4)


def vae(name: str) -> MagnitudeVae:
    stated = config_of(name)
    base = vae_16k() if stated["mode"] == "16k" else vae_44k()
    config = replace(base, latent_width=stated["embed_dim"], width=stated["hidden_dim"])
    assert config.mel.num_mels == stated["data_dim"]
    mel = recorded("mel")
    published = weights(name)
    check_spots(recorded(name), published)
    for statistic in ("data_mean", "data_std"):
        published[statistic] = mel.tensors[f"const.{statistic}_{stated['mode']}"].view(1, -1, 1)
    assert published.keys() == shapes(f"mmaudio_{name}").keys()
    network = MagnitudeVae(config).eval().requires_grad_(False)
    network.load_state_dict(vae_from_published(published, config, source=name))
    return network


@pytest.mark.parametrize(
    "name",
    [
        "vae_tiny_16k",
        "vae_tiny_44k",
        pytest.param("vae_16k", marks=pytest.mark.slow),
        pytest.param("vae_44k", marks=pytest.mark.slow),
    ],
)
@torch.inference_mode()
def test_vae(name: str) -> None:
    recording, network = recorded(name), vae(name)
    mel = recording.expected("mel")
    mean, log_variance = network.posterior(mel)
    sample = mean + (0.5 * log_variance).exp() * recording.given("posterior_noise")
    for what, made in {
        "mean": mean,
        "logvar": log_variance,
        "sample": sample,
        "moments_no_normalize": network.encoder(mel),
        "decoded": network.decode(recording.given("z")),
        "decoded_normalized": network.decoder(recording.given("z")),
        "recon_from_mean": network.decode(mean),
    }.items():
        assert_near(f"mmaudio {name}: {what}", made, recording.expected(what), 1e-4)
    assert network.encoder(mel[:, :, :-1]).shape[2] == mel.shape[2] // 2 - 1, "an odd count loses its last frame"
    prefix = "effective_weight_"
    for what in recording.outputs:
        if what.startswith(prefix):
            made = network.state_dict()[what.removeprefix(prefix)]
            assert_near(f"mmaudio {name}: {what}", made, recording.expected(what), 1e-5)


@pytest.mark.parametrize("name", ["vae_tiny_16k", "vae_tiny_44k"])
def test_operations_of_the_vae(name: str) -> None:
    recording = recorded(name)
    a, b = recording.given("ops_a"), recording.given("ops_b")
    for what, made in {"mp_silu": activate(a), "mp_sum_0.3": blend(a, b), "pixel_norm": pixel_norm(a)}.items():
        assert_near(f"mmaudio {name}: ops_{what}", made, recording.expected(f"ops_{what}"), 1e-5)


def bigvgan(name: str) -> BigVgan:
    stated = config_of(name)
    config = BigVganConfig(
        num_mels=stated["num_mels"],
        width=stated["upsample_initial_channel"],
        upsample_rates=tuple(stated["upsample_rates"]),
        resblock_kernels=tuple(stated["resblock_kernel_sizes"]),
        dilations=tuple(stated["resblock_dilation_sizes"][0]),
        is_clamped=not stated.get("use_tanh_at_final", True),
    )
    published = weights(name)
    check_spots(recorded(name), published)
    network = BigVgan(config).eval().requires_grad_(False)
    network.load_state_dict(bigvgan_from_published(published, config, source=name))
    return network


@pytest.mark.parametrize(
    ("name", "tolerance"),
    [
        ("bigvgan_tiny", 1e-4),
        ("bigvgan_v2_tiny", 1e-4),
        pytest.param("bigvgan_16k", 2e-4, marks=pytest.mark.slow),
        pytest.param("bigvgan_v2_44k", 2e-4, marks=pytest.mark.slow),
    ],
)
@torch.inference_mode()
def test_bigvgan(name: str, tolerance: float) -> None:
    recording, vocoder = recorded(name), bigvgan(name)
    mel = recording.given("mel")
    assert_near(f"mmaudio {name}: wave", vocoder(mel), recording.expected("wave"), tolerance)
    made = vocoder(torch.full_like(mel[:1], -1.0))
    assert_near(f"mmaudio {name}: wave_mel_minus_one", made, recording.expected("wave_mel_minus_one"), tolerance)


@torch.inference_mode()
def test_activation_without_aliasing() -> None:
    recording = recorded("bigvgan_tiny")
    x = recording.given("act_x")
    activation = SnakeActivation(x.shape[1])
    activation.log_alpha.copy_(recording.given("act_alpha"))
    activation.log_beta.copy_(recording.given("act_beta"))
    raised = activation.upsample(x)
    for what, made in {
        "filter_12": low_pass(),
        "upsampled": raised,
        "downsampled": activation.downsample(raised),
        "act": activation(x),
    }.items():
        assert_near(f"mmaudio bigvgan_tiny: {what}", made, recording.expected(what), 1e-5)


@pytest.mark.parametrize(("name", "config"), [("bigvgan_16k", bigvgan_16k()), ("bigvgan_v2_44k", bigvgan_v2_44k())])
def test_presets_are_the_published_sizes(name: str, config: BigVganConfig) -> None:
    entries = {key: torch.zeros(()).expand(shape) for key, shape in shapes(f"mmaudio_{name}").items()}
    for key in entries:
        if key.endswith(".filter"):
            entries[key] = low_pass().view(1, 1, -1)
    made = bigvgan_from_published(entries, config, source=name)
    assert {key: tuple(tensor.shape) for key, tensor in made.items()} == shapes_of(lambda: BigVgan(config))

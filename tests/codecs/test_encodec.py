"""EnCodec's lengths and refusals, and AudioCraft's settings read without assuming any."""

from dataclasses import replace

import pytest
import torch

from fixtures.audiocraft import SETTINGS, SMALL, codec_of
from foleykit.codecs.encodec import EncodecConfig
from foleykit.codecs.encodec_published import config_of
from foleykit.core.errors import ConfigError, InputError, ModelError


@pytest.mark.parametrize("num_samples", [1, 31, 32, 33, 3217])
@torch.inference_mode()
def test_frames_cover_every_sample_and_decode_to_whole_hops(num_samples: int) -> None:
    codec = codec_of()
    codes = codec.encode(0.3 * torch.randn(2, 1, num_samples))
    assert codes.shape == (2, 4, -(-num_samples // 32))
    assert codec.decode(codes).shape == (2, 1, codes.shape[2] * 32)


@torch.inference_mode()
def test_each_codebook_brings_the_sum_of_entries_nearer_and_entries_are_their_own_codes() -> None:
    codec = codec_of()
    latents = 0.1 * torch.randn(1, 8, 50)
    codes = codec.quantize(latents)
    errors = []
    for count in range(1, 5):
        layers = codec.quantizer.layers[:count]
        sums = sum(layer.decode(codes[:, index]) for index, layer in enumerate(layers))
        errors.append(float((sums - latents).square().mean()))
    assert errors == sorted(errors, reverse=True)
    chosen = torch.tensor([[[3]], [[7]]])
    entry = codec.quantizer.layers[0].decode(chosen[:, 0])
    assert torch.equal(codec.quantizer.layers[0].encode(entry), chosen[:, 0])


def test_what_the_codec_cannot_take_is_refused() -> None:
    codec = codec_of()
    with pytest.raises(InputError, match="mono waveforms"):
        codec.encode(torch.zeros(1, 2, 320))
    with pytest.raises(InputError, match="0 to 15; got 3 to 16"):
        codec.decode(torch.tensor([3, 16, 3, 3])[None, :, None])
    with pytest.raises(InputError, match="4 codebooks"):
        codec.decode(torch.zeros(1, 3, 5, dtype=torch.long))
    with pytest.raises(ConfigError, match="constant or reflect"):
        replace(SMALL, pad_mode="zeros")
    with pytest.raises(TypeError):
        EncodecConfig()  # type: ignore[call-arg]  # The padding must be stated.


def test_settings_are_read_and_references_followed() -> None:
    assert config_of(SETTINGS, source="file") == SMALL
    reflected = config_of(SETTINGS.replace("pad_mode: constant", "pad_mode: reflect"), source="file")
    assert reflected == replace(SMALL, pad_mode="reflect")
    referred = config_of(
        SETTINGS.replace("causal: false\n  renorm", "causal: ${channel_is}\n  renorm") + "channel_is: true",
        source="file",
    )
    assert referred.is_causal


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("renormalize: false", "renormalize: true", "encodec.renormalize = True, which transformers' EnCodec cannot"),
        ("disable_norm_outer_blocks: 0", "disable_norm_outer_blocks: 2", "disable_norm_outer_blocks = 2"),
        ("final_activation: null", "final_activation: Tanh", "final_activation = 'Tanh'"),
        ("activation: ELU", "activation: Snake", "activation = 'Snake'"),
        ("norm: weight_norm", "norm: time_group_norm", "norm = 'time_group_norm'"),
        ("channels: 1\n", "channels: 2\n", "channels = 2"),
        ("encoder: {}", "encoder: {kernel_size: 3}", "seanet.encoder"),
        ("  pad_mode: constant\n", "", "do not say seanet.pad_mode; nothing is assumed"),
        ("pad_mode: constant", "pad_mode: replicate", 'not "replicate"'),
        ("causal: false\n", "causal: ${seanet.causal}\n", "to themselves"),
        ("n_filters: 2", "n_filters: two", "whole number"),
        ("lstm: 2", "lstm: 0", "LSTM layer"),
        ("rvq:", "rvq: [", "not YAML"),
    ],
)
def test_settings_that_would_compute_something_else_are_refused(old: str, new: str, message: str) -> None:
    assert old in SETTINGS
    with pytest.raises(ModelError, match=message) as caught:
        config_of(SETTINGS.replace(old, new, 1), source="file")
    assert "\n" not in str(caught.value)

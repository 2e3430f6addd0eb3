"""EnCodec in AudioGen's configuration against AudioCraft's modules, reduced and whole."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest
import torch
from torch import Tensor

from foleykit.codecs.encodec import EncodecCodec, EncodecConfig
from foleykit.codecs.encodec_published import from_published, own_name
from parity.fixtures import assert_near, filled, manifest, recording

SIZES = ["nf8", "nf64"]


def published(name: str) -> dict[str, Tensor]:
    return filled(manifest(f"foleygen_encodec_{name}")["keys"])


def config_of(stated: Mapping[str, int | list[int]]) -> EncodecConfig:
    return EncodecConfig(
        pad_mode="constant",
        width=stated["n_filters"],
        ratios=tuple(stated["ratios"]),
        latent_width=stated["dimension"],
        num_codebooks=stated["n_q"],
        codebook_size=stated["bins"],
    )


@pytest.mark.parametrize("name", [SIZES[0], pytest.param(SIZES[1], marks=pytest.mark.slow)])
@torch.inference_mode()
def test_encodec(name: str) -> None:
    recorded = recording("encodec", "foleygen")
    stated = json.loads(recorded.header[name])
    codec = EncodecCodec(config_of(stated)).eval()
    codec.load_state_dict(from_published(published(name), codec.config, source=name))
    given = {key.removeprefix(f"{name}."): value for key, value in recorded.tensors.items() if key.startswith(name)}
    for index in range(stated["inputs"]):
        waveform, codes = given[f"{index}.wav"], given[f"{index}.codes"]
        assert_near(f"encodec_{name}: {index}, latents", codec.latents(waveform), given[f"{index}.latent"], 5e-5)
        assert torch.equal(codec.encode(waveform), codes)
        assert_near(f"encodec_{name}: {index}, entries", codec.dequantize(codes), given[f"{index}.quantized"], 5e-5)
        assert_near(f"encodec_{name}: {index}, waveform", codec.decode(codes), given[f"{index}.recon"], 2e-5)
    assert_near(f"encodec_{name}: drawn codes", codec.decode(given["rand.codes"]), given["rand.recon"], 2e-5)


@pytest.mark.parametrize("name", SIZES)
def test_names(name: str) -> None:
    for entry in manifest(f"foleygen_encodec_{name}")["keys"]:
        assert own_name(entry["key"]) == entry["hf_key"]

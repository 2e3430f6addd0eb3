"""The textvideo network as MMAudio against the public implementation's numbers."""

from __future__ import annotations

import json
from functools import cache
from typing import get_args

import pytest
import torch
from torch import Tensor

from foleykit.core.checkpoint import shapes_of
from foleykit.diffusion.flow import shifted_schedule
from foleykit.diffusion.guidance import guide
from foleykit.diffusion.samplers import sample
from foleykit.models.textvideo.config import NetworkConfig
from foleykit.models.textvideo.network import (
    Conditioning,
    Known,
    Network,
    from_published,
    published_name,
    published_shape,
)
from foleykit.models.textvideo.presets import MMAudioName, mmaudio_network
from foleykit.nn.attention import rotary_angles, rotate
from foleykit.nn.gated import stretch_indices
from parity.fixtures import Recording, assert_near, manifest, root, shapes
from parity.mmaudio import FOLDER, check_spots, recorded, seeded_input, weights


def network_config(stated: dict) -> NetworkConfig:
    is_v2 = stated["v2"]
    return NetworkConfig(
        latent_width=stated["latent_dim"],
        picture_width=stated["clip_dim"],
        sync_width=stated["sync_dim"],
        text_width=stated["text_dim"],
        num_text_tokens=stated["text_seq_len"],
        width=stated["hidden_dim"],
        num_heads=stated["num_heads"],
        num_joint_blocks=stated["depth"] - stated["fused_depth"],
        num_fused_blocks=stated["fused_depth"],
        input_activation="silu" if is_v2 else "selu",
        num_time_features=stated["hidden_dim"] if is_v2 else 256,
        time_scale=10_000.0 if is_v2 else 1.0,
    )


@cache
def tiny(name: str) -> Network:
    config = network_config(manifest(f"mmaudio_{name}")["config"])
    network = Network(config).eval().requires_grad_(False)
    network.load_state_dict(from_published(weights(name), config, source=name))
    return network


def known(batch: int, *, video: bool = True, text: bool = True) -> Known:
    def all_of(value: bool) -> Tensor:
        return torch.full((batch,), value)

    return Known(video=all_of(video), text=all_of(text), transcript=all_of(False), ambient=all_of(False))


def velocity(network: Network, latent: Tensor, t: Tensor, conditioning: Conditioning, shown: Known) -> Tensor:
    """Return the velocity in the recordings' order of axes."""
    prepared = network.prepare(network.with_nulls(conditioning, shown), latent.shape[1])
    return network(latent.transpose(1, 2), t.expand(len(latent)), prepared).transpose(1, 2)


def given(recording: Recording, text: str = "text") -> Conditioning:
    return Conditioning(pictures=recording.given("clip"), sync=recording.given("sync"), text=recording.given(text))


@pytest.mark.parametrize(("name", "tolerance"), [("net_tiny", 1e-4), ("net_tiny_v2", 1e-3)])
@torch.inference_mode()
def test_tiny_networks(name: str, tolerance: float) -> None:
    recording, network = recorded(name), tiny(name)
    check_spots(recording, weights(name))
    latent, t, conditioning = recording.given("latent"), recording.given("t"), given(recording)
    batch, seen = len(latent), {}

    def check(what: str, actual: Tensor) -> None:
        assert_near(f"mmaudio {name}: {what}", actual, recording.expected(what), tolerance)
        seen[what] = True

    prepared = network.prepare(conditioning, latent.shape[1])
    check("pre_clip_f", prepared.pictures)
    check("pre_clip_f_c", network.picture_pool(prepared.pictures.mean(dim=1)))
    check("pre_text_f", prepared.context)
    check("pre_text_f_c", network.text_pool(prepared.context.mean(dim=1)))
    check("pre_sync_f", prepared.sync)
    check("t_embed", network.time_in(network.time_features(t)))
    outputs: dict[int, list[Tensor]] = {}
    blocks = [network.joint_blocks[0], network.joint_blocks[-1], network.fused_blocks[-1]]
    hooks = [
        block.register_forward_hook(lambda module, given, made, index=index: outputs.__setitem__(index, made))
        for index, block in enumerate(blocks)
    ]
    check("velocity", velocity(network, latent, t, conditioning, known(batch)))
    for hook in hooks:
        hook.remove()
    check("joint0_latent", outputs[0][0])
    check("joint0_clip", outputs[0][1])
    check("joint0_text", outputs[0][2])
    check("joint_last_latent", outputs[1][0])
    check("fused_last_latent", outputs[2][0])
    check("velocity_t0", velocity(network, latent, recording.given("t_zero"), conditioning, known(batch)))
    negative = given(recording, "neg_text")
    null = known(batch, video=False, text=False)
    check("velocity_null", velocity(network, latent, t, conditioning, null))
    check("velocity_negative", velocity(network, latent, t, negative, known(batch, video=False)))
    check("velocity_text_only", velocity(network, latent, t, conditioning, known(batch, video=False)))
    check("velocity_video_only", velocity(network, latent, t, conditioning, known(batch, text=False)))
    still = Conditioning(
        pictures=conditioning.pictures[:, :1].expand_as(conditioning.pictures),
        sync=network.null_sync.expand_as(conditioning.sync),
        text=conditioning.text,
    )
    check("velocity_image", velocity(network, latent, t, still, known(batch)))
    shorter = Conditioning(
        pictures=conditioning.pictures[:, :9], sync=conditioning.sync[:, :16], text=conditioning.text
    )
    check("velocity_other_lengths", velocity(network, recording.given("latent_other"), t, shorter, known(batch)))
    check("normalized", network.normalise(recording.given("raw_latent").transpose(1, 2)).transpose(1, 2))
    check("unnormalized", network.unnormalise(latent.transpose(1, 2)).transpose(1, 2))
    assert sorted(seen) == recording.outputs


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "preset", "tolerance"),
    [("net_small_16k", "small-16k", 1e-4), ("net_large_44k_v2", "large-44k-v2", 2e-3)],
)
@torch.inference_mode()
def test_real_networks(name: str, preset: MMAudioName, tolerance: float) -> None:
    recording = recorded(name)
    published = weights(name)
    check_spots(recording, published)
    config = mmaudio_network(preset)
    with torch.device("meta"):
        network = Network(config).eval().requires_grad_(False)
    network.load_state_dict(from_published(published, config, source=name), assign=True)
    del published
    latent = recording.given("latent")
    conditioning = Conditioning(
        pictures=seeded_input(name, 1, 1, 64, 1024),
        sync=seeded_input(name, 2, 1, 192, 768),
        text=seeded_input(name, 3, 1, 77, 1024),
    )
    for what, tensor in (("clip", conditioning.pictures), ("sync", conditioning.sync), ("text", conditioning.text)):
        assert_near(f"mmaudio {name}: {what} input", tensor[:, :4, :8], recording.given(f"{what}_corner"), 1e-6)
    null = known(1, video=False, text=False)
    for index, t in enumerate(recording.given("t")):
        made = velocity(network, latent, t, conditioning, known(1))
        assert_near(f"mmaudio {name}: velocity_{index}", made, recording.expected(f"velocity_{index}"), tolerance)
    made = velocity(network, latent, recording.given("t")[0], conditioning, null)
    assert_near(f"mmaudio {name}: velocity_null_0", made, recording.expected("velocity_null_0"), tolerance)
    if "out.cfg4.5_5steps" in recording.tensors:

        def guided(x: Tensor, t: float) -> Tensor:
            progress = torch.tensor(1 - t)
            conditional = velocity(network, x, progress, conditioning, known(1))
            # Our times run the other way.
            return -guide(conditional, velocity(network, x, progress, conditioning, null), 4.5)

        made = sample(guided, latent, shifted_schedule(5))
        assert_near(f"mmaudio {name}: cfg4.5_5steps", made, recording.expected("cfg4.5_5steps"), 1e-3)


@pytest.mark.parametrize("preset", get_args(MMAudioName))
def test_published_names_and_shapes(preset: MMAudioName) -> None:
    own = shapes_of(lambda: Network(mmaudio_network(preset)))
    published = {published_name(name): published_shape(name, shape) for name, shape in own.items()}
    assert published == shapes(f"mmaudio_net_{preset.replace('-', '_')}")


def test_rotation() -> None:
    recording = recorded("rope")
    half_width = {name: recording.expected(f"rot_{name}").shape[1] for name in ("latent_16k", "clip_16k", "clip_44k")}
    half_width["tiny_clip"] = recording.expected("rot_tiny_clip").shape[1]
    for name, half in half_width.items():
        rows = recording.given(f"rows_{name}").long()
        step = float(recording.given(f"scale_{name}"))
        angles = rotary_angles(int(rows.max()) + 1, 2 * half, torch.device("cpu"), step=step)[rows]
        cos, sin = angles.cos(), angles.sin()
        made = torch.stack((torch.stack((cos, -sin), dim=-1), torch.stack((sin, cos), dim=-1)), dim=-2)
        assert_near(f"mmaudio rope: {name}", made, recording.expected(f"rot_{name}"), 1e-5)
    x = recording.given("x")
    for what, step in (("rotated", float(recording.given("scale_tiny_clip"))), ("rotated_unscaled", 1.0)):
        angles = rotary_angles(x.shape[2], x.shape[3], x.device, step=step)
        # Ours turns one channel from either half; the recording neighbouring channels.
        made = rotate(torch.cat((x[..., 0::2], x[..., 1::2]), dim=-1), angles)
        made = torch.stack(made.chunk(2, dim=-1), dim=-1).flatten(3)
        assert_near(f"mmaudio rope: {what}", made, recording.expected(what), 1e-5)


def test_sync_stretch() -> None:
    tables = json.loads((root() / FOLDER / "sync_stretch.json").read_text())
    assert tables
    for table in tables:
        assert stretch_indices(table["sync"], table["latent"]).tolist() == table["index"]
        places = torch.arange(table["sync"], dtype=torch.float32)[None, None]
        by_torch = torch.nn.functional.interpolate(places, size=table["latent"], mode="nearest-exact")
        assert by_torch[0, 0].long().tolist() == table["index"]

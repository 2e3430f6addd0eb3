"""Action2Sound's networks, their conditioning and their sampling against the public implementation's numbers."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from foleykit.audio.unit_mel import UnitMel, UnitMelConfig
from foleykit.codecs.hifigan import HifiGanConfig
from foleykit.diffusion.noise_samplers import sample_noise_model
from foleykit.encoders.visual.timesformer import TimeSformer, TimeSformerConfig
from foleykit.models.avldm.published.config import (
    Action2SoundConfig,
    PictureVaeConfig,
    PublishedSampling,
    UnetConfig,
)
from foleykit.models.avldm.published.layout import (
    CONDITIONER_NAMES,
    UNET_PREFIX,
    VAE_PREFIX,
    published_shape,
    schedule_entries,
    unet_names,
    vae_names,
)
from foleykit.models.avldm.published.network import Conditioner, Denoiser, PictureVae
from foleykit.models.avldm.published.pipeline import Action2SoundPipeline, Guidance, WindowFeatures
from foleykit.models.avldm.published.presets import action2sound
from foleykit.models.avldm.published.windows import plan_of
from parity.fixtures import assert_near, assert_relatively_near, manifest, recording, shapes, weights
from parity.test_avldm_parts import hifigan, timesformer

pytest.importorskip("diffusers")


def unet_config(stated: dict) -> UnetConfig:
    factors = stated["attention_resolutions"]
    return UnetConfig(
        width=stated["model_channels"],
        multipliers=tuple(stated["channel_mult"]),
        num_attention_levels=sum(2**level in factors for level in range(len(stated["channel_mult"]))),
        num_blocks=stated["num_res_blocks"],
        num_heads=stated["num_heads"],
        context_width=stated["context_dim"],
        latent_width=stated["in_channels"],
    )


def vae_config(stated: dict, scale: float) -> PictureVaeConfig:
    return PictureVaeConfig(
        width=stated["ch"],
        multipliers=tuple(stated["ch_mult"]),
        num_blocks=stated["num_res_blocks"],
        latent_width=stated["z_channels"],
        scale=scale,
    )


def filled(network: nn.Module, names: dict[str, str], state: dict[str, Tensor]) -> None:
    """Fill `network` from published entries; every one of its tensors must be there and fit."""
    own = network.state_dict()
    network.load_state_dict({name: state.pop(published).reshape(own[name].shape) for name, published in names.items()})
    network.eval().requires_grad_(False)


def denoiser(config: UnetConfig, state: dict[str, Tensor]) -> Denoiser:
    network = Denoiser(config)
    filled(network.unet, unet_names(network.unet.state_dict(), config), state)
    return network


def autoencoder(config: PictureVaeConfig, state: dict[str, Tensor]) -> PictureVae:
    network = PictureVae(config)
    filled(network.vae, vae_names(network.vae.state_dict(), config), state)
    return network


def prefixed(state: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {prefix + name: tensor for name, tensor in state.items()}


class Tiny:
    """The whole latent model with small networks, as the recordings used it."""

    def __init__(self) -> None:
        stated = manifest("avldm_tiny")["config"]
        seconds, tokens = 3.0, stated["cond_stage"]
        self.config = Action2SoundConfig(
            vae=vae_config(stated["vae"], stated["scale_factor"]),
            unet=unet_config(stated["unet"]),
            video=TimeSformerConfig(num_frames=tokens["seq_len"], width=tokens["origin_dim"]),
            window_seconds=seconds,
            num_diffusion_steps=stated["timesteps"],
            first_beta=stated["linear_start"],
            last_beta=stated["linear_end"],
        )
        state = weights("avldm_tiny")
        self.state = dict(state)
        state["audio_zero_embed"] = torch.zeros(shapes("avldm_tiny")["audio_zero_embed"])
        self.denoiser = denoiser(self.config.unet, state)
        self.vae = autoencoder(self.config.vae, state)
        self.conditioner = Conditioner(self.config)
        filled(self.conditioner, CONDITIONER_NAMES, state)
        assert not state, "every published entry has a place"


@pytest.fixture(scope="module")
def tiny() -> Tiny:
    return Tiny()


@pytest.mark.parametrize("name", ["vae_tiny", pytest.param("vae_real", marks=pytest.mark.slow)])
@torch.inference_mode()
def test_vae(name: str) -> None:
    recorded = recording(name)
    stated, state = manifest(name)["config"], weights(name)
    recorded.check_spots(state)
    vae = autoencoder(vae_config(stated["ddconfig"], stated["scale_factor"]), prefixed(state, VAE_PREFIX))
    mel, scale = recorded.given("spec"), stated["scale_factor"]
    mean, log_variance = vae.posterior(mel)
    assert_near(f"{name}: mean", mean, recorded.expected("mean"), 2e-4)
    assert_near(f"{name}: log variance", log_variance, recorded.expected("logvar"), 2e-4)
    assert_near(f"{name}: scaled mean", vae.encode(mel), recorded.expected("mode_scaled"), 2e-4)
    drawn = vae.encode(mel, recorded.given("posterior_noise")) / scale
    assert_near(f"{name}: posterior sample", drawn, recorded.expected("sample"), 2e-4)
    decoded = vae.vae.decode(recorded.given("z_latent")).sample
    assert_near(f"{name}: decoded", decoded, recorded.expected("decoded"), 2e-4)
    again = vae.decode(scale * recorded.expected("mean"))
    assert_near(f"{name}: reconstruction", again, recorded.expected("recon_from_mode"), 2e-4)


@torch.inference_mode()
def test_unet_tiny() -> None:
    recorded = recording("unet_tiny")
    state = weights("unet_tiny")
    recorded.check_spots(state)
    network = denoiser(unet_config(manifest("unet_tiny")["config"]), prefixed(state, UNET_PREFIX))
    x, t, context = recorded.given("x"), recorded.given("t"), recorded.given("context")
    runs = {
        "eps": (t, context),
        "eps_frac": (recorded.given("t_frac"), context),
        "eps_zero_context": (t, torch.zeros_like(context)),
        "eps_video_only_context": (t, context[:, :16]),
    }
    for name, (times, tokens) in runs.items():
        assert_near(f"unet_tiny: {name}", network(x, times, tokens), recorded.expected(name), 2e-4)
        cached = network(x, times, tokens, network.project_context(tokens))
        assert_near(f"unet_tiny: {name}, cached context", cached, recorded.expected(name), 2e-4)


@pytest.mark.slow
@torch.inference_mode()
def test_unet_real() -> None:
    recorded = recording("unet_real")
    state = weights("unet_real")
    recorded.check_spots(state)
    network = denoiser(unet_config(manifest("unet_real")["config"]), prefixed(state, UNET_PREFIX))
    x, context = recorded.given("x"), recorded.given("context")
    cache = network.project_context(context)
    made = network(x, recorded.given("t"), context, cache)
    assert_near("unet_real: eps", made, recorded.expected("eps"), 3e-4)
    made = network(x[:1], recorded.given("t_frac"), context[:1])
    assert_near("unet_real: eps_frac", made, recorded.expected("eps_frac"), 3e-4)


@torch.inference_mode()
def test_conditioning(tiny: Tiny) -> None:
    recorded = recording("conditioning")
    recorded.check_spots(tiny.state)
    make = tiny.conditioner
    data = tiny.vae.encode(recorded.given("spec"))
    neighbour = tiny.vae.encode(recorded.given("neighbor_spec"))
    features = recorded.given("video_feat")
    context = make(features, neighbour)
    near = {
        "z0": data,
        "z_neighbor": neighbour,
        "c_video": make.video_tokens(features),
        "c_audio": make.ambient_tokens(neighbour, 2),
        "c_infer": context,
        "c_audio_zero_spec": make.ambient_tokens(tiny.vae.encode(torch.zeros(1, *recorded.given("spec").shape[1:])), 1),
        "c_audio_prob0_absmax": make.ambient_tokens(None, 2).abs().max()[None],
        "c_train_dropped_first": make.null(neighbour[:1], 1),
    }
    for name, made in near.items():
        assert_near(f"conditioning: {name}", made, recorded.expected(name), 2e-4)
    kept = torch.tensor([0.0, 1.0])[:, None, None]
    dropped = kept * features
    assert_near("conditioning: raw features", dropped[..., :8], recorded.expected("c_train_raw_dropped_first"), 2e-4)
    noise, steps = recorded.given("noise"), recorded.given("t")
    x = tiny.config.schedule.add_noise(data, noise, steps)
    assert_near("conditioning: x_noisy", x, recorded.expected("x_noisy"), 2e-4)
    predicted = tiny.denoiser(x, steps, context)
    assert_near("conditioning: eps", predicted, recorded.expected("eps"), 2e-4)
    loss = (predicted - noise).square().mean()[None]
    expected = recorded.expected("loss")
    assert_near("conditioning: loss, relative", loss / expected, torch.ones(1), 1e-4)


class Watched:
    """Guided noise that notes where it was asked."""

    def __init__(self, guidance: Guidance) -> None:
        self.guidance = guidance
        self.times: list[float] = []
        self.states: list[Tensor] = []

    def __call__(self, x: Tensor, t: float) -> Tensor:
        self.times.append(t)
        self.states.append(x[0])
        return self.guidance(x, t)


@pytest.mark.slow
@torch.inference_mode()
def test_sampling(tiny: Tiny) -> None:
    recorded = recording("sampling")
    context = recorded.given("context")
    runs = [name for name in recorded.outputs if not name.endswith(("_t", "_x_steps"))]
    assert runs
    for name in runs:
        sampler, _, scale = name.partition("_w")
        epsilon = Watched(
            Guidance(
                denoiser=tiny.denoiser,
                conditional=context,
                null=torch.zeros_like(context[:1]),
                scale=float(scale or recorded.header["w"]),
            )
        )
        made = sample_noise_model(
            epsilon,
            recorded.given("x_T"),
            tiny.config.schedule,
            int(sampler.removeprefix("dpm").removeprefix("ddim")),
            sampler="ddim" if sampler.startswith("ddim") else "dpm-solver++",
        )
        assert_relatively_near(f"sampling: {name}", made, recorded.expected(name), 1e-4)
        assert_near(f"sampling: {name}", made, recorded.expected(name), 5e-3)
        times = recorded.expected(f"{name}_t").float().flatten()
        assert_near(f"sampling: {name}, times", torch.tensor(epsilon.times), times, 1e-3)
        if f"{name}_x_steps" in recorded.outputs:
            states = torch.stack(epsilon.states)
            assert_near(f"sampling: {name}, states", states, recorded.expected(f"{name}_x_steps"), 5e-3)


@torch.inference_mode()
def test_video_to_waveform(tiny: Tiny) -> None:
    recorded = recording("pipeline")
    offset = int(recorded.header["video_manifest"].rpartition("+")[2].rstrip(")"))
    encoder = timesformer("timesformer_pipe", offset=offset)
    recorded.check_spots(encoder.state_dict())
    video = recorded.given("video")
    features = encoder.pool(encoder.tokens(video), video.shape[1])
    assert_near("pipeline: video features", features, recorded.expected("video_feat"), 2e-4)
    ambient = tiny.vae.encode(recorded.given("neighbor_spec")[None])
    context = tiny.conditioner(features, ambient)
    assert_near("pipeline: context", context, recorded.expected("context"), 2e-4)
    guidance = Guidance(
        denoiser=tiny.denoiser,
        conditional=context,
        null=torch.zeros_like(context),
        scale=float(recorded.header["w"]),
    )
    latents = sample_noise_model(guidance, recorded.given("x_T"), tiny.config.schedule, int(recorded.header["steps"]))
    assert_relatively_near("pipeline: latent", latents, recorded.expected("latent"), 1e-4)
    mel = tiny.vae.decode(latents)
    assert_near("pipeline: mel", mel, recorded.expected("spec_unclipped"), 1e-3)
    columns = len(recorded.expected("wav")) // tiny.config.mel.hop_length
    log_mel = UnitMel(UnitMelConfig()).natural_log(mel[..., :columns])
    waveform = hifigan(recorded.header["vocoder_manifest"])(log_mel)[0, 0]
    assert_near("pipeline: waveform", waveform, recorded.expected("wav"), 1e-3)


@torch.inference_mode()
def test_the_pipeline_in_its_reference_ways_gives_the_recorded_waveform(tiny: Tiny) -> None:
    """The same numbers through the class that users call, from its own features and the recorded start noise."""
    recorded = recording("pipeline")
    vocoder = hifigan(recorded.header["vocoder_manifest"])
    pipeline = Action2SoundPipeline(
        replace(
            tiny.config,
            vocoder="hifigan",
            hifigan=vocoder.config,
            sampling=PublishedSampling(null="zeros", guidance_scale=float(recorded.header["w"])),
        ),
        vae=tiny.vae,
        denoiser=tiny.denoiser,
        conditioner=tiny.conditioner,
        video=TimeSformer(TimeSformerConfig(num_blocks=0)),
        vocoder=vocoder,
    )
    features = recorded.expected("video_feat")
    ambient = tiny.vae.encode(recorded.given("neighbor_spec")[None])
    expected = recorded.expected("wav")
    made = pipeline.voice(
        WindowFeatures(values=features[0], plan=plan_of(pipeline.config.window_frames, pipeline.config)),
        noise=recorded.given("x_T")[0],
        ambient=ambient,
        num_samples=len(expected),
        num_steps=int(recorded.header["steps"]),
        guidance_scale=pipeline.config.sampling.guidance_scale,
        generator=torch.Generator(),
    )
    assert_near("pipeline: waveform, through the pipeline", torch.from_numpy(made[0]), expected, 1e-3)


def test_our_names_and_shapes_are_those_of_the_published_checkpoint() -> None:
    config = action2sound()
    with torch.device("meta"):
        unet, vae = Denoiser(config.unet).unet.state_dict(), PictureVae(config.vae).vae.state_dict()
        conditioner, video = Conditioner(config).state_dict(), TimeSformer(config.video).state_dict()
    ours = {name: tuple(tensor.shape) for name, tensor in schedule_entries(config.schedule).items()}
    for state, names in (
        (unet, unet_names(unet, config.unet)),
        (vae, vae_names(vae, config.vae)),
        (conditioner, CONDITIONER_NAMES),
    ):
        ours |= {published: published_shape(published, tuple(state[name].shape)) for name, published in names.items()}
    assert ours == shapes("avldm_full")
    assert {f"module.video_model.{name}": tuple(tensor.shape) for name, tensor in video.items()} == {
        name: shape for name, shape in shapes("av_contrastive").items() if name.startswith("module.video_model.")
    }
    assert HifiGanConfig().hop_length == config.mel.hop_length

"""Networks that published scores run on, and the scores, against the public implementations' numbers."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from foleykit.audio.mel_filters import htk_triangles
from foleykit.core.checkpoint import Module
from foleykit.encoders.audio import cnn14, passt, vggish
from foleykit.encoders.audio.imagebind import ClipMels, ImageBindAudioConfig, clip_samples, clip_spans
from foleykit.encoders.visual import imagebind
from foleykit.encoders.visual.imagebind import ImageBind, ImageBindConfig, ImageBindEncoder, ImageBindVisionConfig
from foleykit.evaluation.metrics.frechet_distance import frechet_distance
from foleykit.evaluation.metrics.inception_score import inception_score, split_scores
from foleykit.evaluation.metrics.kl_divergence import kl_divergence
from foleykit.evaluation.metrics.paired_cosine import paired_cosine
from parity.fixtures import (
    Recording,
    assert_near,
    assert_relatively_near,
    manifest,
    recipe,
    recording,
    shapes,
)

EMBEDDINGS = {
    "cls_token",
    "dist_token",
    "pos_embed",
    "new_pos_embed",
    "freq_new_pos_embed",
    "time_new_pos_embed",
}
LOG_SCALE = "modality_postprocessors.audio.1.log_logit_scale"


def recorded(name: str) -> Recording:
    return recording(name, "evalnets")


def config_of(recorded: Recording) -> dict[str, Any]:
    return json.loads(recorded.header["config"])


def filled(name: str, *, prefixes: Iterable[str] = ("",)) -> dict[str, Tensor]:
    """Return the weights of a manifest's names that begin with one of `prefixes`, checked nowhere yet."""
    skipped = set(manifest(name)["not_filled"])
    names = sorted(key for key in shapes(name) if key not in skipped and key.startswith(tuple(prefixes)))
    state = {}
    for index, key in enumerate(names):
        generator = torch.Generator().manual_seed(recipe("evalnets")["seed_base"] + index)
        state[key] = scaled(key, torch.randn(shapes(name)[key], generator=generator))
    return state


def scaled(name: str, drawn: Tensor) -> Tensor:
    last = name.rpartition(".")[2]
    if last.endswith("bias") or last == "running_mean":
        return drawn.mul_(0.02)
    if last == "running_var":
        return 1 + 0.1 * drawn.abs()
    if drawn.ndim == 1:
        return 1 + 0.02 * drawn
    if last in EMBEDDINGS:
        return drawn.mul_(0.5)
    return drawn.div_(math.sqrt(math.prod(drawn.shape[1:])))


def check_spots(recorded: Recording, state: dict[str, Tensor]) -> None:
    """Assert that `state` holds the very weights that the recording was made with."""
    for name, spot in json.loads(recorded.header["spot"]).items():
        head = torch.tensor(spot["head"])
        torch.testing.assert_close(state[name].flatten()[: len(head)], head, atol=1e-6, rtol=0)
        assert float(state[name].double().sum()) == pytest.approx(spot["sum"], rel=1e-4, abs=1e-3)


def sounds(recorded: Recording) -> dict[str, Tensor]:
    """Return the recorded waveforms (S,) by name."""
    names = [name.removeprefix("in.") for name in recorded.tensors if name.startswith("in.") and name.endswith("_i16")]
    assert names
    return {name.removesuffix("_i16"): recorded.given(name).float() / 32768 for name in names}


def with_state(network: Module, state: dict[str, Tensor]) -> Module:
    network.load_state_dict(state, assign=True)
    return network.eval().requires_grad_(False)


# VGGish


def test_vggish_examples() -> None:
    rec = recorded("vggish")
    config = vggish.VggishConfig(sample_rate=manifest("vggish")["config"]["sample_rate"])
    assert_near("vggish: mel matrix", htk_triangles(config), rec.expected("mel_matrix"), 1e-6)
    for name, waveform in sounds(rec).items():
        made = vggish.log_mel_examples(waveform, config)
        assert_near(f"vggish: {name} examples", made, rec.expected(f"{name}_examples"), 5e-4)


@pytest.mark.slow
def test_vggish_embeddings() -> None:
    rec = recorded("vggish")
    entries = filled("vggish")
    check_spots(rec, entries)
    config = vggish.VggishConfig()
    tensors, pca = vggish.from_published(entries, config, source="vggish")
    assert pca is None
    encoder = vggish.VggishEncoder(with_state(vggish.Vggish(config), tensors))
    for name, waveform in sounds(rec).items():
        made = encoder(waveform)
        assert_near(f"vggish: {name} embedding", made, rec.expected(f"{name}_embedding"), 2e-5)
        assert_near(f"vggish: {name} embedding, ReLU", made.relu(), rec.expected(f"{name}_embedding_relu"), 2e-5)


def test_vggish_components() -> None:
    rec = recorded("vggish")
    given = {name: rec.given(name) for name in ("pca_eigen_vectors", "pca_means")}
    assert {name: tuple(tensor.shape) for name, tensor in given.items()} == shapes("vggish_pca")
    tensors = vggish.pca_from_published(given, vggish.VggishConfig(), source="pca")
    pca = vggish.VggishPca(tensors["eigen_vectors"], tensors["means"])
    embeddings = rec.given("pca_embeddings")
    assert_near("vggish: whitened", pca.whiten(embeddings), rec.expected("pca_unquantized"), 2e-5)
    # A value may fall on the other side of a rounding edge.
    assert_near("vggish: quantised, levels", pca(embeddings), rec.expected("pca_quantized"), 1)
    assert_near("vggish: quantised, ReLU, levels", pca(embeddings.relu()), rec.expected("pca_quantized_relu"), 1)


# Cnn14

CNN14 = ("cnn14_32k", "cnn14_16k")


def cnn14_config(name: str) -> cnn14.Cnn14Config:
    given = manifest(name)["config"]
    return cnn14.Cnn14Config(
        sample_rate=given["sample_rate"],
        n_fft=given["window_size"],
        hop_length=given["hop_size"],
        num_mels=given["mel_bins"],
        min_hz=float(given["fmin"]),
        max_hz=float(given["fmax"]),
        num_classes=given["classes_num"],
    )


@pytest.mark.parametrize("name", CNN14)
def test_cnn14_log_mel(name: str) -> None:
    rec = recorded(name)
    front_end = cnn14.DecibelMel(cnn14_config(name))
    assert_near(f"{name}: mel matrix", front_end.filters, rec.expected("mel_matrix"), 1e-6)
    for sound, waveform in sounds(rec).items():
        made, expected = front_end(waveform[None])[0, 0], rec.expected(f"{sound}_logmel")
        assert_near(f"{name}: {sound} log-mel, dB", made, expected, 0.05)
        loud = expected > -60
        assert_near(f"{name}: {sound} log-mel above -60 dB, dB", made[loud], expected[loud], 2e-3)


@pytest.mark.slow
@pytest.mark.parametrize("name", CNN14)
def test_cnn14_embeddings_and_logits(name: str) -> None:
    rec = recorded(name)
    entries = filled(name)
    check_spots(rec, entries)
    config = cnn14_config(name)
    entries |= cnn14.front_end_entries(config)
    assert cnn14.config_of(entries, source=name) == config
    tensors = cnn14.from_published(entries, config, source=name)
    encoder = cnn14.Cnn14Encoder(with_state(cnn14.Cnn14(config), tensors))
    for sound, waveform in sounds(rec).items():
        tags = encoder(waveform[None])
        assert_near(f"{name}: {sound} embedding", tags.embedding[0], rec.expected(f"{sound}_embedding"), 2e-5)
        assert_near(f"{name}: {sound} logits", tags.logits[0], rec.expected(f"{sound}_logits"), 2e-5)
        clipwise = tags.logits[0].sigmoid()
        assert_near(f"{name}: {sound} sigmoid", clipwise, rec.expected(f"{sound}_clipwise"), 1e-5)


# PaSST


def passt_config() -> passt.PasstConfig:
    given = manifest("passt_s_p16_s10")["config"]
    config = passt.PasstConfig(
        num_mels=given["n_mels"],
        stride=given["fstride"],
        num_time_patches=given["input_tdim"] // given["tstride"],
        width=given["embed_dim"],
        num_blocks=given["depth"],
        num_heads=given["num_heads"],
        num_classes=given["classes"],
    )
    assert config == passt.PasstConfig()
    return config


def test_passt_mel() -> None:
    rec = recorded("passt")
    config = passt_config()
    front_end = passt.PasstMel(config)
    assert_near("passt: mel matrix", front_end.filters, rec.expected("mel_matrix"), 5e-5)
    for name, waveform in sounds(rec).items():
        assert_near(f"passt: {name} mel", front_end(waveform[None])[0], rec.expected(f"{name}_mel"), 1e-3)
        tail = front_end(passt.pad_to_whole(waveform[None], config))[0, :, -1]
        assert_near(f"passt: {name} padded mel, end", tail, rec.expected(f"{name}_padded_mel_tail"), 1e-3)


@pytest.mark.slow
def test_passt_embeddings_and_logits() -> None:
    rec = recorded("passt")
    entries = filled("passt_s_p16_s10")
    check_spots(rec, entries)
    config = passt_config()
    tensors = passt.from_published(entries, config, source="passt")
    encoder = passt.PasstEncoder(with_state(passt.Passt(config), tensors))
    for name, waveform in sounds(rec).items():
        for kind, clip in (("", waveform[None]), ("padded_", passt.pad_to_whole(waveform[None], config))):
            tags = encoder(clip)
            what = f"{name}_{kind}"
            assert_near(f"passt: {what}embedding", tags.embedding[0], rec.expected(f"{what}embedding"), 1e-4)
            assert_near(f"passt: {what}logits", tags.logits[0], rec.expected(f"{what}logits"), 1e-4)


# ImageBind


def imagebind_config(name: str) -> ImageBindConfig:
    given = manifest(name)["config"]
    depth, patch_size, _ = given["kernel_size"]
    assert depth == given["video_frames"]
    return ImageBindConfig(
        vision=ImageBindVisionConfig(
            patch_size=patch_size,
            num_frames=given["video_frames"],
            width=given["vision_embed_dim"],
            num_blocks=given["vision_num_blocks"],
            num_heads=given["vision_num_heads"],
            embedding_width=given["out_embed_dim"],
        ),
        audio=ImageBindAudioConfig(
            num_mels=given["audio_num_mel_bins"],
            num_frames=given["audio_target_len"],
            patch_size=given["audio_kernel_size"],
            stride=given["audio_stride"],
            width=given["audio_embed_dim"],
            num_blocks=given["audio_num_blocks"],
            num_heads=given["audio_num_heads"],
            embedding_width=given["out_embed_dim"],
        ),
    )


def imagebind_network(name: str, state: dict[str, Tensor]) -> ImageBind:
    """Return the network of a manifest with drawn weights, which leave `state`."""
    state[LOG_SCALE] = torch.tensor(20.0).log()
    config = imagebind_config(name)
    tensors = imagebind.from_published(state, config, source=name)
    state.clear()
    with torch.device("meta"):
        network = ImageBind(config)
    return with_state(network, tensors)


def formula_frames(recorded: Recording) -> Tensor:
    """Return the recorded video's frames (T, 3, H, W), uint8."""
    given = config_of(recorded)
    sizes = (given["video_frames_in"], 3, given["height"], given["width"])
    t, c, y, x = torch.meshgrid(*(torch.arange(size, dtype=torch.float64) for size in sizes), indexing="ij")
    wave = 80 * torch.sin(0.11 * x + 0.05 * y + 0.3 * t + 1.3 * c + given["phi"])
    texture = 40 * torch.cos(0.07 * y - 0.21 * t + 0.5 * c) * torch.sin(0.9 * x * (1 + 0.1 * c) + 0.7 * y)
    frames = (127.5 + wave + texture).clamp(0, 255).floor().to(torch.uint8)
    assert torch.equal(frames[..., :8, :8], recorded.given("frame_corner"))
    return frames


def test_imagebind_clips() -> None:
    rec = recorded("imagebind_tiny")
    config = imagebind_config("imagebind_tiny").audio
    waveform = sounds(rec)["audio"][None]
    spans = clip_samples(waveform.shape[1], config)
    assert spans == [tuple(span) for span in rec.expected("audio_clip_samples").tolist()]
    seconds = clip_spans(waveform.shape[1] / config.sample_rate, config.num_clips, config.clip_seconds)
    made = torch.tensor([[float(time) for time in span] for span in seconds], dtype=torch.float64)
    assert_near("imagebind_tiny: clip seconds", made, rec.expected("audio_clip_seconds"), 1e-9)
    assert_near("imagebind_tiny: audio mel", ClipMels(config)(waveform), rec.expected("audio_mel"), 1e-3)


def test_imagebind_crops() -> None:
    rec = recorded("imagebind_tiny")
    config = imagebind_config("imagebind_tiny").vision
    frames = formula_frames(rec)
    resized = imagebind.resize_bytes(frames, config.size)
    assert list(resized.shape) == rec.expected("resized_shape").tolist()
    made = resized[:, :, ::8, ::8].float()
    assert_near("imagebind_tiny: resized, levels", made, rec.expected("resized_u8_every8").float(), 1)
    crops = imagebind.benchmark_crops(frames, config)
    assert_near("imagebind_tiny: crops", crops[..., ::16, ::16], rec.expected("crops_every16"), 0.02)
    # Compared as means: some of the fifty thousand pixels may be off by a level.
    num_pixels = config.size**2
    means = crops.double().sum(dim=(3, 4)) / num_pixels
    assert_near("imagebind_tiny: crops, mean", means, rec.expected("crops_sum") / num_pixels, 1e-3)
    loader = imagebind.loader_crops(frames[:2], config)[..., ::16, ::16].transpose(1, 2)
    assert_near("imagebind_tiny: loader crops", loader, rec.expected("loader_crops_every16"), 1e-4)


def test_imagebind_embeddings() -> None:
    rec = recorded("imagebind_tiny")
    state = filled("imagebind_tiny")
    check_spots(rec, state)
    encoder = ImageBindEncoder(imagebind_network("imagebind_tiny", state))
    config = encoder.config
    waveform, frames = sounds(rec)["audio"][None], formula_frames(rec)

    def near(name: str, made: Tensor, tolerance: float) -> None:
        assert_near(f"imagebind_tiny: {name}", made, rec.expected(name), tolerance)

    near("audio_clip_embeddings", encoder.network.audio(encoder.clip_mels(waveform)), 1e-4)
    audio, video = encoder.embed_audio(waveform), encoder.embed_video(frames)
    near("audio_embedding", audio, 1e-4)
    tubes = imagebind.neighbour_tubes(imagebind.benchmark_crops(frames, config.vision))
    near("video_clip_embeddings", encoder.network.vision(tubes), 5e-4)
    near("video_embedding", video, 5e-4)
    loader = imagebind.neighbour_tubes(imagebind.loader_crops(frames[:2], config.vision))
    near("loader_video_embedding", encoder.network.vision(loader).mean(dim=0), 1e-4)
    near("image_embedding", encoder.network.vision(imagebind.still_tube(frames[0], config.vision))[0], 5e-4)
    near("ib_score", paired_cosine(video[None], audio[None]), 5e-4)


@pytest.mark.slow
@pytest.mark.timeout(1200)  # 720 million numbers are drawn; a busy machine needs its time.
def test_imagebind_embeddings_at_published_size() -> None:
    rec, tiny = recorded("imagebind_huge"), recorded("imagebind_tiny")
    state = filled("imagebind_huge", prefixes=manifest("imagebind_huge")["used_prefixes"])
    check_spots(rec, state)
    network = imagebind_network("imagebind_huge", state)
    assert network.config == ImageBindConfig()
    made = network.audio(tiny.expected("audio_mel")[:1])[0]
    assert_near("imagebind_huge: audio embedding", made, rec.expected("audio_embedding_clip0"), 1e-4)
    crops = imagebind.benchmark_crops(formula_frames(tiny)[:2], network.config.vision)
    made = network.vision(imagebind.neighbour_tubes(crops)[1:2])[0]
    assert_near("imagebind_huge: video embedding", made, rec.expected("video_embedding_clip0_centre"), 3e-4)


# Names and shapes of the published files


def blank(name: str) -> dict[str, Tensor]:
    """Return a published file's entries without numbers."""
    return {key: torch.empty(shape, device="meta") for key, shape in shapes(name).items()}


def test_published_files_are_taken_whole() -> None:
    tensors, pca = vggish.from_published(blank("vggish"), vggish.VggishConfig(), source="vggish")
    assert {name: tuple(tensor.shape) for name, tensor in tensors.items()} == shapes("vggish") and pca is None
    assert len(passt.from_published(blank("passt_s_p16_s10"), passt_config(), source="passt")) == 157
    for name in CNN14:
        config = cnn14_config(name)
        assert config == cnn14.config_of(blank(name), source=name)
        assert config in (cnn14.cnn14_16k(), cnn14.cnn14_32k())
        entries = {key: torch.zeros(shape) for key, shape in shapes(name).items()} | cnn14.front_end_entries(config)
        tensors = cnn14.from_published(entries, config, source=name)
        assert tensors.keys() == shapes(name).keys() - cnn14.front_end_entries(config).keys()
    given = blank("imagebind_huge")
    taken = imagebind.from_published(given, ImageBindConfig(), source="imagebind")
    used = tuple(manifest("imagebind_huge")["used_prefixes"])
    assert {imagebind.published_name(name) for name in taken} == {name for name in given if name.startswith(used)}


# Scores


def test_scores() -> None:
    rec = recorded("metrics")
    given = config_of(rec)
    for name, kind in (("fd", "features"), ("fd_few", "few")):
        distance = frechet_distance(rec.given(f"{kind}_reference"), rec.given(f"{kind}_generated"))
        expected = rec.expected(name)
        made = torch.tensor([distance], dtype=torch.float64)
        assert_relatively_near(f"metrics: {name}", made, expected, 1e-5)
    logits = rec.given("logits_reference"), rec.given("logits_generated")
    softmax, sigmoid = (kl_divergence(*logits, posterior=kind) for kind in ("softmax", "sigmoid"))
    softened = [kl_divergence(*logits, posterior=kind, epsilon=1e-6) for kind in ("softmax", "sigmoid")]
    options = {"num_splits": given["splits"], "seed": given["rng_seed"]}
    scores = split_scores(rec.given("logits_generated"), **options)
    assert inception_score(rec.given("logits_generated"), **options) == float(scores.mean())
    for name, value in (
        ("kl_softmax", float(softmax.mean())),
        ("kl_sigmoid", float(sigmoid.mean())),
        ("kl_softmax_eps", float(softened[0].mean())),
        ("kl_sigmoid_eps", float(softened[1].mean())),
        ("is_mean", float(scores.mean())),
        ("is_std", float(scores.std(correction=0))),
    ):
        made = torch.tensor([value], dtype=torch.float64)
        assert_near(f"metrics: {name}", made, rec.expected(name), 1e-5)


# The recordings tell right from wrong


def test_usual_mistakes_exceed_the_tolerances() -> None:
    """Each is what other implementations do, or what a slip of the pen makes."""
    rec = recorded("cnn14_32k")
    config = cnn14_config("cnn14_32k")
    wide = cnn14.DecibelMel(replace(config, max_hz=config.sample_rate / 2)).filters
    assert (wide - rec.expected("mel_matrix")).abs().max() > 1e-3
    rec = recorded("passt")
    wrong = passt.PasstMel(replace(passt_config(), max_hz=16_000.0))
    waveform = sounds(rec)["chirp"][None]
    assert (wrong(waveform)[0] - rec.expected("chirp_mel")).abs().max() > 2e-3
    rec = recorded("imagebind_tiny")
    audio = imagebind_config("imagebind_tiny").audio
    whole = sounds(rec)["audio"][None]
    spans = clip_samples(whole.shape[1], audio)
    alone = ClipMels(replace(audio, num_clips=1))
    apart = torch.cat([alone(whole[:, start:end]) for start, end in spans])
    if spans[0][1] > spans[1][0]:  # Only clips that overlap influence each other.
        assert (apart - rec.expected("audio_mel")).abs().max() > 1e-2

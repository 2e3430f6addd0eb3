"""Scores of Action2Sound's evaluation against the public implementation's numbers."""

from __future__ import annotations

import json

import pytest
import torch
from torch import Tensor, nn

from foleykit.audio.kaldi_bank import KaldiBank, KaldiBankConfig
from foleykit.encoders.audio.ast import AstConfig, SpectrogramTransformer
from foleykit.evaluation.metrics.cosine_similarity import cosine_similarity
from foleykit.evaluation.metrics.quietest_window import quietest_window
from foleykit.models.avsync.network import SyncClassifier, SyncTransformer
from foleykit.models.avsync.pipeline import filter_bank, halves, is_synchronised
from parity.fixtures import Recording, assert_near, formula_video, recipe, recording, shapes, weights
from parity.test_avldm_parts import timesformer

CLIPS = ("avsim", "sync_half1", "sync_half2")


def offset(recorded: Recording, name: str) -> int:
    return int(json.loads(recorded.header["fill_bases"])[name])


def classifier(recorded: Recording) -> SyncClassifier:
    network = SyncClassifier().eval()
    network.load_state_dict(weights("avsync_mlp", offset=offset(recorded, "avsync_mlp")))
    return network


def projection(recorded: Recording) -> nn.Sequential:
    network = nn.Sequential(nn.Linear(768, 256))
    network.load_state_dict(weights("vid_proj", offset=offset(recorded, "vid_proj")))
    return network


def waveforms(recorded: Recording) -> dict[str, Tensor]:
    whole = recorded.given("wav")[None]
    return dict(zip(CLIPS, (whole, *halves(whole, dim=1)), strict=True))


def test_filter_banks() -> None:
    recorded = recording("avsync")
    bank = KaldiBank(KaldiBankConfig())
    for name, waveform in waveforms(recorded).items():
        assert_near(f"avsync: {name}.fbank", filter_bank(waveform, bank)[0], recorded.expected(f"{name}.fbank"), 1e-3)


def test_ambient_energy() -> None:
    recorded = recording("avsync")
    expected = {"wav": "ambient", "neighbor_wav": "neighbor_ambient"}
    starts = []
    for given, name in expected.items():
        energy, start = quietest_window(recorded.given(given).numpy(), 16_000)
        assert_near(f"avsync: {name}, relative", energy / recorded.expected(name).double(), torch.ones(1), 1e-4)
        starts.append(start)
    assert starts == recorded.expected("ambient_start").tolist()


@torch.inference_mode()
def test_scores_from_embeddings() -> None:
    recorded = recording("avsync")
    similar = cosine_similarity(recorded.given("sim_a"), recorded.given("sim_b"))
    assert_near("avsync: cosine matrix", similar, recorded.expected("sim"), 1e-4)
    score = cosine_similarity(recorded.expected("avsim.audio_emb"), recorded.expected("avsim.video_emb"))
    assert_near("avsync: AV-Sim", score[0], recorded.expected("avsim"), 1e-4)
    head = classifier(recorded)
    audio, video = recorded.given("mlp").chunk(2, dim=1)
    assert_near("avsync: classifier", head(audio, video)[:, None], recorded.expected("mlp"), 1e-4)
    probabilities = torch.cat(
        [head(recorded.expected(f"{name}.audio_emb"), recorded.expected(f"{name}.video_emb")) for name in CLIPS[1:]]
    )
    assert_near("avsync: probabilities", probabilities, recorded.expected("sync_prob"), 1e-4)
    assert is_synchronised(probabilities[None]).tolist() == recorded.expected("sync_flag").bool().tolist()
    for name in CLIPS:
        made = projection(recorded)(recorded.expected(f"{name}.video_cls"))
        assert_near(f"avsync: {name}.video_emb", made, recorded.expected(f"{name}.video_emb"), 2e-4)


@torch.inference_mode()
def test_transformer_classifier() -> None:
    recorded = recording("avsync")
    head = SyncTransformer().eval()
    head.load_state_dict(weights("avsync_transformer", offset=offset(recorded, "avsync_transformer")))
    made = head(recorded.given("trm_audio"), recorded.given("trm_video"))
    assert_near("avsync: transformer classifier", made[:, None], recorded.expected("trm"), 1e-4)


@pytest.mark.slow
@torch.inference_mode()
def test_audio_embeddings() -> None:
    recorded = recording("avsync")
    state = weights("ast_base_stand_in", offset=offset(recorded, "ast_base_stand_in"))
    recorded.check_spots(state, key="spot_ast")
    network = SpectrogramTransformer(AstConfig()).eval()
    # The trunk's classifiers of ImageNet are in the file and used by nothing.
    network.load_state_dict({name: tensor for name, tensor in state.items() if not name.startswith("v.head")})
    for name in CLIPS:
        made = network(recorded.expected(f"{name}.fbank")[None])
        assert_near(f"avsync: {name}.audio_emb", made, recorded.expected(f"{name}.audio_emb"), 2e-4)


@pytest.mark.slow
@torch.inference_mode()
def test_video_embeddings() -> None:
    recorded = recording("avsync")
    network = timesformer("timesformer_real", offset=offset(recorded, "timesformer_real"))
    whole, long = (formula_video(1, count, 224, recipe()[f"phi{count}"]) for count in (16, 32))
    for name, video in zip(CLIPS, (whole, *halves(long, dim=1)), strict=True):
        made = network.tokens(video)[:, 0]
        assert_near(f"avsync: {name}.video_cls", made, recorded.expected(f"{name}.video_cls"), 2e-4)


def test_names_and_shapes_are_those_of_the_published_audio_encoder() -> None:
    with torch.device("meta"):
        ours = {name: tuple(tensor.shape) for name, tensor in SpectrogramTransformer(AstConfig()).state_dict().items()}
    prefix = "module.audio_model."
    published = {
        name.removeprefix(prefix): shape for name, shape in shapes("av_contrastive").items() if name.startswith(prefix)
    }
    assert ours == {name: shape for name, shape in published.items() if not name.startswith("v.head")}

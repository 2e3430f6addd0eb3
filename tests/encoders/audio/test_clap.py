"""CLAP from a local folder: a small one with random weights, laid out as the hub's are."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from foleykit.core.errors import InputError, ModelError
from foleykit.encoders.audio.clap import ClapEncoder
from foleykit.evaluation.metrics.paired_cosine import paired_cosine

WORDS = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", *"abcdefghijklmnopqrstuvwxyz", "Ġ", "Ġa"]


def clap_folder(folder: Path, *, is_fused: bool) -> Path:
    from transformers import ClapConfig, ClapFeatureExtractor, ClapModel

    small = {"num_hidden_layers": 1, "projection_dim": 16}
    config = ClapConfig(
        text_config={
            **small,
            "vocab_size": len(WORDS),
            "hidden_size": 16,
            "intermediate_size": 16,
            "num_attention_heads": 2,
        },
        audio_config={
            **small,
            "patch_embeds_hidden_size": 8,
            "hidden_size": 64,
            "depths": [1, 1, 1, 1],
            "num_attention_heads": [1, 1, 2, 2],
            "enable_fusion": is_fused,
            "patch_embed_input_channels": 1,
        },
        projection_dim=16,
    )
    ClapModel(config).save_pretrained(folder)
    ClapFeatureExtractor(
        frequency_min=50, truncation="fusion" if is_fused else "rand_trunc", padding="repeatpad"
    ).save_pretrained(folder)
    (folder / "vocab.json").write_text(json.dumps({word: index for index, word in enumerate(WORDS)}))
    (folder / "merges.txt").write_text("#version: 0.2\nĠ a\n")
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "RobertaTokenizer"}))
    return folder


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> ClapEncoder:
    torch.manual_seed(0)
    return ClapEncoder.load(clap_folder(tmp_path_factory.mktemp("clap"), is_fused=False))


def test_sounds_and_texts_meet_as_unit_vectors(encoder: ClapEncoder) -> None:
    audio = encoder.embed_audio([torch.randn(48_000), torch.randn(96_000)])
    text = encoder.embed_text(["a dog", "rain on a roof"])
    assert audio.shape == text.shape == (2, 16)
    torch.testing.assert_close(audio.norm(dim=1), torch.ones(2))
    torch.testing.assert_close(text.norm(dim=1), torch.ones(2))
    assert paired_cosine(audio, text).abs().max() <= 1


def test_what_follows_ten_seconds_is_not_heard(encoder: ClapEncoder) -> None:
    """The extractor alone would take ten seconds from anywhere."""
    waveform = torch.randn(700_000)
    one = encoder.embed_audio([waveform])
    assert torch.equal(encoder.embed_audio([waveform]), one)
    assert torch.equal(encoder.embed_audio([waveform[:480_000]]), one)


def test_texts_in_a_batch_do_not_influence_each_other(encoder: ClapEncoder) -> None:
    together = encoder.embed_text(["a dog", "rain on a roof and on the leaves of a tree"])
    torch.testing.assert_close(together[:1], encoder.embed_text(["a dog"]))


def test_long_texts_are_cut(encoder: ClapEncoder) -> None:
    torch.testing.assert_close(encoder.embed_text(["a" * 500]), encoder.embed_text(["a" * 400]))


def test_a_fused_model_does_not_draw_lots(tmp_path: Path) -> None:
    fused = ClapEncoder.load(clap_folder(tmp_path, is_fused=True))
    sounds = [torch.randn(48_000) for _ in range(3)]
    together = fused.embed_audio(sounds)
    for _ in range(4):
        torch.testing.assert_close(fused.embed_audio(sounds), together)
    torch.testing.assert_close(fused.embed_audio(sounds[1:2]), together[1:2])


def test_other_shapes_are_refused(encoder: ClapEncoder) -> None:
    for waveform in (torch.zeros(2, 48_000), torch.zeros(0)):
        with pytest.raises(InputError, match="CLAP hears"):
            encoder.embed_audio([waveform])


def test_a_folder_that_is_not_whole_is_refused_and_nothing_fetched(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"config.json and preprocessor_config.json missing"):
        ClapEncoder.load(tmp_path / "laion" / "clap-htsat-unfused")
    folder = clap_folder(tmp_path, is_fused=False)
    (folder / "model.safetensors").unlink()
    with pytest.raises(ModelError, match="no whole CLAP folder") as caught:
        ClapEncoder.load(folder)
    assert "\n" not in str(caught.value)

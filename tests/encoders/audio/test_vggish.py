"""VGGish: examples of a second, embeddings, and what a published file must hold."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from foleykit.core.checkpoint import save_weights
from foleykit.core.config import save_config
from foleykit.core.errors import ConfigError, InputError, ModelError
from foleykit.encoders.audio.vggish import (
    Vggish,
    VggishConfig,
    VggishEncoder,
    VggishPca,
    from_published,
    log_mel_examples,
    pca_from_published,
)

CONFIG = VggishConfig()
SMALL = VggishConfig(widths=((2,), (3, 3)), hidden_width=8, embedding_width=4)


@pytest.mark.parametrize(("seconds", "num_examples"), [(0.975, 1), (8, 8), (10, 10)])
def test_an_example_is_a_second_all_but_a_little(seconds: float, num_examples: int) -> None:
    examples = log_mel_examples(torch.randn(round(seconds * 16_000)), CONFIG)
    assert examples.shape == (num_examples, 1, 96, 64) and examples.dtype == torch.float32


def test_too_short_a_sound_is_refused() -> None:
    """The reference implementation returns nothing for 0.96 s, and a distance of nothing."""
    with pytest.raises(InputError, match=r"15600 samples.*\(0.975 s\)"):
        log_mel_examples(torch.zeros(15_360), CONFIG)
    with pytest.raises(InputError, match="one channel"):
        log_mel_examples(torch.zeros(1, 16_000), CONFIG)


def test_silence_is_the_logarithm_of_the_offset() -> None:
    examples = log_mel_examples(torch.zeros(16_000), CONFIG)
    torch.testing.assert_close(examples, torch.full_like(examples, math.log(0.01)))


def test_an_example_does_not_depend_on_what_follows() -> None:
    waveform = torch.randn(32_000)
    whole = log_mel_examples(waveform, CONFIG)
    assert torch.equal(whole[:1], log_mel_examples(waveform[: CONFIG.example_length], CONFIG))


def test_an_encoder_is_the_same_after_saving(tmp_path: Path) -> None:
    network = Vggish(SMALL).eval()
    save_weights(network, tmp_path / "model.safetensors")
    save_config(SMALL, tmp_path / "config.json")
    waveform = torch.randn(40_000)
    embeddings = VggishEncoder.load(tmp_path)(waveform)
    assert embeddings.shape == (2, 4)
    torch.testing.assert_close(embeddings, VggishEncoder(network)(waveform))


def test_whitening_by_the_principal_components_decorrelates() -> None:
    embeddings = torch.randn(500, 4, dtype=torch.float64) @ torch.randn(4, 4, dtype=torch.float64) + 3
    values, vectors = torch.linalg.eigh(torch.cov(embeddings.T))
    pca = VggishPca((vectors / values.sqrt()).T, embeddings.mean(0)[:, None])
    torch.testing.assert_close(torch.cov(pca.whiten(embeddings).T), torch.eye(4, dtype=torch.float64))
    levels = pca(embeddings)
    assert torch.equal(levels, levels.round()) and levels.min() == 0 and levels.max() == 255
    middle = pca(embeddings.mean(0, keepdim=True))
    assert torch.equal(middle, torch.full_like(middle, 128))


def published() -> dict[str, Tensor]:
    return Vggish(SMALL).state_dict()


def test_a_published_file_may_carry_the_postprocessing() -> None:
    eigen, means = torch.randn(4, 4), torch.randn(4)
    tensors, pca = from_published(
        published() | {"pproc.pca_eigen_vectors": eigen, "pproc.pca_means": means[:, None]}, SMALL, source="hub.pth"
    )
    assert tensors.keys() == published().keys() and pca is not None
    assert torch.equal(pca["eigen_vectors"], eigen) and torch.equal(pca["means"], means)
    assert from_published(published(), SMALL, source="v.pth")[1] is None


def test_other_files_are_refused_in_one_line() -> None:
    entries = published()
    entries["extra"] = entries.pop("embeddings.4.bias")
    entries["features.0.weight"] = torch.zeros(2, 2)
    with pytest.raises(
        ModelError, match=r"v.pth does not fit; 1 missing: .*; 1 unexpected: extra; 1 mis-shaped"
    ) as caught:
        from_published(entries, SMALL, source="v.pth")
    assert "\n" not in str(caught.value)
    with pytest.raises(ModelError, match="mis-shaped: pca_means"):
        pca_from_published({"pca_eigen_vectors": torch.eye(4), "pca_means": torch.zeros(5)}, SMALL, source="p.pth")
    with pytest.raises(ModelError, match="not finite"):
        broken = {"pca_eigen_vectors": torch.eye(4) / 0, "pca_means": torch.zeros(4)}
        pca_from_published(broken, SMALL, source="p.pth")


def test_a_config_refuses_what_does_not_divide() -> None:
    with pytest.raises(ConfigError, match="divisible by 16"):
        replace(CONFIG, num_frames=90)
    with pytest.raises(ConfigError, match="vggish"):
        replace(CONFIG, kind="cnn14")

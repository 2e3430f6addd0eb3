"""Published networks in an evaluation: small random ones, laid out as their converters write them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from evaluation.test_media import RATE, hits, write_set
from evaluation.test_real_report import write_video
from foleykit.audio.files import write_waveform
from foleykit.core.checkpoint import save_weights
from foleykit.core.config import save_config
from foleykit.core.errors import ModelError
from foleykit.encoders.audio.cnn14 import Cnn14, Cnn14Config
from foleykit.encoders.audio.imagebind import ImageBindAudioConfig
from foleykit.encoders.audio.passt import Passt, PasstConfig
from foleykit.encoders.audio.vggish import Vggish, VggishConfig
from foleykit.encoders.visual.imagebind import ImageBind, ImageBindConfig, ImageBindVisionConfig
from foleykit.evaluation.media import GENERATED, evaluate_media
from foleykit.evaluation.protocols import MediaProtocol
from foleykit.evaluation.published_networks import open_published


@pytest.fixture(scope="module")
def networks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("networks")
    vggish = VggishConfig(widths=((2,), (3, 3)), hidden_width=8, embedding_width=4)
    cnn14 = Cnn14Config(widths=(2, 4), num_classes=5)
    passt = PasstConfig(width=8, num_blocks=1, num_heads=2, num_classes=5)
    imagebind = ImageBindConfig(
        vision=ImageBindVisionConfig(size=28, width=16, num_blocks=1, num_heads=2, embedding_width=8),
        audio=ImageBindAudioConfig(width=16, num_blocks=1, num_heads=2, embedding_width=8),
    )
    torch.manual_seed(0)
    for config, network in (
        (vggish, Vggish(vggish)),
        (cnn14, Cnn14(cnn14)),
        (passt, Passt(passt)),
        (imagebind, ImageBind(imagebind)),
    ):
        for parameter in network.parameters():
            torch.nn.init.normal_(parameter, std=0.3)
        folder = root / config.kind
        folder.mkdir()
        save_config(config, folder / "config.json")
        save_weights(network, folder / "model.safetensors")
    return root


def test_published_figures_come_out_when_their_folders_are_given(networks: Path, tmp_path: Path) -> None:
    reference = tmp_path / "reference"
    reference.mkdir()
    for index in range(4):
        write_video(reference / f"clip{index}.mkv", hits(index, seconds=6.0)[0])
        write_waveform(tmp_path / f"clip{index}.wav", hits(index, seconds=6.0), RATE)
    protocol = MediaProtocol(num_resamples=10, min_set_clips=3)
    report = evaluate_media(tmp_path, reference, protocol=protocol, networks=open_published(networks, "v2a"))
    own = report.table.row(GENERATED).estimates
    for key in ("fd_vggish", "kl_panns", "kl_passt"):
        assert own[key].value == pytest.approx(0, abs=1e-3), key
    assert -1 <= own["imagebind_score"].value <= 1 and own["imagebind_score"].num_clips == 4
    # Four clips have fewer embeddings than these have values.
    assert report.metrics_left_out["fd_passt"].startswith("needs more than 8 embeddings")
    assert set(report.table.protocol["networks"]) == {"vggish", "panns", "passt", "imagebind"}


def test_protocols_follow_their_own_tools(networks: Path, tmp_path: Path) -> None:
    sound = write_set(tmp_path, num=1) / "clip0.wav"
    ours, theirs = (open_published(networks, name)["passt"] for name in ("v2a", "foleygen"))
    padded, plain = (network.features(sound, seconds=None).embeddings for network in (ours, theirs))  # type: ignore[union-attr]
    assert not np.allclose(padded, plain) and ours.identity != theirs.identity


def test_a_folder_without_networks_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="holds none of the folders vggish, cnn14, passt, imagebind"):
        open_published(tmp_path, "v2a")

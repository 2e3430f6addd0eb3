"""Networks of published systems ask for their library in one line; the shipped models do without."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from foleykit.codecs.encodec import EncodecCodec, EncodecConfig
from foleykit.core.errors import ModelError
from foleykit.data.taggers import AstTagger, AstTaggerConfig
from foleykit.encoders.audio.clap import ClapEncoder
from foleykit.encoders.clip import ClipConfig, ClipImageTower, ClipTextTower
from foleykit.encoders.text.clip_tokens import ClipTokenizer
from foleykit.encoders.visual import clip, videomae, vit
from foleykit.jobs.load import load


@pytest.fixture
def without_transformers(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "transformers"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "transformers", None)


@pytest.mark.parametrize(
    "build",
    [
        pytest.param(lambda folder: EncodecCodec(EncodecConfig(pad_mode="reflect")), id="EnCodec"),
        pytest.param(lambda folder: ClipTokenizer(()), id="CLIP's tokenizer"),
        pytest.param(lambda folder: ClipImageTower(ClipConfig()), id="CLIP's pictures"),
        pytest.param(lambda folder: ClipTextTower(ClipConfig()), id="CLIP's texts"),
        pytest.param(lambda folder: clip.ClipFrames.load(clip.ClipConfig(), folder), id="CLIP"),
        pytest.param(lambda folder: vit.VitFrames.load(vit.VitConfig(), folder), id="ViT"),
        pytest.param(lambda folder: videomae.VideoMaeStretches.load(videomae.VideoMaeConfig(), folder), id="VideoMAE"),
        pytest.param(ClapEncoder.load, id="CLAP"),
        pytest.param(lambda folder: AstTagger(AstTaggerConfig(folder=folder)), id="AST"),
    ],
)
def test_a_published_network_names_the_package_that_it_needs(
    build: Callable[[Path], object], tmp_path: Path, without_transformers: None
) -> None:
    for name in ("config.json", "preprocessor_config.json"):
        (tmp_path / name).write_text("{}")
    with pytest.raises(ModelError, match=r"needs the package transformers: pip install 'foleykit\[published\]'"):
        build(tmp_path)


@pytest.mark.parametrize("model", ["tiny-avldm", "tiny-foleygen", "tiny-textvideo"])
def test_a_shipped_model_loads_without_it(model: str, without_transformers: None) -> None:
    assert load(model).description.name == model

"""Published networks that scores run on become folders, or a line that says why not."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from foleykit.cli.main import main
from foleykit.core.errors import FoleyError, ModelError, UsageError
from foleykit.core.unpickle import read_arrays, read_checkpoint
from foleykit.encoders.audio.cnn14 import Cnn14, Cnn14Encoder, cnn14_16k, cnn14_32k, front_end_entries
from foleykit.encoders.audio.imagebind import ImageBindAudioConfig
from foleykit.encoders.audio.passt import Passt, PasstConfig, PasstEncoder
from foleykit.encoders.audio.vggish import Vggish, VggishConfig, VggishEncoder
from foleykit.encoders.visual.imagebind import (
    ImageBind,
    ImageBindConfig,
    ImageBindEncoder,
    ImageBindVisionConfig,
    published_name,
)
from foleykit.jobs.convert_encoder import EncoderConfig, EncoderRequest, convert_encoder, published_config

VGGISH = VggishConfig(widths=((2,), (3, 3)), hidden_width=8, embedding_width=4)
CNN14 = replace(cnn14_16k(), widths=(2, 4, 4, 8), num_classes=5)
PASST = PasstConfig(width=8, num_blocks=2, num_heads=2, num_classes=5)
IMAGEBIND = ImageBindConfig(
    vision=ImageBindVisionConfig(size=28, width=16, num_blocks=1, num_heads=2, embedding_width=8),
    audio=ImageBindAudioConfig(width=16, num_blocks=1, num_heads=2, embedding_width=8),
)
PCA = {"pca_eigen_vectors": np.eye(4, dtype=np.float32), "pca_means": np.arange(4, dtype=np.float64)}


def entries_for(config: EncoderConfig) -> dict[str, Tensor]:
    """Return a published file's weights at the sizes of `config`."""
    match config:
        case VggishConfig():
            return Vggish(config).state_dict()
        case PasstConfig():
            unused = {"head_dist.weight": torch.zeros(5, 8), "head_dist.bias": torch.zeros(5)}
            return Passt(config).state_dict() | unused
        case ImageBindConfig():
            text = {"modality_heads.text.proj.0.bias": torch.zeros(8)}
            return {published_name(name): tensor for name, tensor in ImageBind(config).state_dict().items()} | text
        case _:
            return Cnn14(config).state_dict() | front_end_entries(config)


def save_legacy(content: Mapping[str, object], path: Path) -> Path:
    """Write a file in the format of torch before version 1.6, which the older of these networks were published in."""
    torch.save(content, path, _use_new_zipfile_serialization=False)
    return path


def save_training(content: Mapping[str, Tensor], path: Path) -> Path:
    """Write Cnn14's file: the weights beside the state of what drew the training clips, arrays of numpy."""
    sampler = {"indexes": np.arange(6), "pointer": np.int64(3), "rest": [np.zeros(2)]}
    return save_legacy({"iteration": 600_000, "model": content, "sampler": sampler}, path)


@pytest.mark.parametrize("save", [save_legacy, save_training, torch.save])
@pytest.mark.parametrize("config", [VGGISH, CNN14, PASST, IMAGEBIND], ids=lambda config: config.kind)
def test_a_converted_folder_holds_the_published_numbers(
    config: EncoderConfig, save: Callable[[dict[str, Tensor], Path], object], tmp_path: Path
) -> None:
    entries = entries_for(config)
    save(entries, tmp_path / "file.pth")
    result = convert_encoder(EncoderRequest(config=config, source=tmp_path / "file.pth", output=tmp_path / "out"))
    assert result.encoder == config.kind and result.num_bytes > 0
    left_out = {"vggish": 0, "cnn14": 3, "passt": 2, "imagebind": 1}[config.kind]
    assert result.num_tensors == len(entries) - left_out
    assert any(f"{left_out} other entries left out" in note for note in result.notes) == bool(left_out)
    folder = tmp_path / "out"
    licence = "CC BY-NC 4.0" if config.kind == "imagebind" else "that of the published file"
    assert f"license: {licence}" in (folder / "MODEL_CARD.md").read_text()
    match config:
        case VggishConfig():
            embedding = VggishEncoder.load(folder)(torch.randn(16_000))
        case PasstConfig():
            embedding = PasstEncoder.load(folder)(torch.randn(1, 16_000)).embedding
        case ImageBindConfig():
            encoder = ImageBindEncoder.load(folder)
            embedding = encoder.embed_audio(torch.randn(1, 16_000))
            assert torch.equal(encoder.network.vision.head.weight, entries["modality_heads.vision.2.weight"])
        case _:
            embedding = Cnn14Encoder.load(folder)(torch.randn(1, 16_000)).embedding
    assert embedding.isfinite().all()


def test_the_second_file_of_vggish(tmp_path: Path) -> None:
    torch.save(entries_for(VGGISH), tmp_path / "v.pth")
    for save in (torch.save, save_legacy):
        save(PCA, tmp_path / "p.pth")
        made = EncoderRequest(
            config=VGGISH, source=tmp_path / "v.pth", output=tmp_path / "out", pca=tmp_path / "p.pth", overwrite=True
        )
        assert convert_encoder(made).num_tensors == len(entries_for(VGGISH)) + 2
        pca = VggishEncoder.load(tmp_path / "out").pca
        assert pca is not None
        torch.testing.assert_close(pca.whiten(torch.zeros(1, 4)), -torch.arange(4.0)[None])
    with pytest.raises(UsageError, match="passt has no second file"):
        EncoderRequest(config=PASST, source=tmp_path, output=tmp_path, pca=tmp_path)


def refuses(request: EncoderRequest, message: str, error: type[FoleyError] = ModelError) -> None:
    """Assert that `request` ends with one line and leaves nothing behind."""
    before = sorted(request.output.parent.iterdir())
    with pytest.raises(error, match=message) as caught:
        convert_encoder(request)
    assert "\n" not in str(caught.value)
    assert sorted(request.output.parent.iterdir()) == before


@pytest.mark.parametrize("config", [VGGISH, CNN14, PASST, IMAGEBIND], ids=lambda config: config.kind)
def test_other_names_and_shapes_are_refused(config: EncoderConfig, tmp_path: Path) -> None:
    entries = entries_for(config)
    name = next(name for name, tensor in entries.items() if tensor.is_floating_point() and tensor.ndim == 1)
    source, output = tmp_path / "file.pth", tmp_path / "out"
    for changed, message in (
        ({key: tensor for key, tensor in entries.items() if key != name}, f"1 missing: {name}$"),
        (entries | {"more.weight": torch.zeros(1)}, "1 unexpected: more.weight$"),
        (entries | {name: torch.zeros(1, 1)}, rf"1 mis-shaped: {name} \(1, 1\) instead of"),
        (entries | {name: entries[name].long()}, rf"1 not floating: {name} \(torch.int64\)"),
    ):
        torch.save(changed, source)
        refuses(EncoderRequest(config=config, source=source, output=output), f"file.pth does not fit; {message}")


class Bomb:
    """An object whose loading would run a command."""

    def __init__(self, witness: Path) -> None:
        self.witness = witness

    def __reduce__(self) -> tuple:
        return os.system, (f"touch {self.witness}",)


@pytest.mark.parametrize("save", [save_legacy, torch.save])
def test_code_in_a_file_is_refused_and_not_run(save: Callable[..., object], tmp_path: Path) -> None:
    witness, source = tmp_path / "witness", tmp_path / "bad.pth"
    request = EncoderRequest(config=VGGISH, source=source, output=tmp_path / "out")
    for content in (
        {"model": entries_for(VGGISH), "sampler": {"indexes": np.arange(3), "x": Bomb(witness)}},
        {"model": entries_for(VGGISH) | {"x": Bomb(witness)}},
    ):
        save(content, source)
        refuses(request, "bad.pth holds .*(posix|system).*nothing in it was executed")
    torch.save(entries_for(VGGISH), tmp_path / "good.pth")
    save({**PCA, "x": np.array([Bomb(witness)], dtype=object)}, source)
    refuses(replace(request, source=tmp_path / "good.pth", pca=source), "bad.pth holds .*nothing in it was executed")
    assert not witness.exists()


def test_arrays_of_anything_but_numbers_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "p.pth"
    for content, message in (
        ({"a": np.array(["text"])}, "p.pth holds more than"),
        ({"a": "text"}, "'a' is a str"),
        ([np.zeros(3)], "holds list"),
    ):
        torch.save(content, path)
        with pytest.raises(ModelError, match=message):
            read_arrays(path)
    torch.save({"a": np.arange(3, dtype=">f4"), "b": torch.ones(2)}, path)
    assert read_arrays(path)["a"].tolist() == [0, 1, 2]
    with pytest.raises(ModelError, match="no checkpoint"):
        read_arrays(tmp_path / "none.pth")


def test_an_old_file_is_read_without_what_lies_beside_its_weights(tmp_path: Path) -> None:
    path = save_training({"a": torch.ones(3)}, tmp_path / "c.pth")
    entries = read_checkpoint(path)
    assert entries["iteration"] == 600_000 and isinstance(entries["sampler"], dict)
    assert type(entries["sampler"]["indexes"]).__name__ == "Inert"


def test_existing_folders_are_kept(tmp_path: Path) -> None:
    torch.save(entries_for(VGGISH), tmp_path / "v.pth")
    request = EncoderRequest(config=VGGISH, source=tmp_path / "v.pth", output=tmp_path / "out")
    convert_encoder(request)
    refuses(request, "--overwrite", UsageError)
    convert_encoder(replace(request, overwrite=True))
    refuses(replace(request, source=tmp_path / "none.pth", overwrite=True), "no checkpoint")
    assert VggishEncoder.load(tmp_path / "out").pca is None


def test_published_sizes_are_told_by_name_or_by_the_file(tmp_path: Path) -> None:
    assert published_config("vggish", tmp_path) == VggishConfig()
    assert published_config("passt", tmp_path) == PasstConfig()
    assert published_config("imagebind", tmp_path) == ImageBindConfig()
    for config in (cnn14_16k(), cnn14_32k()):
        save_training(front_end_entries(config), tmp_path / "c.pth")
        assert published_config("cnn14", tmp_path / "c.pth") == config


@pytest.mark.parametrize("encoder", ["vggish", "cnn14", "passt", "imagebind"])
def test_the_command_speaks_in_one_line(encoder: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save({"x": torch.zeros(1)}, tmp_path / "file.pth")
    with pytest.raises(SystemExit) as end:
        main(["models", "convert", encoder, str(tmp_path / "file.pth"), str(tmp_path / "out")])
    said = capsys.readouterr().err
    assert end.value.code == 4 and said.count("\n") == 1 and "file.pth" in said
    assert [path.name for path in tmp_path.iterdir()] == ["file.pth"]


@pytest.mark.slow
def test_the_command_converts_the_published_sizes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Zeros that share one number in memory make a small file of the full layout."""
    with torch.device("meta"):
        state = Vggish(VggishConfig()).state_dict()
    blank = {name: torch.zeros(1).expand(tensor.shape) for name, tensor in state.items()}
    torch.save(blank, tmp_path / "vggish.pth")
    width = VggishConfig().embedding_width
    torch.save({"pca_eigen_vectors": np.eye(width), "pca_means": np.zeros(width)}, tmp_path / "pca.pth")
    out = tmp_path / "out"
    with pytest.raises(SystemExit) as end:
        files = [str(tmp_path / "vggish.pth"), str(out), "--pca", str(tmp_path / "pca.pth")]
        main(["models", "convert", "vggish", *files, "--json"])
    assert not end.value.code
    assert json.loads(capsys.readouterr().out)["num_tensors"] == 20
    assert VggishEncoder.load(out)(torch.randn(16_000)).shape == (1, width)

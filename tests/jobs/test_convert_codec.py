"""`foley models convert audiogen-codec`: the same codec afterwards, its licence shown, or one line and nothing."""

import json
from pathlib import Path

import pytest
import torch

from fixtures.audiocraft import SETTINGS, SMALL, codec_of, write_codec_file
from foleykit.cli.main import main
from foleykit.codecs.encodec import EncodecCodec, EncodecConfig
from foleykit.core.checkpoint import with_weights
from foleykit.core.config import load_config
from foleykit.core.errors import ModelError, UsageError
from foleykit.jobs.convert_codec import CodecRequest, convert_codec


@torch.inference_mode()
def test_a_converted_codec_gives_the_same_codes_and_sound(tmp_path: Path) -> None:
    codec = codec_of()
    source = write_codec_file(tmp_path / "compression_state_dict.bin", codec=codec)
    result = convert_codec(CodecRequest(source=source, output=tmp_path / "codec"))
    config = load_config(EncodecConfig, tmp_path / "codec" / "config.json")
    assert config == SMALL and result.num_tensors == len(codec.state_dict())
    converted = with_weights(EncodecCodec(config), tmp_path / "codec" / "model.safetensors").eval()
    waveform = 0.3 * torch.randn(1, 1, 1000)
    codes = codec.encode(waveform)
    assert torch.equal(converted.encode(waveform), codes) and torch.equal(converted.decode(codes), codec.decode(codes))
    assert "license: CC BY-NC 4.0" in (tmp_path / "codec" / "MODEL_CARD.md").read_text()


def test_the_command_shows_the_licence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = write_codec_file(tmp_path / "file.bin")
    with pytest.raises(SystemExit) as end:
        main(["models", "convert", "audiogen-codec", str(source), str(tmp_path / "codec")])
    assert not end.value.code and "CC BY-NC 4.0: not for commercial use" in capsys.readouterr().out
    with pytest.raises(SystemExit) as end:
        main(["models", "convert", "audiogen-codec", str(source), str(tmp_path / "again"), "--json"])
    assert not end.value.code and json.loads(capsys.readouterr().out)["licence"] == "CC BY-NC 4.0"


def test_files_that_cannot_be_converted_leave_nothing_behind(tmp_path: Path) -> None:
    def refused(entries: object, message: str) -> None:
        source = tmp_path / "file.bin"
        torch.save(entries, source)
        with pytest.raises(ModelError, match=message):
            convert_codec(CodecRequest(source=source, output=tmp_path / "codec"))
        assert not (tmp_path / "codec").exists()

    whole = torch.load(write_codec_file(tmp_path / "whole.bin"), weights_only=True)
    refused({"pretrained": "facebook/encodec_32khz", "xp.cfg": SETTINGS}, 'another model, "facebook/encodec_32khz"')
    refused({"best_state": whole["best_state"]}, "no settings under xp.cfg")
    refused({**whole, "xp.cfg": SETTINGS.replace("bins: 16", "bins: 32")}, "mis-shaped")
    absent = dict(whole["best_state"])
    del absent["encoder.model.0.conv.conv.bias"]
    refused({**whole, "best_state": absent}, r"missing: encoder.layers.0.conv.bias")
    with pytest.raises(ModelError, match="there is no checkpoint"):
        convert_codec(CodecRequest(source=tmp_path / "none.bin", output=tmp_path / "codec"))


def test_an_existing_folder_is_kept_unless_told_otherwise(tmp_path: Path) -> None:
    request = CodecRequest(source=write_codec_file(tmp_path / "file.bin"), output=tmp_path / "codec")
    convert_codec(request)
    with pytest.raises(UsageError, match="--overwrite"):
        convert_codec(request)
    convert_codec(CodecRequest(source=request.source, output=request.output, overwrite=True))

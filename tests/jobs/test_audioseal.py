"""AudioSeal as the mark: its files become a folder, and the folder marks and detects as the package itself does.

The published weights are not here: networks of the published size have random ones, which mark and detect something.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from fixtures.foley import RATE, hits
from foleykit.audio.resample import resample
from foleykit.core.checkpoint import save_tensors
from foleykit.core.errors import InputError, ModelError, UsageError
from foleykit.jobs.convert_audioseal import AudioSealRequest, convert_audioseal
from foleykit.jobs.detect import DetectRequest, detect_file
from foleykit.jobs.generate import GenerateRequest, generate
from foleykit.jobs.load import load
from foleykit.jobs.mark import watermarker_of
from foleykit.jobs.sidecar import read_sidecar
from foleykit.watermark.audioseal import PARTS, AudioSealWatermarker, build

pytest.importorskip(
    "audioseal", reason="AudioSeal's mark needs the package audioseal: pip install 'foleykit[audioseal]'"
)
pytestmark = [  # Both are the package's.
    pytest.mark.filterwarnings("ignore:.*weight_norm.*:FutureWarning"),
    pytest.mark.filterwarnings("ignore:.*script_method.*:DeprecationWarning"),
]
MESSAGE = 0xA50F
BITS = torch.tensor([[1, 0, 1, 0, 0, 1, 0, 1, 0, 0, 0, 0, 1, 1, 1, 1]])


def published(network: nn.Module) -> dict[str, Tensor]:
    """Return the weights as the published files name them: convolutions normalised, one level of names less."""
    found: dict[str, Tensor] = {}
    for name, tensor in network.state_dict().items():
        old = name.replace(".inner_conv.", ".")
        if old != name and old.endswith(".weight"):
            norm = tensor.flatten(1).norm(dim=1).reshape(-1, *[1] * (tensor.ndim - 1))
            found |= {f"{old}_g": norm, f"{old}_v": 3 * tensor}
        else:
            found[old] = tensor
    return found


@pytest.fixture(scope="module")
def networks() -> dict[str, nn.Module]:
    with torch.random.fork_rng():
        torch.manual_seed(4)
        return {part: build(part).eval() for part in PARTS}


@pytest.fixture(scope="module")
def files(networks: dict[str, nn.Module], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("audioseal")
    paths = {part: folder / f"{part}_base.pth" for part in PARTS}
    for part, path in paths.items():
        torch.save({"xp.cfg": {"dummy": 1}, "model": published(networks[part])}, path)
    return paths


@pytest.fixture(scope="module")
def folder(files: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("converted") / "audioseal"
    convert_audioseal(AudioSealRequest(generator=files["generator"], detector=files["detector"], output=output))
    return output


@pytest.fixture(scope="module")
def audioseal(folder: Path) -> AudioSealWatermarker:
    return AudioSealWatermarker.load(folder)


def with_detector(audioseal: AudioSealWatermarker, marked: float) -> AudioSealWatermarker:
    """Return it with a detector that looks at nothing: it always says `marked` and the bits of `MESSAGE`."""
    detector = build("detector").eval()
    last = detector.detector[-1]  # type: ignore[operator, index]
    with torch.no_grad():
        last.weight.zero_()
        last.bias.copy_(torch.cat((torch.tensor([0.0, marked]), 2.0 * BITS[0] - 1)))
    return AudioSealWatermarker(generator=audioseal.generator, detector=detector, name="test")


@torch.no_grad()
def test_a_converted_folder_marks_as_the_package_does(
    audioseal: AudioSealWatermarker, networks: dict[str, nn.Module]
) -> None:
    sound = np.concatenate((hits(), 0.5 * hits(1)))
    expected = torch.from_numpy(sound)[:, None]
    expected = expected + networks["generator"].get_watermark(expected, message=BITS.expand(2, -1))  # type: ignore[operator]
    marked = audioseal.embed(sound, RATE, MESSAGE, parts=(0.25 * sound,))
    silent = sound == 0
    np.testing.assert_allclose(marked.waveform[~silent], expected[:, 0].numpy()[~silent], atol=1e-5)
    assert (marked.waveform[silent] == 0).all()
    mark = marked.waveform - sound
    assert marked.snr_db == pytest.approx(10 * np.log10((sound**2).sum() / (mark**2).sum()), abs=0.01)
    # Another message is another mark, a part has a mark of its own, the same message the same one.
    assert np.abs(audioseal.embed(sound, RATE, MESSAGE ^ 1).waveform - marked.waveform).max() > 1e-6
    np.testing.assert_array_equal(marked.parts[0], audioseal.embed(0.25 * sound, RATE, MESSAGE).waveform)


@torch.no_grad()
def test_the_share_of_marked_samples_is_the_package_s(
    audioseal: AudioSealWatermarker, networks: dict[str, nn.Module]
) -> None:
    second = hits()[:, RATE : 2 * RATE]
    expected, _ = networks["detector"].detect_watermark(torch.from_numpy(second)[None])  # type: ignore[operator]
    assert audioseal.detect_parts([second], RATE).score == pytest.approx(expected.item(), abs=1e-4)


def test_long_sounds_are_marked_in_blocks_that_fade(audioseal: AudioSealWatermarker) -> None:
    sound = np.tile(hits(), 4)[:, : 22 * RATE] + np.float32(1e-3)
    whole = audioseal.embed(sound, RATE, MESSAGE).waveform - sound
    head = audioseal.embed(sound[:, : round(20.5 * RATE)], RATE, MESSAGE).waveform - sound[:, : round(20.5 * RATE)]
    np.testing.assert_allclose(whole[:, : 20 * RATE], head[:, : 20 * RATE], atol=1e-6)
    assert np.abs(np.diff(whole)).max() < 2 * np.abs(np.diff(head[:, : 20 * RATE])).max()


@torch.no_grad()
def test_other_rates_get_the_mark_resampled(audioseal: AudioSealWatermarker, networks: dict[str, nn.Module]) -> None:
    high = resample(hits()[:, : 2 * RATE], RATE, 48_000)
    low = torch.from_numpy(resample(high, 48_000, RATE))[None]
    mark = networks["generator"].get_watermark(low, message=BITS)[0].numpy()  # type: ignore[operator]
    marked = audioseal.embed(high, 48_000, MESSAGE).waveform
    np.testing.assert_allclose(marked, high + resample(mark, RATE, 48_000), atol=1e-5)


def test_what_is_taken_for_marked_is_said_with_its_place_and_message(audioseal: AudioSealWatermarker) -> None:
    sound = hits()
    found = with_detector(audioseal, marked=5.0).detect_parts([sound], RATE)
    assert (found.verdict, found.message, found.p_value) == ("found", MESSAGE, None)
    assert found.spans == ((0.0, pytest.approx(sound.shape[1] / RATE, abs=0.11)),)
    absent = with_detector(audioseal, marked=-5.0)
    nothing = absent.detect_parts([sound], RATE)
    assert (nothing.verdict, nothing.message, nothing.spans) == ("not found", None, ())
    assert absent.detect_parts([sound[:, :RATE]], RATE).verdict == "too little"


def test_parts_of_a_long_sound_are_not_counted_twice(audioseal: AudioSealWatermarker) -> None:
    minutes = np.full((1, 70 * RATE), 0.01, np.float32)
    found = with_detector(audioseal, marked=5.0).detect_parts([minutes[:, : 60 * RATE], minutes[:, 48 * RATE :]], RATE)
    assert found.spans == ((0.0, 70.0),) and found.audible_seconds == pytest.approx(70)


def test_one_road_marks_replays_and_detects(
    folder: Path, make_video: Callable[..., Path], debug_model: Path, tmp_path: Path
) -> None:
    clip = make_video("sealed.mp4", seconds=3.0, size=(32, 32), tone_hz=440.0)
    sealed, pipeline = watermarker_of(None, folder), load(debug_model)
    request = GenerateRequest(video=clip, output=tmp_path / "a.wav", model=str(debug_model), watermarker=sealed)
    take = generate(request, pipeline=pipeline).takes[0]
    watermark = read_sidecar(take.sidecar).watermark
    assert watermark is not None and watermark.key == sealed.name and sealed.name.startswith("audioseal ")
    replayed = GenerateRequest(replay=take.sidecar, output=tmp_path / "b.wav", watermarker=sealed)
    generate(replayed, pipeline=pipeline)
    assert (tmp_path / "a.wav").read_bytes()[-20_000:] == (tmp_path / "b.wav").read_bytes()[-20_000:]
    with pytest.raises(UsageError, match="another watermark"):
        generate(GenerateRequest(replay=take.sidecar, output=tmp_path / "c.wav"), pipeline=pipeline)
    result = detect_file(DetectRequest(file=tmp_path / "a.wav", watermarker=sealed))
    assert result.to_dict()["watermark"]["p_value"] is None and "chance" not in result.summary()


def test_bad_files_and_folders_get_one_line(files: dict[str, Path], folder: Path, tmp_path: Path) -> None:
    def refuses(generator: Path, detector: Path, what: str) -> None:
        request = AudioSealRequest(generator=generator, detector=detector, output=tmp_path / "out")
        with pytest.raises(ModelError, match=what):
            convert_audioseal(request)
        assert not request.output.exists()

    refuses(files["detector"], files["detector"], "does not hold such a network")
    lacking = torch.load(files["generator"], weights_only=True)
    del lacking["model"]["msg_processor.msg_processor.weight"]
    torch.save(lacking, tmp_path / "lacking.pth")
    refuses(tmp_path / "lacking.pth", files["detector"], "lacks 1 tensors of AudioSeal's network, first msg_processor")
    refuses(tmp_path / "absent.pth", files["detector"], "no checkpoint")
    with pytest.raises(UsageError, match=r"no generator\.safetensors and no detector\.safetensors"):
        watermarker_of(None, tmp_path)
    with pytest.raises(UsageError, match="not both"):
        watermarker_of(folder, folder)
    with pytest.raises(UsageError, match="changes of speed"):
        watermarker_of(None, folder, speed_range=0.1)
    (tmp_path / "other").mkdir()
    for part in PARTS:
        save_tensors({"weight": torch.zeros(2)}, tmp_path / "other" / f"{part}.safetensors")
    with pytest.raises(ModelError):
        AudioSealWatermarker.load(tmp_path / "other")


def test_sounds_that_cannot_be_marked_are_refused(audioseal: AudioSealWatermarker) -> None:
    for waveform, rate, message in (
        (hits(), 4000, 1),
        (hits()[:, :0], RATE, 1),
        (hits()[0], RATE, 1),
        (hits(), RATE, 1 << 16),
    ):
        with pytest.raises(InputError):
            audioseal.embed(waveform, rate, message)
    with pytest.raises(InputError):
        audioseal.detect_parts([hits()], 4000)


def test_without_the_package_one_line_says_what_to_install(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "audioseal", None)
    with pytest.raises(UsageError, match=r"pip install 'foleykit\[audioseal\]'"):
        AudioSealWatermarker.load(folder)
    assert os.environ["NO_TORCH_COMPILE"] == "1"

"""MMAudio's files become a model folder that makes sound, or a line that says why not."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import foleykit
from fixtures.mmaudio import codec_entries, network_entries, vocoder_entries, write_published
from foleykit.codecs.magnitude_vae import vae_44k
from foleykit.core.errors import ModelError, UsageError
from foleykit.jobs.convert_mmaudio import MMAudioRequest, convert_mmaudio
from foleykit.jobs.models import describe_model
from foleykit.models.textvideo.presets import debug
from foleykit.video.probe import probe

CONFIG = debug()
SIZES = {"debug": CONFIG}


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with every published file, laid out for the debug sizes."""
    return write_published(CONFIG, tmp_path_factory.mktemp("mmaudio"))


@pytest.fixture(scope="module")
def model(published: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "model"
    convert_mmaudio(MMAudioRequest(files=(published,), output=folder, sizes=SIZES))
    return folder


def refused(files: tuple[Path, ...], output: Path, **changes: object) -> str:
    """Return the one line with which the files are refused."""
    with pytest.raises(ModelError) as error:
        convert_mmaudio(MMAudioRequest(files=files, output=output, sizes=SIZES, **changes))  # type: ignore[arg-type]
    assert "\n" not in str(error.value)
    assert not output.exists() and not list(output.parent.glob(".*.part"))
    return str(error.value)


def copy_of(published: Path, target: Path) -> Path:
    shutil.copytree(published, target)
    return target


def test_a_converted_model_is_described_and_makes_sound(model: Path, make_video: Callable[..., Path]) -> None:
    description = describe_model(model)
    assert (description.family, description.kind, description.sample_rate) == ("textvideo", "textvideo", 16_000)
    assert "CC-BY-NC-4.0" in description.licence
    video = make_video(seconds=1.3, tone_hz=300.0)
    pipeline = foleykit.load(model)
    track = pipeline(video, prompt="ab cd", negative_prompt="ef", seed=3)
    assert track.waveform.shape == (1, round(probe(video).duration * 48_000))
    assert np.isfinite(track.waveform).all() and track.waveform.std() > 0
    assert track.ambience == "none"
    again = pipeline(video, prompt="ab cd", negative_prompt="ef", seed=3)
    assert np.array_equal(track.waveform, again.waveform)
    for changed in ({"prompt": "gh"}, {"negative_prompt": "gh"}, {"seed": 4}):
        other = pipeline(video, **{"prompt": "ab cd", "negative_prompt": "ef", "seed": 3, **changed})
        assert not np.array_equal(track.waveform, other.waveform), changed


def test_quiet_is_a_negative_prompt_and_says_so(model: Path, make_video: Callable[..., Path]) -> None:
    video = make_video(seconds=1.0)
    pipeline = foleykit.load(model)
    with pytest.warns(UserWarning, match="quiet is asked for as negative prompt"):
        quiet = pipeline(video, ambient="quiet")
    assert not np.array_equal(quiet.waveform, pipeline(video).waveform)
    with pytest.warns(UserWarning, match="no effect at a guidance scale"):
        pipeline(video, negative_prompt="ab", guidance_scale=1.0)


@pytest.mark.parametrize(
    "wish", [{"ambient": "original"}, {"ambient_level": -40.0}, {"stems": True}, {"prompt": 1001 * "x"}]
)
def test_wishes_that_cannot_be_met_are_refused(model: Path, make_video: Callable[..., Path], wish: dict) -> None:
    with pytest.raises(UsageError):
        foleykit.load(model)(make_video(seconds=1.0, tone_hz=300.0), **wish)


def test_the_converted_tensors_are_the_published_ones(published: Path, model: Path) -> None:
    pipeline = foleykit.load(model).model
    source = network_entries(CONFIG)
    weight = source["joint_blocks.0.latent_block.attn.qkv.weight"]
    value = pipeline.network.joint_blocks[0].streams[0].project_in.weight[2 * CONFIG.network.width :]
    assert torch.equal(value, weight[2::3])
    raw = codec_entries(CONFIG)["decoder.conv_in.weight"]
    made = pipeline.codec.decoder.conv_in.weight
    torch.testing.assert_close(made.flatten(1).norm(dim=1), torch.ones(len(made)), atol=1e-2, rtol=0)
    torch.testing.assert_close(made / made.norm(), raw / raw.flatten(1).norm(dim=1).view(-1, 1, 1) / len(raw) ** 0.5)


def test_a_missing_part_is_named(published: Path, tmp_path: Path) -> None:
    for name, part in (
        ("mmaudio_debug.pth", "network"),
        ("v1-16.pth", "codec"),
        ("best_netG.pt", "vocoder"),
        ("synchformer_state_dict.pth", "sync"),
        ("open_clip_pytorch_model.bin", "clip"),
        ("merges.txt", "vocabulary"),
    ):
        folder = copy_of(published, tmp_path / part)
        (folder / name).unlink()
        assert f"the {part} is missing" in refused((folder,), tmp_path / "model")


def test_mixed_rates_are_refused_and_surplus_files_left_out(published: Path, tmp_path: Path) -> None:
    other = replace(vae_44k(), width=8, num_blocks=1)
    wrong = replace(
        CONFIG,
        codec=replace(other, latent_width=CONFIG.codec.latent_width),
        vocoder=replace(CONFIG.vocoder, num_mels=128, upsample_rates=(8, 4, 2, 2, 2, 2)),
    )
    folder = copy_of(published, tmp_path / "mixed")
    torch.save(codec_entries(wrong), folder / "v1-44.pth")
    result = convert_mmaudio(MMAudioRequest(files=(folder,), output=tmp_path / "both", sizes=SIZES))
    assert any("v1-44.pth: left out" in note for note in result.notes)
    (folder / "v1-16.pth").unlink()
    said = refused((folder,), tmp_path / "model")
    assert "v1-44.pth is the codec of 128 mel bins" in said and "16000 Hz" in said
    folder = copy_of(published, tmp_path / "vocoder")
    torch.save({"generator": vocoder_entries(wrong)}, folder / "best_netG.pt")
    assert "best_netG.pt is the vocoder of 128 mel bins" in refused((folder,), tmp_path / "model")


def test_another_size_two_networks_and_strangers_are_refused(published: Path, tmp_path: Path) -> None:
    wider = replace(CONFIG, network=replace(CONFIG.network, width=64))
    folder = copy_of(published, tmp_path / "wider")
    torch.save(network_entries(wider), folder / "mmaudio_debug.pth")
    assert "of no known size: width 64" in refused((folder,), tmp_path / "model")
    folder = copy_of(published, tmp_path / "two")
    torch.save(network_entries(CONFIG, seed=9), folder / "mmaudio_other.pth")
    assert "hold a network each" in refused((folder,), tmp_path / "model")
    folder = copy_of(published, tmp_path / "stranger")
    torch.save({"x": torch.zeros(1)}, folder / "stranger.pth")
    assert "stranger.pth is no part of MMAudio" in refused((folder,), tmp_path / "model")


def test_tampered_files_are_refused_by_name(published: Path, tmp_path: Path) -> None:
    for name, file, spoil in (
        ("missing", "mmaudio_debug.pth", lambda entries: entries.pop("clip_cond_proj.bias")),
        ("unexpected", "v1-16.pth", lambda entries: entries.update(extra=torch.zeros(1))),
        ("missing", "v1-16.pth", lambda entries: entries.pop("decoder.conv_out.weight")),
        ("missing", "best_netG.pt", lambda entries: entries["generator"].pop("conv_pre.weight_v")),
        ("mis-shaped", "synchformer_state_dict.pth", lambda e: e.update({"vfeat_extractor.norm.bias": torch.zeros(3)})),
    ):
        folder = copy_of(published, tmp_path / f"{name} {file}")
        entries = torch.load(folder / file)
        spoil(entries)
        torch.save(entries, folder / file)
        said = refused((folder,), tmp_path / "model")
        assert file in said and name in said
    folder = copy_of(published, tmp_path / "filter")
    entries = torch.load(folder / "best_netG.pt")
    entries["generator"]["activation_post.upsample.filter"] += 0.1
    torch.save(entries, folder / "best_netG.pt")
    assert "another low-pass filter" in refused((folder,), tmp_path / "model")
    folder = copy_of(published, tmp_path / "cut")
    whole = (folder / "v1-16.pth").read_bytes()
    (folder / "v1-16.pth").write_bytes(whole[: len(whole) // 2])
    assert "v1-16.pth is not a whole torch checkpoint" in refused((folder,), tmp_path / "model")


def test_code_in_a_file_is_not_executed(published: Path, tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple:
            return (Path.touch, (tmp_path / "executed",))

    folder = copy_of(published, tmp_path / "evil")
    torch.save({**network_entries(CONFIG), "evil": Evil()}, folder / "mmaudio_debug.pth")
    assert "mmaudio_debug.pth" in refused((folder,), tmp_path / "model")
    assert not (tmp_path / "executed").exists()


def test_known_names_with_other_contents_are_noted(published: Path, tmp_path: Path) -> None:
    result = convert_mmaudio(MMAudioRequest(files=(published,), output=tmp_path / "model", sizes=SIZES))
    assert "v1-16.pth: not the file published so" in result.notes
    assert result.size == "debug" and set(result.num_tensors) == {
        "network",
        "codec",
        "vocoder",
        "sync",
        "image",
        "text",
    }


def test_generate_with_prompts_writes_them_to_the_sidecar(
    model: Path, make_video: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from foleykit.cli.main import main

    video = make_video(seconds=1.0)
    output = tmp_path / "out.mp4"
    words = [
        "generate",
        str(video),
        "--model",
        str(model),
        "--prompt",
        "ab",
        "--negative-prompt",
        "cd",
        "-o",
        str(output),
    ]
    with pytest.raises(SystemExit) as end:
        main([*words, "--num-takes", "2", "-q"])
    assert not end.value.code, capsys.readouterr().err
    sidecar = json.loads((tmp_path / "out.take2.json").read_text())
    assert (sidecar["settings"]["prompt"], sidecar["settings"]["negative_prompt"]) == ("ab", "cd")
    assert sidecar["ambience"]["name"] == "none" and "CC-BY-NC" in sidecar["model"]["licence"]
    with pytest.raises(SystemExit) as end:
        main(["generate", "--replay", str(tmp_path / "out.take2.json"), "-o", str(tmp_path / "again.mp4"), "-q"])
    assert not end.value.code, capsys.readouterr().err
    again = json.loads((tmp_path / "again.json").read_text())
    assert again["output"]["samples_sha256"] == sidecar["output"]["samples_sha256"]
    with pytest.raises(SystemExit) as end:
        main(["generate", str(video), "--prompt", "ab", "-o", str(tmp_path / "other.mp4"), "-q"])
    assert end.value.code == 2 and "reads no text" in capsys.readouterr().err

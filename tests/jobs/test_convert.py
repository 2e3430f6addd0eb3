"""Published files become a model folder, or a line that says why not."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

import foleykit
from fixtures.published import (
    latent_entries,
    picture_entries,
    save_lightning,
    video_entries,
    vocoder_entries,
)
from foleykit.audio.unit_mel import UnitMelConfig
from foleykit.cli.main import main
from foleykit.codecs.griffin_lim import GriffinLim
from foleykit.codecs.hifigan import HifiGan
from foleykit.codecs.unit_mel_vocoder import UnitMelVocoder, UnitMelVocoderConfig, load_vocoder, save_vocoder
from foleykit.core.config import load_config
from foleykit.core.errors import FoleyError, ModelError, UsageError
from foleykit.jobs.convert import SHIPPED_VOCODER, ConvertRequest, convert, converted_model
from foleykit.jobs.models import describe_model
from foleykit.models.avldm.published.config import Action2SoundConfig
from foleykit.models.avldm.published.convert import is_ambient_encoder_trained, places
from foleykit.models.avldm.published.layout import schedule_entries
from foleykit.models.avldm.published.network import Conditioner
from foleykit.models.avldm.published.pipeline import Action2SoundPipeline
from foleykit.models.avldm.published.presets import action2sound, debug
from foleykit.video.probe import probe

pytest.importorskip("diffusers")

CONFIG = debug()


@pytest.fixture(scope="session")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with every published file, laid out for the debug sizes."""
    folder = tmp_path_factory.mktemp("published")
    save_lightning(latent_entries(CONFIG), folder / "epoch=000007.ckpt")
    torch.save({"state_dict": video_entries(CONFIG), "epoch": 3}, folder / "av.pth")
    save_lightning(picture_entries(CONFIG), folder / "sd.ckpt")
    torch.save({"generator": vocoder_entries(CONFIG.hifigan)}, folder / "hifi-gan.pth")
    (folder / "hifi-gan.json").write_text(
        json.dumps(
            {
                "resblock": "1",
                "num_mels": 64,
                "upsample_initial_channel": 32,
                "upsample_rates": [8, 8, 2, 2],
                "upsample_kernel_sizes": [16, 16, 4, 4],
                "resblock_kernel_sizes": [3],
                "resblock_dilation_sizes": [[1]],
                "sampling_rate": 16000,
            }
        )
    )
    return folder


def request(published: Path, output: Path, **changes: object) -> ConvertRequest:
    values = {
        "output": output,
        "video": published / "av.pth",
        "latent_model": published / "epoch=000007.ckpt",
        "vocoder": published / "hifi-gan.pth",
        "config": CONFIG,
    }
    return ConvertRequest(**{**values, **changes})  # type: ignore[arg-type]


def entries_of(path: Path) -> dict[str, Tensor]:
    return torch.load(path, weights_only=False)["generator"]


def test_a_converted_model_holds_the_published_numbers_and_makes_sound(published: Path, tmp_path: Path) -> None:
    result = convert(request(published, tmp_path / "model"))
    assert result.vocoder == "hifigan" and sum(result.num_tensors.values()) > 100
    assert any("was trained" in note for note in result.notes)
    assert any("2 other entries left out" in note for note in result.notes)
    pipeline = Action2SoundPipeline.load(tmp_path / "model")
    source = latent_entries(CONFIG)
    unet = pipeline.denoiser.unet
    assert torch.equal(unet.conv_in.weight, source["model.diffusion_model.input_blocks.0.0.weight"])
    assert torch.equal(pipeline.conditioner.video_positions, source["cond_stage_model.pos_emb.weight"])
    query = source["first_stage_model.encoder.mid.attn_1.q.weight"]
    assert torch.equal(pipeline.vae.vae.encoder.mid_block.attentions[0].to_q.weight, query[:, :, 0, 0])
    waveform = pipeline(
        [np.zeros((90, 32, 32, 3), np.uint8)], num_samples=47_999, ambient=pipeline.quiet(), num_steps=2
    )
    assert waveform.shape == (1, 47_999) and np.isfinite(waveform).all()


def test_folded_weight_norm_is_the_same_network(published: Path, tmp_path: Path) -> None:
    convert(request(published, tmp_path / "model"))
    pipeline = Action2SoundPipeline.load(tmp_path / "model")
    entries = entries_of(published / "hifi-gan.pth")
    original = (
        entries["conv_pre.weight_v"]
        * entries["conv_pre.weight_g"]
        / (entries["conv_pre.weight_v"].flatten(1).norm(dim=1).view(-1, 1, 1))
    )
    assert isinstance(pipeline.vocoder, HifiGan)
    torch.testing.assert_close(pipeline.vocoder.conv_pre.weight, original)


def test_stable_diffusion_alone_is_a_start_for_training(published: Path, tmp_path: Path) -> None:
    result = convert(request(published, tmp_path / "model", latent_model=None, picture_model=published / "sd.ckpt"))
    assert any("start for training" in note for note in result.notes)
    pipeline = Action2SoundPipeline.load(tmp_path / "model")
    raw = picture_entries(CONFIG)["model.diffusion_model.input_blocks.0.0.weight"]
    assert torch.equal(pipeline.denoiser.unet.conv_in.weight, raw)
    assert not is_ambient_encoder_trained(pipeline.conditioner.state_dict())


def test_stable_diffusion_beside_a_model_checks_its_autoencoder(published: Path, tmp_path: Path) -> None:
    result = convert(request(published, tmp_path / "model", picture_model=published / "sd.ckpt"))
    assert any("autoencoders differ" in note for note in result.notes)


def test_reference_ways_are_written_down(published: Path, tmp_path: Path) -> None:
    convert(request(published, tmp_path / "model", is_reference=True))
    sampling = load_config(Action2SoundConfig, tmp_path / "model" / "config.json").sampling
    assert (sampling.null, sampling.posterior) == ("zeros", "sample")


def test_for_another_mel_than_the_shipped_vocoders_the_folder_still_works(published: Path, tmp_path: Path) -> None:
    result = convert(request(published, tmp_path / "model", vocoder=None))
    assert result.vocoder == "griffin-lim"
    assert isinstance(Action2SoundPipeline.load(tmp_path / "model").vocoder, GriffinLim)


def of_published_mel(published: Path, tmp_path: Path, **changes: object) -> ConvertRequest:
    """Return a request for a model of debug size that makes mels of 128 bins, as the published one does."""
    config = replace(CONFIG, mel=UnitMelConfig(), vocoder="griffin-lim")
    path = save_lightning(latent_entries(config), tmp_path / "128-bins.ckpt")
    return request(published, tmp_path / "model", config=config, latent_model=path, **changes)


def test_the_published_mel_gets_the_shipped_vocoder(published: Path, tmp_path: Path) -> None:
    result = convert(of_published_mel(published, tmp_path, vocoder=None))
    assert result.vocoder == "istft" and "Vocoder: istft" in (tmp_path / "model" / "MODEL_CARD.md").read_text()
    pipeline = Action2SoundPipeline.load(tmp_path / "model")
    assert isinstance(pipeline.vocoder, UnitMelVocoder)
    for name, tensor in load_vocoder(SHIPPED_VOCODER).state_dict().items():
        assert torch.equal(pipeline.vocoder.state_dict()[name], tensor), name

    def made(seed: int) -> NDArray[np.float32]:
        frames = [np.zeros((90, 32, 32, 3), np.uint8)]
        return pipeline(frames, num_samples=47_999, ambient=pipeline.quiet(), num_steps=2, seed=seed)

    assert made(1).shape == (1, 47_999) and np.isfinite(made(1)).all()
    assert np.array_equal(made(1), made(1)) and not np.array_equal(made(1), made(2))


def test_a_vocoder_that_was_trained_here_is_taken_from_its_folder(published: Path, tmp_path: Path) -> None:
    own = UnitMelVocoder(UnitMelVocoderConfig(width=16, num_blocks=1))
    save_vocoder(own, tmp_path / "own")
    convert(of_published_mel(published, tmp_path, vocoder=tmp_path / "own"))
    assert Action2SoundPipeline.load(tmp_path / "model").config.istft == own.config
    with pytest.raises(ModelError, match="takes another mel"):
        convert(request(published, tmp_path / "other", vocoder=tmp_path / "own"))
    assert not (tmp_path / "other").exists()


def test_an_untouched_ambient_encoder_is_told_from_a_trained_one() -> None:
    torch.manual_seed(0)
    state = Conditioner(CONFIG).state_dict()
    assert not is_ambient_encoder_trained(state)
    for name in ("ambient.0.weight", "ambient.2.weight", "ambient_positions"):
        assert is_ambient_encoder_trained({**state, name: 1.5 * state[name]}), name


Change = Callable[[dict[str, Tensor]], object]
FIRST = "model.diffusion_model.input_blocks.0.0.weight"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda entries: entries.pop(FIRST), f"1 missing: {FIRST}"),
        (lambda entries: entries.pop("audio_zero_embed"), "1 missing: audio_zero_embed"),
        (lambda entries: entries.update({"model.extra": torch.zeros(1)}), "1 unexpected: model.extra"),
        (lambda entries: entries.update({FIRST: torch.zeros(2, 2)}), r"1 mis-shaped: .*\(2, 2\) instead of \(32, 4"),
        (lambda entries: entries.update({FIRST: entries[FIRST].long()}), "not floating"),
        (lambda entries: entries["betas"].mul_(2), "another noise schedule: betas"),
        (
            lambda entries: (entries.pop("betas"), entries.update(x=torch.zeros(1))),
            "1 missing: betas; 1 unexpected: x",
        ),
    ],
)
def test_other_names_and_shapes_are_refused(published: Path, tmp_path: Path, change: Change, message: str) -> None:
    entries = latent_entries(CONFIG)
    change(entries)
    path = save_lightning(entries, tmp_path / "epoch.ckpt")
    refuses(request(published, tmp_path / "model", latent_model=path), message)


def refuses(request: ConvertRequest, message: str, error: type[FoleyError] = ModelError) -> None:
    """Assert that `request` ends with one line and leaves nothing behind."""
    before = sorted(request.output.parent.iterdir())
    with pytest.raises(error, match=message) as caught:
        convert(request)
    assert "\n" not in str(caught.value)
    assert sorted(request.output.parent.iterdir()) == before


class Bomb:
    """An object whose loading would run a command."""

    def __init__(self, witness: Path) -> None:
        self.witness = witness

    def __reduce__(self) -> tuple:
        return os.system, (f"touch {self.witness}",)


class Builtin:
    def __reduce__(self) -> tuple:
        return eval, ("__import__('os').getcwd()",)


@pytest.mark.parametrize("kind", ["ldm", "video", "vocoder"])
def test_code_in_a_file_is_refused_and_not_run(published: Path, tmp_path: Path, kind: str) -> None:
    witness = tmp_path / "witness"
    path = tmp_path / "bad.ckpt"
    if kind == "ldm":
        save_lightning(latent_entries(CONFIG), path, extra=Bomb(witness))
        bad = request(published, tmp_path / "model", latent_model=path)
    elif kind == "video":
        torch.save({"state_dict": video_entries(CONFIG), "config": Bomb(witness)}, path)
        bad = request(published, tmp_path / "model", video=path)
    else:
        legacy = {"generator": vocoder_entries(CONFIG.hifigan), "x": Bomb(witness)}
        torch.save(legacy, path, _use_new_zipfile_serialization=False)
        bad = request(published, tmp_path / "model", vocoder=path)
    refuses(bad, "bad.ckpt holds .*(posix|system).*nothing in it was executed")
    assert not witness.exists()


def test_builtins_are_refused_too(published: Path, tmp_path: Path) -> None:
    path = save_lightning(latent_entries(CONFIG), tmp_path / "bad.ckpt", extra=[Builtin()])
    refuses(request(published, tmp_path / "model", latent_model=path), "eval")


def test_a_callback_that_is_called_does_nothing(published: Path, tmp_path: Path) -> None:
    """Stubbed classes may be instantiated by a file; the stub takes the arguments and ignores them."""
    from foleykit.core.unpickle import read_checkpoint

    path = save_lightning(latent_entries(CONFIG), tmp_path / "good.ckpt")
    callbacks = read_checkpoint(path)["callbacks"]
    assert isinstance(callbacks, dict) and [kind.__name__ for kind in callbacks] == ["Inert"]


@pytest.mark.parametrize("damage", ["cut", "text", "empty", "list"])
def test_files_that_are_no_checkpoints_are_refused(published: Path, tmp_path: Path, damage: str) -> None:
    path = tmp_path / "bad.ckpt"
    whole = (published / "epoch=000007.ckpt").read_bytes()
    match damage:
        case "cut":
            path.write_bytes(whole[: len(whole) // 2])
        case "text":
            path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 3\n")
        case "empty":
            path.touch()
        case "list":
            torch.save([torch.zeros(3)], path)
    refuses(request(published, tmp_path / "model", latent_model=path), "bad.ckpt")


def test_a_video_file_that_matches_nothing_is_refused(published: Path, tmp_path: Path) -> None:
    path = tmp_path / "av.pth"
    torch.save({"state_dict": video_entries(CONFIG, prefix="module.visual.")}, path)
    refuses(request(published, tmp_path / "model", video=path), "holds no video encoder")
    partly = video_entries(CONFIG)
    del partly["module.video_model.cls_token"]
    torch.save({"state_dict": partly}, path)
    refuses(request(published, tmp_path / "model", video=path), "1 missing: cls_token")


@pytest.mark.parametrize("num_frames", [4, 32])
def test_another_number_of_video_frames_is_fitted_and_noted(published: Path, tmp_path: Path, num_frames: int) -> None:
    path = tmp_path / "av.pth"
    entries = video_entries(CONFIG, num_frames=num_frames)
    torch.save({"state_dict": entries}, path)
    result = convert(request(published, tmp_path / "model", video=path))
    assert any(f"has {num_frames} entries" in note for note in result.notes)
    fitted = Action2SoundPipeline.load(tmp_path / "model").video.temporal_embed
    shared = min(num_frames, CONFIG.video.num_frames)
    assert torch.equal(fitted[:, :shared], entries["module.video_model.temporal_embed"][:, :shared])
    assert not fitted[:, shared:].any()


def test_another_vocoder_is_refused_with_its_sizes(published: Path, tmp_path: Path) -> None:
    stated = json.loads((published / "hifi-gan.json").read_text())
    path = tmp_path / "v.pth"
    path.write_bytes((published / "hifi-gan.pth").read_bytes())
    for key, value, message in (
        ("num_mels", 80, "takes 80 mel bins"),
        ("sampling_rate", 22_050, "22050 Hz"),
        ("upsample_rates", [8, 8, 2], "does not describe"),
        ("resblock_kernel_sizes", [5], "mis-shaped"),
    ):
        (tmp_path / "v.json").write_text(json.dumps({**stated, key: value}))
        refuses(request(published, tmp_path / "model", vocoder=path), message)


def test_existing_folders_are_kept(published: Path, tmp_path: Path) -> None:
    output = tmp_path / "model"
    convert(request(published, output))
    before = (output / "denoiser.safetensors").read_bytes()
    refuses(request(published, output), "--overwrite", UsageError)
    refuses(request(published, output, overwrite=True, video=published / "hifi-gan.pth"), "no weights under")
    assert (output / "denoiser.safetensors").read_bytes() == before
    convert(request(published, output, overwrite=True))
    other = tmp_path / "photos"
    other.mkdir()
    (other / "cat.jpg").touch()
    refuses(request(published, other, overwrite=True), "something else than a model", UsageError)


def test_the_command_speaks_in_one_line(published: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The published sizes do not fit files of the debug sizes: exit code 4 and one line."""
    files = ["--ldm", str(published / "epoch=000007.ckpt"), "--video", str(published / "av.pth")]
    with pytest.raises(SystemExit) as end:
        main(["models", "convert", "action2sound", str(tmp_path / "model"), *files, "-q"])
    said = capsys.readouterr().err
    assert end.value.code == 4 and said.count("\n") == 1
    assert "av.pth does not fit" in said
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_converted_folder_generates_like_any_model(published: Path, tmp_path: Path, clip: Path, dtype: str) -> None:
    convert(request(published, tmp_path / "model"))
    assert describe_model(tmp_path / "model").kind == "action2sound"
    out = tmp_path / "out.mp4"
    arguments = ["--model", str(tmp_path / "model"), "--num-steps", "2", "--dtype", dtype, "-o", str(out), "-q"]
    with pytest.raises(SystemExit) as end:
        main(["generate", str(clip), "--ambient", "quiet", *arguments])
    assert not end.value.code
    info = probe(out)
    assert info.has_audio and abs(float(info.duration) - 2.0) < 0.05
    sidecar = json.loads(out.with_suffix(".json").read_text())
    assert sidecar["output"]["num_samples"] == 96_000


def test_auto_ambience_without_a_similarity_says_so(published: Path, tmp_path: Path, clip: Path) -> None:
    convert(request(published, tmp_path / "model"))
    model = foleykit.load(tmp_path / "model")
    with pytest.warns(UserWarning, match="quietest clip"):
        assert model(clip, num_steps=2).ambience == "quiet"
    with pytest.raises(ModelError, match="cannot choose from a library"):
        model.matcher  # noqa: B018


@pytest.fixture(scope="module")
def published_layout() -> dict[str, Tensor]:
    """Return a state dict with all names and shapes of the published file, every weight a view of one number."""
    config = action2sound()
    weights = {name: torch.zeros(1).expand(place.published_shape) for name, place in places(config).items()}
    return weights | schedule_entries(config.schedule)


def test_every_entry_of_the_published_layout_has_a_place(published_layout: dict[str, Tensor], tmp_path: Path) -> None:
    assert len(published_layout) == 955
    path = save_lightning(published_layout, tmp_path / "epoch=000007.ckpt")
    parts = converted_model(ConvertRequest(output=tmp_path / "model", video=path, latent_model=path)).parts
    assert {part: len(tensors) for part, tensors in parts.items()} == {"denoiser": 686, "vae": 248, "conditioner": 9}


@pytest.mark.parametrize("tamper", ["missing", "unexpected", "shape", "code"])
def test_a_tampered_published_layout_is_refused(
    published_layout: dict[str, Tensor], tmp_path: Path, tamper: str
) -> None:
    entries, extra = dict(published_layout), None
    name = "model.diffusion_model.middle_block.1.proj_in.weight"
    match tamper:
        case "missing":
            del entries[name]
        case "unexpected":
            entries["model.diffusion_model.label_emb.weight"] = torch.zeros(1)
        case "shape":
            entries[name] = torch.zeros(1).expand(1280, 1280)
        case "code":
            extra = Bomb(tmp_path / "witness")
    path = save_lightning(entries, tmp_path / "bad.ckpt", extra=extra)
    with pytest.raises(ModelError, match=r"1 missing|1 unexpected|1 mis-shaped|nothing in it was executed") as caught:
        converted_model(ConvertRequest(output=tmp_path / "model", video=path, latent_model=path))
    assert "\n" not in str(caught.value) and not (tmp_path / "witness").exists()

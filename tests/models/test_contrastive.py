"""The audio-visual towers: published files load whole or not at all, and what belongs together is learnt."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from foleykit.core.errors import ConfigError, ModelError
from foleykit.core.unpickle import read_checkpoint, tensors_of
from foleykit.encoders.audio.ast import AstConfig
from foleykit.encoders.visual.timesformer import TimeSformerConfig
from foleykit.models.contrastive.network import AudioVisualTowers, ContrastiveConfig, av_sim, towers_from_published
from foleykit.models.contrastive.objective import InfoNceObjective, PairBatch

CONFIG = ContrastiveConfig(
    video=TimeSformerConfig(size=32, patch_size=16, width=32, num_blocks=1, num_heads=2, expansion=1, num_frames=4),
    audio=AstConfig(num_frames=49, width=16, num_blocks=1, num_heads=2, embedding_width=8),
)


def batch() -> PairBatch:
    """Return four clips, each of a brightness and a pitch of its own."""
    time = torch.arange(8000) / 16_000
    pitches = torch.tensor([200.0, 500.0, 1200.0, 3000.0])
    return PairBatch(
        frames=torch.linspace(0, 1, 4)[:, None, None, None, None].expand(4, 4, 3, 32, 32),
        waveform=0.1 * (2 * torch.pi * pitches[:, None] * time).sin(),
    )


def towers() -> AudioVisualTowers:
    torch.manual_seed(0)
    return AudioVisualTowers(CONFIG)


def test_each_sound_learns_to_find_its_pictures() -> None:
    model, pairs = towers(), batch()
    objective = InfoNceObjective(model)
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    losses = []
    for _ in range(400):
        loss = objective(pairs, torch.Generator()).total
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.3 * losses[0]
    with torch.inference_mode():
        sounds, pictures = model.embed_audio(pairs.waveform), model.embed_video(pairs.frames)
    assert (sounds @ pictures.T).argmax(dim=1).tolist() == [0, 1, 2, 3]
    assert av_sim(sounds, pictures) > av_sim(sounds, pictures.roll(1, 0))
    assert av_sim(sounds, sounds) == pytest.approx(1)


def test_a_published_file_loads_whole_and_another_is_refused_by_name(tmp_path: Path) -> None:
    model, pairs = towers(), batch()
    entries = {f"module.{name}": tensor for name, tensor in model.state_dict().items() if name != "log_scale"}
    head = {"module.video_model.head.weight": torch.zeros(2, 32), "module.audio_model.v.head_dist.bias": torch.zeros(2)}
    torch.save({"state_dict": entries | head, "epoch": 3}, tmp_path / "av.pth")
    stored = tensors_of(read_checkpoint(tmp_path / "av.pth"), tmp_path / "av.pth", "state_dict")
    loaded = towers_from_published(stored, CONFIG, source="av.pth")
    with torch.inference_mode():
        assert torch.equal(loaded.embed_audio(pairs.waveform), model.embed_audio(pairs.waveform))
        assert torch.equal(loaded.embed_video(pairs.frames), model.embed_video(pairs.frames))
    entries.pop("module.vid_proj.0.weight")
    with pytest.raises(ModelError, match=r"1 missing: module.vid_proj.0.weight"):
        towers_from_published(entries, CONFIG, source="av.pth")


def test_towers_that_do_not_fit_their_bank_are_refused() -> None:
    with pytest.raises(ConfigError, match="128 mels"):
        ContrastiveConfig(audio=AstConfig(num_mels=64))
    with pytest.raises(ConfigError, match="temperature"):
        ContrastiveConfig(temperature=0)


def test_the_defaults_have_the_published_sizes() -> None:
    with torch.device("meta"):
        model = AudioVisualTowers(ContrastiveConfig())
    sizes = {
        name: sum(part.numel() for part in getattr(model, name).parameters()) for name in ("video_model", "audio_model")
    }
    assert sizes["video_model"] == pytest.approx(114.18e6, rel=1e-3)
    # The public file's two classifiers of 1000 pictures, which nothing uses, are not built.
    assert sizes["audio_model"] == pytest.approx(87.12e6 - 2 * 1000 * 769, rel=1e-3)

"""Caches in av-benchmark's layout: what is written is read, and figures are those of the networks themselves."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from evaluation.test_media import BandLevels, write_set
from foleykit.core.errors import MediaError, ModelError, UsageError
from foleykit.evaluation.av_benchmark import open_caches, write_cache
from foleykit.evaluation.media import GENERATED, REFERENCE, evaluate_media
from foleykit.evaluation.networks import SoundFeatures
from foleykit.evaluation.protocols import MediaProtocol

PROTOCOL = MediaProtocol(name="v2a", num_resamples=20, min_set_clips=3)


@dataclass(frozen=True)
class WholeClips:
    """One embedding a clip, as the networks of whole clips give."""

    identity: str = "whole clips"

    def features(self, sound: Path, *, seconds: float | None) -> SoundFeatures:
        levels = BandLevels().features(sound, seconds=seconds)
        return SoundFeatures(embeddings=levels.embeddings.mean(dim=0, keepdim=True), logits=levels.logits)


class Code:
    """A pickle that prints when it is read."""

    def __reduce__(self) -> tuple[object, ...]:
        return print, ("executed",)


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    return write_set(tmp_path / "generated", first_seed=9), write_set(tmp_path / "reference")


def test_figures_from_caches_are_those_of_the_networks(folders: tuple[Path, Path]) -> None:
    generated, reference = folders
    networks = {"vggish": BandLevels(), "passt": WholeClips(), "panns": WholeClips()}
    for folder in folders:
        written = write_cache(folder, networks)  # type: ignore[arg-type]
        assert sorted(path.name for path in written) == [
            "pann_features.pth",
            "passt_features_embed.pth",
            "passt_logits.pth",
            "vggish_features.pth",
        ]
    stored = torch.load(generated / "cache" / "pann_features.pth", weights_only=True)
    assert set(stored) == {f"clip{index}" for index in range(6)} and set(stored["clip0"]) == {"2048", "logits"}
    read = evaluate_media(generated, reference, protocol=PROTOCOL, networks=open_caches(generated, reference))
    heard = evaluate_media(generated, reference, protocol=PROTOCOL, networks=networks)  # type: ignore[arg-type]
    for key in ("fd_vggish", "kl_panns", "kl_passt"):
        own, other = (each.table.row(GENERATED).estimates[key].value for each in (read, heard))
        assert own == pytest.approx(other, rel=1e-5) and own > 0


def test_pairs_are_cosines_and_the_references_own_sound_is_the_ceiling(folders: tuple[Path, Path]) -> None:
    generated, reference = folders
    names = [f"clip{index}" for index in range(6)]
    for folder in folders:
        (folder / "cache").mkdir()
    seen = {name: torch.tensor([1.0, 0.0]) for name in names}
    torch.save(seen, reference / "cache" / "imagebind_video.pth")
    torch.save({name: torch.tensor([3.0, 4.0]) for name in names}, generated / "cache" / "imagebind_audio.pth")
    report = evaluate_media(generated, reference, protocol=PROTOCOL, networks=open_caches(generated, reference))
    assert report.table.row(GENERATED).estimates["imagebind_score"].value == pytest.approx(0.6)
    assert "imagebind_score" not in report.table.row(REFERENCE).estimates
    torch.save(seen, reference / "cache" / "imagebind_audio.pth")
    report = evaluate_media(generated, reference, protocol=PROTOCOL, networks=open_caches(generated, reference))
    assert report.table.row(REFERENCE).estimates["imagebind_score"].value == pytest.approx(1.0)


def test_gaps_code_and_cut_clips_are_refused(folders: tuple[Path, Path]) -> None:
    generated, reference = folders
    with pytest.raises(ModelError, match="no network's features"):
        open_caches(generated, reference)
    with pytest.raises(UsageError, match="--networks"):
        write_cache(generated, {})
    for folder in folders:
        write_cache(folder, {"vggish": BandLevels()})  # type: ignore[dict-item]
    cached = open_caches(generated, reference)["vggish"]
    with pytest.raises(UsageError, match="--seconds"):
        cached.features(generated / "clip0.wav", seconds=2.0)  # type: ignore[union-attr]
    with pytest.raises(MediaError, match="no features of it"):
        cached.features(generated / "clip9.wav", seconds=None)  # type: ignore[union-attr]
    torch.save({"clip0": Code()}, generated / "cache" / "vggish_features.pth")
    with pytest.raises(ModelError, match="code besides weights"):
        open_caches(generated, reference)

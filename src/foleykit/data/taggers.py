"""How likely a clip holds speech, music, or anything else: one interface, two listeners."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, assert_never

import numpy as np
from numpy.typing import NDArray

from foleykit.audio.resample import resample
from foleykit.core.errors import ConfigError, ModelError
from foleykit.core.packages import check_published
from foleykit.data.listening import FEATURE_NAMES, FEATURE_RATE, signal_features

if TYPE_CHECKING:
    from transformers import ASTFeatureExtractor, ASTForAudioClassification

Waveform = NDArray[np.float32]

SPEECH_LABELS = frozenset(
    {
        "Speech",
        "Male speech, man speaking",
        "Female speech, woman speaking",
        "Child speech, kid speaking",
        "Conversation",
        "Narration, monologue",
        "Babbling",
        "Speech synthesizer",
        "Shout",
        "Whispering",
        "Laughter",
        "Chatter",
        "Hubbub, speech noise, speech babble",
    }
)
"""AudioSet classes of people who talk."""
MUSIC_LABELS = frozenset(
    {
        "Music",
        "Singing",
        "Musical instrument",
        "Background music",
        "Theme music",
        "Song",
        "Soundtrack music",
        "Pop music",
        "Rock music",
        "Classical music",
        "Electronic music",
        "Jingle (music)",
    }
)
"""AudioSet classes of music as such; a single instrument may be an action."""
_NOTHING_LABELS = frozenset({"Silence", "Noise", "White noise", "Pink noise", "Static", "Environmental noise"})


@dataclass(frozen=True, kw_only=True)
class SoundTags:
    """Probabilities, each on its own."""

    speech: float
    music: float
    other: float
    """Something else is heard, such as an action."""


class Tagger(Protocol):
    """Listens to clips."""

    def __call__(self, waveform: Waveform, sample_rate: int) -> SoundTags:
        """Return the tags of a mono waveform (S,)."""
        ...


@dataclass(frozen=True, kw_only=True)
class SignalTaggerConfig:
    """Measurements on the signal and a small fitted rule: no weights to download, no network.

    It hears one clear voice or tune at a time; it cannot hear an action under speech or music, so that its `other` is
    only what the two leave.
    """


@dataclass(frozen=True, kw_only=True)
class AstTaggerConfig:
    """An AudioSet tagger of transformers (Audio Spectrogram Transformer) from a local folder."""

    folder: Path
    """With config.json, preprocessor_config.json and *.safetensors."""
    device: str = "cpu"


TaggerConfig = SignalTaggerConfig | AstTaggerConfig


def build_tagger(config: TaggerConfig) -> Tagger:
    """Return the tagger that `config` describes; raises ModelError when its weights are missing."""
    match config:
        case SignalTaggerConfig():
            return SignalTagger()
        case AstTaggerConfig():
            return AstTagger(config)
        case _:
            assert_never(config)


@lru_cache(maxsize=1)
def _fitted() -> tuple[NDArray[np.float64], ...]:
    """Return (mean, deviation, hidden weights, hidden bias, output weights, output bias) of the rule."""
    stored = json.loads(resources.files("foleykit.data").joinpath("signal_tagger.json").read_text())
    if tuple(stored["features"]) != FEATURE_NAMES:
        raise ConfigError("signal_tagger.json was fitted to other features; fit it again")
    names = ("mean", "deviation", "hidden", "hidden_bias", "output", "output_bias")
    return tuple(np.array(stored[name], np.float64) for name in names)


class SignalTagger:
    """See SignalTaggerConfig."""

    def __call__(self, waveform: Waveform, sample_rate: int) -> SoundTags:
        """Return the tags of a mono waveform (S,); digital silence is nothing at all."""
        heard = resample(waveform, sample_rate, FEATURE_RATE)
        if float(np.abs(heard).max(initial=0)) < 1e-6:
            return SoundTags(speech=0.0, music=0.0, other=0.0)
        mean, deviation, hidden, hidden_bias, output, output_bias = _fitted()
        values = np.clip((signal_features(heard) - mean) / deviation, -4, 4)
        scores = np.tanh(values @ hidden + hidden_bias) @ output + output_bias
        shares = np.exp(scores - scores.max())
        other, speech, music = shares / shares.sum()
        return SoundTags(speech=float(speech), music=float(music), other=float(other))


class AstTagger:
    """See AstTaggerConfig."""

    def __init__(self, config: AstTaggerConfig) -> None:
        """Load the weights; raises ModelError when the folder holds no such model."""
        if not (config.folder / "config.json").is_file():
            raise ModelError(
                f"{config.folder} holds no config.json; name the folder of an AST for audio classification"
            )
        check_published("transformers", "AST")
        from transformers import ASTFeatureExtractor, ASTForAudioClassification

        try:
            self._model: ASTForAudioClassification = ASTForAudioClassification.from_pretrained(
                config.folder, local_files_only=True, use_safetensors=True
            ).to(config.device)
            self._features: ASTFeatureExtractor = ASTFeatureExtractor.from_pretrained(
                config.folder, local_files_only=True
            )
        except (OSError, ValueError) as error:
            raise ModelError(f"{config.folder} is not an AST for audio classification: {error}") from error
        self._model.eval()
        labels = self._model.config.id2label
        self._groups = {
            name: [index for index, label in labels.items() if label in group]
            for name, group in (("speech", SPEECH_LABELS), ("music", MUSIC_LABELS))
        }
        for name, indices in self._groups.items():
            if not indices:
                raise ModelError(f"{config.folder} knows no AudioSet label of {name}")
        taken = SPEECH_LABELS | MUSIC_LABELS | _NOTHING_LABELS
        self._groups["other"] = [index for index, label in labels.items() if label not in taken]
        self._device = config.device

    def __call__(self, waveform: Waveform, sample_rate: int) -> SoundTags:
        """Return the highest probability within each group of labels."""
        import torch

        rate = int(self._features.sampling_rate)
        inputs = self._features(resample(waveform, sample_rate, rate), sampling_rate=rate, return_tensors="pt")
        with torch.inference_mode():
            logits = self._model(inputs.input_values.to(self._device)).logits[0]
        chances = torch.sigmoid(logits.float()).cpu()
        return SoundTags(
            **{name: float(chances[indices].max()) if indices else 0.0 for name, indices in self._groups.items()}
        )

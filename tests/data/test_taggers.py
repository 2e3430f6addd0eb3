from __future__ import annotations

import numpy as np
import pytest

from foleykit.core.errors import ModelError
from foleykit.data.corpora.planted import music, planted_sound, speech
from foleykit.data.listening import FEATURE_NAMES, FEATURE_RATE, signal_features
from foleykit.data.taggers import AstTaggerConfig, SignalTaggerConfig, build_tagger

SIZE = 3 * FEATURE_RATE


def test_features_do_not_depend_on_level_and_are_finite():
    sound = speech(SIZE, FEATURE_RATE, np.random.default_rng(0))
    loud, soft = signal_features(sound), signal_features(sound * np.float32(0.01))
    np.testing.assert_allclose(loud, soft, atol=0.02)
    assert loud.shape == (len(FEATURE_NAMES),)
    for extreme in (np.zeros(SIZE), np.ones(SIZE), np.eye(1, SIZE, 9)[0], np.zeros(10)):
        assert np.isfinite(signal_features(extreme.astype(np.float32))).all()


def test_features_name_what_they_measure():
    time = np.arange(SIZE) / FEATURE_RATE
    values = {
        "hum": sum(np.sin(2 * np.pi * 120 * n * time) / n for n in range(1, 8)),
        "noise": np.random.default_rng(0).standard_normal(SIZE),
        "glide": np.sin(2 * np.pi * np.cumsum(150 * 2 ** (time / 2)) / FEATURE_RATE),
        "clicks": np.where(np.arange(SIZE) % 8000 < 10, 1.0, 0.0),
    }
    found = {
        name: dict(zip(FEATURE_NAMES, signal_features(sound.astype(np.float32)), strict=True))
        for name, sound in values.items()
    }
    assert found["hum"]["voiced_share"] > 0.9 > 0.2 > found["noise"]["voiced_share"]
    assert found["hum"]["steady_share"] > 0.9 and found["glide"]["glide_share"] > 0.9
    assert found["hum"]["constant_tone_share"] > 0.5 > 0.1 > found["noise"]["tonal_share"]
    assert found["clicks"]["crest"] > found["noise"]["crest"]


@pytest.mark.parametrize("seed", range(3))
def test_voices_music_and_noise_are_told_apart(seed):
    """Seeds that the rule was not fitted to; larger counts are in docs/data.md."""
    tagger = build_tagger(SignalTaggerConfig())
    rng = np.random.default_rng((77, seed))
    talk = tagger(speech(SIZE, FEATURE_RATE, rng), FEATURE_RATE)
    tune = tagger(music(SIZE, FEATURE_RATE, rng), FEATURE_RATE)
    room = tagger(planted_sound("low-energy", SIZE, FEATURE_RATE, rng), FEATURE_RATE)
    assert talk.speech > 0.5 > talk.music
    assert tune.music > 0.5 > tune.speech
    assert room.other > 0.5
    for tags in (talk, tune, room):
        assert tags.speech + tags.music + tags.other == pytest.approx(1)


def test_silence_is_nothing():
    tags = build_tagger(SignalTaggerConfig())(np.zeros(SIZE, np.float32), FEATURE_RATE)
    assert (tags.speech, tags.music, tags.other) == (0, 0, 0)


def test_an_audioset_tagger_is_read_from_a_folder(tmp_path):
    transformers = pytest.importorskip("transformers")
    labels = ["Speech", "Conversation", "Music", "Dishes, pots, and pans", "Silence"]
    config = transformers.ASTConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, max_length=128,
        num_mel_bins=32, id2label=dict(enumerate(labels)), label2id={label: i for i, label in enumerate(labels)},
    )  # fmt: skip
    model = transformers.ASTForAudioClassification(config)
    bias = [-9.0, 2.0, -9.0, 1.0, 9.0]
    model.classifier.dense.weight.data.zero_()
    for value, slot in zip(bias, model.classifier.dense.bias.data, strict=True):
        slot.fill_(value)
    model.save_pretrained(tmp_path)
    transformers.ASTFeatureExtractor(num_mel_bins=32, max_length=128).save_pretrained(tmp_path)
    tagger = build_tagger(AstTaggerConfig(folder=tmp_path))
    tags = tagger(speech(SIZE, FEATURE_RATE, np.random.default_rng(0)), FEATURE_RATE)
    expected = [1 / (1 + np.exp(-value)) for value in (2.0, -9.0, 1.0)]
    assert (tags.speech, tags.music, tags.other) == pytest.approx(expected, abs=1e-5)


def test_a_folder_without_a_tagger_is_refused(tmp_path):
    with pytest.raises(ModelError, match=r"no config\.json"):
        build_tagger(AstTaggerConfig(folder=tmp_path))
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ModelError, match="not an AST"):
        build_tagger(AstTaggerConfig(folder=tmp_path))

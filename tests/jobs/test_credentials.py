"""Signed content credentials: written, read back, and broken by any change."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from foleykit.audio.files import write_waveform
from foleykit.core.errors import UsageError
from foleykit.jobs.credentials import Certificate, read_credentials, sign
from foleykit.jobs.provenance import make_note

pytest.importorskip("c2pa")
pytest.importorskip("cryptography")

from fixtures.certificates import make_certificate

NOTE = make_note(is_composite=False, watermark="beef", content_sha256="beef" * 16)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return make_certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture
def wav(tmp_path: Path) -> Path:
    path = tmp_path / "sound.wav"
    write_waveform(path, 0.1 * np.random.default_rng(0).standard_normal((1, 8000)).astype(np.float32), 16_000)
    return path


def test_what_was_signed_is_read_back(wav: Path, certificate: Certificate) -> None:
    assert read_credentials(wav) is None
    sign(wav, certificate, NOTE, title="sound", parent=None)
    found = read_credentials(wav)
    assert found is not None
    # Nobody's trust list holds a certificate that we made ourselves.
    assert (found.state, found.signer, found.problems) == ("valid", "Test Studio", ())
    assert (found.watermark, found.content_sha256) == ("beef", "beef" * 16)
    assert found.generator == NOTE.generator
    assert [path.name for path in wav.parent.iterdir()] == [wav.name]


def test_a_video_names_its_parent(clip: Path, make_video, certificate: Certificate, tmp_path: Path) -> None:
    path = tmp_path / "made.mp4"
    path.write_bytes(clip.read_bytes())
    sign(
        path, certificate, make_note(is_composite=True, watermark=None, content_sha256=None), title="made", parent=clip
    )
    found = read_credentials(path)
    assert found is not None and found.state == "valid" and found.watermark is None


def test_a_changed_sample_breaks_the_seal(wav: Path, certificate: Certificate) -> None:
    sign(wav, certificate, NOTE, title="sound", parent=None)
    content = bytearray(wav.read_bytes())
    at = content.index(b"data") + 500
    content[at] ^= 1
    wav.write_bytes(bytes(content))
    found = read_credentials(wav)
    assert found is not None and found.state == "invalid"
    assert any("mismatch" in problem for problem in found.problems)


def test_mistakes_are_one_line(wav: Path, certificate: Certificate, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file"):
        Certificate(chain=tmp_path / "absent.pem", private_key=certificate.private_key)
    with pytest.raises(UsageError, match="not an unencrypted private key"):
        sign(wav, Certificate(chain=certificate.chain, private_key=certificate.chain), NOTE, title="sound", parent=None)
    before = wav.read_bytes()
    other = tmp_path / "other"
    other.mkdir()
    strangers = make_certificate(other)
    with pytest.raises(UsageError, match="cannot be signed"):
        sign(wav, Certificate(chain=wav, private_key=strangers.private_key), NOTE, title="sound", parent=None)
    assert wav.read_bytes() == before

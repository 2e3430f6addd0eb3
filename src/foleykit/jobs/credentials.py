"""Signed content credentials (C2PA) in a file, where a certificate is at hand and the container can hold them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from foleykit.core.errors import ModelError, UsageError
from foleykit.jobs.provenance import Note

SUFFIXES = (".mp4", ".m4v", ".mov", ".m4a", ".wav", ".flac", ".mp3")
"""Containers that hold credentials; mkv, webm and ogg do not."""
INSTALL = "pip install 'foleykit[provenance]'"

_LABEL = "org.foleykit.provenance"
_SOURCE_TYPES = "http://cv.iptc.org/newscodes/digitalsourcetype/"
_ALGORITHMS = {"secp256r1": b"es256", "secp384r1": b"es384", "secp521r1": b"es512"}


@dataclass(frozen=True, kw_only=True)
class Certificate:
    """Files that a signature is made with."""

    chain: Path
    """PEM: the signing certificate, then those above it."""
    private_key: Path
    """PEM, unencrypted: an elliptic curve, Ed25519 or RSA key."""

    def __post_init__(self) -> None:
        for path in (self.chain, self.private_key):
            if not path.is_file():
                raise UsageError(f"{path}: no such file; a signature needs a certificate and its private key, as PEM")


@dataclass(frozen=True, kw_only=True)
class Credentials:
    """What a reader finds."""

    state: Literal["trusted", "valid", "invalid"]
    """"valid": nothing was changed since it was signed, by somebody not on a trust list; "invalid": something was."""
    signer: str
    """Name in the certificate."""
    generator: str
    watermark: str | None
    """Message of the mark, as signed."""
    content_sha256: str | None
    problems: tuple[str, ...]
    """Codes of what is wrong where the state is "invalid"."""


def is_available() -> bool:
    """Return whether credentials can be read and written here."""
    return find_spec("c2pa") is not None


def sign(path: Path, certificate: Certificate, note: Note, *, title: str, parent: Path | None) -> None:
    """Sign the file `path` in place, as `title`: what its sound is, its mark, and the video `parent` it was made from.

    No time stamp is asked for, so that nothing is sent anywhere. Raises ModelError without the package and UsageError
    for a certificate that cannot sign.
    """
    if not is_available():
        raise ModelError(f"content credentials need the package c2pa-python; {INSTALL}")
    import c2pa

    signed = path.with_name(f".{path.stem}.signed{path.suffix}")
    try:
        info = c2pa.C2paSignerInfo(
            _algorithm(certificate.private_key),
            certificate.chain.read_bytes(),
            certificate.private_key.read_bytes(),
            None,
        )
        with c2pa.Signer.from_info(info) as signer, c2pa.Builder(_manifest(title, note)) as builder:
            if parent is not None and parent.suffix.lower() in SUFFIXES:
                with parent.open("rb") as source:
                    described = {"title": parent.name, "relationship": "parentOf"}
                    builder.add_ingredient(json.dumps(described), parent.suffix.lower().removeprefix("."), source)
            builder.sign_file(path, signed, signer)
        signed.replace(path)
    except c2pa.C2paError as error:
        raise UsageError(f"{path.name} cannot be signed with {certificate.chain}: {error}") from error
    finally:
        signed.unlink(missing_ok=True)


def read_credentials(path: Path) -> Credentials | None:
    """Return the credentials in `path`; None where it holds none, or the package to read them is missing."""
    if not is_available() or path.suffix.lower() not in SUFFIXES:
        return None
    import c2pa

    try:
        with c2pa.Reader(path) as reader:
            store = json.loads(reader.json())
    except c2pa.C2paError as error:
        if "ManifestNotFound" in str(error) or type(error).__name__ == "ManifestNotFound":
            return None
        return Credentials(
            state="invalid", signer="", generator="", watermark=None, content_sha256=None, problems=(str(error),)
        )
    manifest = store["manifests"][store["active_manifest"]]
    assertions = manifest.get("assertions", ())
    own: dict[str, Any] = next((one["data"] for one in assertions if one["label"].startswith(_LABEL)), {})
    generators = manifest.get("claim_generator_info") or [{}]
    results = store.get("validation_results", {}).get("activeManifest", {})
    state = str(store.get("validation_state", "Invalid")).lower()
    return Credentials(
        state="trusted" if state == "trusted" else "valid" if state == "valid" else "invalid",
        signer=str(manifest.get("signature_info", {}).get("common_name") or "")
        or str(manifest.get("signature_info", {}).get("issuer") or ""),
        generator=" ".join(str(generators[0][key]) for key in ("name", "version") if key in generators[0]),
        watermark=own.get("watermark"),
        content_sha256=own.get("content_sha256"),
        problems=tuple(str(failure["code"]) for failure in results.get("failure", ())) if state == "invalid" else (),
    )


def _manifest(title: str, note: Note) -> dict[str, Any]:
    name, version = note.generator.split(" ", 1)
    return {
        "claim_generator_info": [{"name": name, "version": version}],
        "title": title,
        "assertions": [
            {
                "label": "c2pa.actions",
                "data": {
                    "actions": [{"action": "c2pa.created", "digitalSourceType": _SOURCE_TYPES + note.source_type}]
                },
            },
            {"label": _LABEL, "data": {"watermark": note.watermark, "content_sha256": note.content_sha256}},
        ],
    }


def _algorithm(private_key: Path) -> bytes:
    """Return the signature algorithm that fits the key. Raises UsageError for a key that cannot be read."""
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(private_key.read_bytes(), password=None)
    except (ValueError, TypeError) as error:
        raise UsageError(f"{private_key} is not an unencrypted private key in PEM form") from error
    match key:
        case ec.EllipticCurvePrivateKey() if key.curve.name in _ALGORITHMS:
            return _ALGORITHMS[key.curve.name]
        case ed25519.Ed25519PrivateKey():
            return b"ed25519"
        case rsa.RSAPrivateKey():
            return b"ps256"
        case _:
            raise UsageError(f"{private_key} is of a kind that content credentials cannot use; use an EC key, P-256")

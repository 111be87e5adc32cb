"""Signed metadata (C2PA 2.x, "content credentials") that says that a video was generated.

The signature names who signed and is broken by any change of the file. Re-encoding removes it,
where the invisible mark stays; so neither takes the place of the other.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from idol.generate.errors import GenerationError

__all__ = ["Signer", "signed_by"]

_GENERATED = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
_MP4 = "video/mp4"
_MISSING = "signing needs the extra `c2pa`: `make install-generate` installs it"
# By the curve of an elliptic key.
_CURVES = {"secp256r1": "es256", "secp384r1": "es384", "secp521r1": "es512"}


@dataclass(frozen=True)
class Signer:
    """A certificate chain and its key, both PEM, and the algorithm that the key is for."""

    certificates: bytes
    key: bytes
    algorithm: str

    @classmethod
    def load(cls, certificates: Path, key: Path) -> Signer:
        """From two PEM files: the signer's certificate first, then those that vouch for it.

        Raises GenerationError, naming the file, where one is absent, unfit or of another pair, and
        where c2pa-python is not installed.
        """
        try:
            from cryptography import x509
            from cryptography.hazmat.primitives.serialization import load_pem_private_key
        except ImportError as error:
            raise GenerationError(_MISSING) from error
        chain_pem, key_pem = _read(certificates), _read(key)
        try:
            chain = x509.load_pem_x509_certificates(chain_pem)
        except ValueError as error:
            raise GenerationError(f"{certificates} holds no PEM certificate ({error})") from error
        try:
            private = load_pem_private_key(key_pem, None)
        except TypeError as error:
            raise GenerationError(
                f"{key} is locked by a passphrase: give a key without one "
                "(`openssl pkey -in KEY -out PLAIN`)"
            ) from error
        except ValueError as error:
            raise GenerationError(f"{key} holds no PEM private key ({error})") from error
        if private.public_key() != chain[0].public_key():
            raise GenerationError(f"{key} is not the key of {certificates}'s first certificate")
        algorithm = _algorithm(private)
        if algorithm is None:
            raise GenerationError(
                f"{key} is of a kind that C2PA has not: an EC key (P-256, P-384, P-521), Ed25519, "
                "or RSA of 2048 bits or more"
            )
        signer = cls(chain_pem, key_pem, algorithm)
        signer._open().close()
        return signer

    def sign(self, source: Path, target: Path, title: str) -> None:
        """Write a copy of an mp4 that carries a signed claim: made by IDOL, by a trained model.

        Raises GenerationError with C2PA's reason, such as a certificate of another purpose.
        """
        import c2pa

        action = {"action": "c2pa.created", "digitalSourceType": _GENERATED}
        manifest = {
            "claim_generator_info": [{"name": "IDOL", "version": _version()}],
            "title": title,
            "format": _MP4,
            "assertions": [{"label": "c2pa.actions.v2", "data": {"actions": [action]}}],
        }
        try:
            with (
                self._open() as signer,
                c2pa.Builder(manifest) as builder,
                source.open("rb") as given,
                target.open("w+b") as written,
            ):
                builder.sign(signer, _MP4, given, written)
        except c2pa.C2paError as error:
            raise GenerationError(f"the video could not be signed: {error}") from error

    def _open(self) -> Any:
        try:
            import c2pa
        except ImportError as error:
            raise GenerationError(_MISSING) from error
        info = c2pa.C2paSignerInfo(self.algorithm, self.certificates, self.key, None)
        try:
            return c2pa.Signer.from_info(info)
        except c2pa.C2paError as error:
            raise GenerationError(f"C2PA cannot sign with this certificate: {error}") from error


def signed_by(video: Path) -> dict[str, Any] | None:
    """What the signed metadata of an mp4 says; None where there is none, or c2pa-python is absent.

    Returns:
        `issuer`, `state` as the C2PA library calls it ("Valid": unchanged since it was signed;
        "Trusted": and by someone on its trust list; "Invalid"), and `generated`: whether it says
        so.
    """
    try:
        import c2pa
    except ImportError:
        return None
    try:
        with video.open("rb") as opened:
            reader = c2pa.Reader.try_create(_MP4, opened)
            if reader is None:
                return None
            with reader:
                manifest = reader.get_active_manifest() or {}
                state = reader.get_validation_state()
    except c2pa.C2paError:
        return None
    issuer = (manifest.get("signature_info") or {}).get("issuer")
    return {"issuer": issuer, "state": state, "generated": _GENERATED in json.dumps(manifest)}


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise GenerationError(f"{path} cannot be read: {error.strerror}") from error


def _algorithm(key: Any) -> str | None:
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    if isinstance(key, ec.EllipticCurvePrivateKey):
        return _CURVES.get(key.curve.name)
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return "ed25519"
    if isinstance(key, rsa.RSAPrivateKey) and key.key_size >= 2048:
        return "ps256"
    return None


def _version() -> str:
    try:
        return version("idol-video")
    except PackageNotFoundError:
        return "0"

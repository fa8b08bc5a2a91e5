"""An authority of a test's own, and certificates that it signs."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

NAME = "meld-rag"


@dataclass(frozen=True)
class Files:
    """Where the authority's certificate, a certificate that it signed and that one's key are."""

    authority: Path
    certificate: Path
    key: Path

    @property
    def variables(self) -> dict[str, str]:
        """As the settings name them."""
        return {
            "MELD_MTLS_CA": str(self.authority),
            "MELD_MTLS_CERTIFICATE": str(self.certificate),
            "MELD_MTLS_KEY": str(self.key),
        }


class Authority:
    """Signs for one house. folder: where its files are put."""

    def __init__(self, folder: Path, title: str = "A house") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, title)])
        built = self._builder(self._subject, self._key).add_extension(
            x509.BasicConstraints(ca=True, path_length=0), critical=True
        )
        self._file = folder / "ca.pem"
        self._file.write_bytes(_pem(built.sign(self._key, hashes.SHA256())))

    def sign(
        self, holder: str, *, name: str = NAME, ended: bool = False, password: bytes | None = None
    ) -> Files:
        """A certificate of `holder` for that name. ended: it was good until an hour ago."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, holder)])
        built = self._builder(subject, key, ended=ended).add_extension(
            x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False
        )
        files = Files(self._file, self._folder / f"{holder}.pem", self._folder / f"{holder}.key")
        files.certificate.write_bytes(_pem(built.sign(self._key, hashes.SHA256())))
        locked = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
        files.key.write_bytes(
            key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, locked)
        )
        return files

    def _builder(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, *, ended: bool = False
    ) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.UTC)
        hour = datetime.timedelta(hours=1)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - 48 * hour)
            .not_valid_after(now - hour if ended else now + 48 * hour)
        )


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)

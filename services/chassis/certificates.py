"""Certificates by which processes of one house know each other: mutual TLS, where settings name the files.

Light: no gRPC is loaded here. Nothing puts a key into a message.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from pathlib import Path


class CertificateError(Exception):
    """A file cannot be used. The message begins with the name of its variable."""


@dataclass(frozen=True)
class Certificates:
    """What a process shows, and by what it knows the others; all PEM.

    authority: whoever it has signed is of this house. certificate: of this process, with what is between it
    and the authority. key: belongs to it. name: stands in the certificate of every service, whatever address
    it is called by.
    """

    authority: bytes
    certificate: bytes
    key: bytes = field(repr=False)
    name: str


def read(authority: Path, certificate: Path, key: Path, name: str) -> Certificates:
    """The certificates in these files. Raises CertificateError for what cannot be read or does not fit."""
    read_authority = _bytes("MELD_MTLS_CA", authority)
    read_certificate = _bytes("MELD_MTLS_CERTIFICATE", certificate)
    read_key = _bytes("MELD_MTLS_KEY", key)
    # gRPC says nothing of a bad file but that no connection comes about.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.load_verify_locations(cadata=read_authority.decode("ascii"))
    except (ssl.SSLError, ValueError):
        raise CertificateError("MELD_MTLS_CA: holds no certificate of an authority (PEM)") from None
    try:
        # Without an answer OpenSSL would ask at the terminal for the password of a locked key.
        context.load_cert_chain(certificate, key, password=lambda: "")
    except (ssl.SSLError, ValueError, OSError):
        raise CertificateError(
            "MELD_MTLS_KEY: is not the unlocked key (PEM) of the certificate in MELD_MTLS_CERTIFICATE"
        ) from None
    return Certificates(read_authority, read_certificate, read_key, name)


def _bytes(variable: str, path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise CertificateError(f"{variable}: its file cannot be read: {error.strerror}") from None

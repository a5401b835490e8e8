"""The box's own certificate: made on first start, and anew with the same key when the box gets another address.

`cryptography` is loaded in a short-lived process (`python -m agentbox.pairing.certificate`), since the daemon would
never give back what it takes. A certificate signs itself: there is no one else whom a box without a network could ask.
A browser warns of it once, and the owner compares the fingerprint that stands beside the QR code.
"""

from __future__ import annotations

import hashlib
import ipaddress
import ssl
import subprocess
import sys
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from agentbox.errors import ConfigError, StorageError
from agentbox.files import replace_file
from agentbox.paths import prepare

if TYPE_CHECKING:
    from cryptography import x509

LIFE_DAYS = 825
"""The most that Apple's systems accept of a certificate (support.apple.com/103769)."""

RENEW_DAYS = 30
EARLIEST = 1_767_225_600.0
"""2026-01-01. A box that starts in 1970 must not make a certificate that is over before its clock is right."""

MAKING_LIMIT_S = 60.0
KEY_FILE, PEM_FILE, NOTE_FILE = "key.pem", "certificate.pem", "certificate.json"


class Certificate(msgspec.Struct, frozen=True, kw_only=True):
    """A certificate and its key, in one PEM file that only the box may read."""

    file: Path
    fingerprint: str
    """SHA-256 over its DER form, as browsers show it: `AB:CD:...`."""


class _Note(msgspec.Struct, frozen=True):
    """What is in the certificate that lies beside: reading that from the certificate would need `cryptography`."""

    names: list[str]
    ends_at: float


def ensure(folder: Path, names: Iterable[str], now: float) -> Certificate:
    """The certificate in `folder`, made if it is not there, is for other names, or ends soon.

    `names`: host names and IP addresses it must be good for. `now`: seconds since 1970. Blocks, for a second where one
    is made. Raises `StorageError` `state_not_writable`, `certificate_failed`.
    """
    prepare(folder)
    wanted = set(names)
    note = _noted(folder)
    if note is None or not wanted <= set(note.names) or now > note.ends_at - RENEW_DAYS * 86_400:
        command = [sys.executable, "-P", "-m", "agentbox.pairing.certificate", str(folder), str(now), *sorted(wanted)]
        try:
            subprocess.run(command, check=True, timeout=MAKING_LIMIT_S, stdin=subprocess.DEVNULL)  # noqa: S603
        except (OSError, subprocess.SubprocessError) as error:
            raise StorageError(
                "certificate_failed",
                f"The page's certificate could not be made in {folder}.",
                "Is there room on the disk? The page stays closed until it works.",
            ) from error
    return Certificate(file=folder / PEM_FILE, fingerprint=fingerprint(folder / PEM_FILE))


def own(file: Path) -> Certificate:
    """The owner's: one PEM file with the private key and the chain. Raises `ConfigError` `certificate_unusable`."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(file, password="")  # never asks at a terminal
        return Certificate(file=file, fingerprint=fingerprint(file))
    except (OSError, ValueError) as error:  # ssl's errors are OSErrors
        raise ConfigError(
            "certificate_unusable",
            f"{file} is not a private key and a certificate that belong together, or cannot be read.",
            "page.certificate names one PEM file that holds both, readable for the box, without a password.",
        ) from error


def fingerprint(file: Path) -> str:
    """SHA-256 of the first certificate in a PEM file. Raises `OSError`, `ValueError`."""
    text = file.read_text(encoding="ascii")
    _, begin, rest = text.partition("-----BEGIN CERTIFICATE-----")
    body, end, _ = rest.partition("-----END CERTIFICATE-----")
    if not end:
        raise ValueError("no certificate")
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(begin + body + end)).digest().hex(":").upper()


def _noted(folder: Path) -> _Note | None:
    """What is known of the certificate; null where it cannot be used or is not there."""
    try:
        note = msgspec.json.decode((folder / NOTE_FILE).read_bytes(), type=_Note)
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(folder / PEM_FILE)
    except (OSError, msgspec.DecodeError, ValueError):
        return None
    return note


def _make(folder: Path, now: float, names: list[str]) -> None:
    """What the short-lived process does."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID

    key_file = folder / KEY_FILE
    try:
        key = serialization.load_pem_private_key(key_file.read_bytes(), password=None)
    except (OSError, ValueError):
        key = ec.generate_private_key(ec.SECP256R1())
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    replace_file(key_file, private)
    begin = datetime.fromtimestamp(min(now, EARLIEST), UTC) - timedelta(days=1)
    end = datetime.fromtimestamp(max(now, EARLIEST), UTC) + timedelta(days=LIFE_DAYS - 1)
    # Of a box whose clock was right, the whole of its life; Apple counts from the beginning.
    begin = max(begin, end - timedelta(days=LIFE_DAYS))
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "agentbox")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(end)
        .add_extension(x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    replace_file(folder / PEM_FILE, private + certificate.public_bytes(serialization.Encoding.PEM))
    replace_file(folder / NOTE_FILE, msgspec.json.encode(_Note(names=names, ends_at=end.timestamp())))


def _general_name(name: str) -> x509.GeneralName:
    from cryptography import x509

    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


if __name__ == "__main__":
    _make(Path(sys.argv[1]), float(sys.argv[2]), sys.argv[3:])

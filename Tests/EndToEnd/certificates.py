"""Certificates for the tests: an authority, and what it signs for servers and clients."""

import ipaddress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

VALID_DAYS = 2


class Pair(NamedTuple):
    """The files of a certificate (a chain, if it has one) and of its private key."""

    certificate: Path
    key: Path

    @property
    def options(self) -> tuple[str, ...]:
        """What `hydrant serve` takes to use it."""
        return ("--tls-certificate", str(self.certificate), "--tls-key", str(self.key))

    @property
    def serial(self) -> int:
        """The serial number of the first certificate."""
        return x509.load_pem_x509_certificate(self.certificate.read_bytes()).serial_number


class Authority:
    """A certificate authority whose files are in `folder`."""

    def __init__(self, folder: Path, name: str = "authority"):
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        builder = self._builder(self._name, self._key.public_key())
        builder = builder.add_extension(x509.BasicConstraints(True, None), critical=True)
        self._certificate = builder.sign(self._key, hashes.SHA256())
        self.path = folder / f"{name}.pem"
        """The authority's own certificate."""
        self.path.write_bytes(_pem(self._certificate))

    def server(self, name: str = "server", *, kind: str = "ec", lapsed: bool = False) -> Pair:
        """A certificate for 127.0.0.1 and localhost; files of the same name are replaced."""
        return self._issue(name, ExtendedKeyUsageOID.SERVER_AUTH, kind, lapsed)

    def client(self, name: str = "client", *, lapsed: bool = False) -> Pair:
        """A certificate for a client."""
        return self._issue(name, ExtendedKeyUsageOID.CLIENT_AUTH, "ec", lapsed)

    def _issue(self, name: str, usage: x509.ObjectIdentifier, kind: str, lapsed: bool) -> Pair:
        key = _private_key(kind)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        names = [
            x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
            x509.DNSName("localhost"),
        ]
        certificate = (
            self._builder(subject, key.public_key(), lapsed=lapsed)
            .add_extension(x509.BasicConstraints(False, None), critical=True)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        pair = Pair(self._folder / f"{name}.pem", self._folder / f"{name}.key")
        pair.certificate.write_bytes(_pem(certificate))
        pair.key.touch(mode=0o600)
        pair.key.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return pair

    def _builder(self, subject: x509.Name, public_key, *, lapsed: bool = False):
        start = datetime.now(UTC) - timedelta(days=2 * VALID_DAYS if lapsed else 1)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(start)
            .not_valid_after(start + timedelta(days=VALID_DAYS))
        )


def _private_key(kind: str):
    if kind == "rsa":
        return rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return ec.generate_private_key(ec.SECP256R1())


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)

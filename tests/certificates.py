"""Certificates for servers that live as long as a test: an authority, and what it signs. Elliptic keys, for
speed.

>>> certificate, key = write_pair(folder, authority("mysql"), "mysqld")
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec


@dataclass(frozen=True)
class Authority:
    """A certificate authority: its certificate and private key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def pem(self) -> str:
        """Return the certificate in PEM."""
        return self.certificate.public_bytes(serialization.Encoding.PEM).decode()


def authority(name: str) -> Authority:
    """Make a certificate authority of that name, signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    builder = _builder(name, name, key.public_key(), timedelta(days=1))
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    return Authority(builder.sign(key, hashes.SHA256()), key)


def issue(ca: Authority, name: str, public_key, *, lasts: timedelta = timedelta(hours=1)) -> str:
    """Sign a certificate for `public_key`, in PEM; a negative `lasts` gives one that has expired."""
    issuer = ca.certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)[0].value
    signed = _builder(name, issuer, public_key, lasts).sign(ca.key, hashes.SHA256())
    return signed.public_bytes(serialization.Encoding.PEM).decode()


def write_pair(folder: Path, ca: Authority, name: str) -> tuple[Path, Path]:
    """Write a server certificate of `ca` and its key below `folder`, and return their paths."""
    key = ec.generate_private_key(ec.SECP256R1())
    paths = folder / f"{name}.crt", folder / f"{name}.key"
    paths[0].write_text(issue(ca, name, key.public_key()))
    paths[1].write_bytes(private_pem(key))
    return paths


def _builder(name: str, issuer: str, public_key, lasts: timedelta) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    subject, signer = (x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, n)]) for n in (name, issuer))
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(signer).public_key(public_key)
    builder = builder.serial_number(x509.random_serial_number())
    return builder.not_valid_before(now - timedelta(days=2)).not_valid_after(now + lasts)


def private_pem(key) -> bytes:
    """Return a private key in PEM, without a passphrase."""
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    return key.private_bytes(encoding, form, serialization.NoEncryption())

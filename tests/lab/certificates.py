"""A certificate authority of the lab's own: root, intermediate, and what the hosts serve."""

import datetime as dt
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID


class Authority:
    """Issues certificates from the keys in a folder.

    Attributes:
        bundle: PEM file of the root certificate, for those who shall trust it.
    """

    def __init__(self, folder: Path) -> None:
        self.bundle = folder / "root.pem"
        self._chain = (folder / "intermediate.pem").read_text()
        self._issuer = x509.load_pem_x509_certificate(self._chain.encode())
        key = serialization.load_pem_private_key(
            (folder / "intermediate.key").read_bytes(), password=None
        )
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        self._key = key

    @staticmethod
    def make(folder: Path) -> None:
        """Write the root's certificate and the intermediate's certificate and key."""
        folder.mkdir(parents=True)
        root_key, key = _new_key(), _new_key()
        root_name, name = _name("Lab Root"), _name("Lab Intermediate")
        root = _authority(root_name, root_key, root_name, root_key, path_length=1)
        intermediate = _authority(name, key, root_name, root_key, path_length=0)
        (folder / "root.pem").write_text(_pem(root))
        (folder / "intermediate.pem").write_text(_pem(intermediate))
        (folder / "intermediate.key").write_text(_pem_key(key))

    def issue(self, name: str, *, begins_days: int = 0, lasts_days: int = 90) -> tuple[str, str]:
        """Issue a certificate for a host name.

        Args:
            name: Its subject and its one alternative name.
            begins_days: Days from now until it is valid; negative: it is already that old.
            lasts_days: Days that it is valid.

        Returns:
            The chain as a server sends it, and the private key; both PEM.
        """
        key = _new_key()
        builder = (
            _leaf(name, key, begins_days, lasts_days)
            .issuer_name(self._issuer.subject)
            .add_extension(_authority_key(self._key), critical=False)
        )
        return _pem(builder.sign(self._key, hashes.SHA256())) + self._chain, _pem_key(key)


def self_signed(name: str) -> tuple[str, str]:
    """Make a certificate that vouches for itself; PEM, and its key."""
    key = _new_key()
    builder = _leaf(name, key, 0, 90).issuer_name(_name(name))
    return _pem(builder.sign(key, hashes.SHA256())), _pem_key(key)


def _authority(
    subject: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    issuer: x509.Name,
    issuer_key: ec.EllipticCurvePrivateKey,
    path_length: int,
) -> x509.Certificate:
    usage = x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=True,
        crl_sign=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
    constraints = x509.BasicConstraints(ca=True, path_length=path_length)
    return (
        _begin(subject, key, -1, 3650)
        .issuer_name(issuer)
        .add_extension(constraints, critical=True)
        .add_extension(usage, critical=True)
        .add_extension(_authority_key(issuer_key), critical=False)
        .sign(issuer_key, hashes.SHA256())
    )


def _leaf(
    name: str, key: ec.EllipticCurvePrivateKey, begins_days: int, lasts_days: int
) -> x509.CertificateBuilder:
    return (
        _begin(_name(name), key, begins_days, lasts_days)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    )


def _begin(
    subject: x509.Name, key: ec.EllipticCurvePrivateKey, begins_days: int, lasts_days: int
) -> x509.CertificateBuilder:
    an_hour_ago = dt.datetime.now(tz=dt.UTC) - dt.timedelta(hours=1)
    begins = an_hour_ago + dt.timedelta(days=begins_days)
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(begins + dt.timedelta(days=lasts_days))
        .add_extension(identifier, critical=False)
    )


def _authority_key(key: ec.EllipticCurvePrivateKey) -> x509.AuthorityKeyIdentifier:
    return x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key())


def _new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _pem_key(key: ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()

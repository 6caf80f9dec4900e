"""A Kafka that encrypts, asks who is there, and lets nobody do what an ACL does not allow."""

import datetime as dt
import shutil
import ssl
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import trustme
from confluent_kafka.admin import (
    AdminClient,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)
from cryptography.hazmat.primitives import serialization

from mainstem.embedded import EmbeddedKafka, default_cache_dir
from mainstem.embedded.kafka_config import Secured

PASSWORD = "canary-93ab1f-password"
KEY_PASSWORD = "canary-51d0c7-key"
HOST = "127.0.0.1"


class SecuredKafka:
    """*users*: of PLAIN and, on request, of SCRAM; each has the password PASSWORD."""

    def __init__(self, *users: str) -> None:
        self.home = Path(tempfile.mkdtemp(prefix="mst-sec-"))
        self.authority = trustme.CA()
        self.ca = self.home / "ca.pem"
        self.authority.cert_pem.write_to_path(self.ca)
        certificate = self.home / "broker.pem"
        certificate.write_bytes(_pem(self.authority.issue_cert(HOST)))
        secured = Secured(certificate=certificate, trusted=self.ca, users=dict.fromkeys(users, PASSWORD))
        self._service = EmbeddedKafka(self.home, cache_dir=default_cache_dir(), secured=secured)

    def start(self) -> None:
        self._service.start()
        self.admin = AdminClient({"bootstrap.servers": self._service.address, "log_level": 0})

    def close(self) -> None:
        self._service.stop()
        shutil.rmtree(self.home)

    @property
    def open_address(self) -> str:
        """Where nobody is asked anything: the administrator's."""
        return self._service.address

    def add_scram(self, user: str, mechanism: str) -> None:
        kind = ScramMechanism[mechanism.replace("-", "_")]
        wanted = UserScramCredentialUpsertion(user, ScramCredentialInfo(kind, 4096), PASSWORD.encode())
        for answer in self.admin.alter_user_scram_credentials([wanted]).values():
            answer.result(20)

    def sasl(self, user: str, *, mechanism: str = "PLAIN", password: str = PASSWORD, **ssl_: Any) -> dict[str, Any]:
        """Return the section `kafka` of a configuration for *user*."""
        return {
            "bootstrap_servers": self._service.secured_addresses[0],
            "security_protocol": "SASL_SSL",
            "sasl": {"mechanism": mechanism, "username": user, "password": password},
            "ssl": {"ca_location": str(self.ca), **ssl_},
        }

    def mutual(self, user: str) -> dict[str, Any]:
        """Return the section `kafka` for a client that shows a certificate; its key is encrypted."""
        leaf = self.authority.issue_cert(f"{user}.invalid", common_name=user)
        chain, key = self.home / f"{user}.pem", self.home / f"{user}.key"
        chain.write_bytes(b"".join(each.bytes() for each in leaf.cert_chain_pems))
        key.write_bytes(_key(leaf, serialization.BestAvailableEncryption(KEY_PASSWORD.encode())))
        return {
            "bootstrap_servers": self._service.secured_addresses[1],
            "security_protocol": "SSL",
            "ssl": {
                "ca_location": str(self.ca),
                "certificate_location": str(chain),
                "key_location": str(key),
                "key_password": KEY_PASSWORD,
            },
        }


def stranger(path: Path) -> Path:
    """Write the certificate of an authority that has signed nothing of ours."""
    trustme.CA().cert_pem.write_to_path(path)
    return path


def server_context(authority: trustme.CA, **leaf: Any) -> ssl.SSLContext:
    """Return how a server shows a certificate for *leaf*: `host`, and `not_after` of the past when it has expired."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(leaf.pop("host", HOST), **leaf).configure_cert(context)
    return context


EXPIRED: Mapping[str, Any] = {
    "not_before": dt.datetime(2020, 1, 1, tzinfo=dt.UTC),
    "not_after": dt.datetime(2021, 1, 1, tzinfo=dt.UTC),
}


def _pem(leaf: trustme.LeafCert) -> bytes:
    return _key(leaf, serialization.NoEncryption()) + b"".join(each.bytes() for each in leaf.cert_chain_pems)


def _key(leaf: trustme.LeafCert, encryption: serialization.KeySerializationEncryption) -> bytes:
    key = serialization.load_pem_private_key(leaf.private_key_pem.bytes(), password=None)
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)

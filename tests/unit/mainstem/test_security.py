"""Files that are there and hold no certificates are told by name, and no password is asked for on a terminal."""

import pytest
import trustme
from cryptography.hazmat.primitives import serialization

from mainstem.config import Config
from mainstem.security import access
from schemas.errors import ConfigError

CANARY = "canary-0d6e12"


def kafka(**ssl):
    section = {"bootstrap_servers": "a:1", "security_protocol": "SSL", "ssl": ssl}
    return Config.model_validate({"kafka": section}).kafka


@pytest.fixture
def leaf(tmp_path):
    """Write a certificate and its key, encrypted with the canary; return their paths."""
    made = trustme.CA().issue_cert("client.invalid")
    key = serialization.load_pem_private_key(made.private_key_pem.bytes(), password=None)
    secret = serialization.BestAvailableEncryption(CANARY.encode())
    made.cert_chain_pems[0].write_to_path(tmp_path / "client.pem")
    (tmp_path / "client.key").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, secret)
    )
    return {"certificate_location": str(tmp_path / "client.pem"), "key_location": str(tmp_path / "client.key")}


def test_a_file_without_certificates_is_named(tmp_path):
    (tmp_path / "ca.pem").write_text("nothing")
    with pytest.raises(ConfigError, match=r"kafka\.ssl\.ca_location: .*ca\.pem holds no certificates"):
        access(kafka(ca_location=str(tmp_path / "ca.pem")))


def test_a_key_is_opened_with_its_password(leaf):
    found = access(kafka(**leaf, key_password=CANARY))
    assert found.context is not None
    assert CANARY not in repr(found)


@pytest.mark.parametrize("password", [{}, {"key_password": "another"}])
def test_a_key_that_does_not_open_is_named(leaf, password):
    with pytest.raises(ConfigError, match=r"client\.key .*key_password does not open the key"):
        access(kafka(**leaf, **password))


def test_an_open_kafka_needs_nothing():
    assert access(Config().kafka).credentials() is None

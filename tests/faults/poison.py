"""What nobody can understand, of many kinds: each must end in the dead letters, byte for byte, and stop nobody."""

import json
import random
from typing import Any


def _with(**fields: Any) -> bytes:
    metadata = {"name": "poisoned"}
    entity = {"apiVersion": "backstage.io/v1alpha1", "kind": "Component", "metadata": metadata, "spec": {}}
    return json.dumps({"entity": entity, **fields}).encode()


def _named(name: str) -> bytes:
    return _with().replace(b"poisoned", name.encode())


KINDS = {
    "no JSON": b"{no change",
    "bad UTF-8": b'{"entity": "\xff\xfe"}',
    "truncated": _with()[:-7],
    "depth 10,000": b'{"entity":' + b"[" * 10_000 + b"]" * 10_000 + b"}",
    "NaN": _with(service={"tier": 0}).replace(b'"tier": 0', b'"tier": NaN'),
    "Infinity": _with(service={"tier": 0}).replace(b'"tier": 0', b'"tier": -Infinity'),
    "no double": _with(service={"tier": 0}).replace(b'"tier": 0', b'"tier": 1e999'),
    "lone surrogate": _with(service={"tier": 0}).replace(b'"tier": 0', b'"tier": "\\ud800"'),
    "NUL": _with(service={"tier": "a\0b"}),
    "unknown schema id": b"\x00\x7f\xff\xff\xff" + b"\x02" * 40,
    "truncated Avro": b"\x00\x00\x00",
    "null value": None,
    "empty value": b"",
    "an array": b"[]",
    "a name of 300 characters": _named("n" * 300),
    "a name that is a path": _named("../../etc/passwd"),
    "unknown op": b'{"op": "bogus"}',
    "delete of nothing": b'{"op": "delete"}',
    "another tenant": _with(tenant="stranger"),
    "another entityRef": _with(entityRef="component:default/other"),
    "negative generation": _with(generation=-1),
    "a life of no seconds": _with(ttlSeconds=0),
    "a version beyond 64 bits": _with(version=2**63),
    "no entity": b'{"op": "upsert", "entity": null}',
    "one byte too much": _with(service={"tier": ""}).replace(b'"tier": ""', b'"tier": "%s"' % (b"x" * 999_999)),
}


def draw_poison(rng: random.Random, number: int) -> tuple[bytes | None, bytes | None]:
    """Return key and value of a record that is no change."""
    value = rng.choice([*KINDS.values()])
    return rng.choice((b"poison-%d" % number, None, b"", b"\xff%d" % number)), value

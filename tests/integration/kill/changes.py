"""Changes as three connectors would publish them: overlapping, out of order, repeated, misplaced, and a few broken.

All that is drawn depends on the seed and the beginning alone.
"""

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass

from streams.policy import ConnectorPolicy, Policy

CONNECTORS = ("git", "cmdb", "oncall")
POLICY = Policy(
    connectors={
        "git": ConnectorPolicy(priority=50),
        "cmdb": ConnectorPolicy(priority=60, ttl=3600),
        "oncall": ConnectorPolicy(priority=30, asserts_existence=False),
    }
)
KINDS = ("Component", "API", "Group")
KEYS = 3_000
EARLIER = 3_000
"""By how many changes one may be late."""

LONGEST_TTL = 605


def last_deadline(begin_ms: int, count: int) -> int:
    """Return the epoch ms after which no life band of what was drawn changes for an hour."""
    return begin_ms - 600_000 + count // 3 + LONGEST_TTL * 1000


@dataclass(frozen=True, slots=True)
class Drawn:
    """One record to be published. *key* and *partition* None: right by murmur2; *is_poison*: no change at all."""

    connector: str
    ref: str
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]
    way: str
    """right, crc32, null-key, wrong-key or poison"""


def draw(seed: int, count: int, begin_ms: int) -> Iterator[Drawn]:
    """Yield *count* changes. *begin_ms*: epoch ms; nothing is observed later than that."""
    rng = random.Random(seed)
    for number in range(count):
        connector = CONNECTORS[number % len(CONNECTORS)]
        entity = rng.randrange(KEYS)
        kind = KINDS[entity % len(KINDS)]
        ref = f"{kind.lower()}:default/e-{entity}"
        way = rng.choices(("right", "crc32", "null-key", "wrong-key", "poison"), (86, 8, 2.5, 3, 0.5))[0]
        headers = (("traced", b"%d" % number),) if number % 7 == 0 else ()
        if way == "poison":
            key, value = _poison(rng, number)
            yield Drawn(connector, "", key, value, headers, way)
            continue
        document = _document(rng, connector, kind, entity, ref, max(0, number - rng.randrange(EARLIER)), begin_ms)
        key = {"null-key": None, "wrong-key": ref.upper().encode()}.get(way, ref.encode())
        yield Drawn(connector, ref, key, json.dumps(document).encode(), headers, way)


def _document(rng, connector, kind, entity, ref, moment, begin_ms):  # noqa: PLR0917 - what a change is made of
    document = {}
    if connector == "git":
        # Versions of its own, and the record's timestamp for a time: forwarding must keep it.
        document["version"] = moment
    else:
        document["observedAt"] = begin_ms - 600_000 + moment // 3
    if rng.random() < 0.12:
        return {**document, "op": "delete", "entityRef": ref}
    if connector == "cmdb" and rng.random() < 0.2:
        document["ttlSeconds"] = rng.choice((595, 600, 603, LONGEST_TTL, None))
    if rng.random() < 0.05:
        document["priority"] = rng.choice((10, 55, 70))
    return {**document, **_content(rng, connector, kind, entity)}


def _content(rng, connector, kind, entity):
    name = f"e-{entity}" if connector != "cmdb" else f"E-{entity}"
    others = [f"component:e-{rng.randrange(KEYS)}" for _ in range(rng.randrange(3))]
    spec = {"type": rng.choice(("service", "library")), "owner": rng.choice((f"team-{rng.randrange(20)}", "", None))}
    if kind == "Component":
        spec |= {"dependsOn": others, "lifecycle": rng.choice(("production", "experimental"))}
    elif kind == "API":
        spec["definition"] = rng.choice(("swagger: 2.0", "openapi: 3.1.0", f"# {rng.randrange(100)}"))
    else:
        spec |= {"children": [], "profile": {"displayName": f"ä-{connector}"}}
    metadata = {
        "name": name,
        "annotations": {f"acme.com/{connector}": str(rng.randrange(50)), "acme.com/shared": connector},
        "labels": {"tier": str(rng.randrange(4))} if rng.random() < 0.9 else None,
        "tags": rng.sample(("java", "go", "python", "edge"), rng.randrange(4)),
        "links": [{"url": f"https://{rng.randrange(5)}.example", "title": connector}],
        "description": f"{connector} says {rng.randrange(5)}",
    }
    service = {
        "tier": rng.choice((None, "", "tier1", "tier2")),
        "dependencies": [{"target": other, "type": "runtime", "isCritical": rng.random() < 0.3} for other in others],
        "runbooks": [{"url": f"https://run.example/{rng.randrange(9)}", "title": connector}],
    }
    content = {"entity": {"apiVersion": "backstage.io/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec}}
    return {**content, "service": service} if connector != "git" else content


def _poison(rng, number):
    mark = b"%d" % number
    return rng.choice((
        (b"poison-" + mark, b"{not json " + mark),
        (None, b'{"op": "bogus", "id": "' + mark + b'"}'),
        (b"poison-" + mark, b"\xff\xfe" + mark),
        (b"poison-" + mark, None),
        (b"", b""),
        (b"\xff" + mark, b'{"entity": {"apiVersion": "v1", "kind": "API", "metadata": {"name": "-' + mark + b'"}}}'),
        (b"poison-" + mark, b"[" * 3000 + mark),
        (b"poison-" + mark, b'{"op": "delete", "id": "' + mark + b'"}'),
    ))  # fmt: skip

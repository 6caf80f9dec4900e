"""One running `up` for all tests here that leave it as they found it."""

from collections.abc import Iterator

import pytest

from tests.acceptance.running import Up

CATALOGS = 9
RULED = [
    {"connector_id": "ruled-a", "type": "external", "priority": 60},
    {"connector_id": "ruled-b", "type": "external", "priority": 50},
]
RULES = [
    {"kinds": ["Widget"], "path": "/service/tier", "strategy": "rank", "values": ["gold", "silver"]},
    {"kinds": ["Widget"], "path": "/spec/owner", "strategy": "authoritative", "connector": "ruled-b"},
]
GOOD_FILE = """\
# two of one file
apiVersion: backstage.io/v1alpha1
kind: Component
metadata: {name: yard-one}
spec: {type: service, lifecycle: production, owner: team-yard}
---
apiVersion: backstage.io/v1alpha1
kind: Component
metadata: {name: yard-two}
spec: {type: service, lifecycle: production, owner: team-yard}
"""
BROKEN_FILE = """\
apiVersion: backstage.io/v1alpha1
kind: Component
metadata: {name: yard-three}
spec: {type: service, lifecycle: production, owner: team-yard}
---
apiVersion: backstage.io/v1alpha1
kind: Component
metadata: {name: "kan4rie
spec: [
---
apiVersion: backstage.io/v1alpha1
kind: Component
metadata: {name: yard-four}
spec: {type: service, lifecycle: production, owner: team-yard}
---
apiVersion: backstage.io/v1alpha1
kind: Component
metadata: {name: yard-five}
spec: {type: service, lifecycle: production}
"""


@pytest.fixture(scope="session")
def installation() -> Iterator[Up]:
    """Yield a running installation. Each test uses connectors of its own."""
    external = [{"connector_id": f"catalog-{number}", "type": "external"} for number in range(CATALOGS)]
    others = [
        {"connector_id": "bad", "type": "external"},
        {"connector_id": "avro", "type": "external", "ttl": "4s"},
        {"connector_id": "letters", "type": "external"},
        {"connector_id": "pipe", "type": "external"},
        {"connector_id": "yard", "type": "git", "connection": {"path": "yard"}},
    ]
    up = Up({"connectors": [*external, *others, *RULED], "merge": {"rules": RULES}})
    yard = up.home / "yard"
    yard.mkdir()
    (yard / "good.yaml").write_text(GOOD_FILE)
    (yard / "broken.yaml").write_text(BROKEN_FILE)
    try:
        yield up.start()
        up.stop()
    finally:
        up.close()

"""What a connector's items come to."""

import orjson

from sources.ledger import Gone
from sources.mapping import Mapper, MappingSettings
from sources.sieve import Sieve


def test_a_deletion_outranks_what_was_published_whatever_its_version_and_the_clock():
    sieve = Sieve("acme", Mapper(MappingSettings(connector="acme")))
    gone = Gone(entity_ref="component:default/pay", generation=2, source_version=7, observed_at=5_000)
    change = orjson.loads(sieve.deletion(gone, 1_000).value or b"")
    assert (change["generation"], change["version"], change["observedAt"]) == (2, 7, 5_001)

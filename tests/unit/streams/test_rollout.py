"""Two configurations never fight: a worker whose policy is older than the one in force refuses to start."""

import pytest

from schemas.errors import ConfigError
from streams.rollout import PolicyRecord

IN_FORCE = PolicyRecord(version=7, fingerprint="f", revision=3)


@pytest.mark.parametrize("revision", [3, 4])
def test_a_policy_that_is_as_new_or_newer_is_let_in(revision):
    IN_FORCE.admit(revision)


def test_an_older_policy_is_refused_with_what_to_do():
    with pytest.raises(ConfigError, match=r"2 is lower than 3.*set a higher merge\.revision"):
        IN_FORCE.admit(2)


@pytest.mark.parametrize(("value", "expected"), [(None, PolicyRecord()), (IN_FORCE.encode(), IN_FORCE)])
def test_what_a_partition_keeps_is_read_again(value, expected):
    assert PolicyRecord.decode(value) == expected

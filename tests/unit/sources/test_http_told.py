"""How an attempt that failed is told of."""

import asyncio

import httpx2
import pytest
from stamina.instrumentation import get_on_retry_hooks, set_on_retry_hooks

from schemas.errors import SourceUnreachableError
from sources.base import Retry
from sources.http import HttpClient, told


@pytest.fixture
def sentences():
    """What is told of attempts meanwhile."""
    before, said = get_on_retry_hooks(), []
    set_on_retry_hooks([lambda details: said.append(told(details))])
    yield said
    set_on_retry_hooks(before)


def test_an_attempt_that_failed_is_told_as_a_sentence_without_what_was_sent(sentences):
    async def asked():
        retry = Retry(attempts=2, backoff_seconds=(0.0,))
        async with HttpClient("http://127.0.0.1:1", retry=retry, headers=lambda: {"authorization": "s3cret"}) as client:
            await client.get("/entities", {"token": "s3cret"})

    with pytest.raises(SourceUnreachableError):
        asyncio.run(asked())
    reason = f"the connection to http://127.0.0.1:1/entities failed or broke ({httpx2.ConnectError.__name__})"
    assert sentences == [f"{reason}; it is tried again in 0.0 s"]

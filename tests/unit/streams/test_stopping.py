"""A consumer's thread that ends while a rebalance asks something of it."""

import asyncio
from types import SimpleNamespace

import pytest
from faust.transport.drivers import aiokafka as driver

from streams.transport import LeasedConsumerThread


def _stop(monkeypatch, *, is_cancelled):
    """Stop a thread whose consumer's own stop is cancelled, by somebody or by itself; return what was closed."""
    closed = []

    async def close():
        closed.append("client")

    async def stop(_):
        if is_cancelled:
            asyncio.current_task().cancel()
        else:
            asking = asyncio.get_running_loop().create_future()
            asking.cancel()
            await asking
        await asyncio.sleep(0)

    monkeypatch.setattr(driver.AIOKafkaConsumerThread, "on_thread_stop", stop)
    thread = LeasedConsumerThread.__new__(LeasedConsumerThread)
    thread._consumer = SimpleNamespace(_client=SimpleNamespace(close=close))
    asyncio.run(thread.on_thread_stop())
    return closed


def test_a_rebalance_that_meets_the_stop_leaves_no_connection_open(monkeypatch):
    assert _stop(monkeypatch, is_cancelled=False) == ["client"]


def test_a_stop_that_is_cancelled_stays_so(monkeypatch):
    with pytest.raises(asyncio.CancelledError):
        _stop(monkeypatch, is_cancelled=True)

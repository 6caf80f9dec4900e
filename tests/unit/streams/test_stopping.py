"""A consumer's thread that ends while a rebalance asks something of it."""

import asyncio
from types import SimpleNamespace

import pytest
from faust.transport.drivers import aiokafka as driver
from mode.threads import QueueServiceThread

from streams.consumer_thread import LeasedConsumerThread


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


class _Thread(QueueServiceThread):
    """A thread with the queue of the consumer's, which when it ends waits for a rebalance as the consumer does."""

    method_queue = LeasedConsumerThread.method_queue
    rebalance = None

    async def commit(self):
        return "committed"

    async def on_thread_stop(self):
        await super().on_thread_stop()
        asked = asyncio.run_coroutine_threadsafe(self.call_thread(self.commit), self.parent_loop)
        self.rebalance = await asyncio.wrap_future(asked)


def test_a_rebalance_that_meets_the_stop_still_commits():
    async def stop():
        thread = _Thread()
        await thread.start()
        assert await thread.call_thread(thread.commit) == "committed"
        _, waiting = await asyncio.wait([asyncio.create_task(thread.stop())], timeout=20)
        return thread.rebalance, waiting

    assert asyncio.run(stop()) == ("committed", set())

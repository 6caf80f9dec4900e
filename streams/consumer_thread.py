"""The thread of Faust's consumer: whose heartbeats renew the lease, and which ends whatever meets its end."""

import asyncio
from typing import Any

from faust.transport.drivers import aiokafka as driver
from mode.threads import MethodQueue


class _LateCalls(MethodQueue):
    """What is asked of a thread is done in its loop, also once its workers have ended.

    The thread ends them first and its consumer next. That waits for a rebalance under way, which commits through this
    queue: unanswered, the two wait for each other, and the process never ends.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._late: set[asyncio.Task[Any]] = set()

    def _queue_put(self, method: Any) -> None:
        if not self.should_stop:
            super()._queue_put(method)
            return
        late = self.loop.create_task(self._process_enqueued(method))
        self._late.add(late)
        late.add_done_callback(self._late.discard)


class LeasedConsumerThread(driver.AIOKafkaConsumerThread):
    """The thread of Faust's consumer, whose heartbeats renew the lease."""

    _method_queue: MethodQueue | None = None

    @property
    def method_queue(self) -> MethodQueue:
        if self._method_queue is None:
            self._method_queue = _LateCalls(loop=self.thread_loop, beacon=self.beacon)
        return self._method_queue

    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        self.app.lease.renewed_by(consumer._client)  # noqa: SLF001 - aiokafka has no hook for it
        return consumer

    async def on_thread_stop(self) -> None:
        """Close the consumer, also where a rebalance meets the stop: what that asks of this thread is cancelled then,
        and would end the thread with connections open. What it did not commit is read again.
        """
        try:
            await super().on_thread_stop()
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            await self._consumer._client.close()  # noqa: SLF001 - its own stop went no further

    def close(self) -> None:
        """Leave closing to the stop that is under way: Faust asks for it when a rebalance meets that.

        Its own way closes the consumer in the application's event loop, which is not the consumer's: the stop then
        finds it closed, waits for what no one ends, and leaves connections behind.
        """

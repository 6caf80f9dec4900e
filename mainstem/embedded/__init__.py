"""A real Kafka and a real Postgres on this machine, for whoever has configured none.

Read next: `service.py` (what both can do), `kafka.py`, `postgres.py`, then `process.py` (how children live and end).
"""

from mainstem.embedded.jars import default_cache_dir
from mainstem.embedded.kafka import EmbeddedKafka
from mainstem.embedded.lock import DataDirLock
from mainstem.embedded.postgres import EmbeddedPostgres
from mainstem.embedded.service import EmbeddedService, Progress, ProgressHook

__all__ = [
    "DataDirLock",
    "EmbeddedKafka",
    "EmbeddedPostgres",
    "EmbeddedService",
    "Progress",
    "ProgressHook",
    "default_cache_dir",
]

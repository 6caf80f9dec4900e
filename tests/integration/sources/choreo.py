"""An OpenChoreo with something in it, and a run over it."""

import asyncio
from contextlib import aclosing

from schemas.errors import SourceError
from sources.base import Retry, SourceSettings
from sources.openchoreo import OpenChoreoSource
from sources.publisher import draft

TILL = {
    "endpoints": {
        "rest": {"type": "REST", "port": 8080, "schema": {"content": "openapi: 3.0.0"}},
        "stream": {"type": "Websocket", "port": 8081},
    },
    "connections": {
        "l": {"type": "api", "params": {"componentName": "ledger", "endpoint": "rpc", "projectName": "pay"}}
    },
}
LEDGER = {"endpoints": {"rpc": {"type": "gRPC", "port": 9090}}}
PAGES = (
    "/orgs?",
    "/orgs?after-empty",
    "/orgs/acme/projects?",
    "/orgs/acme/projects?after-pay",
    "/orgs/globex/projects?",
    "/orgs/acme/projects/lab/components?",
    "/orgs/acme/projects/pay/components?",
    "/orgs/acme/projects/pay/components?after-site",
    "/orgs/globex/projects/pay/components?",
)
"""The lists that hold something, page by page, in the order of a run."""


def fill(server):
    refs = [server.put_org(name) for name in ("acme", "empty", "globex")]
    refs += [
        server.put_project(*path) for path in (("acme", "lab"), ("acme", "pay"), ("acme", "zoo"), ("globex", "pay"))
    ]
    refs += server.put_component("acme", "pay", "ledger", workload=LEDGER)
    refs += server.put_component("acme", "pay", "site", type="WebApplication")
    refs += server.put_component("acme", "pay", "till", workload=TILL)
    refs += server.put_component("acme", "lab", "trial", type="ScheduledTask")
    refs += server.put_component("globex", "pay", "till")
    return refs


def source(server, *, chunk_size=2, **connection):
    return OpenChoreoSource(
        SourceSettings(
            connector="choreo",
            connection={"base_url": server.base_url, **connection},
            chunk_size=chunk_size,
            retry=Retry(attempts=1),
            secret=lambda ref: {"env:TOKEN": "canary-token"}[ref],
        )
    )


def read(one, cursor=None):
    """Return the pages that came, and what ended the run."""

    async def reading():
        pages = []
        try:
            async with aclosing(one.pages(cursor)) as given:
                async for page in given:
                    pages.append(page)  # noqa: PERF401 - what came before an error is looked at too
        except SourceError as error:
            return pages, error
        return pages, None

    return asyncio.run(reading())


def refs(pages):
    return [draft(item.change, "choreo").entity_ref for page in pages for item in page.items]


def entities(pages):
    return {draft(item.change, "choreo").entity_ref: item.change["entity"] for page in pages for item in page.items}


def unread(pages):
    return {scope: why for page in pages for scope, why in page.unread.items()}

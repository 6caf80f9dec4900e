"""The policy by which records merge now: what is configured, and when connectors could not reach their sources."""

from fastapi import Request

from mainstem.api.database import ask
from mainstem.held import with_outages
from streams.policy import Policy


async def present_policy(request: Request) -> Policy:
    """Return the policy of this process, with the outages that the processor has heard of."""
    configured: Policy = request.app.state.settings.policy
    return with_outages(configured, await ask(request, "outages"))

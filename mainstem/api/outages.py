"""The policy by which records merge now: what is configured, and when connectors could not reach their sources."""

from fastapi import Request

from streams.policy import Policy


async def present_policy(request: Request) -> Policy:
    policy: Policy = request.app.state.settings.policy
    return policy

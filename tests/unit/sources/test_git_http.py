"""What a Git server's status means."""

import pytest
import urllib3

from schemas.errors import RateLimitedError
from sources.base import MAX_RETRY_AFTER_SECONDS
from sources.git_http import refusal


@pytest.mark.parametrize(("said", "asked"), [("7", 7.0), ("9" * 400, MAX_RETRY_AFTER_SECONDS), ("²", None)])
def test_a_server_that_asks_to_be_left_alone_for_ages_is_asked_again(said, asked):
    error = refusal(urllib3.HTTPResponse(status=429, headers={"Retry-After": said}), "https://git.acme.com/pay")
    assert isinstance(error, RateLimitedError)
    assert error.retry_after == asked

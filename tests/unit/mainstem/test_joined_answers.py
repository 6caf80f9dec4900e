"""The head of an answer and its body, as they are handed to the socket."""

import asyncio

from mainstem.api.server import Joined


class Socket(asyncio.Transport):
    def __init__(self):
        super().__init__()
        self.sent = []

    def write(self, data):
        self.sent.append(bytes(data))

    def close(self):
        self.sent.append("closed")


async def sent(*parts):
    """Return what was sent of *parts*: bytes, "turn" for one of the loop, "close"."""
    socket = Socket()
    joined = Joined(socket)
    for part in parts:
        if part == "turn":
            await asyncio.sleep(0)
        elif part == "close":
            joined.close()
        else:
            joined.write(part)
    return socket.sent


def test_a_head_is_sent_with_the_body_that_follows():
    assert asyncio.run(sent(b"head", b"body", b"more", "turn")) == [b"headbody", b"more"]


def test_a_head_goes_before_a_body_that_is_long_or_comes_later_and_is_sent_without_one():
    long = b"." * 100_000
    found = [
        asyncio.run(sent(*parts)) for parts in ((b"head", long, "turn"), (b"head", "turn", b"body"), (b"head", "close"))
    ]
    assert found == [[b"head", long], [b"head", b"body"], [b"head", "closed"]]

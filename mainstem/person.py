"""Who sits at the command line: written beside what they decide."""

import getpass
import os
import socket
from typing import Any


def who() -> str:
    """Return `user@host`."""
    try:
        user: Any = getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        user = os.getuid()
    return f"{user}@{socket.gethostname()}"

"""A bar on a terminal takes nothing from the pipe beside it."""

import os
import pty
import subprocess
import sys

COUNT = """
from mainstem.commands.progress import RecordsBar
with RecordsBar("counting", 3) as bar:
    for number in range(3):
        print("row", number)
        bar.advance(1)
"""


def test_rows_go_into_the_pipe_while_the_bar_is_on_the_terminal():
    ours, terminal = pty.openpty()
    ended = subprocess.run([sys.executable, "-c", COUNT], stdout=subprocess.PIPE, stderr=terminal, check=True)
    os.close(terminal)
    shown = os.read(ours, 65_536)
    os.close(ours)
    assert ended.stdout == b"row 0\nrow 1\nrow 2\n"
    assert b"counting" in shown
    assert b"row" not in shown

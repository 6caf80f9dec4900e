"""Ctrl-C before the command line is there."""

import subprocess
import sys

_PROGRAM = """
import signal, sys

class Interrupting:
    def find_spec(self, name, *_):
        if name == "mainstem.cli":
            signal.raise_signal(signal.SIGINT)

sys.meta_path.insert(0, Interrupting())
sys.argv = ["mainstem", "--version"]
from mainstem.__main__ import main
main()
"""


def _ended(program):
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)


def test_ctrl_c_while_the_command_line_is_imported_ends_it_without_a_word():
    ended = _ended(_PROGRAM)
    assert (ended.returncode, ended.stdout, ended.stderr) == (130, "", "")


def test_ctrl_c_that_a_script_has_ignored_by_what_it_began_ends_nothing():
    ended = _ended(f"import signal; signal.signal(signal.SIGINT, signal.SIG_IGN){_PROGRAM}")
    assert (ended.returncode, ended.stdout.startswith("mainstem ")) == (0, True)

"""Runs between fork and the server, as a program of its own: ties the server to its parent, drops root, execs.

Imports nothing of ours: it starts with an isolated interpreter in some 20 ms. Arguments: the signal
to get when the parent dies, the parent's pid, uid and gid to become (-1: stay), 1 to keep reach into
closed directories, the command.
"""

import ctypes
import os
import struct
import sys

_PR_SET_PDEATHSIG = 1
_PR_SET_KEEPCAPS = 8
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_RAISE = 2
_CAPABILITY_VERSION_3 = 0x20080522
_CAP_DAC_OVERRIDE = 1


def call(libc: ctypes.CDLL, name: str, *arguments: object) -> None:
    if getattr(libc, name)(*arguments) != 0:
        error = ctypes.get_errno()
        raise OSError(error, f"{name}: {os.strerror(error)}")


def become(libc: ctypes.CDLL, uid: int, gid: int, *, reach: bool) -> None:
    """Give root up for good. With *reach*, keep the one capability that opens directories closed to *uid*."""
    if reach:
        call(libc, "prctl", _PR_SET_KEEPCAPS, 1, 0, 0, 0)
    os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)
    if reach:
        mask = 1 << _CAP_DAC_OVERRIDE
        header = struct.pack("=Ii", _CAPABILITY_VERSION_3, 0)
        call(libc, "capset", header, struct.pack("=6I", mask, mask, mask, 0, 0, 0))
        call(libc, "prctl", _PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, _CAP_DAC_OVERRIDE, 0, 0)


def main() -> None:
    death_signal, parent, uid, gid, reach = (int(argument) for argument in sys.argv[1:6])
    libc = ctypes.CDLL(None, use_errno=True)
    if uid >= 0:
        become(libc, uid, gid, reach=bool(reach))
    if sys.platform == "linux":
        # After the change of user, which clears it; and before looking at the parent, who may be gone already.
        call(libc, "prctl", _PR_SET_PDEATHSIG, death_signal, 0, 0, 0)
        if os.getppid() != parent:
            sys.exit("the parent ended before its child began")
    os.execv(sys.argv[6], sys.argv[6:])  # noqa: S606 - no shell is wanted


if __name__ == "__main__":
    main()

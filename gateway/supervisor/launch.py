"""Starts a command that ends when its parent does, even where the parent is killed and can tell nobody.

Run as a script, with the standard library only, in front of every child: `launch.py PARENT_PID SIGNAL COMMAND…`.
On Linux the kernel sends SIGNAL when the parent is gone; other systems know no such thing and just start the command.
"""

import os
import sys

PR_SET_PDEATHSIG = 1  # <linux/prctl.h>


def main() -> None:
    parent, signal_number, *command = sys.argv[1:]
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, int(signal_number), 0, 0, 0)
        if os.getppid() != int(parent):  # it died before we asked
            raise SystemExit(1)
    os.execv(command[0], command)  # noqa: S606  no shell wanted


if __name__ == "__main__":
    main()

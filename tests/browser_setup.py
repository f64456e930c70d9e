"""`python -m tests.browser_setup`: makes sure that a Chromium for the browser tests is on the machine."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

from tests.servers import NoServer, chromium_path


def main() -> int:
    try:
        chromium_path()
    except NoServer as missing:
        if os.geteuid() != 0 or not shutil.which("apt-get"):
            sys.stderr.write(f"{missing}\n")
            return 1
        return _install()
    return 0


def _install() -> int:
    sys.stderr.write("Installing Debian's chromium for the browser tests …\n")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for arguments in (["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends", "chromium"]):
        done = subprocess.run(["apt-get", *arguments], env=environment, stdout=subprocess.DEVNULL, check=False)
        if done.returncode:
            sys.stderr.write(f"`apt-get {' '.join(arguments)}` failed; install a Chromium by hand.\n")
            return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

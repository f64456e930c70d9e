"""Packages into a folder of their own, through pip and npm as the machine has them set up."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

INSTALL_TIMEOUT_SECONDS = 600
# Without a network npm would go on for minutes.
IMPATIENT = ("--prefer-offline", "--fetch-retries=1", "--fetch-retry-mintimeout=1000", "--fetch-retry-maxtimeout=1000")
_DONE = ".installed"


class NotInstalled(Exception):
    """Says in one line what is missing or what the installer said last."""


def python_package(folder: Path, requirement: str) -> Path:
    """The `bin` folder of a virtual environment of this Python with the requirement, such as `litellm[proxy]==1.2`."""
    if _is_installed(folder, requirement):
        return folder / "bin"
    shutil.rmtree(folder, ignore_errors=True)
    _run(sys.executable, "-m", "venv", str(folder))
    _run(str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--no-input", requirement)
    (folder / _DONE).write_text(requirement)
    return folder / "bin"


def node_package(folder: Path, name: str, version: str, overrides: Mapping[str, str]) -> Path:
    """The folder of the package; `overrides` pins what it depends on. No install script of any package runs."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        raise NotInstalled("it needs Node.js (the commands node and npm), which this machine does not have")
    manifest = json.dumps({"private": True, "dependencies": {name: version}, "overrides": dict(overrides)})
    if not _is_installed(folder, manifest):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        (folder / "package.json").write_text(manifest)
        quiet = ("--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier", "--loglevel=error", *IMPATIENT)
        _run(npm, "install", "--prefix", str(folder), *quiet)
        (folder / _DONE).write_text(manifest)
    return folder / "node_modules" / name


def _is_installed(folder: Path, what: str) -> bool:
    mark = folder / _DONE
    return mark.is_file() and mark.read_text() == what


def _run(*command: str) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_TIMEOUT_SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotInstalled(f"{Path(command[0]).name} failed: {error}") from error
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines() or ["nothing"]
        raise NotInstalled(f"{Path(command[0]).name} failed, its last words: {said[-1][:300]}")

"""Known vulnerabilities of what the lock files pin: `python -m tests.project.audit PIP_AUDIT [--unreached-passes]`.

PIP_AUDIT is the program of that name (https://pypi.org/project/pip-audit/), which asks OSV's advisory service once for
each package. Its own exit status says neither whether it reached anybody (a vulnerability found and no network are both
1) nor whether it was answered for every package, so its report is read here. Ends with

- 0: every package was looked up, none has a known vulnerability;
- 1: there are known vulnerabilities;
- 2: the audit itself failed;
- 3: something could not be looked up, most often all of it for want of a network (0 with `--unreached-passes`).
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from tests.project.licences import ROOT

LOCKS = ("requirements.lock", "requirements-otel.lock", "requirements-test.lock")
TIMEOUT_SECONDS = 10
# Where the last line of a failed run tells that nobody was reached, or that who was reached could not say.
_NETWORK_FAILURES = ("requests.exceptions.", "pip_audit._service.")


class Status(IntEnum):
    CLEAN = 0
    VULNERABLE = 1
    FAILED = 2
    UNREACHED = 3


@dataclass(frozen=True, slots=True)
class Verdict:
    status: Status
    text: str


def verdict(report: str, complaint: str) -> Verdict:
    """`report` is what pip-audit wrote in JSON ("" where it ended before), `complaint` what it said on its way."""
    last = complaint.strip().rpartition("\n")[2]
    if not report:
        if last.startswith(_NETWORK_FAILURES):
            return Verdict(Status.UNREACHED, f"No advisory service reached: nothing was audited.\n  {last[:200]}")
        return Verdict(Status.FAILED, f"The audit failed; nothing was audited.\n{complaint.strip()[-2000:]}")
    return _read(json.loads(report)["dependencies"])


def _read(packages: list[dict[str, Any]]) -> Verdict:
    skipped = sorted(package["name"] for package in packages if "skip_reason" in package)
    found = [line for package in packages for line in _vulnerabilities(package)]
    audited = len(packages) - len(skipped)
    if found:
        return Verdict(Status.VULNERABLE, "\n".join(["Known vulnerabilities:", *found]))
    if not audited:
        return Verdict(Status.UNREACHED, "No advisory service reached: nothing was audited.")
    if skipped:
        names = ", ".join(skipped)
        return Verdict(Status.UNREACHED, f"{len(skipped)} of {len(packages)} packages were not audited: {names}.")
    return Verdict(Status.CLEAN, f"{audited} packages audited, no known vulnerability.")


def _vulnerabilities(package: dict[str, Any]) -> list[str]:
    return [
        f"  {package['name']} {package['version']}: {', '.join([found['id'], *found.get('aliases', ())])}; "
        f"fixed in {', '.join(found['fix_versions']) or 'no release yet'}"
        for found in package.get("vulns", ())
    ]


def audit(program: str, *options: str) -> Verdict:
    command = [program, "--require-hashes", "--disable-pip", "--vulnerability-service", "osv", "--format", "json"]
    command += ["--progress-spinner", "off", "--timeout", str(TIMEOUT_SECONDS)]
    command += [word for lock in LOCKS for word in ("--requirement", lock)]
    done = subprocess.run([*command, *options], cwd=ROOT, capture_output=True, text=True, check=False)
    return verdict(done.stdout, done.stderr)


def main(arguments: list[str]) -> int:
    program, *options = arguments
    passes = "--unreached-passes" in options
    found = audit(program, *(option for option in options if option != "--unreached-passes"))
    sys.stdout.write(f"{found.text}\n")
    return 0 if passes and found.status is Status.UNREACHED else found.status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

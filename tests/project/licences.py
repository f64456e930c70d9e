"""The licences of what runs: `python -m tests.project.licences` prints them, one line for each locked package.

From the packages' own metadata (https://packaging.python.org/en/latest/specifications/core-metadata/): the expression
where one is given, else the classifiers, else the free text.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]
LOCKS = ("requirements.lock", "requirements-otel.lock")
_TEXT_LENGTH = 60

# Words that a licence's name may hold: all of these let the gateway be used, changed and passed on under its own terms.
PERMISSIVE = re.compile(
    r"\b(apache|bsd|mit|isc|python software foundation|psf|unlicense|0bsd|zlib|cc0)\b", re.IGNORECASE
)
# Whatever stands beside them.
NOT_BY_ITSELF = re.compile(r"gpl|mpl|mozilla|epl|sspl|busl|gnu|proprietary|commercial", re.IGNORECASE)
# Others, with the reason why they may be used: as libraries that are not changed, each file under its own licence.
REASONED = {
    "certifi": "MPL-2.0: a list of certificate authorities, unchanged",
    "orjson": "MPL-2.0 with MIT or Apache-2.0: a library, unchanged",
    "psycopg": "LGPL-3.0: a library that is loaded, not built in, unchanged",
    "psycopg-binary": "LGPL-3.0: a library that is loaded, not built in, unchanged",
}


@dataclass(frozen=True, slots=True)
class Licensed:
    """`licence` is "" where the metadata tell none."""

    name: str
    version: str
    licence: str

    @property
    def allowed(self) -> bool:
        permissive = PERMISSIVE.search(self.licence) and not NOT_BY_ITSELF.search(self.licence)
        return bool(permissive) or self.name in REASONED


def locked() -> Iterator[Licensed]:
    """What the lock files pin for this Python and platform, in order of name."""
    lines = {line for lock in LOCKS for line in (ROOT / lock).read_text().splitlines() if re.match(r"\w", line)}
    wanted = [Requirement(line.rstrip(" \\")) for line in sorted(lines)]
    for requirement in wanted:
        if requirement.marker is None or requirement.marker.evaluate():
            found = metadata.metadata(requirement.name)
            yield Licensed(requirement.name, found["Version"], _licence(found))


def _licence(found: metadata.PackageMetadata) -> str:
    if expressions := found.get_all("License-Expression"):
        return str(expressions[0])
    classifiers = [line for line in found.get_all("Classifier") or () if line.startswith("License ::")]
    if classifiers:
        return ", ".join(line.rpartition(" :: ")[2] for line in classifiers)
    text = str((found.get_all("License") or [""])[0]).strip()
    return text.splitlines()[0][:_TEXT_LENGTH] if text else ""


def main() -> int:
    refused = 0
    for one in locked():
        reason = REASONED.get(one.name, "")
        refused += not one.allowed
        verdict = "" if one.allowed else "NOT ALLOWED"
        print(f"{one.name:42} {one.version:12} {one.licence or 'not told':44} {reason or verdict}")  # noqa: T201
    return 1 if refused else 0


if __name__ == "__main__":
    sys.exit(main())

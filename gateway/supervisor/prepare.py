"""What must be true before the parts start: tables, prices, the configuration file, somebody who may log in."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.db import connections, transaction
from django.utils import timezone

from gateway.models import ApiKey, AppliedFile, Provider, Team
from gateway.services.apply import configuration_apply
from gateway.services.keys import key_create
from gateway.services.people import user_created
from gateway.services.price_seed import prices_seed

ACTOR = "manage.py up"
DEMO_USER = "admin"
DEMO_KEY = "demo"
_LOOPBACK = {"127.0.0.1", "localhost", "::1"}


@dataclass(frozen=True, slots=True)
class Credentials:
    """What the first start made, to be shown once."""

    user: str
    password: str
    api_key: str


def database_prepare() -> None:
    call_command("migrate", interactive=False, verbosity=0)
    prices_seed(only_new_models=True)


def file_to_apply(given: Path | None, demo_file: Path, *, demo: bool) -> Path | None:
    """The file asked for; without one, the demonstration's where nothing else has been configured yet."""
    if given is not None or not demo:
        return given
    last = AppliedFile.objects.order_by("-pk").first()
    if last is not None:
        return demo_file if last.name == demo_file.name else None
    return None if Provider.objects.exists() else demo_file


@transaction.atomic
def file_apply_once(path: Path) -> bool:
    """Applies the file unless its content is what was applied last: later edits in the admin outlive restarts.

    Raises ConfigurationFileError, OSError and UnicodeDecodeError; the database is then as it was.
    """
    content = path.read_bytes()
    sha256 = hashlib.sha256(content).hexdigest()
    last = AppliedFile.objects.order_by("-pk").first()
    if last is not None and last.sha256 == sha256:
        return False
    configuration_apply(content.decode(), actor=ACTOR)
    AppliedFile.objects.create(name=path.name, sha256=sha256, applied_at=timezone.now())
    return True


@transaction.atomic
def demo_credentials() -> Credentials | None:
    """The first administrator and API key, or None where somebody can log in already."""
    users = get_user_model().objects
    if users.filter(is_superuser=True).exists():
        return None
    password = secrets.token_urlsafe(12)
    user_created(user=users.create_superuser(username=DEMO_USER, password=password), actor=ACTOR)
    name = DEMO_KEY
    while ApiKey.objects.alive().filter(name=name).exists():
        name = f"{DEMO_KEY}-{secrets.token_hex(2)}"
    _, api_key = key_create(name=name, actor=ACTOR, team=Team.objects.alive().order_by("pk").first())
    return Credentials(DEMO_USER, password, api_key)


def simulator_is_used(port: int) -> bool:
    """Whether an enabled provider is the simulator of this machine."""
    addresses = [urlsplit(provider.base_url) for provider in Provider.objects.alive().filter(enabled=True)]
    return any(address.hostname in _LOOPBACK and address.port == port for address in addresses)


def database_release() -> None:
    connections.close_all()

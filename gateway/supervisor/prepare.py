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
from django.db.models import QuerySet
from django.utils import timezone

from gateway.engine.words import Wire
from gateway.models import ApiKey, AppliedFile, Provider, Team
from gateway.services.apply import configuration_apply
from gateway.services.keys import key_create
from gateway.services.people import user_created
from gateway.services.price_seed import prices_seed

ACTOR = "manage.py up"
DEMO_USER = "admin"
DEMO_KEY = "demo"
SIMULATOR_PORT = 8100  # where the demonstration's file expects the simulator
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
def file_apply_once(path: Path, *, simulator_port: int = SIMULATOR_PORT) -> bool:
    """Applies the file unless its content is what was applied last: later edits in the admin outlive restarts.

    With another `simulator_port` the simulator's addresses in it are read as being there: another content.
    Raises ConfigurationFileError, OSError and UnicodeDecodeError; the database is then as it was.
    """
    content = path.read_bytes().replace(b"127.0.0.1:%d/" % SIMULATOR_PORT, b"127.0.0.1:%d/" % simulator_port)
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
    addresses = [urlsplit(provider.base_url) for provider in _providers_in_use()]
    return any(address.hostname in _LOOPBACK and address.port == port for address in addresses)


def kinds_in_use() -> list[Wire]:
    """Whose SDKs the gateway will need."""
    return sorted({Wire(provider.kind) for provider in _providers_in_use()})


def _providers_in_use() -> QuerySet[Provider]:
    return Provider.objects.alive().filter(enabled=True)


def database_release() -> None:
    connections.close_all()

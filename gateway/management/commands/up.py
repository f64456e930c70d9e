"""`manage.py up`: everything on one machine, in the foreground."""

from __future__ import annotations

import asyncio
import socket
import sys
from argparse import ArgumentTypeError
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.checks import Tags
from django.core.management.base import BaseCommand, CommandError, CommandParser

from gateway.engine.words import Wire
from gateway.metrics import counts_forget
from gateway.models import Route
from gateway.services.configuration_file import ConfigurationFileError
from gateway.supervisor import plan, prepare
from gateway.supervisor.banner import banner, banner_without_routes, credentials_text
from gateway.supervisor.listener import PortUnavailable, check_free, listen, local_address
from gateway.supervisor.only_one import AlreadyUp, only_one
from gateway.supervisor.private_redis import NoPrivateRedis, PrivateRedis, private_redis
from gateway.supervisor.spec import Part
from gateway.supervisor.supervise import Supervisor, say
from llmops.broker import FILESYSTEM, empty_broker_folder

DEMO_FILE = "demo.yaml"


class Command(BaseCommand):
    help = (
        "Start everything on this machine: gateway, Celery worker and beat, and the simulator where the configuration "
        "uses it. Ctrl-C drains and stops; SIGHUP replaces the gateway's workers one by one."
    )
    # Not the URLs' check: it imports the vendors' SDKs, which only the gateway's workers need.
    requires_system_checks = (Tags.caches, Tags.database, Tags.models, Tags.security, Tags.templates)

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--config", type=Path, help="a configuration file, applied once per content")
        parser.add_argument("--host", default="127.0.0.1")
        parser.add_argument("--port", type=port_number, default=8000)
        parser.add_argument("--workers", type=int, default=1, help="gateway processes")
        parser.add_argument(
            "--drain-seconds",
            type=drain_seconds,
            default=plan.DRAIN_SECONDS,
            help="how long what was accepted may take when we stop; then it gets an error (default %(default)s)",
        )
        parser.add_argument(
            "--simulator-port",
            type=simulator_port_number,
            default=prepare.SIMULATOR_PORT,
            help="where the simulator listens, and where the demonstration's providers are (default %(default)s)",
        )
        parser.add_argument("--no-simulator", action="store_true", help="don't start the simulator")
        parser.add_argument(
            "--no-tasks", action="store_true", help="don't start Celery's worker and beat: they run elsewhere"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        private = private_redis_for(options["workers"])
        try:
            with only_one(settings.DATA_DIR), closing(listen(options["host"], options["port"])) as listener:
                status = self._run(listener, options, private)
        except (AlreadyUp, PortUnavailable) as error:
            raise CommandError(str(error)) from None
        if status:
            sys.exit(status)

    def _run(self, listener: socket.socket, options: dict[str, Any], private: PrivateRedis | None) -> int:
        port = options["simulator_port"]
        self._prepare(options["config"], port)
        simulator = not options["no_simulator"] and prepare.simulator_is_used(port)
        if simulator:
            check_free("127.0.0.1", port, "The simulator can't start (--simulator-port says where)")
        kinds = prepare.kinds_in_use()
        credentials = prepare.demo_credentials() if settings.LLMOPS_ENV == "demo" else None
        route = Route.objects.alive().order_by("pk").values_list("name", flat=True).first()
        prepare.database_release()
        counts_forget()
        parts = parts_of_this_machine(
            listener,
            options["workers"],
            simulator_port=port if simulator else None,
            kinds=kinds,
            tasks=not options["no_tasks"],
            drain_seconds=options["drain_seconds"],
            private=private,
        )
        return run(parts, listener, route, credentials)

    def _prepare(self, given: Path | None, simulator_port: int) -> None:
        """The demonstration's providers are where the simulator listens; another file says itself where its own are."""
        prepare.database_prepare()
        demo_file = Path(settings.BASE_DIR) / DEMO_FILE
        path = prepare.file_to_apply(given, demo_file, demo=settings.LLMOPS_ENV == "demo")
        if path is None:
            return
        try:
            is_demo = path.resolve() == demo_file.resolve()
            if prepare.file_apply_once(path, simulator_port=simulator_port if is_demo else prepare.SIMULATOR_PORT):
                self.stdout.write(f"Applied {path}.")
        except OSError as error:
            raise CommandError(f"Can't read {path}: {error.strerror}.") from None
        except UnicodeDecodeError:
            raise CommandError(f"{path} is not UTF-8 text.") from None
        except ConfigurationFileError as error:
            raise CommandError(f"{path} can't be used:\n{error}") from None


def port_number(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise ArgumentTypeError(f"a port is a whole number from 0 to 65535, not {text!r}")
    return int(text)


def simulator_port_number(text: str) -> int:
    port = port_number(text)
    if not port:
        raise ArgumentTypeError("the simulator's port is from 1 to 65535: providers have it in their addresses")
    return port


def drain_seconds(text: str) -> int:
    if not text.isdecimal() or int(text) > 86_400:
        raise ArgumentTypeError(f"a drain's length is a whole number of seconds from 0 to 86400, not {text!r}")
    return int(text)


def private_redis_for(workers: int) -> PrivateRedis | None:
    """The Redis to start for several workers, None where none is needed. Raises CommandError where none can be had."""
    if workers < 1:
        raise CommandError(f"--workers must be at least 1, not {workers}.")
    if workers == 1 or settings.REDIS_URL:
        return None
    try:
        return private_redis(settings.DATA_DIR)
    except NoPrivateRedis as error:
        raise CommandError(
            f"--workers {workers}: several workers share their breakers through Redis. {error}"
        ) from None


def parts_of_this_machine(
    listener: socket.socket,
    workers: int,
    *,
    simulator_port: int | None,
    kinds: Sequence[Wire] = (),
    tasks: bool = True,
    drain_seconds: int = plan.DRAIN_SECONDS,
    private: PrivateRedis | None = None,
) -> list[Part]:
    environment = {}
    if private is not None:  # the workers' alone: Celery keeps the broker it has
        environment = {"REDIS_URL": private.url, "CELERY_BROKER_URL": settings.CELERY_BROKER_URL}
    parts = [
        plan.gateway_part(
            number,
            listener.fileno(),
            drain_seconds=drain_seconds,
            send_timeout_seconds=settings.LLMOPS_SEND_TIMEOUT_SECONDS,
            kinds=kinds,
            environment=environment,
        )
        for number in range(1, workers + 1)
    ]
    if private is not None:
        parts.append(private.part)
    if tasks:
        if settings.CELERY_BROKER_URL == FILESYSTEM:
            empty_broker_folder(settings.DATA_DIR)
        parts += [plan.task_worker_part(), plan.task_clock_part(settings.DATA_DIR)]
    if simulator_port is not None:
        parts.append(plan.simulator_part(Path(settings.BASE_DIR) / "manage.py", simulator_port))
    return parts


def run(
    parts: Sequence[Part], listener: socket.socket, route: str | None, credentials: prepare.Credentials | None
) -> int:
    """`route` is one to show an example of; None where there is none yet."""
    host, port = local_address(listener)
    url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    shown = False

    def on_ready() -> None:
        nonlocal shown
        shown = True
        say(banner(url, route, credentials) if route else banner_without_routes(url))

    try:
        return asyncio.run(Supervisor(parts, listener, on_ready=on_ready, configured=bool(route)).run())
    finally:
        if credentials and not shown:
            say(credentials_text(credentials))  # they were made and can't be found out later

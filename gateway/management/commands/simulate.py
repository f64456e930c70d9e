"""``manage.py simulate``: run the simulator, or tell a running one what to do."""

import argparse
import asyncio
import contextlib
import json
import signal
import urllib.error
import urllib.request
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 8100
_TIMEOUT_SECONDS = 10.0


class Command(BaseCommand):
    help = (
        "Run the simulator of both providers (no action), or control a running one: "
        "fault PROVIDER|all KIND|STATUS, heal, bill, log, reset."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--host", default=DEFAULT_HOST)
        parser.add_argument("--port", type=int, default=DEFAULT_PORT)
        actions = parser.add_subparsers(dest="action")
        _add_fault_arguments(_add_action(actions, "fault", "make a provider fail"))
        for name, text in (
            ("heal", "take all faults away"),
            ("bill", "what the providers would bill"),
            ("log", "the requests received"),
            ("reset", "no faults, empty log and bill"),
        ):
            _add_action(actions, name, text)

    def handle(self, *args: Any, **options: Any) -> None:
        action = options.get("action")
        if action is None:
            # Imported here, like the simulator, so that controlling a running one starts quickly.
            import uvloop

            uvloop.run(self._serve(options["host"], options["port"]))
            return
        self._url = f"http://{options['host']}:{options['port']}/control/"
        getattr(self, f"_{action}")(options)

    async def _serve(self, host: str, port: int) -> None:
        from gateway.simulator.server import Simulator

        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            with contextlib.suppress(NotImplementedError):
                loop.add_signal_handler(number, stop.set)
        simulator = Simulator(host=host, port=port)
        try:
            await simulator.start()
        except OSError as error:
            raise CommandError(f"cannot listen on {host}:{port}: {error.strerror}") from None
        self.stdout.write(f"simulator ready: {simulator.url}/openai/v1 and {simulator.url}/anthropic")
        self.stdout.flush()
        await stop.wait()
        await simulator.stop()

    def _fault(self, options: dict[str, Any]) -> None:
        fault = _fault_fields(options)
        answer = self._call("POST", "faults", fault)
        self.stdout.write(f"fault {answer['id']} in force: {_describe(fault)}")

    def _heal(self, options: dict[str, Any]) -> None:
        self._call("DELETE", "faults")
        self.stdout.write("no faults in force")

    def _reset(self, options: dict[str, Any]) -> None:
        self._call("POST", "reset")
        self.stdout.write("no faults in force, log and bill empty")

    def _bill(self, options: dict[str, Any]) -> None:
        columns = ("requests", "input_tokens", "cached_input_tokens", "cache_write_tokens", "output_tokens")
        self.stdout.write("  ".join(("provider".ljust(10), "model".ljust(28), *columns)))
        for line in self._call("GET", "bill")["lines"]:
            numbers = (str(line[column]).rjust(len(column)) for column in columns)
            self.stdout.write("  ".join((line["provider"].ljust(10), line["model"].ljust(28), *numbers)))

    def _log(self, options: dict[str, Any]) -> None:
        for row in self._call("GET", "log")["rows"]:
            way = "stream" if row["stream"] else "plain"
            tokens = f"in {row['input_tokens']} out {row['output_tokens']}"
            fields = (
                row["seq"],
                row["provider"],
                row["model"],
                way,
                row["status"],
                row["outcome"],
                tokens,
                row["fault"],
            )
            self.stdout.write("  ".join(str(field) for field in fields if field not in ("", None)))

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._url + path, data, method=method)  # noqa: S310  # our own http address
        # Without the environment's proxies: the simulator is a neighbour.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=_TIMEOUT_SECONDS) as reply:
                return json.load(reply)
        except urllib.error.HTTPError as error:
            with error:
                raise CommandError(json.load(error)["error"]) from None
        except OSError as error:
            raise CommandError(f"no simulator answers at {self._url}: {error}") from None


def _add_action(actions: Any, name: str, text: str) -> argparse.ArgumentParser:
    """An action, before or after which host and port may stand."""
    parser: argparse.ArgumentParser = actions.add_parser(name, help=text)
    parser.add_argument("--host", default=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, default=argparse.SUPPRESS)
    return parser


def _add_fault_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("provider", choices=("openai", "anthropic", "all"))
    parser.add_argument("kind", help="an error status such as 503, or hang, reset, cut, stall, slow_first_token, …")
    parser.add_argument("--model")
    parser.add_argument("--for", dest="for_seconds", type=float, help="seconds")
    parser.add_argument("--times", type=int, help="only the first so many requests")
    parser.add_argument("--share", type=float, help="0 to 1: this part of the requests")
    parser.add_argument("--seconds", type=float, help="how slow the slow kinds are")
    parser.add_argument("--after-tokens", dest="after_tokens", type=int, help="where a stream breaks")
    parser.add_argument("--retry-after", dest="retry_after")
    parser.add_argument("--error-type", dest="error_type")


def _fault_fields(options: dict[str, Any]) -> dict[str, Any]:
    names = ("model", "for_seconds", "times", "share", "seconds", "after_tokens", "retry_after", "error_type")
    fault = {name: options[name] for name in names if options.get(name) is not None}
    if options["provider"] != "all":
        fault["provider"] = options["provider"]
    if options["kind"].isdecimal():
        return {"kind": "status", "status": int(options["kind"]), **fault}
    return {"kind": options["kind"], **fault}


def _describe(fault: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in fault.items())

"""One installation for each cell: a database, with or without Redis, and what brings the Celery worker its nudges.

Not part of `make test`, which has its own tests of each store and of both ledgers: `make matrix` runs these, once on
each Python. RabbitMQ's cell is there where `RABBITMQ_URL` names one or the machine has a `rabbitmq-server`.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from gateway.simulator.server import Simulator
from gateway.simulator.thread import SimulatorThread
from gateway.supervisor import plan
from llmops.broker import empty_broker_folder
from tests import servers
from tests.cells.rabbitmq import NOT_RUN, rabbitmq_is_here, rabbitmq_server
from tests.gateway_process import (
    ROOT,
    GatewayProcess,
    another_gateway,
    configuration,
    environment,
    manage,
    run_apply,
    stop,
)

CELLS = ["sqlite", "sqlite+redis", "postgresql", "postgresql+redis"]
CELLS += ["postgresql+rabbitmq"] if rabbitmq_is_here() else []
OPERATOR, PASSWORD = "operator", "a-long-enough-pass-phrase"
# Room for three answers of the key that it holds for, and not for four.
BUDGET = {"name": "small", "scope": "team", "subject": "sales", "window": "total", "limit_usd": "0.01"}


@dataclass(frozen=True, slots=True)
class Cell:
    """Two gateway processes with their Celery worker and beat; `variables` say which servers they share."""

    name: str
    first: GatewayProcess
    second: GatewayProcess
    simulator: Simulator
    variables: Mapping[str, str]

    @property
    def has_redis(self) -> bool:
        return "REDIS_URL" in self.variables

    def manage(self, *arguments: str) -> str:
        return manage(self.first.data_dir, *arguments, env=self.variables)


def pytest_report_header() -> list[str]:
    return [f"cells: {', '.join(CELLS)}", *([] if rabbitmq_is_here() else [NOT_RUN])]


@pytest.fixture(scope="session", params=[pytest.param(name, marks=pytest.mark.xdist_group(name)) for name in CELLS])
def cell(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cell]:
    with ExitStack() as stack:
        folder = tmp_path_factory.mktemp("cell")
        variables = {"LLMOPS_REDIS_TIMEOUT_MS": "1000", "LLMOPS_BATCH_PATIENCE_SECONDS": "0"}
        for word in request.param.split("+"):
            variables |= _server(word, folder, request, stack)
        simulator = stack.enter_context(SimulatorThread(batch_seconds=0.0))
        yield stack.enter_context(_installation(request.param, folder, simulator, variables))


def _server(word: str, folder: Path, request: pytest.FixtureRequest, stack: ExitStack) -> dict[str, str]:
    if word == "postgresql":
        return {"DATABASE_URL": stack.enter_context(_own_database(request.getfixturevalue("postgres_url")))}
    if word == "redis":
        return {"REDIS_URL": stack.enter_context(servers.redis_server(folder))}
    if word == "rabbitmq":
        return {"CELERY_BROKER_URL": stack.enter_context(rabbitmq_server(folder))}
    return {}


@contextmanager
def _own_database(url: str) -> Iterator[str]:
    name = f"cell_{os.getpid()}"
    with psycopg.connect(url, autocommit=True) as server:
        server.execute(f"CREATE DATABASE {name}")
        yield f"{url.rpartition('/')[0]}/{name}"
        server.execute(f"DROP DATABASE {name} WITH (FORCE)")


@contextmanager
def _installation(name: str, folder: Path, simulator: Simulator, variables: dict[str, str]) -> Iterator[Cell]:
    data_dir = folder / "data"
    manage(data_dir, "migrate", "--verbosity", "0", "--skip-checks", env=variables)
    document = configuration(simulator.url, budgets=[BUDGET])
    for price in document["prices"]:
        price["batch_factor"] = "0.5"
    run_apply(data_dir, document, env=variables)
    person = {"DJANGO_SUPERUSER_USERNAME": OPERATOR, "DJANGO_SUPERUSER_PASSWORD": PASSWORD}
    person |= {"DJANGO_SUPERUSER_EMAIL": "operator@example.org"}
    manage(data_dir, "createsuperuser", "--noinput", "--skip-checks", env={**variables, **person})
    empty_broker_folder(data_dir)  # as `up` does
    with (
        another_gateway(data_dir, folder / "first.log", env=variables) as first,
        another_gateway(data_dir, folder / "second.log", env=variables) as second,
        _background(plan.task_worker_part().command, data_dir, folder / "worker.log", variables),
        _background(plan.task_clock_part(data_dir).command, data_dir, folder / "beat.log", variables),
    ):
        yield Cell(name, first, second, simulator, variables)


@contextmanager
def _background(command: tuple[str, ...], data_dir: Path, log_path: Path, variables: dict[str, str]) -> Iterator[None]:
    child_variables = {**environment(data_dir), **plan.WITHOUT_CHECKS, **variables}
    with log_path.open("wb") as log:
        child = subprocess.Popen(command, cwd=ROOT, env=child_variables, stdout=log, stderr=log)
    try:
        yield
    finally:
        stop(child)

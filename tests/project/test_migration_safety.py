"""No migration holds what would stop the release before it, or the bookings of a big ledger (docs/deploy.md)."""

from __future__ import annotations

import inspect
import sys

import pytest
from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import connection, models
from django.db.migrations import Migration, operations
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ProjectState

from gateway.models.online_index import AddIndexOnline
from tests.migration_safety import APP, dangers

DEFAULTS = "columns without a default in the database: upgraded with the gateways stopped"
LEDGER_INDEXES = "indexes on ledger tables: built in a quiet hour"
# Made before the rule, and what each holds that it would refuse. Whoever adds one gives a reason that others can weigh.
REVIEWED = {
    "0005_health_probes": DEFAULTS,
    "0006_budget_raises_and_checks": LEDGER_INDEXES,
    "0007_fire_drills": f"{DEFAULTS}; {LEDGER_INDEXES}",
    "0008_api_keys_and_idempotency": DEFAULTS,
    "0009_refusals_and_holders": DEFAULTS,
    "0010_incidents": f"{DEFAULTS}; {LEDGER_INDEXES}; what opened an incident became a longer text, on a small table",
    "0011_long_context_and_fees": DEFAULTS,
    "0012_request_log_indexes": LEDGER_INDEXES,
    "0013_cache_hits_and_savings": DEFAULTS,
    "0014_attempt_failed_index": LEDGER_INDEXES,
    "0016_stored_content": DEFAULTS,
    "0020_prompt_prefix": DEFAULTS,
    "0023_indexes_of_savings": LEDGER_INDEXES,
}


@pytest.fixture(scope="module")
def loader() -> MigrationLoader:
    return MigrationLoader(None)


def dangers_of(loader: MigrationLoader, name: str) -> list[str]:
    migration = loader.graph.nodes[APP, name]
    source = inspect.getsource(sys.modules[type(migration).__module__])
    return dangers(migration, loader.project_state((APP, name), at_end=False), source)


def names(loader: MigrationLoader) -> set[str]:
    return {name for app, name in loader.graph.nodes if app == APP}


def test_no_migration_holds_a_dangerous_operation_unless_it_was_reviewed(loader: MigrationLoader) -> None:
    found = {name: dangers_of(loader, name) for name in sorted(names(loader) - REVIEWED.keys())}
    assert not {name: sentences for name, sentences in found.items() if sentences}


@pytest.mark.parametrize("name", REVIEWED)
def test_a_reviewed_migration_holds_something_to_review(loader: MigrationLoader, name: str) -> None:
    assert dangers_of(loader, name)


def ledger() -> ProjectState:
    """A big table `completion` and a small one `team`, each with a text, a number that may be missing and a link."""
    state = ProjectState()
    for name in ("Team", "Completion"):
        columns = [("id", models.BigAutoField(primary_key=True)), ("model", models.CharField(max_length=20))]
        columns += [("tokens", models.IntegerField(null=True)), ("cost", models.IntegerField())]
        operations.CreateModel(name, columns).state_forwards(APP, state)
    return state


def judged(*held: Operation, atomic: bool = True, above: str = "") -> list[str]:
    """What the check says of a migration of these operations, with a line above each of them in its file."""
    migration = Migration("0099_made_up", APP)
    migration.operations, migration.atomic = list(held), atomic
    source = "operations = [\n" + "".join(f"{above}\nheld(),\n" for _ in held) + "]\n"
    return dangers(migration, ledger(), source)


def index() -> models.Index:
    return models.Index(fields=["model"], name="made_up")


BY_COST = models.CheckConstraint(condition=models.Q(cost__gte=0), name="made_up")
FORGOTTEN = [
    operations.RemoveField("Team", "cost"),
    operations.DeleteModel("Team"),
    operations.RenameField("Team", "cost", "price"),
    operations.RenameModel("Team", "Crew"),
    operations.AlterModelTable("Team", "crew"),
    operations.AlterField("Team", "tokens", models.IntegerField()),
    operations.AlterField("Team", "cost", models.BigIntegerField()),
    operations.AlterField("Team", "model", models.CharField(max_length=10)),
    operations.AlterField("Team", "model", models.TextField()),
]
REFUSED = [
    (operations.AddIndex("Completion", index()), "AddIndexOnline with atomic = False"),
    (AddIndexConcurrently("Completion", index()), "set atomic = False"),
    (AddIndexOnline("Completion", index()), "set atomic = False"),
    (operations.AddConstraint("Completion", BY_COST), "checking every row"),
    (operations.AddField("Completion", "team", models.IntegerField(null=True, db_index=True)), "brings an index"),
    (
        operations.AddField("Completion", "team", models.ForeignKey(f"{APP}.Team", models.CASCADE, null=True)),
        "brings an index",
    ),
    (operations.AddField("Team", "note", models.TextField(default="")), "give a db_default"),
    (operations.AlterField("Completion", "cost", models.IntegerField(db_index=True)), "gets an index"),
    (operations.RunPython(operations.RunPython.noop), "no way back"),
    (operations.RunSQL("SELECT 1"), "no way back"),
    (operations.SeparateDatabaseAndState([operations.RunSQL("SELECT 1")]), "no way back"),
    *((operation, "# contract:") for operation in FORGOTTEN if not isinstance(operation, operations.DeleteModel)),
]
ALLOWED = [
    operations.AddIndex("Team", index()),
    operations.AddConstraint("Team", BY_COST),
    operations.AddField("Completion", "note", models.TextField(null=True)),
    operations.AddField("Completion", "note", models.TextField(db_default="")),
    operations.AlterField("Team", "model", models.CharField(max_length=40)),
    operations.AlterField("Team", "cost", models.IntegerField(help_text="In cents.")),
    operations.AlterField("Team", "cost", models.IntegerField(null=True)),
    operations.RunPython(operations.RunPython.noop, operations.RunPython.noop),
    operations.RunSQL("SELECT 1", operations.RunSQL.noop),
    operations.SeparateDatabaseAndState(state_operations=[operations.RemoveField("Team", "cost")]),
]


def name_of(value: object) -> str | None:
    return type(value).__name__ if isinstance(value, Operation) else None


@pytest.mark.parametrize(("operation", "sentence"), REFUSED, ids=name_of)
def test_a_dangerous_operation_is_refused_with_what_to_do_instead(operation: Operation, sentence: str) -> None:
    (said,) = judged(operation)
    assert sentence in said


@pytest.mark.parametrize("operation", ALLOWED, ids=name_of)
def test_what_the_release_before_can_live_with_is_let_through(operation: Operation) -> None:
    assert judged(operation) == []


@pytest.mark.parametrize("operation", FORGOTTEN, ids=name_of)
def test_what_nothing_reads_any_more_may_go(operation: Operation) -> None:
    assert judged(operation)
    assert judged(operation, above="    # contract: not read since 1.4") == []


@pytest.mark.parametrize("above", ["# contract:", "# contract: nobody reads it"])
def test_a_contract_line_that_names_no_release_says_nothing(above: str) -> None:
    assert judged(operations.RemoveField("Team", "cost"), above=above)


def test_a_contract_line_holds_for_the_operation_under_it_alone(loader: MigrationLoader) -> None:
    migration = Migration("0099_made_up", APP)
    migration.operations = [operations.RemoveField("Team", "cost"), operations.RemoveField("Team", "model")]
    source = "operations = [\n# contract: not read since 1.4\nheld(),\nheld(),\n]\n"
    assert len(dangers(migration, ledger(), source)) == 1


def test_an_index_of_a_table_that_the_same_migration_creates_is_let_through() -> None:
    columns = [("id", models.BigAutoField(primary_key=True)), ("model", models.CharField(max_length=20))]
    assert judged(operations.CreateModel("BatchLine", columns), operations.AddIndex("BatchLine", index())) == []


@pytest.mark.parametrize("kind", [AddIndexConcurrently, AddIndexOnline])
def test_an_index_that_is_built_beside_the_writers_is_let_through(kind: type[AddIndexConcurrently]) -> None:
    assert judged(kind("Completion", index()), atomic=False) == []


@pytest.mark.django_db(transaction=True)
def test_an_online_index_is_built_and_dropped_on_sqlite_too() -> None:
    state, table = ledger(), "made_up_table"
    state.models[APP, "team"].options["db_table"] = table
    after = state.clone()
    online = AddIndexOnline("Team", index())
    online.state_forwards(APP, after)
    with connection.schema_editor() as editor:
        editor.create_model(state.apps.get_model(APP, "Team"))
        online.database_forwards(APP, editor, state, after)
    assert "made_up" in indexes_of(table)
    with connection.schema_editor() as editor:
        online.database_backwards(APP, editor, after, state)
    assert "made_up" not in indexes_of(table)
    with connection.schema_editor() as editor:
        editor.delete_model(state.apps.get_model(APP, "Team"))


def indexes_of(table: str) -> set[str]:
    with connection.cursor() as cursor:
        return set(connection.introspection.get_constraints(cursor, table))

"""Which operations of a migration may not run while the release before still serves (docs/deploy.md: expand, contract).

During a rolling upgrade the old code reads and writes the new tables, and a ledger of millions of rows must not be held
while an index is built. Rules are judged as on PostgreSQL; SQLite serves one machine, restarted to upgrade.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import connections
from django.db.backends.postgresql.base import DatabaseWrapper
from django.db.migrations import operations as ops
from django.db.migrations.migration import Migration
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ProjectState
from django.db.models import NOT_PROVIDED, CharField, Field

APP = "gateway"
# Tables that grow with the requests: holding one holds up every completion's booking.
BIG = frozenset(
    {"attempt", "batchline", "budgetreservation", "budgetwindow", "completion", "conversation", "fallback"}
    | {"latencycell", "usagecell"}
)
CONTRACT = "# contract:"
CONTRACT_HINT = (
    f"say above the operation '{CONTRACT} nothing reads it since RELEASE', one release after the code that stopped"
)


@dataclass(frozen=True, slots=True)
class Place:
    """Where an operation stands: the state before it, what its migration created, and what was said above it."""

    before: ProjectState
    created: frozenset[str]
    atomic: bool
    contract: bool

    def is_big(self, model_name: str) -> bool:
        return model_name.lower() in BIG - self.created


def dangers(migration: Migration, before: ProjectState, source: str) -> list[str]:
    """What a migration holds that may not run under load, as sentences; `source` is its file, for contract lines."""
    said = contracts(source)
    state = before.clone()
    created: frozenset[str] = frozenset()
    found: list[str] = []
    for index, operation in enumerate(migration.operations):
        place = Place(state.clone(), created, migration.atomic, index < len(said) and said[index])
        found += [f"{type(operation).__name__}: {danger}" for danger in judge(operation, place)]
        operation.state_forwards(APP, state)
        if isinstance(operation, ops.CreateModel):
            created |= {operation.name_lower}
    return found


def contracts(source: str) -> list[bool]:
    """For each operation of a file in turn: whether the line above it is a contract line that names a release."""
    lines = source.splitlines()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "operations":
            elements = node.value.elts if isinstance(node.value, ast.List) else []
            return [is_contract(lines[element.lineno - 2]) for element in elements]
    return []


def is_contract(line: str) -> bool:
    """Whether a line says since which release nothing reads what goes; a bare mark says nothing."""
    start, mark, reason = line.partition(CONTRACT)
    return bool(mark) and not start.strip() and any(letter.isdigit() for letter in reason)


def judge(operation: Operation, place: Place) -> Iterator[str]:
    match operation:
        case ops.SeparateDatabaseAndState():
            for inner in operation.database_operations:
                yield from judge(inner, place)
        case ops.AddIndex() | ops.AddConstraint():
            yield from adding_to_big(operation, place)
        case ops.AddField():
            yield from added_column(operation, place)
        case ops.AlterField():
            yield from altered_column(operation, place)
        case ops.RemoveField() | ops.DeleteModel() | ops.RenameField() | ops.RenameModel() | ops.AlterModelTable():
            if not place.contract:
                yield f"processes of the release before still read what goes; {CONTRACT_HINT}"
        case ops.RunPython() | ops.RunSQL():
            if not operation.reversible:
                yield "it has no way back; give a reverse (noop where nothing is to be undone)"


def adding_to_big(operation: ops.AddIndex | ops.AddConstraint, place: Place) -> Iterator[str]:
    if not place.is_big(operation.model_name):
        return
    if isinstance(operation, AddIndexConcurrently):
        if place.atomic:
            yield "an index can't be built concurrently in a transaction; set atomic = False on the migration"
    elif isinstance(operation, ops.AddIndex):
        yield (
            f"building an index holds up writes to {operation.model_name}; "
            "use gateway.models.online_index.AddIndexOnline with atomic = False"
        )
    else:
        yield (
            f"checking every row holds up writes to {operation.model_name}; "
            "create the constraint with its table, or have the migration reviewed"
        )


def added_column(operation: ops.AddField, place: Place) -> Iterator[str]:
    field = operation.field
    if field.many_to_many or operation.model_name_lower in place.created:
        return
    if not field.null and field.db_default is NOT_PROVIDED:
        yield f"{operation.name} is NOT NULL, which the release before doesn't write: give a db_default or null=True"
    if place.is_big(operation.model_name) and has_index(field):
        yield (
            f"{operation.name} brings an index or foreign key along, which holds up writes to {operation.model_name}; "
            "add the plain column (db_index=False, db_constraint=False), then AddIndexOnline"
        )


def has_index(field: Field) -> bool:  # type: ignore[type-arg]
    return bool(field.db_index or field.unique or (field.remote_field and field.db_constraint))


def altered_column(operation: ops.AlterField, place: Place) -> Iterator[str]:
    old = place.before.models[APP, operation.model_name_lower].fields[operation.name]
    new = operation.field
    if new.null < old.null and not place.contract:
        yield f"{operation.name} becomes NOT NULL, and the release before may write NULL; {CONTRACT_HINT}"
    if changes_type(old, new) and not place.contract:
        yield f"the type of {operation.name} changes, which rewrites the table; add a second column, or {CONTRACT_HINT}"
    if place.is_big(operation.model_name) and has_index(new) and not has_index(old):
        yield f"{operation.name} gets an index, which holds up writes to {operation.model_name}; use AddIndexOnline"


def changes_type(old: Field, new: Field) -> bool:  # type: ignore[type-arg]
    """Whether PostgreSQL gives the column another type; a longer text of the same kind rewrites nothing."""
    if type(old) is type(new) and isinstance(new, CharField):
        return new.max_length is not None and (old.max_length is None or new.max_length < old.max_length)
    if old.remote_field or new.remote_field:
        return bool(old.remote_field) != bool(new.remote_field) or old.remote_field.model != new.remote_field.model
    postgresql = DatabaseWrapper(connections["default"].settings_dict)
    return old.db_type(postgresql) != new.db_type(postgresql)

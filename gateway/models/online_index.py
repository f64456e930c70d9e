"""An index on a table that requests are writing to: built beside them on PostgreSQL, as any other elsewhere."""

from __future__ import annotations

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.operations import AddIndex
from django.db.migrations.state import ProjectState


class AddIndexOnline(AddIndexConcurrently):
    """`AddIndex` for a table that grows with the requests, in a migration with `atomic = False`.

    `AddIndexConcurrently` knows PostgreSQL alone; SQLite has one writer anyway and builds the index in its turn.
    """

    def database_forwards(
        self, app_label: str, schema_editor: BaseDatabaseSchemaEditor, from_state: ProjectState, to_state: ProjectState
    ) -> None:
        builds = super().database_forwards if is_postgresql(schema_editor) else self._plain.database_forwards
        builds(app_label, schema_editor, from_state, to_state)

    def database_backwards(
        self, app_label: str, schema_editor: BaseDatabaseSchemaEditor, from_state: ProjectState, to_state: ProjectState
    ) -> None:
        drops = super().database_backwards if is_postgresql(schema_editor) else self._plain.database_backwards
        drops(app_label, schema_editor, from_state, to_state)

    @property
    def _plain(self) -> AddIndex:
        return AddIndex(self.model_name, self.index)


def is_postgresql(schema_editor: BaseDatabaseSchemaEditor) -> bool:
    return schema_editor.connection.vendor == "postgresql"

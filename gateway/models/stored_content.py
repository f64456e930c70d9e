"""What was asked and answered, where a route keeps it: encrypted, and only for a while."""

from __future__ import annotations

from django.db import models


class StoredContent(models.Model):
    """One completion's content. No foreign key: it may be written before or after its completion, and never hold it up.

    `request` and `answer` are encrypted; an answer that was never begun is empty. The sizes are those of the whole
    body in bytes: where less was kept, it was cut.
    """

    completion_id = models.CharField(max_length=64, primary_key=True)
    kept_at = models.DateTimeField()
    delete_at = models.DateTimeField(db_index=True)
    request = models.BinaryField()
    request_bytes = models.PositiveBigIntegerField()
    answer = models.BinaryField()
    answer_bytes = models.PositiveBigIntegerField()

    class Meta:
        db_table = "llmops_stored_content"
        default_permissions = ()
        permissions = [
            ("view_stored_content", "Can view stored content"),
            ("delete_stored_content", "Can delete stored content"),
        ]

    def __str__(self) -> str:
        return self.completion_id

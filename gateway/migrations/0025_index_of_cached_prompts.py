from django.db import migrations, models

import gateway.models.completion
from gateway.models.online_index import AddIndexOnline


class Migration(migrations.Migration):
    """Savings by providers' caches are found by completions, newest first, instead of by attempts."""

    atomic = False

    dependencies = [
        ("gateway", "0024_names_of_lists"),
    ]

    operations = [
        AddIndexOnline(
            model_name="completion",
            index=models.Index(
                condition=models.Q(
                    gateway.models.completion.PromptCached(
                        models.F("cached_input_tokens"), models.F("cache_write_tokens")
                    )
                ),
                fields=["-created_at"],
                name="completion_cached",
            ),
        ),
        migrations.RemoveIndex(model_name="attempt", name="attempt_cached"),
    ]

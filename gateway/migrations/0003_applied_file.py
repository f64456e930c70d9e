from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("gateway", "0002_alerts"),
    ]

    operations = [
        migrations.CreateModel(
            name="AppliedFile",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(max_length=200)),
                ("sha256", models.CharField(max_length=64)),
                ("applied_at", models.DateTimeField()),
            ],
            options={
                "db_table": "llmops_applied_file",
            },
        ),
    ]

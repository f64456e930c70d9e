"""Groups with what they were handed, and failed logins."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("gateway", "0014_attempt_failed_index"),
    ]

    operations = [
        migrations.CreateModel(
            name="LoginFailures",
            fields=[
                ("subject", models.CharField(max_length=64, primary_key=True, serialize=False)),
                ("attempts", models.PositiveIntegerField(default=0)),
                ("since", models.DateTimeField(db_index=True)),
            ],
            options={
                "db_table": "llmops_login_failures",
            },
        ),
        migrations.CreateModel(
            name="RoleGrant",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("role", models.CharField(max_length=30)),
                ("app_label", models.CharField(max_length=100)),
                ("codename", models.CharField(max_length=100)),
            ],
            options={
                "db_table": "llmops_role_grant",
                "constraints": [
                    models.UniqueConstraint(fields=("role", "app_label", "codename"), name="role_grant_once")
                ],
            },
        ),
    ]

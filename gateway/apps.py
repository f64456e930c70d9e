from typing import Any

from django.apps import AppConfig
from django.apps import apps as all_apps
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created
from django.db.models.signals import post_migrate


class GatewayConfig(AppConfig):
    name = "gateway"
    verbose_name = "Gateway"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        post_migrate.connect(_hand_out_roles, sender=self, dispatch_uid="gateway.roles")
        connection_created.connect(_compile_nothing, dispatch_uid="gateway.jit")


def _compile_nothing(sender: object, *, connection: BaseDatabaseWrapper, **kwargs: Any) -> None:
    """PostgreSQL takes longer to compile a page's wide sums than to run them, and does it anew for each query.

    An order and no option of the connection's start, which poolers refuse.
    """
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SET jit = off")


def _hand_out_roles(sender: AppConfig, *, using: str, apps: Any = all_apps, **kwargs: Any) -> None:
    """After `django.contrib.auth` made the permissions of our models: its receiver was connected before ours."""
    from gateway.services.roles import roles_hand_out  # models may only be imported once all apps are ready

    if "rolegrant" in apps.all_models["gateway"]:  # not after a migration back to before there were roles
        roles_hand_out(using=using)

from typing import Any

from django.apps import AppConfig
from django.apps import apps as all_apps
from django.db.models.signals import post_migrate


class GatewayConfig(AppConfig):
    name = "gateway"
    verbose_name = "Gateway"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        post_migrate.connect(_hand_out_roles, sender=self, dispatch_uid="gateway.roles")


def _hand_out_roles(sender: AppConfig, *, using: str, apps: Any = all_apps, **kwargs: Any) -> None:
    """After `django.contrib.auth` made the permissions of our models: its receiver was connected before ours."""
    from gateway.services.roles import roles_hand_out  # models may only be imported once all apps are ready

    if "rolegrant" in apps.all_models["gateway"]:  # not after a migration back to before there were roles
        roles_hand_out(using=using)

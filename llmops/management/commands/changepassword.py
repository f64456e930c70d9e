"""Django's command; that there is a new password is a row of history."""

from __future__ import annotations

import getpass
from typing import Any

from django.contrib.auth.management.commands import changepassword
from django.contrib.auth.models import User

from gateway.services.people import COMMAND_LINE, password_changed


class Command(changepassword.Command):
    def handle(self, *args: Any, **options: Any) -> str | None:
        options["username"] = options["username"] or getpass.getuser()
        words = super().handle(*args, **options)
        password_changed(user=User.objects.get(username=options["username"]), actor=COMMAND_LINE)
        return words

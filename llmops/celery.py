"""Celery's application: `celery --app llmops worker` and `celery --app llmops beat`."""

from __future__ import annotations

import os
import warnings
from typing import Any

from celery import Celery
from celery.platforms import SecurityWarning
from celery.signals import beat_init, worker_ready

from gateway.supervisor.signs import tell_ready
from llmops import filesystem_broker

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "llmops.settings")

# Celery warns root of pickled messages; ours are JSON and nothing else is accepted (CELERY_ACCEPT_CONTENT).
warnings.filterwarnings("ignore", category=SecurityWarning)

filesystem_broker.use()
app = Celery("llmops")
app.config_from_object("django.conf:settings", namespace="CELERY")


@worker_ready.connect
@beat_init.connect
def _tell_supervisor(**_: Any) -> None:
    tell_ready()

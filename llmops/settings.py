"""Settings of the project. Every environment variable is documented in docs/environment.md."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from llmops import VERSION
from llmops.broker import broker_options, broker_url
from llmops.env import database_from_url, env_choice, env_integer, env_list, env_text, env_url, usable_folder
from llmops.production import refuse_insecure
from llmops.secrets import encryption_keys, installation_secret

LLMOPS_VERSION = VERSION
BASE_DIR = Path(__file__).resolve().parent.parent
DATA_DIR = Path(env_text("LLMOPS_DATA_DIR", str(BASE_DIR / "var"))).resolve()
usable_folder("LLMOPS_DATA_DIR", DATA_DIR)

LLMOPS_ENV = env_choice("LLMOPS_ENV", ("demo", "production"), "demo")
PRODUCTION = LLMOPS_ENV == "production"
DEBUG = False

SECRET_KEY = installation_secret("DJANGO_SECRET_KEY", "django-secret-key", DATA_DIR, production=PRODUCTION)
LLMOPS_ENCRYPTION_KEYS = encryption_keys(
    installation_secret("LLMOPS_ENCRYPTION_KEYS", "encryption-keys", DATA_DIR, production=PRODUCTION)
)
LLMOPS_MAX_BODY_BYTES = env_integer("LLMOPS_MAX_BODY_BYTES", 32 * 1024 * 1024, minimum=1024, maximum=1024**3)
# How long a provider may be unable to take a batch before its lines run one by one, at the full price.
LLMOPS_BATCH_PATIENCE_SECONDS = env_integer("LLMOPS_BATCH_PATIENCE_SECONDS", 3600, minimum=0, maximum=86_400)
# When a worker that asked a provider for a batch and never said what came of it is taken to be gone, with its call.
LLMOPS_BATCH_RECONCILE_SECONDS = env_integer("LLMOPS_BATCH_RECONCILE_SECONDS", 300, minimum=1, maximum=86_400)
# How long a worker that says nothing more of itself keeps a batch from the others.
LLMOPS_BATCH_LEASE_SECONDS = env_integer("LLMOPS_BATCH_LEASE_SECONDS", 15, minimum=1, maximum=3600)
# Where the ledger's records wait while the database is away.
LLMOPS_SPOOL_FOLDER = DATA_DIR / "ledger-spool"
LLMOPS_SPOOL_MAX_BYTES = env_integer("LLMOPS_SPOOL_MAX_BYTES", 256 * 1024 * 1024, minimum=1024 * 1024, maximum=1024**4)
# Where this machine's processes count for Prometheus, a file each (gateway/metrics.py).
LLMOPS_METRICS_FOLDER = DATA_DIR / "metrics"
usable_folder("LLMOPS_DATA_DIR", LLMOPS_METRICS_FOLDER)
os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(LLMOPS_METRICS_FOLDER)  # read when the library is imported
LLMOPS_METRICS_TOKEN = env_text("LLMOPS_METRICS_TOKEN")
LLMOPS_SEND_TIMEOUT_SECONDS = env_integer("LLMOPS_SEND_TIMEOUT_SECONDS", 60, minimum=1, maximum=3600)
REDIS_URL = env_url("REDIS_URL", ("redis", "rediss", "unix"))
# A request waits this long for Redis, then its process goes on without.
LLMOPS_REDIS_TIMEOUT_MS = env_integer("LLMOPS_REDIS_TIMEOUT_MS", 20, minimum=1, maximum=1000)
CELERY_BROKER_URL = env_url("CELERY_BROKER_URL", ("redis", "rediss", "amqp", "amqps", "filesystem"))

ALLOWED_HOSTS = env_list("LLMOPS_ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]" if PRODUCTION else "*")
CSRF_TRUSTED_ORIGINS = env_list("LLMOPS_TRUSTED_ORIGINS", "")
if PRODUCTION:
    refuse_insecure(secret_key=SECRET_KEY, hosts=ALLOWED_HOSTS, origins=CSRF_TRUSTED_ORIGINS)

INSTALLED_APPS = [
    "llmops",  # before django.contrib.auth: its commands about accounts are also rows of history
    "unfold",
    "llmops.admin_config.AdminConfig",  # django.contrib.admin, read in with the first page
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "ninja",  # serves the operators' API's documentation from our own static files
    "gateway",
]

# The back office's only: the API's paths run none of it (docs/architecture.md).
MIDDLEWARE = [
    "gateway.dashboard.content_policy.ContentPolicy",
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "gateway.dashboard.sessions.SessionLimits",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "llmops.urls"
ASGI_APPLICATION = "llmops.asgi.application"
TEMPLATES: list[dict[str, Any]] = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

DATABASES = {
    "default": database_from_url(env_url("DATABASE_URL", ("sqlite", "postgres", "postgresql")), DATA_DIR),
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

CACHES: dict[str, dict[str, Any]] = {
    "default": (
        {"BACKEND": "django_redis.cache.RedisCache", "LOCATION": REDIS_URL}
        if REDIS_URL
        else {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}
    )
}

LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_I18N = False
USE_TZ = True
FORMAT_MODULE_PATH = "llmops.formats"

STATIC_URL = "/static/"
STATIC_ROOT = DATA_DIR / "static"

LOGIN_URL = "admin:login"
LOGIN_REDIRECT_URL = "/"
CSRF_FAILURE_VIEW = "gateway.dashboard.error_pages.csrf_failure"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]

SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = PRODUCTION
SESSION_COOKIE_AGE = 12 * 60 * 60
LLMOPS_SESSION_IDLE_MINUTES = env_integer("LLMOPS_SESSION_IDLE_MINUTES", 60, minimum=1, maximum=12 * 60)
CSRF_COOKIE_SECURE = PRODUCTION
# How many proxies of our own stand before the gateway: whose word on address and scheme is taken.
LLMOPS_TRUSTED_PROXIES = env_integer("LLMOPS_TRUSTED_PROXIES", 0, minimum=0, maximum=10)
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if LLMOPS_TRUSTED_PROXIES else None
SECURE_SSL_REDIRECT = PRODUCTION
# Programs of the same network may come without TLS: they bring a key, and follow no redirect with it.
SECURE_REDIRECT_EXEMPT = [r"^api/(?!docs)", r"^metrics$"]
# Browsers can't be told to forget this before it ends: a day, which a wrong certificate can be waited out.
SECURE_HSTS_SECONDS = 24 * 60 * 60 if PRODUCTION else 0
# W005 asks to bind the host's subdomains too, W021 to have browsers ship the domain as HTTPS only. Both reach beyond
# this product, to hosts that it doesn't serve: their owner's decision, made at the proxy.
SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W021"]

UNFOLD: dict[str, Any] = {
    "SITE_TITLE": "llmops",
    "SITE_HEADER": "llmops",
    "SITE_SUBHEADER": f"LLM gateway back office, {VERSION}",
    "SITE_URL": "/",
    "SITE_SYMBOL": "hub",
    "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": "gateway.dashboard.favicon.favicon_url"}],
    "STYLES": ["gateway.dashboard.stylesheet.stylesheet_url"],
    "LOGIN": {"form": "gateway.dashboard.login_form.ThrottledLoginForm"},
    "SHOW_HISTORY": True,
    "SHOW_VIEW_ON_SITE": False,
    "SIDEBAR": {"navigation": "gateway.dashboard.navigation.sidebar"},
}

LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "plain": {"format": "{asctime} {levelname} {name} {message}", "style": "{"},
        "json": {"()": "llmops.logs.JsonFormatter"},
    },
    "handlers": {
        "stderr": {
            "class": "logging.StreamHandler",
            "formatter": env_choice("LLMOPS_LOG_FORMAT", ("plain", "json"), "plain"),
        },
    },
    "root": {"handlers": ["stderr"], "level": "WARNING"},
    "loggers": {
        "gateway": {"level": "INFO"},
        "gateway.requests": {
            "level": "INFO" if env_choice("LLMOPS_LOG_REQUESTS", ("off", "on"), "off") == "on" else "WARNING",
        },
        "llmops": {"level": "INFO"},
    },
}

# Celery does what may happen later. Tasks are idempotent sweeps over the database: messages may get lost or doubled.
CELERY_BROKER_URL = broker_url(CELERY_BROKER_URL, REDIS_URL)
CELERY_BROKER_TRANSPORT_OPTIONS = broker_options(CELERY_BROKER_URL, DATA_DIR)
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_WORKER_REDIRECT_STDOUTS = False  # a traceback on its way out would be a log line for each word of it
CELERY_WORKER_ENABLE_REMOTE_CONTROL = False
CELERY_WORKER_SEND_TASK_EVENTS = False
CELERY_IMPORTS = ["gateway.tasks"]
CELERY_TIMEZONE = "UTC"
CELERY_BEAT_SCHEDULE: dict[str, dict[str, Any]] = {
    # `expires`: nudges that pile up while no worker runs are dropped, not worked off.
    "alerts": {"task": "gateway.alerts_sweep", "schedule": 1.0, "options": {"expires": 5}},
    "rollups": {"task": "gateway.rollups_refresh", "schedule": 30.0, "options": {"expires": 60}},
    "retention": {"task": "gateway.completions_prune", "schedule": 60.0, "options": {"expires": 120}},
    "orphans": {"task": "gateway.orphans_settle", "schedule": 5.0, "options": {"expires": 15}},
    "health": {"task": "gateway.health_probes", "schedule": 5.0, "options": {"expires": 5}},
    "batches": {"task": "gateway.batches_advance", "schedule": 2.0, "options": {"expires": 5}},
    "batch_retention": {"task": "gateway.batches_expire", "schedule": 600.0, "options": {"expires": 600}},
    "idempotency": {"task": "gateway.idempotency_expire", "schedule": 600.0, "options": {"expires": 600}},
}

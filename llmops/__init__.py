"""The Django project: settings, urls, asgi, celery. Wiring only."""

# Semantic (CONTRIBUTING.md says what of); the same in pyproject.toml.
VERSION = "0.1.0"

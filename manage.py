#!/usr/bin/env python
"""llmops' commands: `python manage.py help`."""

import os
import sys


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "llmops.settings")
    from django.core.exceptions import ImproperlyConfigured
    from django.core.management import execute_from_command_line
    from django.db import OperationalError

    try:
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:
        sys.exit(f"llmops can't start: {error}")
    except OperationalError as error:
        sys.exit(f"llmops can't use its database: {error}")


if __name__ == "__main__":
    main()

"""How the admin writes times: as the dashboard does, 24 hours, and with the seconds by which rows are told apart."""

from __future__ import annotations

DATE_FORMAT = "j M Y"
TIME_FORMAT = "H:i:s"
DATETIME_FORMAT = "j M Y, H:i:s"

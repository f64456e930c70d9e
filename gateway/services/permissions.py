"""The permission that each act of the back office needs, named once for admin, dashboard and operators' API.

Forms and lists of a model need Django's own four (`gateway.change_route`, …); the constants are those that pages and
operations ask for by hand. Who gets which is in `gateway.services.roles`.
"""

from __future__ import annotations

from typing import Any

SEE_PAGES = "gateway.view_completion"
SEE_PRICES = "gateway.view_price"
SEE_KEYS = "gateway.view_apikey"
SEE_STORED_CONTENT = "gateway.view_stored_content"
ORDER_BREAKERS = "gateway.change_provider"
TEST_PROVIDERS = "gateway.change_provider"
CHANGE_ROUTES = "gateway.change_route"
PURGE_CACHE = "gateway.change_route"
START_DRILLS = "gateway.add_drill"
STOP_DRILLS = "gateway.change_drill"
CANCEL_BATCHES = "gateway.change_batch"
ACKNOWLEDGE_INCIDENTS = "gateway.change_alert"
TEST_CHANNELS = "gateway.change_alertchannel"
RETRY_MESSAGES = "gateway.change_alertdelivery"
SEE_HISTORY = "gateway.view_configurationchange"
ADD_KEYS = "gateway.add_apikey"
CHANGE_KEYS = "gateway.change_apikey"
RAISE_BUDGETS = "gateway.change_budget"
CHANGE_PRICES = "gateway.change_price"
FORGET = "gateway.delete_completion"


def missing_words(permission: str) -> str:
    """What to tell somebody who lacks `permission`."""
    return f"Your account lacks the permission {permission}; an administrator can grant it."


def may(user: Any, permission: str) -> bool:
    """Whether this person is staff and has it. A superuser has all."""
    return bool(user.is_active and user.is_staff and user.has_perm(permission))

"""A row's History: its rows of Changes, which tell before and after of every change, by a form, a file or a script."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.contrib.admin.utils import unquote
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse

from gateway.services.permissions import SEE_HISTORY


class ToldByChanges:
    """For a ModelAdmin. Django's own log knows only which fields a form changed; who may not see Changes gets that."""

    def change_names(self, row: Any) -> tuple[str, str]:
        """Section and name that the row has in Changes."""
        raise NotImplementedError

    def history_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        row = self.get_object(request, unquote(object_id))  # type: ignore[attr-defined]
        may_see = row is not None and self.has_view_or_change_permission(request, row)  # type: ignore[attr-defined]
        if not may_see or not request.user.has_perm(SEE_HISTORY):
            return super().history_view(request, object_id, extra_context)  # type: ignore[misc,no-any-return]
        section, name = self.change_names(row)
        asked = urlencode({"section__exact": section, "name__exact": name})
        return redirect(f"{reverse('admin:gateway_configurationchange_changelist')}?{asked}")

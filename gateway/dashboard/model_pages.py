"""The model catalogue, and the one step that puts a retired model's successor in its place."""

from __future__ import annotations

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST

from gateway.dashboard.access import back_office_page, render_page, to_login
from gateway.dashboard.links import model_list_url
from gateway.models import Target
from gateway.selectors.model_catalogue import model_lines, retiring_targets
from gateway.services.cache_purge import CacheAway, cache_purge
from gateway.services.permissions import CHANGE_ROUTES, PURGE_CACHE, SEE_PRICES, missing_words
from gateway.services.price_book import prices_now
from gateway.services.succession import succession_of, target_succeed

MOST_SEARCHED_CHARACTERS = 200


@back_office_page
def catalogue(request: HttpRequest) -> HttpResponse:
    """Every model that has a price or a route, with `q` those whose name holds it."""
    if not request.user.has_perm(SEE_PRICES):
        raise PermissionDenied(missing_words(SEE_PRICES))
    now = timezone.now()
    searched = request.GET.get("q", "").strip()[:MOST_SEARCHED_CHARACTERS]
    prices = prices_now(at=now)
    lines = [line for line in model_lines(prices, now=now) if searched.lower() in line.model.lower()]
    context = {
        "rows": [(line, prices.get((line.kind, line.model))) for line in lines],
        "retiring": retiring_targets(now),
        "searched": searched,
        "may_act": request.user.has_perm(CHANGE_ROUTES),
        "prices_url": model_list_url(request, "gateway.Price"),
    }
    return render_page(request, "dashboard/models.html", "Models", context)


@never_cache
def succeed(request: HttpRequest, target_id: int) -> HttpResponse:
    """GET asks, with what it changes in price; POST does it."""
    if not admin.site.has_permission(request):
        return to_login(request)
    if not request.user.has_perm(CHANGE_ROUTES):
        raise PermissionDenied(missing_words(CHANGE_ROUTES))
    target = Target.objects.filter(pk=target_id, route__archived_at=None).select_related("provider", "route").first()
    if target is None:
        raise Http404("There is no such target in a route in use.")
    try:
        if request.method == "POST":
            return _done(request, target)
        context = {"succession": succession_of(target)}
    except ValidationError as error:
        messages.error(request, f"Nothing was changed: {' '.join(error.messages)}")
        return redirect("dashboard:models")
    return render_page(request, "dashboard/succeed.html", f"Replace {target.model}", context)


@require_POST
def forget(request: HttpRequest) -> HttpResponse:
    """Forget the answers of one model that the response cache keeps; those of all where none is named."""
    if not admin.site.has_permission(request):
        return to_login(request)
    if not request.user.has_perm(PURGE_CACHE):
        raise PermissionDenied(missing_words(PURGE_CACHE))
    model = request.POST.get("model", "")[:MOST_SEARCHED_CHARACTERS]
    try:
        purged = cache_purge(actor=request.user.get_username(), model=model or None)
    except CacheAway as away:
        messages.error(request, away.message)
    else:
        messages.success(request, f"{purged} cached answers of {model or 'every model'} forgotten.")
    return redirect("dashboard:models")


def _done(request: HttpRequest, target: Target) -> HttpResponse:
    done = target_succeed(target=target, actor=request.user.get_username())
    messages.success(request, f"{done.route}: {done.successor} now answers in the place of {done.model}.")
    return redirect("dashboard:models")

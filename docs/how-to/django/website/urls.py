"""The pages of the site."""

from django.contrib import admin
from django.contrib.auth.decorators import login_required
from django.contrib.auth.views import LoginView, LogoutView
from django.http import JsonResponse
from django.urls import path
from django.views.decorators.http import require_POST

from website import tickets


@require_POST
@login_required
def ticket(request):
    """Return a ticket, by which the page of a logged-in user enters the game."""
    return JsonResponse({"ticket": tickets.make(request.user.get_username())})


urlpatterns = [
    path("admin/", admin.site.urls),
    path("accounts/login/", LoginView.as_view(template_name="admin/login.html", next_page="/")),
    path("accounts/logout/", LogoutView.as_view()),
    path("ticket", ticket),
]

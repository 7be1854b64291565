"""The portal's addresses; `/` leads to it."""

from django.contrib import admin
from django.urls import path
from django.views.generic import RedirectView

from auditor.admin_config import register_lists

register_lists()
urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index"), name="home"),
    path("admin/", admin.site.urls),
]

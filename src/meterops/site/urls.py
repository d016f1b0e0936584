"""Which address leads to which interface."""

from django.urls import include, path

urlpatterns = [
    path("api/v1/", include("meterops.interfaces.rest.urls")),
    path("", include("meterops.interfaces.console.urls")),
]

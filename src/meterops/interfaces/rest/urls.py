"""The REST interface's addresses."""

from django.urls import path

from meterops.interfaces.rest.service import service

urlpatterns = [path("", service.urls)]

"""The console's addresses."""

from django.urls import URLPattern, URLResolver, path

from meterops.interfaces.console import live
from meterops.interfaces.console.views import account, audit, grid, inventory, meter, meters, overview, reading, search

app_name = "console"
urlpatterns: list[URLPattern | URLResolver] = [
    path("", overview.overview, name="overview"),
    path("sign-in", account.SignIn.as_view(), name="sign-in"),
    path("sign-out", account.SignOut.as_view(), name="sign-out"),
    path("profile", account.profile, name="profile"),
    path("profile/tokens", account.create_token, name="token-create"),
    path("profile/tokens/<int:token_id>/revoke", account.revoke_token, name="token-revoke"),
    path("live", live.stream, name="live"),
    path("search", search.search, name="search"),
    path("meters", meters.meters, name="meters"),
    path("meters/export.csv", meters.export, name="meters-export"),
    path("meters/read", meters.read_selected, name="meters-read"),
    path("meters/views", meters.save_view, name="meters-save-view"),
    path("meters/views/<int:view_id>/delete", meters.delete_view, name="meters-delete-view"),
    path("meters/<int:end_device_id>", meter.meter, name="meter"),
    path("meters/<int:end_device_id>/profile", meter.profile, name="meter-profile"),
    path("meters/<int:end_device_id>/read", meter.read, name="meter-read"),
    path("meters/<int:end_device_id>/read/<uuid:operation_id>", meter.read_result, name="meter-read-result"),
    path("grid", grid.map_page, name="grid"),
    path("grid/points", grid.points, name="grid-points"),
    path("grid/states", grid.states, name="grid-states"),
    path("grid/transformers", grid.table, name="grid-table"),
    path("grid/items/<int:item_id>", grid.item, name="grid-item"),
    path("grid/items/<int:item_id>/one-line", grid.one_line, name="one-line"),
    path("reading", reading.reading, name="reading"),
    path("reading/schedules/<int:schedule_id>", reading.set_enabled, name="schedule-set"),
    path("reading/operations/<uuid:operation_id>", reading.operation, name="operation"),
    path("reading/operations/<uuid:operation_id>/cancel", reading.cancel, name="operation-cancel"),
    path("reading/sessions", reading.sessions, name="sessions"),
    path("inventory/import", inventory.import_page, name="import"),
    path("inventory/import/preview", inventory.preview, name="import-preview"),
    path("inventory/import/apply", inventory.apply, name="import-apply"),
    path("inventory/disagreements", inventory.disagreements, name="disagreements"),
    path("inventory/disagreements/<int:disagreement_id>", inventory.settle, name="disagreement-settle"),
    path("audit", audit.log, name="audit"),
    path("audit/verify", audit.verify, name="audit-verify"),
]

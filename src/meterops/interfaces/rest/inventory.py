"""Endpoints on what exists: meters, their history, the trees, imports."""

from dataclasses import asdict
from typing import Annotated, Any

from django.http import HttpRequest
from ninja import File, Query, Router, Schema, Status
from ninja.files import UploadedFile

from meterops.fleet.inventory import api as inventory
from meterops.interfaces.rest.authentication import actor_of, require
from meterops.kernel.clock import utc_now

router = Router()


class MeterFilter(Schema):
    """Which meters are meant; every field may be given several times, within a field any value fits."""

    text: str = ""
    manufacturer: list[str] = []
    model: list[str] = []
    hardware_version: list[str] = []
    firmware_version: list[str] = []
    profile: list[str] = []
    state: list[str] = []
    under: list[str] = []

    def as_filter(self) -> inventory.EndDeviceFilter:
        """The inventory's form of it."""
        return inventory.EndDeviceFilter.from_dict(self.dict()).checked()


class StateBody(Schema):
    """The next state of an item's life and why."""

    state: inventory.ItemState
    reason: str = ""


def get_device(name: str) -> inventory.EndDeviceView:
    """A meter by serial, mRID, system title or id; `ItemUnknown`, and so 404, where there is none."""
    return inventory.get_end_device(name)


@router.get("/meters", summary="Meters, a page at a time")
def list_meters(
    request: HttpRequest,
    wanted: Annotated[MeterFilter, Query()],
    sort: str = "serial",
    after: str = "",
    limit: Annotated[int, Query(ge=1, le=10_000)] = 100,
) -> dict[str, Any]:
    """`after` of an answer asks for the next page; empty when there is none. `sort=-serial` is descending.

    404 where a node of `under` is unknown.
    """
    page = inventory.page_of_end_devices(wanted.as_filter(), sort=sort, after=after, limit=limit)
    return {"meters": [asdict(row) for row in page.rows], "total": page.total, "after": page.after}


@router.get("/meters/{meter}", summary="One meter")
def get_meter(request: HttpRequest, meter: str) -> dict[str, Any]:
    """What it is and where it hangs in both trees."""
    return asdict(get_device(meter))


@router.get("/meters/{meter}/history", summary="Every change of a meter's attributes")
def get_history(
    request: HttpRequest, meter: str, limit: Annotated[int, Query(ge=1, le=10_000)] = 200
) -> list[dict[str, Any]]:
    """Newest first, each with its source and who did it."""
    return [asdict(one) for one in inventory.history_of(get_device(meter).id, limit=limit)]


@router.get("/meters/{meter}/links", summary="Every place of a meter in both trees")
def get_links(request: HttpRequest, meter: str) -> list[dict[str, Any]]:
    """With the time for which each held."""
    return [asdict(one) for one in inventory.links_of(get_device(meter).id)]


@router.post("/meters/{meter}/state", response={204: None}, summary="Take a meter a step further in its life")
def change_state(request: HttpRequest, meter: str, body: StateBody) -> Status[None]:
    """409 where that step is not allowed."""
    require(request, "inventory.change_configurationitem")
    inventory.change_state(
        item_id=get_device(meter).id, state=body.state, actor=actor_of(request), at=utc_now(), reason=body.reason
    )
    return Status(204, None)


@router.get("/nodes", summary="Nodes of one kind with how many meters hang below")
def list_nodes(
    request: HttpRequest,
    kind: inventory.ItemKind = inventory.ItemKind.POWER_TRANSFORMER,
    limit: Annotated[int, Query(ge=1, le=10_000)] = 1000,
    after: str = "",
) -> list[dict[str, Any]]:
    """By mrid; `after` (an mrid) pages on."""
    return [asdict(one) for one in inventory.list_nodes(kind, limit=limit, after=after)]


@router.get("/nodes/{mrid}", summary="A node and everything below it")
def get_node(request: HttpRequest, mrid: str, tree: inventory.Tree = inventory.Tree.ELECTRICAL) -> dict[str, Any]:
    """For a one-line diagram."""
    return asdict(inventory.one_line(mrid, tree))


@router.get("/search", summary="Find anything in the inventory")
def search(request: HttpRequest, text: str, limit: Annotated[int, Query(ge=1, le=200)] = 20) -> list[dict[str, Any]]:
    """Meters and nodes whose names, titles or addresses begin with the text."""
    return [asdict(one) for one in inventory.search(text, limit)]


@router.get("/imports", summary="Imports, newest first")
def list_imports(request: HttpRequest, limit: Annotated[int, Query(ge=1, le=1000)] = 50) -> list[dict[str, Any]]:
    """With counts of what each created and changed."""
    return [asdict(one) for one in inventory.list_imports(limit)]


@router.post("/imports", summary="Import nodes.csv and devices.csv, all rows or none")
def import_inventory(
    request: HttpRequest,
    files: Annotated[list[UploadedFile], File()],
    source: inventory.Source = inventory.Source.IMPORT,
    dry_run: bool = False,
) -> dict[str, Any]:
    """`applied` says whether anything was stored: it is not in a dry run, nor while there are `errors`."""
    require(request, "inventory.import_inventory")
    given = [inventory.ImportFile(file.name or "file", file.read()) for file in files]
    preview = inventory.preview_import(files=given, source=source)
    applied = preview.is_applicable and not dry_run
    if applied:
        inventory.apply_import(files=given, actor=actor_of(request), at=utc_now(), source=source, digest=preview.digest)
    return {"applied": applied, **asdict(preview)}

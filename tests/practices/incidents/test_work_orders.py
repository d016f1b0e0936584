"""Work orders: told to another system, updated by it, linked both ways."""

import csv
import io
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from tests.interfaces.console import seed
from tests.practices.incidents.conftest import NOW, WHO, situation
from tests.practices.incidents.sinks import web_sink
from tests.practices.incidents.test_opening import tell

from meterops.practices.incidents import api as incidents
from meterops.practices.incidents.delivery import deliver_messages
from meterops.practices.incidents.models import Incident

pytestmark = pytest.mark.django_db
State = incidents.WorkOrderState


@pytest.fixture
def number(fleet: seed.Fleet) -> int:
    tell(situation(1, "TR-0001"))
    return int(Incident.objects.get().pk)


def make(number: int, **more: object) -> UUID:
    return incidents.create_work_order(incident=number, title="Replace fuse", actor=WHO, at=NOW, **more)  # type: ignore[arg-type]


def test_an_order_is_told_to_the_crews_system_and_comes_back(number: int) -> None:
    with web_sink() as sink:
        incidents.save_channel(
            name="Crews", sort="WORK_ORDERS", address=sink.url("/orders"), secret="s", actor=WHO, at=NOW
        )
        order = make(number, instructions="Take a ladder.")
        assert deliver_messages(owner="a", now=NOW) == 1
        told = sink.received[0].document["work_order"]
        assert (told["id"], told["incident"], told["state"]) == (str(order), number, "SENT")
        assert len(told["meters"]) == 12
        for state in (State.ACCEPTED, State.ON_SITE, State.ON_SITE, State.DONE):
            incidents.update_work_order(
                work_order_id=order,
                state=state,
                external_id="WO-7",
                crew="Crew 3",
                actor=WHO,
                at=NOW + timedelta(minutes=5),
            )
        deliver_messages(owner="a", now=NOW + timedelta(minutes=6))
        versions = [got.document["work_order"]["version"] for got in sink.received]
    view = incidents.get_work_order(order)
    assert (view.state, view.external_id, view.crew) == (State.DONE, "WO-7", "Crew 3")
    assert versions == sorted(set(versions))
    assert len(versions) == 4, "the same news twice changes nothing"
    texts = [e.text for e in incidents.timeline(number, kinds=[incidents.EntryKind.WORK_ORDER])]
    assert texts[-1] == f"Work order {order} (WO-7) is done."
    assert incidents.get_incident(number).work_orders[0].id == order


def test_what_is_done_stays_done(number: int) -> None:
    order = make(number)
    incidents.update_work_order(work_order_id=order, state=State.DONE, actor=WHO, at=NOW)
    with pytest.raises(incidents.WorkOrderNotValid, match="is done, so it cannot become accepted"):
        incidents.update_work_order(work_order_id=order, state=State.ACCEPTED, actor=WHO, at=NOW)


def test_exports_hold_the_same_and_no_formula(number: int) -> None:
    order = incidents.create_work_order(incident=number, title="=HYPERLINK(1)", actor=WHO, at=NOW)
    (row,) = csv.DictReader(io.StringIO(incidents.export_csv(incidents.list_work_orders())))
    assert row["title"] == "'=HYPERLINK(1)"
    assert row["id"] == str(order)
    assert incidents.export_json(order)["title"] == "=HYPERLINK(1)"


def test_what_does_not_fit_is_refused(number: int) -> None:
    with pytest.raises(incidents.WorkOrderUnknown):
        incidents.get_work_order(uuid4())
    with pytest.raises(incidents.WorkOrderNotValid, match="needs a title"):
        incidents.create_work_order(incident=number, title=" ", actor=WHO, at=NOW)
    with pytest.raises(incidents.IncidentUnknown):
        incidents.create_work_order(incident=999, title="x", actor=WHO, at=NOW)
    with pytest.raises(incidents.WorkOrderNotValid, match="starts with https"):
        incidents.update_work_order(work_order_id=make(number), external_url="javascript:x", actor=WHO, at=NOW)

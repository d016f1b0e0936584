"""What the tests of incidents begin with: a street that goes dark, told the way the correlator tells it."""

from django.test import Client

from meterops.fleet.inventory import api as inventory
from meterops.kernel.actor import process_actor
from meterops.kernel.clock import utc_now
from meterops.practices.events import events as told
from meterops.practices.incidents import api as incidents
from meterops.practices.incidents import subscribers

TEST = process_actor("test")


def make_street(name: str = "T1", meters: int = 3) -> int:
    """Import a transformer with its meters on two feeders. Returns its id."""
    nodes = "mrid,kind,name,parent_electrical,latitude,longitude\n"
    nodes += f"{name},POWER_TRANSFORMER,Mill Lane,,52.1,5.1\n"
    nodes += "".join(f"{name}F{n},LV_FEEDER,Mill Lane {n},{name},52.1,5.1\n" for n in (1, 2))
    nodes += "".join(f"P{n},USAGE_POINT,,{name}F{1 + n % 2},52.1,5.1\n" for n in range(meters))
    devices = "serial,usage_point\n" + "".join(f"M{n},P{n}\n" for n in range(meters))
    files = [
        inventory.ImportFile("nodes.csv", nodes.encode()),
        inventory.ImportFile("devices.csv", devices.encode()),
    ]
    inventory.apply_import(files=files, actor=TEST, at=utc_now())
    return inventory.get_item(name).id


def open_incident(node: int, place: int = 1, *, kind: str = "OUTAGE") -> int:
    """Have a situation at a node become an incident. Returns its number."""
    now, situation = utc_now(), f"11111111-1111-5111-8111-{place:012}"
    subscribers.on_situation_opened(
        told.SituationOpened(
            situation_id=situation,
            kind=kind,
            tree="ELECTRICAL",
            node_id=node,
            node_mrid=inventory.list_items([node])[node].mrid,
            started_at=now,
            at=now,
            expected=3,
            heard=3,
            silent=0,
            answered=0,
            power_score=0.99,
            communication_score=0.01,
            confidence=0.97,
        )
    )
    number = incidents.find_incident_of_situation(situation)
    assert number is not None
    return number


def text_of(client: Client, path: str) -> str:
    """A page that has to be there."""
    answer = client.get(path)
    assert answer.status_code == 200, answer.content[:500]
    return answer.content.decode()

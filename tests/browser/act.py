"""What other processes do to the state while a browser looks at it. Run as a program: act.py ACT [ARGUMENT ...], see `ACTS`."""

import json
import sys
from pathlib import Path

import django

django.setup()

from django.conf import settings  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.db import transaction  # noqa: E402
from tests.interfaces.console import seed  # noqa: E402
from tests.interfaces.console.outages import open_incident  # noqa: E402
from tests.practices.incidents.conftest import answer as answer_sessions  # noqa: E402
from tests.practices.incidents.conftest import below  # noqa: E402

from meterops.fleet.headend import api as headend  # noqa: E402
from meterops.fleet.headend.models import FleetOperation, RouteJob  # noqa: E402
from meterops.fleet.telemetry import api as telemetry  # noqa: E402
from meterops.kernel import hints  # noqa: E402
from meterops.kernel.clock import utc_now  # noqa: E402


def seed_all() -> None:
    """A fleet of 72 meters below six transformers, with two days behind it."""
    call_command("migrate", verbosity=0)
    now = utc_now()
    with transaction.atomic():
        fleet = seed.make(Path(settings.DATA_DIR) / "files", transformers=6, per_transformer=12, now=now)
    seed.fill_lake(telemetry.lake(), fleet, days=2, now=now)


def finish() -> None:
    """Let every route of the running operation be through, and say so."""
    running = headend.list_operations(state=headend.OperationState.RUNNING)
    for operation in running:
        RouteJob.objects.filter(operation_id=operation.id).update(
            total=12, succeeded=12, failed=0, errors={}, started_at=utc_now(), finished_at=utc_now()
        )
        FleetOperation.objects.filter(id=operation.id).update(state="COMPLETED", finished_at=utc_now())
        hints.publish("operations", str(operation.id))


def answer(end_device_id: str) -> None:
    """Answer the newest requested read as a worker does."""
    operation = headend.list_operations(limit=1)[0]
    result = {
        "ok": True,
        "duration_ms": 431,
        "round_trips": 8,
        "clock_drift_ms": -250,
        "registers": [{"name": "Active energy import", "value": 4025001.0, "unit": "Wh"}],
    }
    with transaction.atomic():
        FleetOperation.objects.filter(id=operation.id).update(result={end_device_id: result})
        hints.publish("operations", str(operation.id))


def ids() -> None:
    """Say which ids things have."""
    from meterops.fleet.inventory import api as inventory

    meters = inventory.ids_by_serial(["M00000000", "M00000028"])
    print(json.dumps({**meters, "TR-0000": inventory.get_item("TR-0000").id}))


def outages(first: str, count: str) -> None:
    """Let so many places go dark, the transformers first; say their incidents' numbers."""
    from meterops.fleet.inventory import api as inventory

    kinds = (inventory.ItemKind.POWER_TRANSFORMER, inventory.ItemKind.LV_FEEDER, inventory.ItemKind.USAGE_POINT)
    nodes = [node.id for kind in kinds for node in inventory.list_nodes(kind)]
    with transaction.atomic():
        print(json.dumps([open_incident(nodes[n], n) for n in range(int(first), int(first) + int(count))]))


def dark(mrid: str) -> None:
    """Let a situation be open at a node, as the correlator stores it."""
    from uuid import uuid4

    from meterops.fleet.inventory import api as inventory
    from meterops.practices.events.models import Situation

    node, now = inventory.get_item(mrid), utc_now()
    with transaction.atomic():
        Situation.objects.create(
            id=uuid4(), kind="OUTAGE", tree="ELECTRICAL", node_id=node.id, node_mrid=mrid,
            started_at=now, opened_at=now, changed_at=now,
        )  # fmt: skip
        hints.publish("situations")


def declare_major(number: str) -> None:
    """Somebody elsewhere leads an incident as a major one."""
    from meterops.practices.incidents import api as incidents

    incidents.declare_major(number=int(number), reason="hospital", actor=seed.SEEDER, at=utc_now())


def answer_check(mrid: str, count: str) -> None:
    """Let some meters below a node have answered just now, as workers write it down."""
    answer_sessions(telemetry.lake(), below(mrid)[: int(count)], utc_now())
    with transaction.atomic():
        hints.publish("operations", str(headend.list_operations(limit=1)[0].id))


ACTS = {
    "seed": seed_all,
    "beat": lambda: seed.beat(utc_now()),
    "ids": ids,
    "finish": finish,
    "answer": answer,
    "outages": outages,
    "dark": dark,
    "answer-check": answer_check,
    "declare-major": declare_major,
}

if __name__ == "__main__":
    ACTS[sys.argv[1]](*sys.argv[2:])

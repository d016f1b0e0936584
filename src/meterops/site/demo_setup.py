"""What a demo's first start makes and every later one finds: the shipment, the import, schedules, a person who may sign in."""

import json
from collections.abc import Callable
from pathlib import Path

from django.contrib.auth import get_user_model

from meterops.fleet.credentials import api as credentials
from meterops.fleet.headend import api as headend
from meterops.fleet.inventory import api as inventory
from meterops.kernel.actor import process_actor
from meterops.kernel.clock import utc_now
from meterops.kernel.refusal import Refusal
from meterops.simulator import api as simulator

DEMO = process_actor("demo")
QUARTER = 900
DAY = 86_400


class DemoIsAnother(Refusal):
    """The folder holds a demo with another grid."""


def make_shipment(folder: Path, *, meters: int, seed: int, port: int = 4059) -> Path:
    """Write what the operator of the simulated grid would be sent: inventory and keys. Returns the folder.

    Raises:
        DemoIsAnother: when the folder holds a demo of another size, seed or port of the meters.
    """
    shipment, mark = folder / "shipment", folder / "demo.json"
    wanted = {"meters": meters, "seed": seed, "port": port}
    if mark.exists():
        found = json.loads(mark.read_text())
        if found != wanted:
            raise DemoIsAnother(
                f"{folder} holds a demo of {found['meters']} meters (seed {found['seed']}, meter port {found['port']}): "
                "start that one, or choose another folder with --data."
            )
        return shipment
    simulator.write_shipment(simulator.generate_region(seed=seed, meters=meters), shipment, port=port)
    mark.write_text(json.dumps(wanted))
    return shipment


def apply_shipment(shipment: Path) -> None:
    """Import inventory and keys the way an operator does; what is there already stays as it is."""
    if inventory.count_end_devices():
        return
    now = utc_now()
    if not credentials.has_master_key():
        credentials.create_master_key()
    inventory.import_files([shipment / "nodes.csv", shipment / "devices.csv"], actor=DEMO, at=now)
    credentials.import_shipment(shipment / "keys.csv", actor=DEMO, at=now)
    (shipment / "keys.csv").unlink()


def make_schedules() -> None:
    """Schedules to watch: a first look at once and then every quarter of an hour, and the nightly reading."""
    now = utc_now()
    if headend.list_schedules(now=now):
        return
    everything = headend.in_session_order(headend.Content)
    headend.save_schedule(
        wanted=headend.ScheduleSettings(
            "Quarter-hourly", everything, QUARTER, offset_s=60, window_s=QUARTER - 60, lookback_s=3 * DAY
        ),
        actor=DEMO,
        at=now,
    )
    headend.save_schedule(
        wanted=headend.ScheduleSettings(
            "Nightly", everything, DAY, offset_s=15 * 60, in_local_time=True, window_s=9 * 3600, lookback_s=3 * DAY
        ),
        actor=DEMO,
        at=now,
    )
    headend.run_schedule_now(name="Quarter-hourly", actor=DEMO, at=now)


def demo_password(folder: Path, user: str, *, draw: Callable[[], str]) -> str:
    """The demo's sign-in: drawn on the first start and kept in the folder (mode 0600), so that a second start can print it."""
    file = folder / "secrets" / "demo-password"
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        file.touch(mode=0o600)
        file.write_text(draw())
    password = file.read_text()
    users = get_user_model().objects
    if not users.filter(username=user).exists():
        users.create_superuser(username=user, email=None, password=password)
    return password

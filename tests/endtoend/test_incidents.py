"""The real engine turns facts into incidents and messages, and may be killed at any moment of it."""

import json
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from tests.endtoend.fleet import Installation, installation
from tests.practices.incidents.sinks import WebSink, web_sink

from meterops.practices.incidents.delivery import PER_CHANNEL

pytestmark = [pytest.mark.endtoend, pytest.mark.timeout(170)]
SITUATIONS = 40

PUBLISH = """
from meterops.interfaces.cli.state import open_state; open_state()
import sys
from datetime import timedelta
from django.db import transaction
from meterops.fleet.inventory import api as inventory
from meterops.kernel import facts
from meterops.kernel.actor import process_actor
from meterops.kernel.clock import utc_now
from meterops.practices.events.events import SituationChanged, SituationOpened
from meterops.practices.incidents import api as incidents
now, actor = utc_now(), process_actor("test")
incidents.save_channel(name="Sink", sort="WEBHOOK", address=sys.argv[1], secret="s", actor=actor, at=now)
incidents.save_policy(name="All", priorities=[1, 2, 3, 4], steps=[{"after_s": 0, "channels": ["Sink"]}], actor=actor, at=now)
node = inventory.list_nodes(inventory.ItemKind.POWER_TRANSFORMER)[0]
common = dict(kind="OUTAGE", tree="ELECTRICAL", node_id=node.id, node_mrid=node.mrid, started_at=now, expected=12, silent=2,
              answered=0, power_score=0.9, communication_score=0.1, confidence=0.9)
for n in range(int(sys.argv[2])):
    name = f"{n:036d}"
    with transaction.atomic():
        facts.publish(SituationOpened(situation_id=name, at=now + timedelta(milliseconds=2 * n), heard=8, **common))
        facts.publish(SituationChanged(situation_id=name, at=now + timedelta(milliseconds=2 * n + 1), heard=10,
                                       previous_node_id=0, **common))
"""


def publish(fleet: Installation, sink: WebSink) -> None:
    subprocess.run(
        [sys.executable, "-c", PUBLISH, sink.url(), str(SITUATIONS)], env=fleet.environment, check=True, timeout=60
    )


def test_an_engine_killed_again_and_again_doubles_and_loses_nothing(tmp_path: Path) -> None:
    dice = random.Random(3)
    with web_sink() as sink, installation(tmp_path, meters=24) as fleet:
        publish(fleet, sink)
        for _ in range(3):
            fleet.start("engine")
            fleet.until(lambda: (tmp_path / "engine.log").exists(), "the engine is there")
            time.sleep(1.5 + dice.random())
            fleet.kill("engine")
        fleet.start("engine")
        fleet.start("engine-2")

        def told() -> bool:
            occasions = [got.document["delivery"] for got in sink.received]
            return len(set(occasions)) == 2 * SITUATIONS

        fleet.until(told, "everybody is told, after the leases of the dead have run out", 140)
        page: dict[str, Any] = fleet.json("incidents", "list", "--limit", 500)
        assert page["total"] == SITUATIONS
        assert {row["heard"] for row in page["rows"]} == {10}
        assert {json.dumps(row["state"]) for row in page["rows"]} == {'"NEW"'}
        names = [got.document["delivery"] for got in sink.received]
        assert len(names) - len(set(names)) <= 3 * PER_CHANNEL, (
            "only what was on its way when the engine died goes out again"
        )
        assert not [
            one
            for one in fleet.json("doctor", check=False)["findings"]
            if one["check"] == "escalations" and not one["ok"]
        ]

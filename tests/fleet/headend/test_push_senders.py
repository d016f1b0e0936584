"""What is remembered of senders is bounded, and forgetting it costs no meter its push."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from meterops.fleet.headend import push
from meterops.fleet.headend.push import PushDesk, PushFrame
from meterops.fleet.telemetry import api as telemetry
from meterops.kernel.clock import utc_now
from meterops.protocols.dlms.security import EnvelopeTag, seal_general
from meterops.simulator import api as simulator
from meterops.simulator.meter_bench import BenchMeter
from meterops.simulator.meter_events import EventCode
from meterops.simulator.meter_push import build_push, event_objects
from meterops.site.demo_setup import apply_shipment

pytestmark = pytest.mark.django_db


def frame(apdu: bytes) -> PushFrame:
    return PushFrame(apdu, "tcp", "192.0.2.9:4059", utc_now().timestamp())


def of_a_stranger(number: int) -> PushFrame:
    title = b"NO" + number.to_bytes(6, "big")
    return frame(seal_general(EnvelopeTag.GENERAL_GLO_CIPHERING, title, b"\x30" + bytes(4) + os.urandom(40)))


def test_a_known_meter_stays_known_when_strangers_fill_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    region = simulator.generate_region(seed=3, meters=12)
    simulator.write_shipment(region, tmp_path / "shipment", port=4059)
    apply_shipment(tmp_path / "shipment")
    monkeypatch.setattr(push, "SENDERS_KEPT", 50)
    lake = telemetry.Lake(telemetry.LakeConfig(folder=str(tmp_path / "lake")))
    meter = BenchMeter(region.keys(0), region.system_title(0), region.serial(0)).make()
    meter.note(EventCode.POWER_FAILURE)
    desk = PushDesk(lake)
    assert not desk.store([frame(build_push(meter, event_objects(EventCode.POWER_FAILURE)))])
    assert desk.store([of_a_stranger(number) for number in range(60)]) == {"no-key": 60}
    again = frame(build_push(meter, event_objects(EventCode.POWER_FAILURE)))
    assert desk.store([again, of_a_stranger(60)]) == {"no-key": 1}
    lake.close()

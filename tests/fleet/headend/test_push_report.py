"""What became of pushes, counted by reason: good, repeated, forged, with another key, from nobody, plain, and garbage."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from meterops.fleet.headend import api as headend
from meterops.fleet.headend.push import PushDesk, PushFrame
from meterops.fleet.telemetry import api as telemetry
from meterops.kernel import beats
from meterops.kernel.clock import utc_now
from meterops.protocols.dlms.security import AUTHENTICATED, ENCRYPTED, EnvelopeTag, GcmKey, seal_general
from meterops.simulator import api as simulator
from meterops.simulator.meter_bench import BenchMeter
from meterops.simulator.meter_events import EventCode
from meterops.simulator.meter_push import build_push, event_objects
from meterops.site.demo_setup import apply_shipment

pytestmark = pytest.mark.django_db


@pytest.fixture
def lake(tmp_path: Path) -> Iterator[telemetry.Lake]:
    lake = telemetry.Lake(telemetry.LakeConfig(folder=str(tmp_path / "lake")))
    yield lake
    lake.close()


def a_push(region: simulator.Region, number: int) -> bytes:
    meter = BenchMeter(region.keys(number), region.system_title(number), region.serial(number)).make()
    meter.note(EventCode.POWER_FAILURE)
    return build_push(meter, event_objects(EventCode.POWER_FAILURE))


def test_every_kind_of_push_is_counted_by_what_became_of_it(lake: telemetry.Lake, tmp_path: Path) -> None:
    region = simulator.generate_region(seed=3, meters=12)
    simulator.write_shipment(region, tmp_path / "shipment", port=4059)
    apply_shipment(tmp_path / "shipment")
    now = utc_now()
    good = [a_push(region, number) for number in range(3)]
    control = AUTHENTICATED | ENCRYPTED
    wrong_key = GcmKey(b"\x07" * 16, b"\x09" * 16).protect(b"\x0f", region.system_title(4), 900, control)
    stranger = GcmKey(b"\x07" * 16, b"\x09" * 16).protect(b"\x0f", b"NOBODY01", 1, control)
    apdus = [
        *good,
        good[0],
        good[1][:-1] + bytes((good[1][-1] ^ 1,)),
        seal_general(EnvelopeTag.GENERAL_GLO_CIPHERING, region.system_title(4), wrong_key),
        seal_general(EnvelopeTag.GENERAL_GLO_CIPHERING, b"NOBODY01", stranger),
        b"\xc1\x02\x03",
    ]
    frames = [PushFrame(apdu, "tcp", "192.0.2.9:4059", now.timestamp()) for apdu in apdus]
    frames.append(
        PushFrame(b"GET / HTTP/1.1", "tcp", "192.0.2.9:80", now.timestamp(), fault="neither HDLC nor wrapper")
    )
    dropped = PushDesk(lake).store(frames)
    wanted = {"taken": 3, "replay": 1, "bad-tag": 2, "no-key": 1, "undecodable": 1, "broken": 1}
    report = headend.push_report(lake, since=now - timedelta(hours=1), now=now)
    assert {one.outcome: one.frames for one in report.outcomes} == wanted
    assert dict(dropped) == {reason: count for reason, count in wanted.items() if reason not in ("taken", "broken")}
    assert report.outcomes[0].is_taken
    assert all(one.words != one.outcome for one in report.outcomes), "each is explained"
    (replayed,) = telemetry.list_notifications(lake, outcome="replay")
    assert replayed.payload == good[0]
    assert headend.push_report(lake, since=now + timedelta(hours=1), now=now).outcomes == ()


def test_what_a_killed_listener_had_taken_is_stored_once(lake: telemetry.Lake, tmp_path: Path) -> None:
    region = simulator.generate_region(seed=3, meters=12)
    simulator.write_shipment(region, tmp_path / "shipment", port=4059)
    apply_shipment(tmp_path / "shipment")
    at = utc_now().timestamp()
    frames = [PushFrame(a_push(region, number), "tcp", "192.0.2.9:4059", at + number) for number in range(6)]
    assert not PushDesk(lake).store(frames[:4])
    assert not PushDesk(lake).take_over(frames), "what was stored is left out, not called a replay"
    assert len(telemetry.list_notifications(lake)) == 6
    again = PushDesk(lake)
    assert dict(again.store([PushFrame(one.apdu, one.transport, one.peer, at + 60) for one in frames])) == {"replay": 6}


def test_of_very_many_frames_of_nobody_only_the_beginning_is_kept(lake: telemetry.Lake) -> None:
    at = utc_now().timestamp()
    frames = [PushFrame(b"\xc1" + bytes(999), "udp", "192.0.2.9:4059", at + n / 1000) for n in range(300)]
    assert dict(PushDesk(lake).store(frames)) == {"undecodable": 300}
    sizes = lake.query(
        "SELECT octet_length(payload), count(*) FROM lake.notifications GROUP BY 1 ORDER BY 1"
    ).fetchall()
    assert sizes == [(64, 100), (1000, 200)]
    assert not PushDesk(lake).take_over(frames), "those are known again by their beginning"


def test_listeners_tell_what_they_turned_away(lake: telemetry.Lake) -> None:
    now = utc_now()
    status = {"port": 4060, "connections": 7, "frames_total": 12, "dropped": {"too many connections": 3}}
    beats.beat(process="a:1:listener", role="listener", started_at=now, now=now - timedelta(hours=1), status=status)
    beats.beat(process="b:1:worker", role="worker", started_at=now, now=now, status={})
    (one,) = headend.push_report(lake, since=now, now=now).listeners
    assert (one.port, one.connections, one.frames, one.dropped) == (4060, 7, 12, {"too many connections": 3})
    assert not one.is_alive

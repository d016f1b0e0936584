"""The whole fleet as a head-end meets it: real sockets, keys from the shipment, an outage, last gasps, a restart."""

import asyncio
import contextlib
import csv
import json
import random
import socket
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from meterops.fleet.headend.session import PeerTimeout, SessionError, open_session
from meterops.protocols.dlms import flows
from meterops.protocols.dlms.apdu.descriptors import Attribute
from meterops.protocols.dlms.association.client import ClientAssociation
from meterops.protocols.dlms.association.parameters import Authentication, Ciphering, ClientParameters
from meterops.protocols.dlms.framing.wrapper import WrapperLink
from meterops.protocols.dlms.obis import Obis
from meterops.protocols.dlms.security import CounterRange, KeyRing
from meterops.simulator.api import (
    Addressing,
    AnotherFleet,
    FleetReady,
    Region,
    generate_region,
    serve_fleet,
    usual_addressing,
    write_shipment,
)
from meterops.simulator.meter_events import EventCode
from meterops.simulator.scenario import Scenario, parse_scenario

CALM = Scenario("still", sound_firmware=True)
METERS = 60
TOTAL = Attribute(3, Obis.parse("1.0.1.8.0.255"), 2)
NAME = Attribute(1, Obis.parse("0.0.42.0.0.255"), 2)
LOAD_PROFILE = Obis.parse("1.0.99.1.0.255")


@contextlib.asynccontextmanager
async def serving(
    region: Region,
    *,
    state: Path | None = None,
    port: int = 0,
    scenario: Scenario = CALM,
    listener: tuple[str, int] | None = None,
    addressing: Addressing | None = None,
    speed: float = 1.0,
) -> AsyncIterator[int]:
    """A fleet that serves; gives its port."""
    port = port or free_port()
    up: asyncio.Future[FleetReady] = asyncio.get_running_loop().create_future()
    stop = asyncio.Event()
    task = asyncio.create_task(
        serve_fleet(
            region,
            state=state,
            port=port,
            scenario=scenario,
            listener=listener,
            addressing=addressing,
            speed=speed,
            days_back=1,
            ready=up.set_result,
            stop=stop,
        )
    )
    try:
        await asyncio.wait({task, up}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            task.result()
        yield port
    finally:
        stop.set()
        await task


def free_port() -> int:
    """The first of `METERS` ports that nobody uses, below those that the system gives to clients."""
    for _ in range(100):
        first = random.randrange(20_000, 32_000)
        with contextlib.suppress(OSError), contextlib.ExitStack() as probes:
            for port in range(first, first + METERS):
                probes.enter_context(socket.socket()).bind(("127.0.0.1", port))
            return first
    raise AssertionError(f"no {METERS} ports in a row are free")


def shipped(region: Region, folder: Path, port: int, addressing: Addressing | None = None) -> list[dict[str, str]]:
    """The rows of devices.csv with the keys beside them."""
    write_shipment(region, folder, port=port, addressing=addressing)
    with (folder / "devices.csv").open(newline="") as file:
        devices = list(csv.DictReader(file))
    with (folder / "keys.csv").open(newline="") as file:
        keys = {row["serial"]: row for row in csv.DictReader(file)}
    return [{**device, **keys[device["serial"]]} for device in devices]


def association(device: dict[str, str], first_counter: int = 1) -> ClientAssociation:
    return ClientAssociation(
        ClientParameters(
            client_sap=1,
            server_sap=int(device["server_sap"]),
            authentication=Authentication.HLS5_GMAC,
            system_title=b"HES00001",
            meter_system_title=bytes.fromhex(device["system_title"]),
            keys=KeyRing(bytes.fromhex(device["encryption_key"]), bytes.fromhex(device["authentication_key"])),
            ciphering=Ciphering.GLO,
            counter=CounterRange(first_counter, first_counter + 1000),
        )
    )


async def read(device: dict[str, str], *, timeout: float = 5.0, first_counter: int = 1):
    """Logical device name, total, and the rows of the last day's load profile."""
    link = WrapperLink(1, int(device["server_sap"]))
    async with await open_session(device["host"], int(device["port"]), link, timeout) as session:
        a = association(device, first_counter)
        await session.run(flows.associate(a))
        name = await session.run(flows.read_plain(a, NAME))
        total = await session.run(flows.read_plain(a, TOTAL))
        now = int(time.time())
        rows = await session.run(flows.read_profile(a, LOAD_PROFILE, now - 86_400, now))
        await session.run(flows.release(a))
        return name, total, rows


@pytest.mark.parametrize("addressing", list(Addressing))
async def test_every_kind_of_address_leads_to_the_meter_that_the_shipment_names(tmp_path, addressing):
    if addressing is Addressing.LOOPBACK and usual_addressing() is not Addressing.LOOPBACK:
        pytest.skip("this system has one loopback address only")
    region = generate_region(seed=5, meters=METERS)
    async with serving(region, addressing=addressing) as port:
        for device in shipped(region, tmp_path, port, addressing)[:: METERS - 1]:
            name, total, rows = await read(device)
            assert name == device["logical_device_name"].encode()
            assert total > 10_000
            assert rows.row_count == 96
            energies = rows.columns[2]
            assert list(energies) == sorted(energies)
            assert energies[0] < energies[-1] <= total


async def test_a_restart_goes_on_with_the_same_past(tmp_path):
    region = generate_region(seed=6, meters=METERS)
    state = tmp_path / "state"
    port = free_port()
    device = shipped(region, tmp_path, port)[3]
    async with serving(region, state=state, port=port):
        first = await read(device)
    async with serving(region, state=state, port=port):
        second = await read(device, first_counter=500)
    common = min(first[2].row_count, second[2].row_count) - 1
    assert common >= 94
    assert first[2].columns[2][-common:] == second[2].columns[2][-common:]
    assert second[1] >= first[1]


async def test_a_folder_of_another_fleet_is_refused(tmp_path):
    async with serving(generate_region(seed=6, meters=METERS), state=tmp_path):
        pass
    with pytest.raises(AnotherFleet, match="60 meters of seed 6"):
        async with serving(generate_region(seed=7, meters=METERS), state=tmp_path):
            pass


OUTAGE = b"""
sound_firmware = true

[[act]]
what = "outage"
where = "transformer 1"
at = "4s"
for = "1d"
push = 1.0
label = "everything"
"""


async def test_an_outage_silences_its_meters_and_some_of_them_say_so_first(tmp_path):
    region = generate_region(seed=8, meters=METERS)
    heard: list[bytes] = []

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.read())
        writer.close()

    listener = await asyncio.start_server(take, "127.0.0.1", 0)
    scenario = parse_scenario(OUTAGE, "outage.toml")
    async with (
        listener,
        serving(region, state=tmp_path, scenario=scenario, listener=listener.sockets[0].getsockname()[:2]) as port,
    ):
        devices = shipped(region, tmp_path, port)
        behind = next(one for one in devices if one["route"].startswith("DC-"))
        await read(behind)
        for _ in range(300):
            if len(heard) >= 3:
                break
            await asyncio.sleep(0.05)
        with pytest.raises(SessionError) as caught:
            await read(behind, timeout=0.3, first_counter=900)
        assert isinstance(caught.value, PeerTimeout)
        keys = {bytes.fromhex(one["system_title"]): one for one in devices}
        for octets in heard[:3]:
            sealed = flows.receive_push(WrapperLink().take(octets)[0])
            push = sealed.open(ring_of(keys[sealed.title]))
            objects, *values = push.values
            pushed = {bytes(one[1]): value for one, value in zip(objects, values, strict=True)}
            assert pushed[Obis.parse("0.0.96.11.0.255").octets] == EventCode.POWER_FAILURE
    assert len(heard) >= 3
    lines = [json.loads(line) for line in (tmp_path / "ground_truth.jsonl").read_text().splitlines()]
    assert [(line["what"], line["does"], line["where"], line["meters"]) for line in lines] == [
        ("outage", "starts", "TR-00001", METERS)
    ]


def ring_of(device: dict[str, str]) -> KeyRing:
    return KeyRing(bytes.fromhex(device["encryption_key"]), bytes.fromhex(device["authentication_key"]))


async def test_a_faster_world_lets_clocks_and_history_run_ahead(tmp_path):
    region = generate_region(seed=9, meters=METERS)
    async with serving(region, state=tmp_path, speed=3600.0) as port:
        device = shipped(region, tmp_path, port)[0]
        link = WrapperLink(1, 1)
        totals = []
        async with await open_session(device["host"], port, link, 5.0) as session:
            a = association(device)
            await session.run(flows.associate(a))
            for _ in range(2):
                totals.append(await session.run(flows.read_plain(a, TOTAL)))
                await asyncio.sleep(0.7)
        assert totals[1] > totals[0]

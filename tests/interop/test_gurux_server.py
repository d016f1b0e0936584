"""Our client reads, writes and updates a meter whose octets are made by an independent implementation."""

from __future__ import annotations

import os
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from tests.interop.environment import OPPONENTS, SHARED_PEERS, serving_opponent
from tests.interop.visits import Visitor

from meterops.fleet.headend.session import PeerClosed, PeerTimeout, SessionError
from meterops.protocols.dlms import axdr, cosem_time
from meterops.protocols.dlms.apdu.descriptors import Attribute, Method
from meterops.protocols.dlms.apdu.enums import DataAccessResult
from meterops.protocols.dlms.association.client import ClientAssociation
from meterops.protocols.dlms.association.parameters import Authentication, Ciphering
from meterops.protocols.dlms.errors import (
    AssociationRefused,
    PeerException,
    SecurityError,
    SecurityFault,
    ServiceRefused,
)
from meterops.protocols.dlms.flows import (
    IMAGE_TRANSFER,
    ImageStatus,
    activate_image,
    associate,
    invoke,
    read,
    read_association_view,
    read_capture_objects,
    read_image_status,
    read_invocation_counter,
    read_many,
    read_plain,
    read_profile,
    rotate_keys,
    transfer_image,
    verify_image,
    write,
    write_many,
)
from meterops.protocols.dlms.obis import Obis
from meterops.protocols.dlms.security import KeyKind
from meterops.simulator.fleet_server import Framing
from meterops.simulator.meter_bench import DEMO_KEYS

pytestmark = pytest.mark.interop

FRAMINGS = [Framing.WRAPPER, Framing.HDLC]
CIPHERINGS = [Ciphering.GENERAL_GLO, Ciphering.GLO, Ciphering.DEDICATED, Ciphering.GENERAL_DEDICATED]
NAME = Attribute(1, Obis.parse("0.0.42.0.0.255"), 2)
ENERGY = Attribute(3, Obis.parse("1.0.1.8.0.255"), 2)
VOLTAGE = Attribute(3, Obis.parse("1.0.32.7.0.255"), 2)
MISSING = Attribute(3, Obis.parse("1.0.77.77.77.255"), 2)
CLOCK = Attribute(8, Obis.parse("0.0.1.0.0.255"), 2)
ALARMS = Attribute(1, Obis.parse("0.0.97.98.0.255"), 2)
NOTE = Attribute(1, Obis.parse("0.0.96.50.0.255"), 2)
PROFILE = Obis.parse("1.0.99.1.0.255")
DISCONNECTOR = Obis.parse("0.0.96.3.10.255")
FIRST_AT = 1_772_323_200
DAY_S = 86_400

_KEYS = (
    *("--encryption-key", DEMO_KEYS.encryption.hex()),
    *("--authentication-key", DEMO_KEYS.authentication.hex()),
    *("--master-key", (DEMO_KEYS.master or b"").hex()),
)


@asynccontextmanager
async def opponent(framing: Framing = Framing.WRAPPER, *options: str) -> AsyncIterator[Visitor]:
    """Our own opponent, and a visitor that knows its keys."""
    hdlc = ("--hdlc",) if framing is Framing.HDLC else ()
    async with serving_opponent(OPPONENTS / "gurux_server.py", *_KEYS, *hdlc, *options) as port:
        yield Visitor(port, framing)


async def read_a_day(visitor: Visitor) -> None:
    """One session that must bring a whole day."""
    async with visitor.visit() as (session, a):
        rows = await session.run(read_profile(a, PROFILE, FIRST_AT, FIRST_AT + DAY_S))
    assert list(rows.rows()) == [(FIRST_AT + 900 * n, 100_000 + 7 * n, 5_000 + n) for n in range(96)]


@pytest.mark.parametrize("framing", FRAMINGS)
@pytest.mark.parametrize("authentication", [Authentication.NONE, Authentication.LLS])
async def test_plain_associations(framing: Framing, authentication: Authentication) -> None:
    async with opponent(framing) as plain:
        plain.authentication = authentication
        async with plain.visit() as (session, a):
            assert await session.run(read_plain(a, NAME)) == b"GRX0000000012345"
        if authentication is Authentication.LLS:
            await read_a_day(plain)


@pytest.mark.parametrize("framing", FRAMINGS)
@pytest.mark.parametrize("ciphering", CIPHERINGS)
async def test_reading_and_writing(framing: Framing, ciphering: Ciphering) -> None:
    async with opponent(framing) as visitor:
        visitor.ciphering = ciphering
        await read_a_day(visitor)
        async with visitor.visit() as (session, a):
            found = await session.run(read_many(a, [ENERGY, MISSING, VOLTAGE, NAME]))
            assert found[0] == axdr.uint32(123_456)
            assert found[1:3] == [DataAccessResult.OBJECT_UNDEFINED, axdr.uint16(2301)]
            columns = await session.run(read_capture_objects(a, PROFILE))
            assert [column.obis for column in columns] == [CLOCK.obis, ENERGY.obis, Obis.parse("1.0.2.8.0.255")]
            view = await session.run(read_association_view(a))
            assert {(entry.class_id, entry.obis) for entry in view} >= {(3, ENERGY.obis), (7, PROFILE)}
            wanted = int(time.time()) + 600
            await session.run(write(a, CLOCK, axdr.octets(cosem_time.encode_epoch(wanted))))
            shown = cosem_time.decode_date_time(await session.run(read_plain(a, CLOCK))).to_epoch()
            assert abs(shown - wanted) < 60
            note = random.Random(7).randbytes(1500)
            results = await session.run(write_many(a, [(NOTE, axdr.octets(note)), (ALARMS, axdr.uint32(0x10))]))
            assert results == [DataAccessResult.SUCCESS] * 2
            assert await session.run(read(a, NOTE)) == axdr.octets(note)
            assert await session.run(read_plain(a, ALARMS)) == 0x01
            with pytest.raises(ServiceRefused, match="read write denied"):
                await session.run(write(a, ENERGY, axdr.uint32(0)))
            for method, state in ((1, False), (2, True)):
                await session.run(invoke(a, Method(70, DISCONNECTOR, method), axdr.int8(0)))
                assert await session.run(read_plain(a, Attribute(70, DISCONNECTOR, 2))) is state


@pytest.mark.parametrize("framing", FRAMINGS)
async def test_firmware(framing: Framing) -> None:
    image = os.urandom(5003)
    async with opponent(framing) as visitor, visitor.visit() as (session, a):
        done: list[int] = []
        report = await session.run(
            transfer_image(a, IMAGE_TRANSFER, b"FW-2.0.0", image, on_block=lambda n, _: done.append(n))
        )
        assert (report.block_size, report.blocks, report.blocks_sent) == (200, 26, 26)
        assert done == list(range(1, 27))
        (held,) = await session.run(verify_image(a, IMAGE_TRANSFER))
        assert (held.size, held.identifier) == (5003, b"FW-2.0.0")
        await session.run(activate_image(a, IMAGE_TRANSFER))
        assert await session.run(read_image_status(a, IMAGE_TRANSFER)) is ImageStatus.ACTIVATION_SUCCESSFUL


async def test_new_keys_and_the_counter_they_start_with() -> None:
    async with opponent() as visitor:
        new = {KeyKind.UNICAST_ENCRYPTION: os.urandom(16), KeyKind.AUTHENTICATION: os.urandom(16)}
        async with visitor.visit() as (session, a):
            await session.run(rotate_keys(a, new))
            visitor.keys = replace(
                visitor.keys,
                encryption=new[KeyKind.UNICAST_ENCRYPTION],
                authentication=new[KeyKind.AUTHENTICATION],
            )
        visitor.received_counter = -1
        public = replace(visitor, authentication=Authentication.NONE)
        async with public.session() as session:
            counter = await session.run(read_invocation_counter(ClientAssociation(public.parameters())))
        assert counter == 0
        await read_a_day(visitor)
        visitor.keys = replace(DEMO_KEYS)
        with pytest.raises((AssociationRefused, PeerException)):
            await read_a_day(visitor)


async def test_a_counter_too_low_is_answered_with_the_one_expected() -> None:
    async with opponent() as visitor:
        visitor.counter.raise_to(1000)
        await read_a_day(visitor)
        late = replace(visitor, counter=type(visitor.counter)(5))
        async with late.session() as session:
            with pytest.raises(PeerException) as refused:
                await session.run(associate(ClientAssociation(late.parameters())))
        assert refused.value.invocation_counter is not None
        late.counter.raise_to(refused.value.invocation_counter)
        await read_a_day(late)


@pytest.mark.parametrize("framing", FRAMINGS)
async def test_octets_in_drips(framing: Framing) -> None:
    async with opponent(framing, "--chunk", "7") as visitor:
        await read_a_day(visitor)


@pytest.mark.parametrize("framing", FRAMINGS)
async def test_a_slow_meter_is_a_timeout_and_patience_helps(framing: Framing) -> None:
    async with opponent(framing, "--delay-ms", "150") as visitor:
        visitor.timeout_s = 0.05
        with pytest.raises(PeerTimeout):
            await read_a_day(visitor)
        visitor.timeout_s = 10.0
        await read_a_day(visitor)


@pytest.mark.parametrize("framing", FRAMINGS)
async def test_dropped_connections_are_told_and_retries_succeed(framing: Framing) -> None:
    async with opponent(framing, "--drop-every", "11") as visitor:
        failures = await retry(visitor, times=4)
    assert failures
    assert {type(failure) for failure in failures} == {PeerClosed}


@pytest.mark.parametrize("framing", FRAMINGS)
async def test_wrong_tags_are_told_and_retries_succeed(framing: Framing) -> None:
    async with opponent(framing, "--bad-tag-every", "11") as visitor:
        failures = await retry(visitor, times=4)
    assert failures
    assert {getattr(failure, "reason", failure) for failure in failures} == {SecurityFault.BAD_TAG}


async def retry(visitor: Visitor, *, times: int) -> list[Exception]:
    """Read a day so many times, each again until it works; what went wrong on the way."""
    failures: list[Exception] = []
    done = 0
    while done < times:
        try:
            await read_a_day(visitor)
        except (SessionError, SecurityError) as error:
            failures.append(error)
            assert len(failures) < 20 * times
        else:
            done += 1
    return failures


async def test_firmware_resumes_where_the_connection_was_lost() -> None:
    image = os.urandom(9000)
    async with opponent(Framing.WRAPPER, "--drop-every", "19") as visitor:
        starts = []
        for _ in range(20):
            try:
                async with visitor.visit() as (session, a):
                    report = await session.run(transfer_image(a, IMAGE_TRANSFER, b"FW-3.0.0", image))
                    starts.append(report.resumed_at)
                    break
            except PeerClosed:
                continue
        assert starts
        assert starts[0] > 0
        for _ in range(5):
            try:
                async with visitor.visit() as (session, a):
                    (held,) = await session.run(verify_image(a, IMAGE_TRANSFER))
                assert held.size == 9000
                break
            except PeerClosed:
                continue
        else:
            pytest.fail("the image was never verified")


@pytest.mark.skipif(SHARED_PEERS is None, reason="no shared opponents beside the checkout")
@pytest.mark.parametrize("framing", FRAMINGS)
@pytest.mark.parametrize("ciphering", CIPHERINGS)
async def test_shared_opponent(framing: Framing, ciphering: Ciphering) -> None:
    assert SHARED_PEERS is not None
    hdlc = ("--hdlc",) if framing is Framing.HDLC else ()
    async with serving_opponent(SHARED_PEERS / "gurux_server.py", *hdlc) as port:
        visitor = Visitor(port, framing, ciphering=ciphering)
        async with visitor.visit() as (session, a):
            rows = await session.run(read_profile(a, PROFILE, FIRST_AT, FIRST_AT + DAY_S))
            assert rows.row_count == 96
            assert [column[0] for column in rows.columns] == [FIRST_AT, 0, 100_000, 5_000]
            image = os.urandom(3000)
            await session.run(transfer_image(a, IMAGE_TRANSFER, b"FW-2.0.0", image))
            (held,) = await session.run(verify_image(a, IMAGE_TRANSFER))
            assert held.size == 3000
            await session.run(activate_image(a, IMAGE_TRANSFER))
            assert len(await session.run(read_association_view(a))) > 10

"""Whole sessions against the server role in memory: every authentication, every protection, every suite."""

from __future__ import annotations

import pytest
from tests.protocols.dlms.memory_meter import (
    COLUMNS,
    ECHO,
    ENERGY,
    FIRST_AT,
    LIMIT,
    MANAGER,
    MISSING,
    NAME,
    NOTE,
    PERIOD_S,
    PROFILE,
    PUBLIC,
    READER,
    SIGNER,
    MemoryMeter,
)

from meterops.protocols.dlms import axdr
from meterops.protocols.dlms.apdu.descriptors import Method
from meterops.protocols.dlms.apdu.enums import Conformance, DataAccessResult
from meterops.protocols.dlms.association.client import AssociationState
from meterops.protocols.dlms.association.parameters import PROPOSED, Ciphering
from meterops.protocols.dlms.association.quirks import Quirks
from meterops.protocols.dlms.errors import DecodeError, EncodeError, ServiceRefused
from meterops.protocols.dlms.flows import (
    associate,
    drive,
    invoke,
    read,
    read_association_view,
    read_capture_objects,
    read_invocation_counter,
    read_many,
    read_plain,
    read_profile,
    read_profile_entries,
    release,
    write,
    write_many,
)
from meterops.protocols.dlms.security import SecuritySuite

CIPHERINGS = [Ciphering.GLO, Ciphering.GENERAL_GLO, Ciphering.DEDICATED, Ciphering.GENERAL_DEDICATED]
GENERAL_BLOCKS = Conformance.GENERAL_BLOCK_TRANSFER
SPECIFIC_BLOCKS = (
    Conformance.BLOCK_TRANSFER_WITH_GET | Conformance.BLOCK_TRANSFER_WITH_SET | Conformance.BLOCK_TRANSFER_WITH_ACTION
)
TRANSFERS = {"general blocks": PROPOSED & ~SPECIFIC_BLOCKS, "service blocks": PROPOSED & ~GENERAL_BLOCKS}


@pytest.mark.parametrize("suite", list(SecuritySuite))
@pytest.mark.parametrize("ciphering", CIPHERINGS)
@pytest.mark.parametrize("sap", [MANAGER, SIGNER])
def test_everything_works_in_every_ciphered_association(suite: SecuritySuite, ciphering: Ciphering, sap: int) -> None:
    meter = MemoryMeter(suite=suite)
    wire = meter.connect(sap)
    a = meter.client(sap, ciphering=ciphering)
    drive(associate(a), wire)
    assert a.state is AssociationState.OPEN
    assert drive(read_plain(a, ENERGY), wire) == 123_456
    assert drive(read(a, NAME), wire) == axdr.octets(b"MTR0000000000007")
    rows = drive(read_profile(a, PROFILE, FIRST_AT, FIRST_AT + 10 * PERIOD_S), wire)
    assert list(rows.rows()) == [(FIRST_AT + n * PERIOD_S, 1000 + n) for n in range(10)]
    drive(write(a, NOTE, axdr.octets(bytes(2000))), wire)
    assert meter.note == bytes(2000)
    long = axdr.octets(bytes(range(256)) * 8)
    assert drive(invoke(a, Method(9, ECHO, 1), long), wire) == long
    drive(release(a), wire)
    assert a.state is AssociationState.CLOSED
    # Nothing but the opening and the closing travels in the clear.
    assert {apdu[0] for apdu in wire.sent} <= {0x60, 0x62, 0xC8, 0xC9, 0xCB, 0xD0, 0xD1, 0xD3, 0xDB, 0xDC, 0xE0}


@pytest.mark.parametrize("sap", [PUBLIC, READER])
def test_plain_associations(sap: int) -> None:
    meter = MemoryMeter()
    wire = meter.connect(sap)
    a = meter.client(sap)
    drive(associate(a), wire)
    assert drive(read_plain(a, NAME), wire) == b"MTR0000000000007"
    drive(release(a), wire)


def test_high_level_security_without_ciphering() -> None:
    meter = MemoryMeter(protection=0)
    wire = meter.connect(MANAGER)
    a = meter.client(MANAGER, ciphering=Ciphering.NONE)
    drive(associate(a), wire)
    assert drive(read_plain(a, ENERGY), wire) == 123_456
    assert wire.received[-1][0] == 0xC4


def test_signed_requests_are_answered_signed() -> None:
    meter = MemoryMeter(suite=SecuritySuite.SUITE_1)
    wire = meter.connect(SIGNER)
    a = meter.client(SIGNER, signs_requests=True)
    drive(associate(a), wire)
    assert drive(read_plain(a, ENERGY), wire) == 123_456
    assert wire.sent[-1][0] == wire.received[-1][0] == 0xDF
    assert drive(read_profile(a, PROFILE, FIRST_AT, FIRST_AT + 10**6), wire).row_count == 96
    drive(write(a, NOTE, axdr.octets(bytes(2000))), wire)
    assert max(map(len, wire.sent)) <= 512


@pytest.mark.parametrize(
    ("transfer", "size"),
    # A ciphered GET with a range does not fit into 64 octets, and only general blocks can divide a GET.
    [("general blocks", 64), *[(transfer, size) for transfer in TRANSFERS for size in (128, 511, 1024)]],
)
def test_long_values_both_ways_keep_within_the_pdu_sizes(transfer: str, size: int) -> None:
    meter = MemoryMeter(max_pdu_size=size)
    wire = meter.connect()
    a = meter.client(conformance=TRANSFERS[transfer], max_pdu_size=size)
    drive(associate(a), wire)
    opening = len(wire.sent)
    assert drive(read_profile(a, PROFILE, FIRST_AT, FIRST_AT + 10**6), wire).row_count == 96
    drive(write(a, NOTE, axdr.octets(b"x" * 3000)), wire)
    assert meter.note == b"x" * 3000
    assert drive(read_plain(a, NOTE), wire) == b"x" * 3000
    long = axdr.octets(bytes(range(256)) * 6)
    assert drive(invoke(a, Method(9, ECHO, 1), long), wire) == long
    assert max(map(len, wire.sent[opening:])) <= size
    assert max(map(len, wire.received[opening:])) <= size


def test_values_exactly_at_the_edge_of_the_pdu_size() -> None:
    meter = MemoryMeter(max_pdu_size=300)
    wire = meter.connect()
    a = meter.client(conformance=TRANSFERS["service blocks"])
    drive(associate(a), wire)
    for length in range(220, 320):
        drive(write(a, NOTE, axdr.octets(b"y" * length)), wire)
        assert len(meter.note) == length
        assert len(wire.sent[-1]) <= 300


def test_a_request_that_fits_nowhere_is_an_encode_error_and_changes_nothing() -> None:
    meter = MemoryMeter(max_pdu_size=200)
    wire = meter.connect()
    a = meter.client(conformance=PROPOSED & ~SPECIFIC_BLOCKS & ~GENERAL_BLOCKS)
    drive(associate(a), wire)
    with pytest.raises(EncodeError, match="3017 octets"):
        drive(write(a, NOTE, axdr.octets(bytes(3000))), wire)
    assert drive(read_plain(a, ENERGY), wire) == 123_456


@pytest.mark.parametrize("conformance", [PROPOSED, PROPOSED & ~Conformance.MULTIPLE_REFERENCES])
@pytest.mark.parametrize("quirks", [Quirks(), Quirks(no_lists=True), Quirks(list_limit=3)])
def test_lists(conformance: Conformance, quirks: Quirks) -> None:
    meter = MemoryMeter(max_pdu_size=128)
    wire = meter.connect()
    a = meter.client(conformance=conformance, quirks=quirks)
    drive(associate(a), wire)
    wanted = [ENERGY, MISSING, NAME, NOTE, (LIMIT, None)] * 3
    found = drive(read_many(a, wanted), wire)
    assert len(found) == len(wanted)
    assert found[:2] == [axdr.uint32(123_456), DataAccessResult.OBJECT_UNDEFINED]
    assert found[4] == axdr.uint16(5)
    values = [(LIMIT, axdr.uint16(7)), (LIMIT, axdr.uint16(700)), (NOTE, axdr.octets(b"n" * 300))]
    results = drive(write_many(a, values), wire)
    assert results == [DataAccessResult.SUCCESS, DataAccessResult.OTHER_REASON, DataAccessResult.SUCCESS]
    assert (meter.limit, meter.note) == (7, b"n" * 300)
    assert drive(read_many(a, [MISSING]), wire) == [DataAccessResult.OBJECT_UNDEFINED]
    assert drive(read_many(a, []), wire) == []


def test_refusals_say_what_was_refused_and_leave_the_association_open() -> None:
    meter = MemoryMeter()
    wire = meter.connect()
    a = meter.client()
    drive(associate(a), wire)
    with pytest.raises(ServiceRefused, match=r"3/1\.0\.77\.77\.77\.255/2: object undefined"):
        drive(read(a, MISSING), wire)
    with pytest.raises(ServiceRefused, match="read write denied"):
        drive(write(a, ENERGY, axdr.uint32(1)), wire)
    with pytest.raises(ServiceRefused, match="read write denied"):
        drive(invoke(a, Method(3, ENERGY.obis, 1)), wire)
    assert drive(read_plain(a, ENERGY), wire) == 123_456


def test_profiles_by_period_and_by_entry() -> None:
    meter = MemoryMeter()
    wire = meter.connect()
    a = meter.client()
    drive(associate(a), wire)
    assert drive(read_capture_objects(a, PROFILE), wire) == COLUMNS
    half_open = drive(read_profile(a, PROFILE, FIRST_AT, FIRST_AT + PERIOD_S), wire)
    assert list(half_open.columns[0]) == [FIRST_AT]
    assert drive(read_profile(a, PROFILE, FIRST_AT - 1000, FIRST_AT), wire).row_count == 0
    entries = drive(read_profile_entries(a, PROFILE, 3, 5), wire)
    assert [value for _, value in entries.rows()] == [1002, 1003, 1004]


def test_a_meter_that_selects_by_range_wrongly_is_read_by_entry() -> None:
    meter = MemoryMeter(rows=30)
    wire = meter.connect()
    a = meter.client(quirks=Quirks(no_range_access=True))
    drive(associate(a), wire)
    rows = drive(read_profile(a, PROFILE, FIRST_AT + PERIOD_S, FIRST_AT + 3 * PERIOD_S), wire)
    assert [value for _, value in rows.rows()] == [1001, 1002]


@pytest.mark.parametrize("quirks", [Quirks(range_as_date_time=True), Quirks(local_deviation_minutes=-60)])
def test_ranges_as_the_meter_wants_them(quirks: Quirks) -> None:
    meter = MemoryMeter()
    wire = meter.connect(READER)
    a = meter.client(READER, quirks=quirks)
    drive(associate(a), wire)
    rows = drive(read_profile(a, PROFILE, FIRST_AT + PERIOD_S, FIRST_AT + 3 * PERIOD_S), wire)
    assert [value for _, value in rows.rows()] == [1001, 1002]
    asked = wire.sent[-1]
    assert (b"\x19\x07\xea" in asked) is quirks.range_as_date_time
    assert (b"\xff\xc4\x00" in asked) is bool(quirks.local_deviation_minutes)


def test_ranges_with_unspecified_deviation() -> None:
    meter = MemoryMeter()
    wire = meter.connect(READER)
    a = meter.client(READER, quirks=Quirks(unspecified_deviation=True))
    drive(associate(a), wire)
    assert drive(read_profile(a, PROFILE, FIRST_AT, FIRST_AT + PERIOD_S), wire).row_count == 1
    assert wire.sent[-1].count(b"\x00\x80\x00\x00") == 2


def test_the_view_of_the_association() -> None:
    meter = MemoryMeter()
    wire = meter.connect()
    a = meter.client()
    drive(associate(a), wire)
    view = {entry.obis: entry for entry in drive(read_association_view(a), wire)}
    assert view[ENERGY.obis].class_id == 3
    assert view[LIMIT.obis].attribute_access == {1: 1, 2: 3}
    assert view[ECHO].method_access == {1: 1}


def test_the_counter_is_read_over_the_public_client_and_serves_the_next_association() -> None:
    meter = MemoryMeter(last_client_counter=4711)
    counter = drive(read_invocation_counter(meter.client(PUBLIC)), meter.connect(PUBLIC))
    assert counter == 4711
    wire = meter.connect()
    a = meter.client()
    drive(associate(a), wire)
    assert meter.last_client_counter > 4711
    with pytest.raises(DecodeError, match="invocation counter"):
        drive(read_invocation_counter(meter.client(PUBLIC), NAME), meter.connect(PUBLIC))


@pytest.mark.parametrize(
    "quirks",
    [
        Quirks(challenge_as_glo_action=True),
        Quirks(challenge_control_without_suite=True),
        Quirks(protected_release=True),
        Quirks(release_in_envelope=True),
        Quirks(release_without_reason=True),
        Quirks(no_release=True),
        Quirks(constant_invoke_id=True),
    ],
)
@pytest.mark.parametrize("suite", [SecuritySuite.SUITE_0, SecuritySuite.SUITE_2])
@pytest.mark.parametrize("ciphering", CIPHERINGS)
def test_quirks_of_what_is_sent(quirks: Quirks, suite: SecuritySuite, ciphering: Ciphering) -> None:
    meter = MemoryMeter(suite=suite)
    wire = meter.connect()
    a = meter.client(quirks=quirks, ciphering=ciphering)
    drive(associate(a), wire)
    assert [drive(read_plain(a, ENERGY), wire) for _ in range(3)] == [123_456] * 3
    drive(release(a), wire)
    assert a.state is AssociationState.CLOSED


def test_no_invocation_counter_is_used_twice_by_either_side() -> None:
    meter = MemoryMeter()
    wire = meter.connect()
    a = meter.client()
    drive(associate(a), wire)
    for _ in range(5):
        drive(read_plain(a, ENERGY), wire)
    drive(release(a), wire)
    for apdus in (wire.sent, wire.received):
        counters = [int.from_bytes(apdu[12:16], "big") for apdu in apdus if apdu[0] == 0xDB]
        assert len(counters) == 6
        assert counters == sorted(set(counters))
    # One of the client's counters went into the answer to the challenge, between AARQ and the first envelope.
    first = int.from_bytes(next(apdu for apdu in wire.sent if apdu[0] == 0xDB)[12:16], "big")
    assert first == 44

"""A meter, or somebody in its place, that offers less than was agreed: every time a typed error, never a value."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
from tests.protocols.dlms.memory_meter import ENERGY, MANAGER, METER_TITLE, NOTE, PUBLIC, SIGNER, MemoryMeter, Wire

from meterops.protocols.dlms import axdr
from meterops.protocols.dlms.apdu.acse import decode_aare
from meterops.protocols.dlms.association.client import AssociationState, ClientAssociation
from meterops.protocols.dlms.association.parameters import Authentication, Ciphering
from meterops.protocols.dlms.errors import (
    AssociationRefused,
    DlmsError,
    PeerException,
    ProtocolError,
    SecurityError,
    SecurityFault,
)
from meterops.protocols.dlms.flows import associate, drive, read_plain, release, write
from meterops.protocols.dlms.security import CounterRange, SecuritySuite, seal_general
from meterops.protocols.dlms.security.envelopes import EnvelopeTag

Tamper = Callable[[bytes], Sequence[bytes]]
CIPHERINGS = [Ciphering.GLO, Ciphering.GENERAL_GLO, Ciphering.DEDICATED, Ciphering.GENERAL_DEDICATED]


def opened(
    ciphering: Ciphering = Ciphering.GENERAL_GLO, **meter: object
) -> tuple[MemoryMeter, ClientAssociation, Wire]:
    memory = MemoryMeter(**meter)  # type: ignore[arg-type]
    wire = memory.connect()
    a = memory.client(ciphering=ciphering)
    drive(associate(a), wire)
    return memory, a, wire


def fault_of(a: ClientAssociation, wire: Wire, tamper: Tamper) -> SecurityFault:
    """Tamper with the answer to one read; why it was refused."""
    wire.tamper = tamper
    with pytest.raises(SecurityError) as refused:
        drive(read_plain(a, ENERGY), wire)
    return refused.value.reason


@pytest.mark.parametrize("ciphering", CIPHERINGS)
@pytest.mark.parametrize("place", [-1, -12, -13])
def test_an_altered_octet(ciphering: Ciphering, place: int) -> None:
    _, a, wire = opened(ciphering)

    def alter(answer: bytes) -> list[bytes]:
        octets = bytearray(answer)
        octets[place] ^= 0x40
        return [bytes(octets)]

    assert fault_of(a, wire, alter) is SecurityFault.BAD_TAG


@pytest.mark.parametrize("ciphering", CIPHERINGS)
def test_a_replayed_answer(ciphering: Ciphering) -> None:
    _, a, wire = opened(ciphering)
    assert drive(read_plain(a, ENERGY), wire) == 123_456
    recorded = wire.received[-1]
    assert fault_of(a, wire, lambda answer: [recorded]) is SecurityFault.REPLAY


def test_an_answer_of_an_earlier_association() -> None:
    meter, a, wire = opened()
    drive(read_plain(a, ENERGY), wire)
    recorded = wire.received[-1]
    later = meter.client(received_counter=a.received_counter)
    again = meter.connect()
    drive(associate(later), again)
    assert fault_of(later, again, lambda answer: [recorded]) is SecurityFault.REPLAY


@pytest.mark.parametrize("ciphering", CIPHERINGS)
def test_a_plain_answer(ciphering: Ciphering) -> None:
    _, a, wire = opened(ciphering)
    plain = bytes.fromhex("c401c100060001e240")
    assert fault_of(a, wire, lambda answer: [plain]) is SecurityFault.WEAKER_PROTECTION


def test_a_plain_answer_in_general_blocks() -> None:
    _, a, wire = opened()
    plain = bytes.fromhex("c401c100060001e240")
    block = b"\xe0\x80\x00\x01\x00\x00" + axdr.encode_octets(plain)
    assert fault_of(a, wire, lambda answer: [block]) is SecurityFault.WEAKER_PROTECTION


@pytest.mark.parametrize("control", [0x10, 0x20, 0x00])
def test_weaker_protection(control: int) -> None:
    """Under the right keys, but only authenticated, only encrypted, or neither."""
    meter, a, wire = opened()

    def weaken(answer: bytes) -> list[bytes]:
        plain = bytes.fromhex("c401c100060001e240")
        protected = meter.keys.unicast_cipher.protect(plain, METER_TITLE, 9999, control | 0x30)
        return [seal_general(EnvelopeTag.GENERAL_GLO_CIPHERING, METER_TITLE, bytes((control,)) + protected[1:])]

    assert fault_of(a, wire, weaken) is SecurityFault.WEAKER_PROTECTION


def test_the_broadcast_key() -> None:
    _, a, wire = opened()

    def relabel(answer: bytes) -> list[bytes]:
        octets = bytearray(answer)
        octets[11] |= 0x40
        return [bytes(octets)]

    assert fault_of(a, wire, relabel) is SecurityFault.WEAKER_PROTECTION


def test_another_suite_than_agreed() -> None:
    _, a, wire = opened(suite=SecuritySuite.SUITE_1)

    def relabel(answer: bytes) -> list[bytes]:
        octets = bytearray(answer)
        octets[11] = octets[11] & 0xF0 | 2
        return [bytes(octets)]

    assert fault_of(a, wire, relabel) is SecurityFault.WEAKER_PROTECTION


def test_another_meter_answers_within_the_association() -> None:
    meter, a, wire = opened()

    def other(answer: bytes) -> list[bytes]:
        title = b"XXX\x00\x00\x00\x00\x01"
        protected = meter.keys.unicast_cipher.protect(bytes.fromhex("c401c10000"), title, 9999, 0x30)
        return [seal_general(EnvelopeTag.GENERAL_GLO_CIPHERING, title, protected)]

    assert fault_of(a, wire, other) is SecurityFault.TITLE_MISMATCH


def opening_fault(a: ClientAssociation, wire: Wire) -> SecurityFault:
    with pytest.raises(SecurityError) as refused:
        drive(associate(a), wire)
    assert a.state is not AssociationState.OPEN
    return refused.value.reason


@pytest.mark.parametrize("sap", [MANAGER, SIGNER])
def test_a_title_that_is_not_the_pinned_one(sap: int) -> None:
    meter = MemoryMeter()
    a = meter.client(sap, meter_system_title=b"MTR\x00\x00\x00\x00\x08")
    assert opening_fault(a, meter.connect(sap)) is SecurityFault.TITLE_MISMATCH


def test_our_own_title_shown_back() -> None:
    meter = MemoryMeter(system_title=b"MOP\x00\x00\x00\x00\x01")
    assert opening_fault(meter.client(), meter.connect()) is SecurityFault.TITLE_MISMATCH


def test_our_challenge_shown_back() -> None:
    meter = MemoryMeter(protection=0)
    a = meter.client(ciphering=Ciphering.NONE, challenge=b"our own challenge")
    wire = meter.connect()

    def reflect(answer: bytes) -> list[bytes]:
        aare = decode_aare(answer)
        return [replace(aare, authentication_value=b"our own challenge").encode()]

    wire.tamper = reflect
    assert opening_fault(a, wire) is SecurityFault.REFLECTED_CHALLENGE


@pytest.mark.parametrize(
    "changed",
    [
        {"authentication_value": None},
        {"authentication_value": b"short"},
        {"responding_ap_title": None},
    ],
)
def test_no_challenge_worth_the_name(changed: dict[str, object]) -> None:
    meter = MemoryMeter(protection=0)
    wire = meter.connect()
    wire.tamper = lambda answer: [replace(decode_aare(answer), **changed).encode()]  # type: ignore[arg-type]
    fault = opening_fault(meter.client(ciphering=Ciphering.NONE), wire)
    assert fault in (SecurityFault.WEAKER_PROTECTION, SecurityFault.TITLE_MISMATCH)


def test_a_plain_initiate_response() -> None:
    meter = MemoryMeter()
    wire = meter.connect()
    plain = bytes.fromhex("0800065f1f040000501f02000007")
    wire.tamper = lambda answer: [replace(decode_aare(answer), user_information=plain).encode()]
    assert opening_fault(meter.client(), wire) is SecurityFault.WEAKER_PROTECTION


@pytest.mark.parametrize("sap", [MANAGER, SIGNER])
def test_a_wrong_answer_to_our_challenge(sap: int) -> None:
    """The meter proves itself with the answer it gave to somebody else's challenge."""
    meter = MemoryMeter(protection=0, suite=SecuritySuite.SUITE_1)
    first = meter.connect(sap)
    drive(associate(meter.client(sap, ciphering=Ciphering.NONE)), first)
    recorded = first.received[-1]
    wire = meter.connect(sap)
    wire.tamper = lambda answer: [recorded if answer[0] == 0xC7 else answer]
    fault = opening_fault(meter.client(sap, ciphering=Ciphering.NONE), wire)
    assert fault in (SecurityFault.BAD_TAG, SecurityFault.BAD_SIGNATURE, SecurityFault.BAD_CHALLENGE_ANSWER)


def test_a_challenge_that_is_accepted_without_an_answer() -> None:
    meter = MemoryMeter(protection=0)
    wire = meter.connect()
    wire.tamper = lambda answer: [answer[:4] + b"\x00" if answer[0] == 0xC7 else answer]
    assert opening_fault(meter.client(ciphering=Ciphering.NONE), wire) is SecurityFault.BAD_CHALLENGE_ANSWER


def test_a_signature_of_somebody_else() -> None:
    meter = MemoryMeter(suite=SecuritySuite.SUITE_1)
    other = MemoryMeter(suite=SecuritySuite.SUITE_1)
    wire = meter.connect(SIGNER)
    a = meter.client(SIGNER, signs_requests=True)
    drive(associate(a), wire)
    assert drive(read_plain(a, ENERGY), wire) == 123_456
    meter.keys = replace(meter.keys, signing=other.keys.signing)
    wire.server._ring = meter.keys
    with pytest.raises(SecurityError) as refused:
        drive(read_plain(a, ENERGY), wire)
    assert refused.value.reason is SecurityFault.BAD_SIGNATURE


def test_wrong_keys_and_password_are_refused_by_the_meter() -> None:
    meter = MemoryMeter()
    strange = replace(meter.client_keys, encryption=bytes(16))
    with pytest.raises((AssociationRefused, PeerException)):
        drive(associate(meter.client(keys=strange)), meter.connect())
    with pytest.raises(AssociationRefused, match="authentication"):
        drive(associate(meter.client(2, password=b"wrong")), meter.connect(2))
    with pytest.raises(AssociationRefused):
        drive(associate(meter.client(PUBLIC, client_sap=MANAGER)), meter.connect(MANAGER))


def test_a_counter_already_used_is_told_with_the_one_expected() -> None:
    meter = MemoryMeter(last_client_counter=500)
    a = meter.client(counter=CounterRange(100, 200))
    with pytest.raises(PeerException) as refused:
        drive(associate(a), meter.connect())
    assert refused.value.invocation_counter == 501


def test_counters_end_with_their_range() -> None:
    meter = MemoryMeter()
    wire = meter.connect()
    a = meter.client(counter=CounterRange(100, 104))
    drive(associate(a), wire)
    assert drive(read_plain(a, ENERGY), wire) == 123_456
    with pytest.raises(SecurityError) as refused:
        drive(read_plain(a, ENERGY), wire)
    assert refused.value.reason is SecurityFault.COUNTER_EXHAUSTED


def test_the_association_goes_on_after_a_notification_and_ends_with_a_strange_answer() -> None:
    _, a, wire = opened()
    notification = bytes.fromhex("0f4000000100") + bytes.fromhex("0600000007")
    wire.tamper = lambda answer: [notification, answer]
    assert drive(read_plain(a, ENERGY), wire) == 123_456
    assert [one.apdu for one in a.notifications] == [notification]
    assert a.notifications[0].is_protected is False
    wire.tamper = None
    drive(write(a, NOTE, axdr.octets(b"still open")), wire)
    wire.tamper = lambda answer: [b"\xd8\x01\x01"]
    with pytest.raises(PeerException):
        drive(read_plain(a, ENERGY), wire)
    wire.tamper = lambda answer: [b"\x61\x00"]
    with pytest.raises(DlmsError):
        drive(release(a), wire)
    assert a.state is AssociationState.CLOSED


def test_an_answer_to_another_request() -> None:
    meter = MemoryMeter()
    wire = meter.connect(2)
    a = meter.client(2)
    drive(associate(a), wire)
    wire.tamper = lambda answer: [answer[:2] + bytes((answer[2] ^ 0x03,)) + answer[3:]]
    with pytest.raises(ProtocolError, match="invoke id"):
        drive(read_plain(a, ENERGY), wire)
    assert a.parameters.authentication is Authentication.LLS

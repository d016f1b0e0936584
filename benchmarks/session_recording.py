"""The session that `benchmarks.dlms_session` measures: what is read, the meter that answers, and its octets for replay."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Final

from meterops.protocols.dlms import flows
from meterops.protocols.dlms.apdu.descriptors import Attribute
from meterops.protocols.dlms.apdu.enums import Conformance
from meterops.protocols.dlms.association.client import ClientAssociation
from meterops.protocols.dlms.association.parameters import PROPOSED, Authentication, Ciphering, ClientParameters
from meterops.protocols.dlms.association.server import ServerAssociation
from meterops.protocols.dlms.flows import Flow
from meterops.protocols.dlms.framing import WrapperLink
from meterops.protocols.dlms.obis import Obis
from meterops.protocols.dlms.profile_rows import ProfileRows
from meterops.protocols.dlms.security import CounterRange, KeyRing
from meterops.simulator.meter import SimulatedMeter
from meterops.simulator.meter_bench import DEMO_KEYS, BenchMeter
from meterops.simulator.meter_objects import LOAD_PROFILE

CLIENT_SAP: Final = 1
SERVER_SAP: Final = 1
CLIENT_TITLE: Final = b"HES00001"
CHALLENGE: Final = bytes(range(16))
"""A replay needs the challenge it was recorded with; a live session draws its own."""
STARTS_AT: Final = 1_772_323_200
ROWS: Final = 96
PERIOD_S: Final = 900
MAX_PDU_SIZE: Final = 512
REGISTERS: Final = tuple(
    Obis.parse(name) for name in ("1.0.1.8.0.255", "1.0.2.8.0.255", "1.0.1.7.0.255", "1.0.2.7.0.255", "1.0.32.7.0.255")
)


@dataclass(frozen=True, slots=True)
class Recording:
    """One session's frames from the meter, in hex, with all that another client needs to read them."""

    answers: tuple[str, ...]
    values: tuple[int, ...]
    rows: int
    columns: int
    last_reading: int
    client_title: str
    challenge: str
    encryption_key: str
    authentication_key: str
    registers: tuple[str, ...]
    profile: str
    starts_at: int
    ends_at: int

    def as_json(self) -> dict[str, Any]:
        """The recording as plain values."""
        return asdict(self)


def make_meter(number: int = 0) -> SimulatedMeter:
    """A simulated meter that takes PDUs of at most 512 octets, as the client does."""
    title = b"MTR\x00" + number.to_bytes(4, "big")
    return BenchMeter(
        DEMO_KEYS,
        title,
        serial=str(number),
        starts_at=STARTS_AT,
        rows=ROWS,
        period_s=PERIOD_S,
        max_pdu_size=MAX_PDU_SIZE,
    ).make()


def client_parameters(first_counter: int, *, challenge: bytes | None = None) -> ClientParameters:
    """HLS5-GMAC, everything authenticated and encrypted; what does not fit a PDU comes in blocks of the service."""
    return ClientParameters(
        client_sap=CLIENT_SAP,
        server_sap=SERVER_SAP,
        authentication=Authentication.HLS5_GMAC,
        system_title=CLIENT_TITLE,
        keys=KeyRing(DEMO_KEYS.encryption, DEMO_KEYS.authentication),
        ciphering=Ciphering.GLO,
        counter=CounterRange(first_counter, first_counter + 100),
        challenge=challenge,
        max_pdu_size=MAX_PDU_SIZE,
        conformance=PROPOSED & ~Conformance.GENERAL_BLOCK_TRANSFER,
    )


def whole_session(a: ClientAssociation) -> Flow[tuple[list[int], ProfileRows]]:
    """Associate, five registers one by one, a day of quarters by range, release."""
    yield from flows.associate(a)
    values = []
    for obis in REGISTERS:
        value = yield from flows.read_plain(a, Attribute(3, obis, 2))
        values.append(value)
    rows = yield from flows.read_profile(a, LOAD_PROFILE, STARTS_AT, STARTS_AT + ROWS * PERIOD_S)
    yield from flows.release(a)
    return values, rows


def record() -> Recording:
    """Run the session against a simulated meter in this process and keep what the meter sent."""
    server = ServerAssociation(make_meter(), CLIENT_SAP)
    link = WrapperLink(SERVER_SAP, CLIENT_SAP)
    answers: list[str] = []

    def exchange(request: bytes) -> bytes:
        (answer,) = server.receive(request)
        answers.append(link.send(answer).hex())
        return answer

    association = ClientAssociation(client_parameters(1, challenge=CHALLENGE))
    values, rows = flows.drive(whole_session(association), exchange)
    return Recording(
        answers=tuple(answers),
        values=tuple(values),
        rows=rows.row_count,
        columns=len(rows.columns),
        last_reading=rows.columns[-1][-1],
        client_title=CLIENT_TITLE.hex(),
        challenge=CHALLENGE.hex(),
        encryption_key=DEMO_KEYS.encryption.hex(),
        authentication_key=DEMO_KEYS.authentication.hex(),
        registers=tuple(str(obis) for obis in REGISTERS),
        profile=str(LOAD_PROFILE),
        starts_at=STARTS_AT,
        ends_at=STARTS_AT + (ROWS - 1) * PERIOD_S,
    )


def replayer(recording: Recording) -> Callable[[], tuple[list[int], ProfileRows]]:
    """A function that runs the client's side of one session on the recorded frames, framing included."""
    frames = [bytes.fromhex(answer) for answer in recording.answers]

    def session() -> tuple[list[int], ProfileRows]:
        link, coming = WrapperLink(CLIENT_SAP, SERVER_SAP), iter(frames)

        def exchange(request: bytes) -> bytes:
            link.send(request)
            return link.feed(next(coming)).apdus[0]

        return flows.drive(whole_session(ClientAssociation(client_parameters(1, challenge=CHALLENGE))), exchange)

    return session

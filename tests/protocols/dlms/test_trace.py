"""A trace is for damaged recordings too: whatever the octets are, every step says what it is or why it cannot be read."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from meterops.protocols.dlms.capture import read_capture
from meterops.protocols.dlms.dump import CaptureKeys
from meterops.protocols.dlms.errors import DlmsError
from meterops.protocols.dlms.trace import recorded_octets, trace_session

KEYS = CaptureKeys(bytes(range(16)), bytes(range(16, 32)), b"SIM\x00\x00\x00\x00\x01")
AARQ = bytes.fromhex("601DA109060760857405080101BE10040E01000000065F1F0400001E1DFFFF")
AARE = bytes.fromhex("6129A109060760857405080101A203020100A305A103020100BE10040E0800065F1F040000301D00800007")
GET = bytes.fromhex("C001C1000300010801 00FF0200".replace(" ", ""))
GOT = bytes.fromhex("C401C100060000007B")


def test_a_conversation_in_words() -> None:
    steps = list(trace_session([AARQ, AARE, bytes.fromhex("C001C100030100010800FF0200"), GOT]))
    assert [step.sender for step in steps] == ["client", "meter", "client", "meter"]
    assert all(step.is_open for step in steps), [step.summary for step in steps]
    assert steps[2].summary.startswith("get Register 1.0.1.8.0.255")
    assert steps[3].summary == "123"


def test_the_secret_of_an_association_is_redacted() -> None:
    write = bytes.fromhex("C101C1000F0000280000FF0700") + b"\x09\x08hush1234"
    read = bytes.fromhex("C001C2000F0000280000FF0700")
    answer = bytes.fromhex("C401C200") + b"\x09\x08hush1234"
    for step in trace_session([write, read, answer]):
        assert step.is_open, step.summary
        assert "68757368" not in str(step.as_json())
        assert "hush" not in str(step.as_json())


@given(st.lists(st.binary(max_size=120), max_size=6))
def test_any_octets_are_traced(apdus: list[bytes]) -> None:
    steps = list(trace_session(apdus, KEYS))
    assert [step.number for step in steps] == list(range(1, len(apdus) + 1))
    assert all(step.summary for step in steps)


@given(st.sampled_from([AARQ, AARE, GET, GOT]), st.integers(0, 60), st.integers(0, 255), st.integers(0, 60))
def test_damaged_apdus_are_traced(apdu: bytes, place: int, octet: int, cut: int) -> None:
    damaged = bytearray(apdu)
    damaged[place % len(damaged)] = octet
    for step in trace_session([AARQ, bytes(damaged), bytes(damaged[: cut % len(damaged)])], KEYS):
        step.as_json()


@given(st.text(alphabet="<> 0123456789abcdefxz\n", max_size=200))
def test_any_recording_is_read_or_refused(text: str) -> None:
    try:
        capture = read_capture(recorded_octets(text.encode()))
    except DlmsError as error:
        assert str(error)
        return
    list(trace_session(capture.apdus, KEYS))

"""General block transfer both ways: windows, lost blocks, repeated blocks, both ways of numbering."""

from __future__ import annotations

import random
from collections import deque

import pytest
from tests.protocols.dlms.memory_meter import ECHO, FIRST_AT, NOTE, PROFILE, MemoryMeter, Wire

from meterops.protocols.dlms import axdr
from meterops.protocols.dlms.apdu.block_transfer import GeneralBlockTransfer, decode_general_block_transfer
from meterops.protocols.dlms.apdu.descriptors import Method
from meterops.protocols.dlms.apdu.enums import Conformance
from meterops.protocols.dlms.association.client import ClientAssociation
from meterops.protocols.dlms.association.parameters import PROPOSED, Ciphering
from meterops.protocols.dlms.errors import ProtocolError
from meterops.protocols.dlms.flows import Silence, associate, drive, invoke, read_plain, read_profile, write
from meterops.protocols.dlms.flows.steps import exchange
from meterops.protocols.dlms.server.general_blocks import GeneralBlocks

ONLY_GENERAL = PROPOSED & ~(
    Conformance.BLOCK_TRANSFER_WITH_GET | Conformance.BLOCK_TRANSFER_WITH_SET | Conformance.BLOCK_TRANSFER_WITH_ACTION
)


class LossyWire(Wire):
    """Loses blocks of the meter's answers: each once, by its place in all that the meter sends."""

    def __init__(self, wire: Wire, lost: set[int]) -> None:
        super().__init__(wire.server)
        self.lost = lost
        self.blocks = 0
        self.silences = 0

    def __call__(self, request: bytes) -> bytes:
        if request:
            self.sent.append(request)
            for answer in self.server.receive(request):
                if answer[0] == 0xE0:
                    self.blocks += 1
                    if self.blocks in self.lost:
                        continue
                self._waiting.append(answer)
        if not self._waiting:
            assert isinstance(request, Silence), "the client awaits something that never comes"
            self.silences += 1
            return b""
        self.received.append(self._waiting.popleft())
        return self.received[-1]


def opened(size: int = 128, **changed: object) -> tuple[MemoryMeter, ClientAssociation, Wire]:
    meter = MemoryMeter(max_pdu_size=size)
    wire = meter.connect()
    a = meter.client(conformance=ONLY_GENERAL, max_pdu_size=size, **changed)
    drive(associate(a), wire)
    return meter, a, wire


def test_an_answer_streams_in_windows() -> None:
    _, a, wire = opened()
    before = len(wire.sent)
    assert drive(read_profile(a, PROFILE, FIRST_AT, FIRST_AT + 10**6), wire).row_count == 96
    blocks = [decode_general_block_transfer(apdu) for apdu in wire.received if apdu[0] == 0xE0]
    assert len(blocks) > 17
    assert [block.block_number for block in blocks] == list(range(1, len(blocks) + 1))
    assert [block.last for block in blocks] == [False] * (len(blocks) - 1) + [True]
    # The request, a confirmation of the first block alone, then one for every sixteen.
    assert len(wire.sent) - before == 2 + (len(blocks) - 2) // 16


@pytest.mark.parametrize("lost", [{2}, {3, 4}, {5, 17}, {17}, {18}, {2, 19}, set(range(3, 16))])
@pytest.mark.parametrize("ciphering", [Ciphering.GENERAL_GLO, Ciphering.GLO])
def test_lost_blocks_of_an_answer_are_sent_again(lost: set[int], ciphering: Ciphering) -> None:
    _, a, wire = opened(ciphering=ciphering)
    lossy = LossyWire(wire, lost)
    rows = drive(read_profile(a, PROFILE, FIRST_AT, FIRST_AT + 10**6), lossy)
    assert [value for _, value in rows.rows()] == list(range(1000, 1096))
    assert lossy.blocks > 17 + len(lost)


def test_the_last_block_of_a_window_is_missed_after_a_silence() -> None:
    _, a, wire = opened()
    lossy = LossyWire(wire, {17})
    assert drive(read_profile(a, PROFILE, FIRST_AT, FIRST_AT + 10**6), lossy).row_count == 96
    assert lossy.silences == 1
    # A confirmation may be in vain as well.
    lossy = LossyWire(wire, {17, 18, 19})
    assert drive(read_profile(a, PROFILE, FIRST_AT, FIRST_AT + 10**6), lossy).row_count == 96
    assert lossy.silences == 2


def test_requests_and_answers_in_blocks_count_on() -> None:
    meter, a, wire = opened()
    long = axdr.octets(random.Random(1).randbytes(2000))
    assert drive(invoke(a, Method(9, ECHO, 1), long), wire) == long
    sent = [decode_general_block_transfer(apdu) for apdu in wire.sent if apdu[0] == 0xE0]
    received = [decode_general_block_transfer(apdu) for apdu in wire.received if apdu[0] == 0xE0]
    for blocks in (sent, received):
        assert [block.block_number for block in blocks] == list(range(1, len(blocks) + 1))
    drive(write(a, NOTE, axdr.octets(b"z" * 999)), wire)
    assert meter.note == b"z" * 999
    assert drive(read_plain(a, NOTE), wire) == b"z" * 999


class Script:
    """A meter that says what it is told to say, in order."""

    def __init__(self, *answers: list[GeneralBlockTransfer]) -> None:
        self.answers = deque(answers)
        self.waiting: deque[bytes] = deque()
        self.sent: list[GeneralBlockTransfer] = []

    def __call__(self, request: bytes) -> bytes:
        if request:
            if request[0] == 0xE0:
                self.sent.append(decode_general_block_transfer(request))
            self.waiting.extend(block.encode() for block in self.answers.popleft())
        return self.waiting.popleft() if self.waiting else b""


def plain_association() -> ClientAssociation:
    meter = MemoryMeter()
    a = meter.client(16, conformance=ONLY_GENERAL)
    drive(associate(a), meter.connect(16))
    return a


def block(number: int, data: bytes, *, last: bool = False, streaming: bool = False) -> GeneralBlockTransfer:
    return GeneralBlockTransfer(last, streaming, 6, number, 0, data)


REQUEST = bytes.fromhex("c001c1000100002a0000ff0200")


@pytest.mark.parametrize(
    "answers",
    [
        # one block at a time, from 1 and from 0
        [[block(1, b"\xc4\x01")], [block(2, b"\xc1\x00\x00", last=True)]],
        [[block(0, b"\xc4\x01")], [block(1, b"\xc1\x00\x00", last=True)]],
        # streamed at once
        [[block(1, b"\xc4", streaming=True), block(2, b"\x01\xc1", streaming=True), block(3, b"\0\0", last=True)]],
        # the first block lost
        [
            [block(2, b"\x01\xc1\0\0", last=True)],
            [block(1, b"\xc4", streaming=True), block(2, b"\x01\xc1\0\0", last=True)],
        ],
        # repeated blocks
        [[block(1, b"\xc4\x01")], [block(1, b"\xc4\x01", streaming=True), block(2, b"\xc1\0\0", last=True)]],
        # an empty confirmation before the answer
        [[block(1, b"")], [block(2, b"\xc4\x01\xc1\0\0", last=True)]],
        [[block(1, b"")], [block(1, b"\xc4\x01\xc1\0\0", last=True)]],
        # an empty last block
        [[block(1, b"\xc4\x01\xc1\0\0")], [block(2, b"", last=True)]],
    ],
)
def test_answers_as_meters_send_them(answers: list[list[GeneralBlockTransfer]]) -> None:
    assert drive(exchange(plain_association(), REQUEST), Script(*answers)) == bytes.fromhex("c401c10000")


def test_a_transfer_that_does_not_get_on_ends() -> None:
    with pytest.raises(ProtocolError, match="block 2 does not come"):
        drive(exchange(plain_association(), REQUEST), Script(*[[block(1, b"\xc4")]] * 100))
    with pytest.raises(ProtocolError, match="no end"):
        drive(exchange(plain_association(), REQUEST), Script(*[[block(n, b"")] for n in range(1, 100)]))


def test_the_meter_takes_a_streamed_request_and_asks_again_for_what_was_lost() -> None:
    blocks = GeneralBlocks()
    assert blocks.receive(block(1, b"a", streaming=True)).sent == []
    assert blocks.receive(block(3, b"c", streaming=True)).sent == []
    (confirmation,) = blocks.receive(block(4, b"d", last=True)).sent
    assert decode_general_block_transfer(confirmation).acknowledged == 1
    assert blocks.receive(block(2, b"b", streaming=True)).sent == []
    assert blocks.receive(block(3, b"c", streaming=True)).sent == []
    step = blocks.receive(block(4, b"d", last=True))
    assert step.message == b"abcd"
    answer = blocks.send(b"answer", 12)
    # The client missed it and sends the end of its request again: the same answer, not another execution.
    again = blocks.receive(block(4, b"d", last=True))
    assert (again.message, again.sent) == (None, answer)


def test_the_meter_keeps_to_the_window_of_its_client() -> None:
    blocks = GeneralBlocks()
    assert blocks.receive(GeneralBlockTransfer(True, False, 3, 1, 0, b"request")).message == b"request"
    window = [decode_general_block_transfer(apdu) for apdu in blocks.send(bytes(100), 19)]
    assert [one.streaming for one in window] == [True, True, False]
    assert [one.acknowledged for one in window] == [1, 1, 1]
    (two,) = {len(one.data) for one in window}
    assert two == 10
    step = blocks.receive(GeneralBlockTransfer(True, False, 2, 2, 2, b""))
    assert [decode_general_block_transfer(apdu).block_number for apdu in step.sent] == [3, 4]

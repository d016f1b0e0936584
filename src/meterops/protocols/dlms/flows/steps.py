"""The steps every flow is made of: one request and its answer, in blocks where it has to be.

A flow is a generator. It yields the octets of one APDU to be sent and is sent the octets of one APDU that arrived. It
yields `b""` when there is nothing to send and the next APDU is awaited, and a `Pause` when time must pass first. What it
returns is the result; whatever goes wrong is a `DlmsError`.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Final, TypeVar

from meterops.protocols.dlms.apdu.block_transfer import (
    GENERAL_BLOCK_TRANSFER,
    GeneralBlockTransfer,
    decode_general_block_transfer,
)
from meterops.protocols.dlms.apdu.enums import Conformance
from meterops.protocols.dlms.association.client import MAX_ASIDE, ClientAssociation
from meterops.protocols.dlms.errors import EncodeError, ProtocolError, SecurityError, SecurityFault

T = TypeVar("T")
Flow = Generator[bytes, bytes, T]

MAX_TRANSFER: Final = 16 * 1024 * 1024
"""Octets that one answer may grow to, block by block."""

LOST_AFTER_S: Final = 2.0
"""How long the next block of a window may take before it counts as lost."""

_WINDOW: Final = 16
_MAX_IDLE_BLOCKS: Final = 16
_BLOCK_OVERHEAD: Final = 9
_BLOCK_TAG: Final = bytes((GENERAL_BLOCK_TRANSFER,))


class Pause(bytes):
    """Yielded instead of an APDU: let `seconds` pass, then send `b""` into the flow. Nothing is awaited meanwhile."""

    seconds: float

    def __new__(cls, seconds: float) -> Pause:
        """Ask for a pause of `seconds`."""
        pause = super().__new__(cls)
        pause.seconds = seconds
        return pause


class Silence(bytes):
    """Yielded where the next APDU may be lost: when none comes within `seconds`, `b""` is sent into the flow."""

    seconds: float

    def __new__(cls, seconds: float, apdu: bytes = b"") -> Silence:
        """Send `apdu`, if any, and await the next one for `seconds` at most."""
        silence = super().__new__(cls, apdu)
        silence.seconds = seconds
        return silence


def drive(flow: Flow[T], exchange: Callable[[bytes], bytes], sleep: Callable[[float], object] | None = None) -> T:
    """Run a flow over `exchange`, which sends one APDU (`b""`: nothing) and returns the next one that arrives.

    `sleep` is called for pauses; without it they cost no time. Where silence is an answer (`Silence`), `exchange` may
    return `b""`. For tests, tools and in-memory meters.
    """
    try:
        request = next(flow)
        while True:
            if isinstance(request, Pause):
                if sleep is not None:
                    sleep(request.seconds)
                request = flow.send(b"")
            else:
                request = flow.send(exchange(request))
    except StopIteration as end:
        result: T = end.value
        return result


def exchange(a: ClientAssociation, plain: bytes) -> Flow[bytes]:
    """Send a plain service APDU, protected as agreed, and return the plain answer."""
    raw = (yield a.seal(plain)) if len(plain) <= a.max_plain_size else (yield from _send_blocks(a, plain))
    answer = a.open(raw)
    if answer is None or answer[0] == GENERAL_BLOCK_TRANSFER:
        return (yield from settle(a, answer))
    return answer


def settle(a: ClientAssociation, answer: bytes | None) -> Flow[bytes]:
    """Wait while notifications arrive instead of the answer (None), and put an answer in blocks together."""
    for _ in range(MAX_ASIDE + 1):
        if answer is None:
            answer = a.open((yield b""))
        elif answer[0] == GENERAL_BLOCK_TRANSFER:
            answer = yield from _receive_blocks(a, answer)
        else:
            return answer
    raise ProtocolError("the answer does not come, only other APDUs")


class BlockAssembly:
    """Puts the blocks of one general-block-transfer together; also used for pushes, which nobody confirms.

    `expected` is the number of the block that comes next in order. A side that has sent `before` blocks already counts
    on from there or begins anew with 1 (or 0); any other first number means that blocks were lost.
    """

    __slots__ = ("_before", "_idle", "_parts", "_size", "expected", "is_complete")

    def __init__(self, before: int = 0) -> None:
        self._parts: list[bytes] = []
        self._size = 0
        self._idle = 0
        self._before = before
        self.expected = before + 1
        self.is_complete = False

    def take(self, block: GeneralBlockTransfer) -> None:
        """Take a block; one out of order is passed over, and `ProtocolError` ends what does not get on."""
        number = block.block_number
        if not self._size and number != self.expected and number in (0, 1, self._before + 1):
            self.expected = number
        if number != self.expected:
            self.wait()
            return
        self._idle = 0 if block.data else self._idle + 1
        self._size += len(block.data)
        if self._size > MAX_TRANSFER or self._idle > _MAX_IDLE_BLOCKS:
            raise ProtocolError(f"general block transfer: {self._size} octets and no end")
        self._parts.append(block.data)
        self.expected = number % 0xFFFF + 1
        self.is_complete = block.last

    @property
    def size(self) -> int:
        """Octets that the blocks so far have carried."""
        return self._size

    def wait(self) -> None:
        """Count a block out of order, or one that did not come in time."""
        self._idle += 1
        if self._idle > _MAX_IDLE_BLOCKS:
            raise ProtocolError(f"general block transfer: block {self.expected} does not come")

    def whole(self) -> bytes:
        """The APDU that was carried."""
        return b"".join(self._parts)


def _receive_blocks(a: ClientAssociation, first: bytes) -> Flow[bytes | None]:
    """Collect the blocks of an answer, confirming each window, and open what they carry.

    A confirmation names the last block that came in order; the meter sends again what comes after it.
    """
    assembly = BlockAssembly(a.peer_blocks)
    own_number = a.own_blocks + 1
    each_protected = a.last_was_protected
    answer: bytes | None = first
    while True:
        if answer is not None:
            block = _block_of(answer)
            if a.last_was_protected != each_protected:
                raise SecurityError("some blocks are protected, others not", SecurityFault.WEAKER_PROTECTION)
            assembly.take(block)
            if assembly.is_complete:
                break
        request = b""
        if answer is not None and not block.streaming:
            request, own_number = _confirmation(a, assembly, own_number, protected=each_protected)
        raw = yield Silence(LOST_AFTER_S, request)
        while not raw:
            assembly.wait()
            request, own_number = _confirmation(a, assembly, own_number, protected=each_protected)
            raw = yield Silence(LOST_AFTER_S, request)
        answer = a.open(raw)
    a.own_blocks = a.peer_blocks = 0
    whole = assembly.whole()
    if not whole:
        return None
    if each_protected:
        return a.take_plain(whole, is_protected=True)
    if whole[0] == GENERAL_BLOCK_TRANSFER:
        raise ProtocolError("general block transfer within general block transfer")
    return a.open(whole)


def _confirmation(a: ClientAssociation, assembly: BlockAssembly, number: int, *, protected: bool) -> tuple[bytes, int]:
    """Make the confirmation of what came in order, our block `number`; also the number after it."""
    block = GeneralBlockTransfer(True, False, _WINDOW, number, assembly.expected - 1, b"").encode()
    return a.seal(block) if protected else block, number % 0xFFFF + 1


def _send_blocks(a: ClientAssociation, plain: bytes) -> Flow[bytes]:
    """Send a request that is longer than the meter takes in blocks and return the raw answer to the last one."""
    if not a.can(Conformance.GENERAL_BLOCK_TRANSFER):
        raise EncodeError(f"a request of {len(plain)} octets, and the meter takes {a.max_plain_size}")
    sealed = a.seal(plain)
    room = max(a.server_pdu_size - _BLOCK_OVERHEAD, 1)
    chunks = [sealed[start : start + room] for start in range(0, len(sealed), room)]
    if len(chunks) > 0xFFFF:
        raise EncodeError(f"a request of {len(sealed)} octets does not fit 65535 blocks of {room}")
    number = 1
    received = 0
    for _ in range(len(chunks) + _MAX_IDLE_BLOCKS):
        last = number == len(chunks)
        raw = yield GeneralBlockTransfer(last, False, _WINDOW, number, received, chunks[number - 1]).encode()
        if not last:
            raw = yield from _await_confirmation(a, raw)
        elif raw[:1] != _BLOCK_TAG:
            return raw
        answer = decode_general_block_transfer(raw)
        if answer.acknowledged > number:
            raise ProtocolError(f"block {answer.acknowledged} confirmed, {number} sent")
        if answer.acknowledged == len(chunks):
            a.own_blocks, a.peer_blocks = number, received
            return raw
        received = max(received, answer.block_number)
        number = answer.acknowledged + 1
    raise ProtocolError("general block transfer: the meter does not confirm the blocks")


def _await_confirmation(a: ClientAssociation, raw: bytes) -> Flow[bytes]:
    """Wait for the confirmation of a block while notifications arrive."""
    for _ in range(MAX_ASIDE + 1):
        if raw[:1] == _BLOCK_TAG:
            return raw
        plain = a.open(raw)
        if plain is not None:
            raise ProtocolError(f"APDU {plain[0]:#04x} where a block was to be confirmed")
        raw = yield b""
    raise ProtocolError("only notifications come")


def _block_of(answer: bytes) -> GeneralBlockTransfer:
    if answer[0] != GENERAL_BLOCK_TRANSFER:
        raise ProtocolError(f"APDU {answer[0]:#04x} amid general block transfer")
    return decode_general_block_transfer(answer)

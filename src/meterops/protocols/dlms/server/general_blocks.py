"""General block transfer as a meter does it: any APDU in blocks, streamed in windows, lost blocks sent again.

IEC 62056-5-3, 6.13 and 7.3.12. Each side numbers its blocks from 1, confirmations included, and each names the last one
received in order from the partner; a window is as many blocks as the receiver takes before it wants to confirm.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from meterops.protocols.dlms.apdu.block_transfer import GeneralBlockTransfer

OVERHEAD: Final = 9
"""Octets of a block around its data: tag, control, two numbers, length."""

OWN_WINDOW: Final = 16
"""How many blocks we take before we confirm."""

MAX_MESSAGE: Final = 1 << 20
"""Octets of the longest message taken in blocks."""


@dataclass(slots=True)
class Step:
    """What follows from a block: blocks to send, and the message when it is complete."""

    sent: list[bytes]
    message: bytes | None = None


class GeneralBlocks:
    """Both directions of one association."""

    def __init__(self) -> None:
        """Start with nothing under way."""
        self._peer_window = 1
        self._incoming = bytearray()
        self._received = 0
        self._collecting = False
        self._outgoing: list[bytes] = []
        self._acknowledged = 0
        self._confirmations = 0
        self._first = 1

    def receive(self, block: GeneralBlockTransfer) -> Step:
        """Take a block: part of a request, or a confirmation of what is being sent."""
        self._peer_window = max(block.window, 1)
        if self._outgoing and not block.data:
            return Step(self._go_on(block))
        if self._outgoing and not self._collecting and 1 < block.block_number <= self._received:
            return Step(self._window())  # the answer got lost, and the client sends the end of its request again
        if not self._collecting or (block.block_number == 1 and self._received != 0):
            self._begin(block.block_number)
        return self._collect(block)

    def send(self, message: bytes, room: int) -> list[bytes]:
        """Begin to send a message in blocks of at most `room` octets, and give the first window of them."""
        size = max(room - OVERHEAD, 1)
        self._outgoing = [message[start : start + size] for start in range(0, len(message), size)]
        self._acknowledged = 0
        self._first = self._confirmations + 1
        return self._window()

    def restart(self) -> None:
        """Forget what is under way: the client has gone on without blocks."""
        self._begin(1)
        self._collecting = False
        self._peer_window = 1

    def _begin(self, number: int) -> None:
        self._collecting = True
        self._incoming = bytearray()
        self._received = number - 1
        self._outgoing = []
        self._confirmations = 0

    def _collect(self, block: GeneralBlockTransfer) -> Step:
        if block.block_number == self._received + 1:
            self._received = block.block_number
            self._incoming += block.data
            if len(self._incoming) > MAX_MESSAGE:
                self.restart()
                return Step([])
            if block.last:
                message = bytes(self._incoming)
                self._collecting = False
                return Step([], message or None)
        if block.streaming:
            return Step([])
        return Step([self._confirmation()])

    def _confirmation(self) -> bytes:
        """Confirm what came in order; what is missing after it is to be sent again."""
        self._confirmations += 1
        return GeneralBlockTransfer(False, False, OWN_WINDOW, self._confirmations, self._received, b"").encode()

    def _go_on(self, block: GeneralBlockTransfer) -> list[bytes]:
        self._received = max(self._received, block.block_number)
        self._acknowledged = min(max(block.acknowledged - self._first + 1, 0), len(self._outgoing))
        if self._acknowledged >= len(self._outgoing):
            self._outgoing = []
            return []
        return self._window()

    def _window(self) -> list[bytes]:
        """Give the blocks after the last one confirmed, as many as the partner takes at once."""
        total = len(self._outgoing)
        first = self._acknowledged
        ends = min(first + self._peer_window, total)
        return [
            GeneralBlockTransfer(
                last=index == total - 1,
                streaming=index < ends - 1,
                window=OWN_WINDOW,
                block_number=self._first + index,
                acknowledged=self._received,
                data=self._outgoing[index],
            ).encode()
            for index in range(first, ends)
        ]

"""General block transfer (0xE0): any APDU in blocks, streamed and confirmed in windows."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

from meterops.protocols.dlms.apdu.base import Apdu
from meterops.protocols.dlms.apdu.reader import Reader
from meterops.protocols.dlms.axdr import encode_octets
from meterops.protocols.dlms.errors import EncodeError

GENERAL_BLOCK_TRANSFER: Final = 0xE0

_HEAD: Final = struct.Struct(">BBHH")


@dataclass(slots=True)
class GeneralBlockTransfer(Apdu):
    """One block.

    `last`: no block follows. `streaming`: more blocks follow without confirmation. `window`: how many blocks the
    sender of this one takes at once (0 to 63). `block_number` counts from 1, `acknowledged` is the last block
    received in order.
    """

    last: bool
    streaming: bool
    window: int
    block_number: int
    acknowledged: int
    data: bytes

    def encode(self) -> bytes:
        if not 0 <= self.window <= 63:
            raise EncodeError(f"window {self.window} is not between 0 and 63")
        control = (self.last << 7) | (self.streaming << 6) | self.window
        try:
            head = _HEAD.pack(GENERAL_BLOCK_TRANSFER, control, self.block_number, self.acknowledged)
        except struct.error:
            raise EncodeError(f"block number {self.block_number} does not fit 16 bits") from None
        return head + encode_octets(self.data)


def decode_general_block_transfer(buf: bytes) -> GeneralBlockTransfer:
    """Read a block."""
    reader = Reader(buf, 1)
    control = reader.uint8("block control")
    number = reader.uint16("block number")
    acknowledged = reader.uint16("block number acknowledged")
    data = reader.octets("block data")
    return GeneralBlockTransfer(bool(control & 0x80), bool(control & 0x40), control & 0x3F, number, acknowledged, data)

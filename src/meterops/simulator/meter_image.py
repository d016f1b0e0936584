"""Firmware of a simulated meter: versions with planted defects, and the image transfer object (class 18)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from enum import IntEnum
from functools import lru_cache

from meterops.protocols.dlms import axdr
from meterops.protocols.dlms.axdr import BitString

BLOCK_SIZE = 200
"""Octets of an image block at most; the last one may be shorter."""
_AROUND_BLOCK = 80
"""Octets that ciphering, the ACTION and its parameter put around a block."""


def block_size_for(max_pdu_size: int) -> int:
    """How long image blocks are in a meter that receives APDUs of so many octets: one block fits one request."""
    return max(16, min(BLOCK_SIZE, max_pdu_size - _AROUND_BLOCK))


class TransferStatus(IntEnum):
    """image_transfer_status (Blue Book, class 18, attribute 6)."""

    NOT_INITIATED = 0
    INITIATED = 1
    VERIFICATION_INITIATED = 2
    VERIFICATION_SUCCESSFUL = 3
    VERIFICATION_FAILED = 4
    ACTIVATION_INITIATED = 5
    ACTIVATION_SUCCESSFUL = 6
    ACTIVATION_FAILED = 7


@dataclass(frozen=True, slots=True)
class FirmwareDefects:
    """What a firmware version does wrong. A meter has those of the version it runs."""

    verification_fails: bool = False
    activation_fails: bool = False
    loses_counters: bool = False
    clock_drift_s_per_day: float = 0.0
    mute_share: float = 0.0
    profile_ends_early: bool = False


SOUND = FirmwareDefects()


@dataclass(slots=True)
class ImageSlot:
    """A transfer under way: what came, what is missing. Only a meter that is being updated has one."""

    identifier: bytes
    size: int
    block_size: int = BLOCK_SIZE
    status: TransferStatus = TransferStatus.INITIATED
    blocks: dict[int, bytes] = field(default_factory=dict)
    digest: bytes = b""

    @property
    def block_count(self) -> int:
        """How many blocks the image has."""
        return -(-self.size // self.block_size)

    def put(self, number: int, block: bytes) -> bool:
        """Keep a block; False when there is no such block or its length is wrong."""
        if not 0 <= number < self.block_count or self.status is not TransferStatus.INITIATED:
            return False
        if len(block) != min(self.block_size, self.size - number * self.block_size):
            return False
        self.blocks[number] = _shared(block)
        return True

    def bitmap(self) -> bytes:
        """Attribute 3: one bit a block, set when it came."""
        bits = "".join("1" if number in self.blocks else "0" for number in range(self.block_count))
        return axdr.encode(axdr.bit_string(BitString.of(bits)))

    def first_missing(self) -> int:
        """Attribute 4: number of the first block that has not come, the number of blocks when all did."""
        return next((number for number in range(self.block_count) if number not in self.blocks), self.block_count)

    def verify(self) -> bool:
        """Check that the image is whole and keep its SHA-256."""
        whole = self.first_missing() == self.block_count
        if whole:
            image = b"".join(self.blocks[number] for number in range(self.block_count))
            self.digest = hashlib.sha256(image).digest()
        self.status = TransferStatus.VERIFICATION_SUCCESSFUL if whole else TransferStatus.VERIFICATION_FAILED
        return whole

    def to_activate(self) -> bytes:
        """Attribute 7: size, identification and signature (the SHA-256) of the verified image."""
        if not self.digest:
            return b"\x01\x00"
        entry = axdr.structure(axdr.uint32(self.size), axdr.octets(self.identifier), axdr.octets(self.digest))
        return axdr.encode(axdr.array(entry))


@lru_cache(maxsize=8192)
def _shared(block: bytes) -> bytes:
    """Give one object for equal blocks: a thousand meters that receive the same image keep it once."""
    return block

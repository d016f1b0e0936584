"""Firmware images (class 18): transfer, resume, verify, activate.

A meter that needs time answers TEMPORARY_FAILURE; the flow then pauses and looks at the image's state.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final

from meterops.protocols.dlms import axdr
from meterops.protocols.dlms.apdu.descriptors import Attribute, Method
from meterops.protocols.dlms.apdu.enums import ActionResult
from meterops.protocols.dlms.association.client import ClientAssociation
from meterops.protocols.dlms.errors import DecodeError, EncodeError, ProtocolError, ServiceRefused
from meterops.protocols.dlms.flows.actions import invoke
from meterops.protocols.dlms.flows.reading import read_plain
from meterops.protocols.dlms.flows.steps import Flow, Pause
from meterops.protocols.dlms.flows.writing import write
from meterops.protocols.dlms.obis import Obis

IMAGE_TRANSFER: Final = Obis.parse("0.0.44.0.0.255")
_CLASS: Final = 18
_BLOCK_SIZE, _FIRST_MISSING, _ENABLED, _STATUS, _TO_ACTIVATE = 2, 4, 5, 6, 7
_INITIATE, _TRANSFER, _VERIFY, _ACTIVATE = 1, 2, 3, 4
_BLOCK_RETRIES: Final = 10
_BLOCK_PAUSE_S: Final = 1.0


class ImageStatus(IntEnum):
    """image_transfer_status, attribute 6."""

    NOT_INITIATED = 0
    INITIATED = 1
    VERIFICATION_INITIATED = 2
    VERIFICATION_SUCCESSFUL = 3
    VERIFICATION_FAILED = 4
    ACTIVATION_INITIATED = 5
    ACTIVATION_SUCCESSFUL = 6
    ACTIVATION_FAILED = 7


@dataclass(frozen=True, slots=True)
class ImageToActivate:
    """One image the meter holds: its size in octets, its identification, and its signature (often a hash)."""

    size: int
    identifier: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class ImageTransferReport:
    """What a transfer did: blocks of `block_size` octets in all, how many of them it sent, and where it began."""

    block_size: int
    blocks: int
    blocks_sent: int
    resumed_at: int


def transfer_image(
    a: ClientAssociation,
    obis: Obis,
    identifier: bytes,
    image: bytes,
    resume: bool = True,
    on_block: Callable[[int, int], None] | None = None,
) -> Flow[ImageTransferReport]:
    """Bring an image into the meter; afterwards every block is there, nothing is verified yet.

    With `resume`, a transfer the meter has begun goes on at its first missing block. A meter does not tell of which image
    those blocks are: resume only what was interrupted, and let `verify_image` judge. `on_block(done, total)` hears of
    every block.
    """
    if not image:
        raise EncodeError("an empty image cannot be transferred")
    yield from _enable(a, obis)
    block_size = yield from _number(a, obis, _BLOCK_SIZE)
    if block_size < 1:
        raise ProtocolError(f"image block size {block_size}")
    blocks = -(-len(image) // block_size)
    start: int | None = None
    if resume:
        start = yield from _where_to_resume(a, obis, blocks)
    if start is None:
        start = 0
        described = axdr.structure(axdr.octets(identifier), axdr.uint32(len(image)))
        yield from _patiently(a, Method(_CLASS, obis, _INITIATE), described)
    sent = yield from _send_missing(a, obis, image, block_size, start, on_block)
    return ImageTransferReport(block_size, blocks, sent, start)


def verify_image(
    a: ClientAssociation, obis: Obis, poll_s: float = 5.0, max_polls: int = 120
) -> Flow[tuple[ImageToActivate, ...]]:
    """Let the meter verify its image and return what it would activate; `ServiceRefused` when verification fails.

    A meter that is not done at once is asked for its status every `poll_s` seconds, `max_polls` times at most.
    """
    wanted = (ImageStatus.VERIFICATION_SUCCESSFUL, ImageStatus.VERIFICATION_FAILED)
    yield from _act_and_poll(a, obis, _VERIFY, wanted, poll_s, max_polls)
    return (yield from read_images_to_activate(a, obis))


def activate_image(a: ClientAssociation, obis: Obis, poll_s: float = 5.0, max_polls: int = 120) -> Flow[None]:
    """Let the meter activate its verified image. Meters often restart on it: the connection may go at any moment."""
    wanted = (ImageStatus.ACTIVATION_SUCCESSFUL, ImageStatus.ACTIVATION_FAILED)
    yield from _act_and_poll(a, obis, _ACTIVATE, wanted, poll_s, max_polls)


def read_image_status(a: ClientAssociation, obis: Obis) -> Flow[ImageStatus]:
    """Read where the meter stands with its image."""
    number = yield from _number(a, obis, _STATUS)
    try:
        return ImageStatus(number)
    except ValueError:
        raise DecodeError(f"image transfer status {number}") from None


def read_images_to_activate(a: ClientAssociation, obis: Obis) -> Flow[tuple[ImageToActivate, ...]]:
    """Read which images the meter would activate."""
    listed = yield from read_plain(a, Attribute(_CLASS, obis, _TO_ACTIVATE))
    return tuple([_image_of(entry) for entry in listed or ()])


def _enable(a: ClientAssociation, obis: Obis) -> Flow[None]:
    attribute = Attribute(_CLASS, obis, _ENABLED)
    if (yield from read_plain(a, attribute)) is False:
        yield from write(a, attribute, axdr.boolean(True))


def _where_to_resume(a: ClientAssociation, obis: Obis, blocks: int) -> Flow[int | None]:
    """The first missing block of a transfer under way, or None when a new one must begin."""
    if (yield from read_image_status(a, obis)) is not ImageStatus.INITIATED:
        return None
    missing = yield from _number(a, obis, _FIRST_MISSING)
    return missing if 0 < missing <= blocks else None


def _send_missing(
    a: ClientAssociation,
    obis: Obis,
    image: bytes,
    block_size: int,
    start: int,
    on_block: Callable[[int, int], None] | None,
) -> Flow[int]:
    """Send the blocks from `start`, then whatever the meter still misses; return how many were sent."""
    blocks = -(-len(image) // block_size)
    sent = 0
    for number in range(start, blocks):
        yield from _send_block(a, obis, image, block_size, number)
        sent += 1
        if on_block is not None:
            on_block(number + 1, blocks)
    for _ in range(blocks):
        missing = yield from _number(a, obis, _FIRST_MISSING)
        if missing >= blocks:
            return sent
        yield from _send_block(a, obis, image, block_size, missing)
        sent += 1
    if (yield from _number(a, obis, _FIRST_MISSING)) >= blocks:
        return sent
    raise ProtocolError("the meter loses blocks of the image as fast as they are sent")


def _send_block(a: ClientAssociation, obis: Obis, image: bytes, block_size: int, number: int) -> Flow[None]:
    block = image[number * block_size : (number + 1) * block_size]
    parameter = axdr.structure(axdr.uint32(number), axdr.octets(block))
    yield from _patiently(a, Method(_CLASS, obis, _TRANSFER), parameter)


def _patiently(a: ClientAssociation, method: Method, parameter: axdr.Data) -> Flow[None]:
    """Invoke a method, again after a pause while the meter is busy writing."""
    for attempt in range(_BLOCK_RETRIES):
        try:
            yield from invoke(a, method, parameter)
        except ServiceRefused as refused:
            if refused.result != ActionResult.TEMPORARY_FAILURE or attempt == _BLOCK_RETRIES - 1:
                raise
            yield Pause(_BLOCK_PAUSE_S)
        else:
            return


def _act_and_poll(
    a: ClientAssociation,
    obis: Obis,
    method: int,
    wanted: tuple[ImageStatus, ImageStatus],
    poll_s: float,
    max_polls: int,
) -> Flow[None]:
    """Invoke verify or activate; where the meter takes its time, poll its status for success or failure."""
    succeeded, failed = wanted
    try:
        yield from invoke(a, Method(_CLASS, obis, method), axdr.int8(0))
    except ServiceRefused as refused:
        if refused.result != ActionResult.TEMPORARY_FAILURE:
            raise
    else:
        return
    for _ in range(max_polls):
        yield Pause(poll_s)
        status = yield from read_image_status(a, obis)
        if status is succeeded:
            return
        if status is failed:
            raise ServiceRefused(ActionResult.HARDWARE_FAULT, f"image {status.name.lower().replace('_', ' ')}")
    raise ServiceRefused(ActionResult.TEMPORARY_FAILURE, "the image is still being worked on")


def _number(a: ClientAssociation, obis: Obis, attribute: int) -> Flow[int]:
    value = yield from read_plain(a, Attribute(_CLASS, obis, attribute))
    if not isinstance(value, int):
        raise DecodeError(f"image transfer attribute {attribute}: {type(value).__name__} where a number was expected")
    return value


def _image_of(entry: Any) -> ImageToActivate:
    try:
        size, identifier, signature = entry
        return ImageToActivate(int(size), bytes(identifier or b""), bytes(signature or b""))
    except (TypeError, ValueError):
        raise DecodeError("image to activate: not a structure of size, identification and signature") from None

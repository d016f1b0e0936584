"""Captured octets as APDUs: the framing is told by looking, several telegrams and damaged frames are put up with.

A capture is a file somebody made by listening: octets as they came, or hexadecimal text with any spacing. It may begin in
the middle of a frame, hold frames of both directions, and have checksums that an anonymizing hand has broken. What can
be read is read; what was passed over is said.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass, field
from typing import Final

from meterops.protocols.dlms.apdu.block_transfer import GENERAL_BLOCK_TRANSFER
from meterops.protocols.dlms.errors import DecodeError, DlmsError
from meterops.protocols.dlms.flows.pushes import PushReassembly
from meterops.protocols.dlms.framing import mbus
from meterops.protocols.dlms.framing.hdlc import without_llc
from meterops.protocols.dlms.framing.hdlc_frames import (
    FLAG,
    MAX_LENGTH,
    FrameKind,
    HdlcAddress,
    HdlcFrame,
    decode_frame,
)
from meterops.protocols.dlms.framing.wrapper import HEADER_LENGTH, VERSION

_BYTE_ORDER_MARKS: Final = (codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_COMMENT: Final = re.compile(r"(?m)(#|//|;).*$")
_NOT_HEX: Final = re.compile(r"[^0-9A-Fa-f]")
_PREFIX: Final = re.compile(r"\b0[xX](?=[0-9A-Fa-f])")
_TEXT: Final = re.compile(rb"[\t\n\v\f\r -~]*\Z")
_CARRIES: Final = (FrameKind.INFORMATION, FrameKind.UNNUMBERED_INFORMATION)


@dataclass(slots=True)
class Capture:
    """What a capture holds: its framing (`hdlc`, `mbus`, `wrapper`, `raw`), whole APDUs in order, and what was wrong."""

    framing: str
    apdus: list[bytes] = field(default_factory=list)
    damage: list[str] = field(default_factory=list)


def octets_of(content: bytes) -> bytes:
    """The octets of a file: hexadecimal text (spaces, commas, colons, 0x, comments, byte order marks) or octets as such.

    Raises:
        DecodeError: text that is not hexadecimal, with its line and column.
    """
    text = _text(content)
    if text is None:
        return content
    text = _COMMENT.sub(lambda match: " " * len(match.group()), text)
    digits = _PREFIX.sub("  ", text)
    for separator in " \t\r\n\v\f,:-_":
        digits = digits.replace(separator, "") if separator in digits else digits
    wrong = _NOT_HEX.search(digits)
    if wrong is not None:
        where = text.find(wrong.group())
        line, column = text.count("\n", 0, where) + 1, where - text.rfind("\n", 0, where)
        raise DecodeError(f"{wrong.group()!r} in line {line}, column {column} is no hexadecimal digit")
    if len(digits) % 2:
        raise DecodeError(f"{len(digits)} hexadecimal digits are not whole octets")
    return bytes.fromhex(digits)


def _text(content: bytes) -> str | None:
    """The file as text, None when it holds octets as they came."""
    mark = next((mark for mark in _BYTE_ORDER_MARKS if content.startswith(mark)), None)
    if mark == codecs.BOM_UTF8:
        content = content[len(mark) :]
    elif mark is not None:
        return content.decode("utf-16", "replace")
    return content.decode("ascii") if _TEXT.match(content) else None


def read_capture(content: bytes) -> Capture:
    """Read a captured file.

    Raises:
        DecodeError: nothing of it can be read, with what was found and where.
    """
    octets = octets_of(content)
    if not octets:
        raise DecodeError("the capture is empty", 0)
    capture = _unframed(octets)
    capture.apdus = _assembled(capture)
    if not capture.apdus:
        raise DecodeError(capture.damage[0] if capture.damage else "the capture holds no whole APDU")
    return capture


def _unframed(octets: bytes) -> Capture:
    hdlc, long_frame = _find_hdlc(octets, 0), _find_mbus(octets, 0)
    if hdlc == 0 or (hdlc > 0 and not _begins_otherwise(octets) and not 0 <= long_frame < hdlc):
        return _from_hdlc(octets, hdlc)
    if long_frame == 0 or (long_frame > 0 and not _begins_otherwise(octets)):
        return _from_mbus(octets, long_frame)
    if _begins_wrapper(octets, 0):
        return _from_wrapper(octets)
    return Capture("raw", [without_llc(octets)])


_RAW_BEGINNINGS: Final = frozenset((0x01, 0x02, 0x0F, 0x60, 0x61, 0xC2, 0xCA, 0xDB, 0xDC, 0xDD, 0xDF, 0xE0, 0xE6))


def _begins_otherwise(octets: bytes) -> bool:
    """Whether the first octets look like an APDU or a wrapper, so that a flag further on is chance."""
    return octets[0] in _RAW_BEGINNINGS or _begins_wrapper(octets, 0)


def _begins_wrapper(octets: bytes, offset: int) -> bool:
    head = octets[offset : offset + HEADER_LENGTH]
    return len(head) == HEADER_LENGTH and head[0] == 0 and head[1] == VERSION


def _find_hdlc(octets: bytes, start: int) -> int:
    """Where a frame begins from `start` on, -1 if nowhere."""
    while (start := octets.find(FLAG, start)) >= 0:
        if start + 2 < len(octets) and octets[start + 1] & 0xF0 == 0xA0:
            return start
        start += 1
    return -1


def _find_mbus(octets: bytes, start: int) -> int:
    while (start := octets.find(mbus.START, start)) >= 0:
        if mbus.begins_frame(octets, start):
            return start
        start += 1
    return -1


def _from_hdlc(octets: bytes, start: int) -> Capture:
    capture = Capture("hdlc")
    segments: dict[HdlcAddress, bytes] = {}
    _passed_over(capture, 0, start)
    while start >= 0:
        ends = start + 1 + (int.from_bytes(octets[start + 1 : start + 3], "big") & MAX_LENGTH)
        if ends > len(octets):
            capture.damage.append(f"the frame at octet {start} is cut short, {ends - len(octets)} octets are missing")
            break
        if octets[ends : ends + 1] not in (bytes((FLAG,)), b""):
            capture.damage.append(f"no flag ends the frame at octet {start}")
        damage: list[str] = []
        try:
            _take_hdlc(capture, segments, decode_frame(octets[start + 1 : ends], damage))
        except DecodeError as error:
            damage.append(str(error))
        capture.damage += [f"{what} of the frame at octet {start + 1}" for what in damage]
        found = _find_hdlc(octets, ends)
        _passed_over(capture, ends + 1, found if found >= 0 else len(octets))
        start = found
    capture.damage += [f"the last segment of an APDU of {len(part)} octets is missing" for part in segments.values()]
    return capture


def _take_hdlc(capture: Capture, segments: dict[HdlcAddress, bytes], frame: HdlcFrame) -> None:
    if frame.kind not in _CARRIES:
        return
    octets = segments.pop(frame.source, b"") + frame.information
    if frame.segmented:
        segments[frame.source] = octets
    elif octets:
        capture.apdus.append(without_llc(octets))


def _from_mbus(octets: bytes, start: int) -> Capture:
    capture = Capture("mbus")
    assembly = mbus.MbusAssembly()
    _passed_over(capture, 0, start)
    while start >= 0:
        try:
            frame, ends = mbus.decode_frame(octets, start, capture.damage)
            apdu = assembly.take(frame)
            if apdu:
                capture.apdus.append(without_llc(apdu))
        except DecodeError as error:
            capture.damage.append(f"{error} (frame at octet {start})")
            ends = start + 4
        found = _find_mbus(octets, ends)
        _passed_over(capture, ends, found if found >= 0 else len(octets))
        start = found
    if assembly.pending:
        capture.damage.append(f"the last segment of an APDU of {assembly.pending} octets is missing")
    return capture


def _from_wrapper(octets: bytes) -> Capture:
    capture = Capture("wrapper")
    start = 0
    while _begins_wrapper(octets, start):
        length = int.from_bytes(octets[start + 6 : start + HEADER_LENGTH], "big")
        ends = start + HEADER_LENGTH + length
        if ends > len(octets):
            capture.damage.append(f"the frame at octet {start} is cut short, {ends - len(octets)} octets are missing")
            return capture
        capture.apdus.append(octets[start + HEADER_LENGTH : ends])
        start = ends
    _passed_over(capture, start, len(octets))
    return capture


def _passed_over(capture: Capture, start: int, end: int) -> None:
    if end > start:
        capture.damage.append(f"{end - start} octets from octet {start} on are no frame and were passed over")


def _assembled(capture: Capture) -> list[bytes]:
    """APDUs with general blocks put together."""
    whole: list[bytes] = []
    reassembly = PushReassembly()
    blocks = 0
    for apdu in capture.apdus:
        try:
            complete = reassembly.feed(apdu)
        except DlmsError as error:
            capture.damage.append(str(error))
            continue
        blocks = 0 if complete is not None else blocks + 1
        if complete:
            whole.append(complete)
    if blocks:
        capture.damage.append(f"{blocks} blocks of an APDU are here, its last one ({GENERAL_BLOCK_TRANSFER:#x}) is not")
    return whole

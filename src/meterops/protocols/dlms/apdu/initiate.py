"""InitiateRequest and InitiateResponse: what the xDLMS layer agrees on when an association opens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from meterops.protocols.dlms.apdu.base import Apdu
from meterops.protocols.dlms.apdu.enums import Conformance
from meterops.protocols.dlms.apdu.reader import Reader
from meterops.protocols.dlms.axdr import encode_octets
from meterops.protocols.dlms.errors import DecodeError, EncodeError

INITIATE_REQUEST: Final = 0x01
INITIATE_RESPONSE: Final = 0x08

DLMS_VERSION: Final = 6
VAA_LOGICAL_NAME: Final = 0x0007
VAA_SHORT_NAME: Final = 0xFA00

_CONFORMANCE_HEAD: Final = b"\x5f\x1f\x04\x00"


@dataclass(slots=True)
class InitiateRequest(Apdu):
    """What the client proposes. `max_pdu_size` is the longest APDU it receives, in octets (0: no limit)."""

    conformance: Conformance
    max_pdu_size: int
    dedicated_key: bytes | None = None
    response_allowed: bool = True
    quality_of_service: int | None = None
    dlms_version: int = DLMS_VERSION

    def __repr__(self) -> str:
        key = "None" if self.dedicated_key is None else "<redacted>"
        return f"InitiateRequest({self.conformance!r}, {self.max_pdu_size}, dedicated_key={key})"

    def encode(self) -> bytes:
        key = b"\x00" if self.dedicated_key is None else b"\x01" + encode_octets(self.dedicated_key)
        response = b"\x00" if self.response_allowed else b"\x01\x00"
        return b"".join(
            (
                bytes((INITIATE_REQUEST,)),
                key,
                response,
                _encode_quality(self.quality_of_service),
                _encode_uint(self.dlms_version, 1, "DLMS version"),
                _CONFORMANCE_HEAD,
                _encode_uint(self.conformance, 3, "conformance"),
                _encode_uint(self.max_pdu_size, 2, "PDU size"),
            )
        )


@dataclass(slots=True)
class InitiateResponse(Apdu):
    """What the server grants. `vaa_name` is 0x0007 with logical names."""

    conformance: Conformance
    max_pdu_size: int
    quality_of_service: int | None = None
    dlms_version: int = DLMS_VERSION
    vaa_name: int = VAA_LOGICAL_NAME

    def encode(self) -> bytes:
        return b"".join(
            (
                bytes((INITIATE_RESPONSE,)),
                _encode_quality(self.quality_of_service),
                _encode_uint(self.dlms_version, 1, "DLMS version"),
                _CONFORMANCE_HEAD,
                _encode_uint(self.conformance, 3, "conformance"),
                _encode_uint(self.max_pdu_size, 2, "PDU size"),
                _encode_uint(self.vaa_name, 2, "VAA name"),
            )
        )


def _encode_quality(quality: int | None) -> bytes:
    if quality is None:
        return b"\x00"
    if not -128 <= quality <= 127:
        raise EncodeError(f"quality of service {quality} does not fit 8 bits")
    return bytes((1, quality & 0xFF))


def _encode_uint(value: int, size: int, what: str) -> bytes:
    try:
        return int(value).to_bytes(size, "big")
    except OverflowError:
        raise EncodeError(f"{what} {int(value)} does not fit {size} octets") from None


def decode_initiate_request(buf: bytes) -> InitiateRequest:
    """Read an InitiateRequest."""
    reader = Reader(buf, 1)
    key = reader.octets("dedicated key") if reader.flag("presence of a dedicated key") else None
    response_allowed = reader.flag("response-allowed") if reader.flag("presence of response-allowed") else True
    quality = _read_quality(reader)
    version = reader.uint8("DLMS version")
    conformance = _read_conformance(reader)
    return InitiateRequest(conformance, reader.uint16("client PDU size"), key, response_allowed, quality, version)


def decode_initiate_response(buf: bytes) -> InitiateResponse:
    """Read an InitiateResponse."""
    reader = Reader(buf, 1)
    quality = _read_quality(reader)
    version = reader.uint8("DLMS version")
    conformance = _read_conformance(reader)
    return InitiateResponse(conformance, reader.uint16("server PDU size"), quality, version, reader.uint16("VAA name"))


def _read_quality(reader: Reader) -> int | None:
    if not reader.flag("presence of the quality of service"):
        return None
    quality = reader.uint8("quality of service")
    return quality if quality < 128 else quality - 256


def _read_conformance(reader: Reader) -> Conformance:
    offset = reader.offset
    if reader.uint8("conformance") != 0x5F:
        raise DecodeError("conformance: tag 0x5f expected", offset)
    # The tag is [APPLICATION 31]: 5F 1F; some meters write 5F alone.
    if not reader.at_end() and reader.buf[reader.offset] == 0x1F:
        reader.uint8("conformance")
    offset = reader.offset
    contents = reader.octets("conformance")
    if len(contents) != 4:
        raise DecodeError(f"conformance: {len(contents)} octets where 4 were expected", offset)
    return Conformance(int.from_bytes(contents[1:], "big"))

"""Hypothesis strategies for COSEM data and APDUs, and the one promise every decoder makes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

from meterops.protocols.dlms import apdu, axdr
from meterops.protocols.dlms.axdr import BitString, Data, Tag, TypeDescription
from meterops.protocols.dlms.errors import DecodeError
from meterops.protocols.dlms.obis import Obis

UINT8 = st.integers(0, 0xFF)
UINT16 = st.integers(0, 0xFFFF)
UINT32 = st.integers(0, 0xFFFF_FFFF)
OCTETS = st.binary(max_size=40) | st.binary(min_size=120, max_size=300)
ADDRESSES = st.binary(min_size=6, max_size=6).map(Obis)

BIT_STRINGS = st.text("01", max_size=40).map(BitString.of)


def signed(bits: int) -> st.SearchStrategy[int]:
    """Integers of so many bits, with a sign."""
    return st.integers(-(1 << (bits - 1)), (1 << (bits - 1)) - 1)


def unsigned(bits: int) -> st.SearchStrategy[int]:
    """Integers of so many bits, without a sign."""
    return st.integers(0, (1 << bits) - 1)


VALUES: dict[Tag, st.SearchStrategy[Any]] = {
    Tag.NULL: st.none(),
    Tag.BOOLEAN: st.booleans(),
    Tag.BIT_STRING: BIT_STRINGS,
    Tag.INT32: signed(32),
    Tag.UINT32: unsigned(32),
    Tag.OCTET_STRING: OCTETS,
    Tag.VISIBLE_STRING: OCTETS,
    Tag.UTF8_STRING: OCTETS,
    Tag.BCD: unsigned(8),
    Tag.INT8: signed(8),
    Tag.INT16: signed(16),
    Tag.UINT8: unsigned(8),
    Tag.UINT16: unsigned(16),
    Tag.INT64: signed(64),
    Tag.UINT64: unsigned(64),
    Tag.ENUM: unsigned(8),
    Tag.FLOAT32: st.floats(width=32, allow_nan=False),
    Tag.FLOAT64: st.floats(allow_nan=False),
    Tag.DATE_TIME: st.binary(min_size=12, max_size=12),
    Tag.DATE: st.binary(min_size=5, max_size=5),
    Tag.TIME: st.binary(min_size=4, max_size=4),
    Tag.DELTA_INT8: signed(8),
    Tag.DELTA_INT16: signed(16),
    Tag.DELTA_INT32: signed(32),
    Tag.DELTA_UINT8: unsigned(8),
    Tag.DELTA_UINT16: unsigned(16),
    Tag.DELTA_UINT32: unsigned(32),
    Tag.DONT_CARE: st.none(),
}


def scalar_of(tag: Tag) -> st.SearchStrategy[Data]:
    """A value of one type that holds no other."""
    return VALUES[tag].map(lambda value: Data(tag, value))


SCALARS = st.sampled_from(sorted(VALUES)).flatmap(scalar_of)

_SCALAR_DESCRIPTIONS = st.sampled_from(sorted(set(VALUES) - {Tag.NULL, Tag.DONT_CARE})).map(TypeDescription)
DESCRIPTIONS = st.recursive(
    _SCALAR_DESCRIPTIONS,
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=4).map(lambda members: TypeDescription(Tag.STRUCTURE, tuple(members))),
        st.tuples(inner, st.integers(1, 3)).map(lambda pair: TypeDescription(Tag.ARRAY, (pair[0],), pair[1])),
    ),
    max_leaves=6,
)


def described(description: TypeDescription) -> st.SearchStrategy[Data]:
    """A value that is as a type description says."""
    if description.tag is Tag.ARRAY:
        members = description.members * description.count
    elif description.tag is Tag.STRUCTURE:
        members = description.members
    else:
        return scalar_of(description.tag)
    return st.tuples(*map(described, members)).map(lambda elements: Data(description.tag, elements))


COMPACT_ARRAYS = DESCRIPTIONS.flatmap(
    lambda description: st.lists(described(description), max_size=4).map(
        lambda elements: axdr.compact_array(description, elements)
    )
)

DATA = st.recursive(
    SCALARS | COMPACT_ARRAYS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=5).map(axdr.array),
        st.lists(inner, max_size=5).map(axdr.structure),
    ),
    max_leaves=12,
)
ENCODED = DATA.map(axdr.encode)

# --- what services are about ---

ATTRIBUTES = st.builds(apdu.Attribute, UINT16, ADDRESSES, st.integers(-128, 127))
PROFILE_BUFFERS = st.builds(lambda obis: apdu.Attribute(7, obis, 2), ADDRESSES)
METHODS = st.builds(apdu.Method, UINT16, ADDRESSES, st.integers(-128, 127))
CAPTURE_OBJECTS = st.builds(apdu.CaptureObject, UINT16, ADDRESSES, st.integers(-128, 127), UINT16)
BOUNDS = st.one_of(st.binary(min_size=12, max_size=12).map(axdr.octets), UINT32.map(axdr.uint32))
RANGES = st.builds(apdu.RangeAccess, BOUNDS, BOUNDS, st.lists(CAPTURE_OBJECTS, max_size=3).map(tuple), CAPTURE_OBJECTS)
ENTRIES = st.builds(apdu.EntryAccess, UINT32, UINT32, UINT16, UINT16)
OTHERS = st.builds(apdu.OtherAccess, st.integers(3, 255), ENCODED)
SELECTIONS = st.one_of(
    st.tuples(ATTRIBUTES, st.none() | OTHERS),
    st.tuples(PROFILE_BUFFERS, st.one_of(st.none(), RANGES, ENTRIES, OTHERS)),
)

RESULTS = UINT8.map(apdu.DataAccessResult)
ACTION_RESULTS = UINT8.map(apdu.ActionResult)
RETURNED = st.one_of(ENCODED, RESULTS)
CLOCKS = st.none() | st.binary(min_size=12, max_size=12)


def tuples_of(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[Any, ...]]:
    """Short tuples."""
    return st.lists(strategy, max_size=3).map(tuple)


SPECIFICATIONS = st.one_of(
    SELECTIONS.map(lambda selection: apdu.AccessGet(*selection)),
    SELECTIONS.map(lambda selection: apdu.AccessSet(*selection)),
    METHODS.map(apdu.AccessAction),
)
ACCESS_RESULTS = st.one_of(
    st.builds(apdu.AccessResult, st.sampled_from([1, 2]), RESULTS),
    st.builds(apdu.AccessResult, st.just(3), ACTION_RESULTS),
)
TITLES = st.none() | st.binary(min_size=8, max_size=8)
MECHANISMS = UINT8.map(apdu.Mechanism)
CONTEXTS = UINT8.map(apdu.ApplicationContext)
CONFORMANCES = st.integers(0, 0xFF_FFFF).map(apdu.Conformance)
QUALITIES = st.none() | signed(8)
BODY = (UINT8, UINT32, OCTETS)
HEADER = (OCTETS, OCTETS, OCTETS, OCTETS, OCTETS)
KEY_INFOS = st.one_of(
    st.none(),
    st.builds(apdu.IdentifiedKey, UINT8),
    st.builds(apdu.WrappedKey, UINT8, OCTETS),
    st.builds(apdu.AgreedKey, OCTETS, OCTETS),
)

APDU_STRATEGIES: dict[str, st.SearchStrategy[apdu.Apdu]] = {
    "get-request-normal": SELECTIONS.flatmap(
        lambda selection: st.builds(apdu.GetRequestNormal, UINT8, *map(st.just, selection))
    ),
    "get-request-next": st.builds(apdu.GetRequestNext, UINT8, UINT32),
    "get-request-with-list": st.builds(apdu.GetRequestWithList, UINT8, tuples_of(SELECTIONS)),
    "get-response-normal": st.builds(apdu.GetResponseNormal, UINT8, ENCODED),
    "get-response-refused": st.builds(apdu.GetResponseNormal, UINT8, st.none(), RESULTS),
    "get-response-datablock": st.builds(apdu.GetResponseWithDatablock, UINT8, st.booleans(), UINT32, OCTETS),
    "get-response-datablock-refused": st.builds(
        apdu.GetResponseWithDatablock, UINT8, st.booleans(), UINT32, st.none(), RESULTS
    ),
    "get-response-with-list": st.builds(apdu.GetResponseWithList, UINT8, tuples_of(RETURNED)),
    "set-request-normal": SELECTIONS.flatmap(
        lambda selection: st.builds(apdu.SetRequestNormal, UINT8, *map(st.just, selection), ENCODED)
    ),
    "set-request-first-block": SELECTIONS.flatmap(
        lambda selection: st.builds(
            apdu.SetRequestFirstBlock, UINT8, *map(st.just, selection), st.booleans(), UINT32, OCTETS
        )
    ),
    "set-request-block": st.builds(apdu.SetRequestBlock, UINT8, st.booleans(), UINT32, OCTETS),
    "set-request-with-list": st.builds(apdu.SetRequestWithList, UINT8, tuples_of(SELECTIONS), tuples_of(ENCODED)),
    "set-request-list-first-block": st.builds(
        apdu.SetRequestListFirstBlock, UINT8, tuples_of(SELECTIONS), st.booleans(), UINT32, OCTETS
    ),
    "set-response-normal": st.builds(apdu.SetResponseNormal, UINT8, RESULTS),
    "set-response-block": st.builds(apdu.SetResponseBlock, UINT8, UINT32),
    "set-response-last-block": st.builds(apdu.SetResponseLastBlock, UINT8, RESULTS, UINT32),
    "set-response-last-block-list": st.builds(apdu.SetResponseLastBlockList, UINT8, tuples_of(RESULTS), UINT32),
    "set-response-with-list": st.builds(apdu.SetResponseWithList, UINT8, tuples_of(RESULTS)),
    "action-request-normal": st.builds(apdu.ActionRequestNormal, UINT8, METHODS, st.none() | ENCODED),
    "action-request-next-block": st.builds(apdu.ActionRequestNextBlock, UINT8, UINT32),
    "action-request-with-list": st.builds(apdu.ActionRequestWithList, UINT8, tuples_of(METHODS), tuples_of(ENCODED)),
    "action-request-first-block": st.builds(
        apdu.ActionRequestFirstBlock, UINT8, METHODS, st.booleans(), UINT32, OCTETS
    ),
    "action-request-list-first-block": st.builds(
        apdu.ActionRequestListFirstBlock, UINT8, tuples_of(METHODS), st.booleans(), UINT32, OCTETS
    ),
    "action-request-block": st.builds(apdu.ActionRequestBlock, UINT8, st.booleans(), UINT32, OCTETS),
    "action-response-normal": st.builds(apdu.ActionResponseNormal, UINT8, ACTION_RESULTS, st.none() | RETURNED),
    "action-response-block": st.builds(apdu.ActionResponseBlock, UINT8, st.booleans(), UINT32, OCTETS),
    "action-response-with-list": st.builds(
        apdu.ActionResponseWithList,
        UINT8,
        tuples_of(st.builds(apdu.ActionOutcome, ACTION_RESULTS, st.none() | RETURNED)),
    ),
    "action-response-next-block": st.builds(apdu.ActionResponseNextBlock, UINT8, UINT32),
    "data-notification": st.builds(apdu.DataNotification, UINT32, CLOCKS, ENCODED),
    "event-notification": st.builds(apdu.EventNotification, CLOCKS, ATTRIBUTES, ENCODED),
    "exception-response": st.builds(
        apdu.ExceptionResponse,
        UINT8.map(apdu.StateError),
        UINT8.filter(lambda error: error != 6).map(apdu.ServiceError),
    ),
    "exception-response-counter": st.builds(
        apdu.ExceptionResponse,
        UINT8.map(apdu.StateError),
        st.just(apdu.ServiceError.INVOCATION_COUNTER_ERROR),
        st.none() | UINT32,
    ),
    "confirmed-service-error": st.builds(
        apdu.ConfirmedServiceError, UINT8.map(apdu.ConfirmedService), UINT8.map(apdu.ErrorClass), UINT8
    ),
    "initiate-request": st.builds(
        apdu.InitiateRequest, CONFORMANCES, UINT16, st.none() | OCTETS, st.booleans(), QUALITIES, UINT8
    ),
    "initiate-response": st.builds(apdu.InitiateResponse, CONFORMANCES, UINT16, QUALITIES, UINT8, UINT16),
    "aarq": st.builds(
        apdu.Aarq,
        CONTEXTS,
        st.none() | OCTETS,
        st.none() | MECHANISMS,
        st.none() | OCTETS,
        TITLES,
        st.none() | OCTETS,
        st.none() | signed(32),
        TITLES,
        st.none() | OCTETS,
    ),
    "aare": st.builds(
        apdu.Aare,
        st.none() | CONTEXTS,
        UINT8.map(apdu.AssociationResult),
        UINT8,
        st.sampled_from([apdu.DiagnosticSource.SERVICE_USER, apdu.DiagnosticSource.SERVICE_PROVIDER]),
        st.none() | OCTETS,
        st.none() | MECHANISMS,
        st.none() | OCTETS,
        TITLES,
        st.none() | OCTETS,
    ),
    "rlrq": st.builds(apdu.Rlrq, st.none() | UINT8.map(apdu.ReleaseRequestReason), st.none() | OCTETS),
    "rlre": st.builds(apdu.Rlre, st.none() | UINT8.map(apdu.ReleaseResponseReason), st.none() | OCTETS),
    "general-block-transfer": st.builds(
        apdu.GeneralBlockTransfer, st.booleans(), st.booleans(), st.integers(0, 63), UINT16, UINT16, OCTETS
    ),
    "service-ciphered": st.builds(
        apdu.ServiceCiphered, st.sampled_from([*apdu.PLAIN_OF_GLO, *apdu.PLAIN_OF_DED]), *BODY
    ),
    "general-glo-ciphering": st.builds(apdu.GeneralGloCiphering, OCTETS, *BODY),
    "general-ded-ciphering": st.builds(apdu.GeneralDedCiphering, OCTETS, *BODY),
    "general-ciphering": st.builds(apdu.GeneralCiphering, *HEADER, KEY_INFOS, *BODY),
    "general-signing": st.builds(apdu.GeneralSigning, *HEADER, OCTETS, OCTETS),
    "access-request": st.builds(apdu.AccessRequest, UINT32, CLOCKS, tuples_of(SPECIFICATIONS), tuples_of(ENCODED)),
    "access-response": st.builds(
        apdu.AccessResponse,
        UINT32,
        CLOCKS,
        tuples_of(ENCODED),
        tuples_of(ACCESS_RESULTS),
        st.none() | tuples_of(SPECIFICATIONS),
    ),
}
APDUS = st.one_of(*APDU_STRATEGIES.values())


@st.composite
def damaged(draw: st.DrawFn, source: st.SearchStrategy[bytes]) -> bytes:
    """Octets that were good before some were cut off, changed, doubled or put in."""
    octets = bytearray(draw(source))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(0, len(octets) - 1)))
        kind = draw(st.sampled_from(["cut", "change", "insert", "double"]))
        if kind == "cut":
            del octets[at:]
        elif kind == "change" and octets:
            octets[at] = draw(UINT8)
        elif kind == "insert":
            octets[at:at] = draw(st.binary(max_size=6))
        else:
            octets[at:at] = octets[at : at + 8]
    return bytes(octets)


def value_or_decode_error(decode: Callable[[bytes], Any], octets: bytes) -> Any:
    """Decode; the only exception that may come out is a `DecodeError` that says what and (within the octets) where."""
    try:
        return decode(octets)
    except DecodeError as error:
        assert error.what
        assert error.offset is None or 0 <= error.offset <= len(octets), error
        return None

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.protocols.dlms.codec_strategies import APDU_STRATEGIES, APDUS, damaged, value_or_decode_error

from meterops.protocols.dlms import apdu, axdr
from meterops.protocols.dlms.apdu import decode_apdu
from meterops.protocols.dlms.errors import DecodeError, EncodeError
from meterops.protocols.dlms.obis import Obis

CLOCK = apdu.Attribute(8, Obis.parse("0.0.1.0.0.255"), 2)
ENERGY = apdu.Attribute(3, Obis.parse("1.0.1.8.0.255"), 2)
BREAKER = apdu.Method(70, Obis.parse("0.0.96.3.10.255"), 1)

# Written out octet by octet from the ASN.1 of the standard.
EXAMPLES: list[tuple[str, apdu.Apdu]] = [
    ("c001c1000800000100 00ff0200", apdu.GetRequestNormal(0xC1, CLOCK)),
    ("c401c1 00 0600000552", apdu.GetResponseNormal(0xC1, bytes.fromhex("0600000552"))),
    ("c401c1 01 03", apdu.GetResponseNormal(0xC1, None, apdu.DataAccessResult.READ_WRITE_DENIED)),
    ("c002c1 00000001", apdu.GetRequestNext(0xC1, 1)),
    ("c402c1 01 00000002 00 02 aabb", apdu.GetResponseWithDatablock(0xC1, True, 2, b"\xaa\xbb")),
    (
        "c402c1 01 00000002 01 0f",
        apdu.GetResponseWithDatablock(0xC1, True, 2, None, apdu.DataAccessResult.LONG_GET_ABORTED),
    ),
    (
        "c003c1 02 0008 0000010000ff 02 00 0003 0100010800ff 02 00",
        apdu.GetRequestWithList(0xC1, ((CLOCK, None), (ENERGY, None))),
    ),
    ("c403c1 02 00 1101 01 04", apdu.GetResponseWithList(0xC1, (b"\x11\x01", apdu.DataAccessResult(4)))),
    ("c101c1 0003 0100010800ff 02 00 1105", apdu.SetRequestNormal(0xC1, ENERGY, None, b"\x11\x05")),
    ("c501c1 00", apdu.SetResponseNormal(0xC1, apdu.DataAccessResult.SUCCESS)),
    (
        "c102c1 0003 0100010800ff 02 00 00 00000001 02 0908",
        apdu.SetRequestFirstBlock(0xC1, ENERGY, None, False, 1, b"\x09\x08"),
    ),
    ("c103c1 01 00000002 01 aa", apdu.SetRequestBlock(0xC1, True, 2, b"\xaa")),
    ("c502c1 00000001", apdu.SetResponseBlock(0xC1, 1)),
    ("c503c1 00 00000002", apdu.SetResponseLastBlock(0xC1, apdu.DataAccessResult.SUCCESS, 2)),
    ("c505c1 02 00 03", apdu.SetResponseWithList(0xC1, (apdu.DataAccessResult(0), apdu.DataAccessResult(3)))),
    ("c301c1 0046 0000600 30aff 01 01 0f00", apdu.ActionRequestNormal(0xC1, BREAKER, b"\x0f\x00")),
    ("c701c1 00 00", apdu.ActionResponseNormal(0xC1, apdu.ActionResult.SUCCESS)),
    ("c701c1 00 01 00 1101", apdu.ActionResponseNormal(0xC1, apdu.ActionResult.SUCCESS, b"\x11\x01")),
    (
        "c701c1 00 01 01 0c",
        apdu.ActionResponseNormal(0xC1, apdu.ActionResult.SUCCESS, apdu.DataAccessResult.TYPE_UNMATCHED),
    ),
    ("c704c1 00000003", apdu.ActionResponseNextBlock(0xC1, 3)),
    ("d8 01 02", apdu.ExceptionResponse(apdu.StateError(1), apdu.ServiceError(2))),
    ("d8 01 06 0000012c", apdu.ExceptionResponse(apdu.StateError(1), apdu.ServiceError(6), 300)),
    (
        "0e 01 06 01",
        apdu.ConfirmedServiceError(apdu.ConfirmedService.INITIATE, apdu.ErrorClass.INITIATE, 1),
    ),
    ("0f 40000000 00 1105", apdu.DataNotification(0x40000000, None, b"\x11\x05")),
    (
        "c2 01 0c 07e10b0f05052128ff800000 0003 0100010800ff 02 1105",
        apdu.EventNotification(bytes.fromhex("07e10b0f05052128ff800000"), ENERGY, b"\x11\x05"),
    ),
    (
        "01 00 00 00 06 5f1f0400 007e1f 04b0",
        apdu.InitiateRequest(apdu.Conformance(0x007E1F), 1200),
    ),
    (
        "01 01 10 000102030405060708090a0b0c0d0e0f 00 00 06 5f1f0400 007e1f 04b0",
        apdu.InitiateRequest(apdu.Conformance(0x007E1F), 1200, bytes(range(16))),
    ),
    ("08 00 06 5f1f0400 00501f 01f4 0007", apdu.InitiateResponse(apdu.Conformance(0x00501F), 500)),
    (
        "e0 c3 0001 0000 02 aabb",
        apdu.GeneralBlockTransfer(True, True, 3, 1, 0, b"\xaa\xbb"),
    ),
    ("c8 07 30 01234567 aabb", apdu.ServiceCiphered(0xC8, 0x30, 0x01234567, b"\xaa\xbb")),
    (
        "db 08 4d4d4d0000bc614e 06 30 01234567 aa",
        apdu.GeneralGloCiphering(bytes.fromhex("4d4d4d0000bc614e"), 0x30, 0x01234567, b"\xaa"),
    ),
    (
        "dd 01 01 01 02 01 03 00 00 01 00 01 06 30 00000001 aa",
        apdu.GeneralCiphering(b"\1", b"\2", b"\3", b"", b"", apdu.IdentifiedKey(1), 0x30, 1, b"\xaa"),
    ),
    (
        "df 01 01 01 02 01 03 00 00 02 aabb 01 cc",
        apdu.GeneralSigning(b"\1", b"\2", b"\3", b"", b"", b"\xaa\xbb", b"\xcc"),
    ),
    (
        "d9 40000000 00 01 01 0003 0100010800ff 02 01 00",
        apdu.AccessRequest(0x40000000, None, (apdu.AccessGet(ENERGY),), (b"\x00",)),
    ),
    (
        "da 40000000 00 00 01 1101 01 01 00",
        apdu.AccessResponse(0x40000000, None, (b"\x11\x01",), (apdu.AccessResult(1, apdu.DataAccessResult(0)),)),
    ),
    # Association with logical names, high level security with GMAC, plain InitiateRequest.
    (
        (
            "6042 a109060760857405080103 a60a04084d4d4d0000bc614e 8a020780 8b0760857405080205"
            "ac0a80084b35366956616759 be10040e01000000065f1f0400007e1f04b0"
        ),
        apdu.Aarq(
            apdu.ApplicationContext.LOGICAL_NAME_CIPHERED,
            bytes.fromhex("01000000065f1f0400007e1f04b0"),
            apdu.Mechanism.HIGH_GMAC,
            b"K56iVagY",
            bytes.fromhex("4d4d4d0000bc614e"),
        ),
    ),
    (
        (
            "614e a109060760857405080103 a203020100 a305a10302010e a40a04084d4d4d0000000001 88020780 890760857405080205"
            "aa0a8008503677524a323146 be10040e0800065f1f0400007e1f04b00007"
        ),
        apdu.Aare(
            apdu.ApplicationContext.LOGICAL_NAME_CIPHERED,
            apdu.AssociationResult.ACCEPTED,
            apdu.UserDiagnostic.AUTHENTICATION_REQUIRED,
            apdu.DiagnosticSource.SERVICE_USER,
            bytes.fromhex("0800065f1f0400007e1f04b00007"),
            apdu.Mechanism.HIGH_GMAC,
            b"P6wRJ21F",
            bytes.fromhex("4d4d4d0000000001"),
        ),
    ),
    ("6203 800100", apdu.Rlrq()),
    ("6300", apdu.Rlre(None)),
    ("6305 be03040108", apdu.Rlre(None, b"\x08")),
]


@pytest.mark.parametrize(("octets", "value"), EXAMPLES, ids=[type(value).__name__ for _, value in EXAMPLES])
def test_worked_examples_read_and_write(octets: str, value: apdu.Apdu) -> None:
    raw = bytes.fromhex(octets.replace(" ", ""))
    assert decode_apdu(raw) == value
    assert value.encode() == raw


@pytest.mark.parametrize(("octets", "value"), EXAMPLES, ids=[type(value).__name__ for _, value in EXAMPLES])
def test_every_truncation_is_an_error_that_says_where_or_a_shorter_apdu(octets: str, value: apdu.Apdu) -> None:
    raw = bytes.fromhex(octets.replace(" ", ""))
    for size in range(len(raw)):
        shorter = value_or_decode_error(decode_apdu, raw[:size])
        flag_left_out = size == len(raw) - 1 and raw[-1] == 0
        assert shorter is None or shorter != value or flag_left_out


@pytest.mark.parametrize("name", sorted(APDU_STRATEGIES))
def test_every_kind_is_read_as_it_was_written(name: str) -> None:
    @settings(max_examples=40)
    @given(APDU_STRATEGIES[name])
    def check(value: apdu.Apdu) -> None:
        raw = value.encode()
        assert decode_apdu(raw) == value
        assert decode_apdu(bytearray(raw)).encode() == raw

    check()


def test_every_class_of_apdu_has_a_strategy() -> None:
    tried = {type(value) for _, value in EXAMPLES}
    classes = {value for name, value in vars(apdu).items() if isinstance(value, type) and issubclass(value, apdu.Apdu)}
    assert len(APDU_STRATEGIES) >= len(classes) - 1
    assert tried <= classes


@given(APDUS.map(lambda value: value.encode()), st.binary(max_size=5))
def test_octets_after_the_end_do_not_matter(raw: bytes, padding: bytes) -> None:
    value = value_or_decode_error(decode_apdu, raw + padding)
    if padding == b"" or raw[0] in (0x60, 0x61, 0x62, 0x63, 0xDB, 0xDC, 0xDD, 0xDF, 0xE0):
        assert value == decode_apdu(raw)


@given(damaged(APDUS.map(lambda value: value.encode())) | st.binary(max_size=60))
def test_any_octets_give_an_apdu_or_a_decode_error(raw: bytes) -> None:
    value = value_or_decode_error(decode_apdu, raw)
    if value is not None:
        canonical = value.encode()
        assert decode_apdu(canonical).encode() == canonical


@given(st.integers(0, 255), st.integers(0, 8), st.binary(max_size=60))
def test_any_octets_after_a_tag_and_a_type_give_an_apdu_or_a_decode_error(tag: int, kind: int, rest: bytes) -> None:
    value_or_decode_error(decode_apdu, bytes((tag, kind)) + rest)


@pytest.mark.parametrize(
    ("octets", "what", "offset"),
    [
        ("", "APDU: empty", 0),
        ("99", "unknown tag 0x99", 0),
        ("c0", "get-request type: missing", 1),
        ("c009c1", "get-request type 9", 1),
        ("c001c1000800", "attribute descriptor: 9 octets expected, 3 left", 3),
        ("c401c105", "get-data-result: choice 5", 3),
        ("c402c10100000002000faa", "raw-data: 15 octets announced, 1 left", 9),
        ("c409c1", "get-response type 9", 1),
        ("c109c1", "set-request type 9", 1),
        ("c509c1", "set-response type 9", 1),
        ("c309c1", "action-request type 9", 1),
        ("c709c1", "action-response type 9", 1),
        ("c8033001", "3 octets announced, 2 left", 1),
        ("c803300000", "too short for security control", 1),
        ("0f4000000005aabbccddee", "date-time: 5 octets where 12 were expected", 5),
        ("0100000006601f0400007e1f04b0", "conformance: tag 0x5f expected", 5),
        ("6003a10105", "application context name", None),
        ("6100", "association result missing", 0),
        ("dd0000000000 01 07", "key-info: choice 7", 7),
        ("d9 00000000 00 01 09", "access specification: choice 9", 7),
        ("da 00000000 00 00 00 01 09", "access response specification: choice 9", 9),
    ],
)
def test_an_error_names_the_field_and_the_octet(octets: str, what: str, offset: int | None) -> None:
    with pytest.raises(DecodeError, match=what) as caught:
        decode_apdu(bytes.fromhex(octets))
    assert offset is None or caught.value.offset == offset


def test_selections_of_a_profile_read_as_what_they_are() -> None:
    buffer = apdu.Attribute(7, Obis.parse("1.0.99.1.0.255"), 2)
    selection = apdu.RangeAccess.between(1_700_000_000, 1_700_086_400, (apdu.CLOCK_COLUMN,))
    read = decode_apdu(apdu.GetRequestNormal(0xC1, buffer, selection).encode())
    assert isinstance(read, apdu.GetRequestNormal)
    assert isinstance(read.access, apdu.RangeAccess)
    assert (read.access.starts_epoch, read.access.ends_epoch) == (1_700_000_000, 1_700_086_400)
    assert read.access.columns == (apdu.CLOCK_COLUMN,)


def test_a_selection_that_only_looks_standard_is_kept_as_it_came() -> None:
    buffer = apdu.Attribute(7, Obis.parse("1.0.99.1.0.255"), 2)
    for selector in (1, 2):
        other = apdu.OtherAccess(selector, axdr.encode(axdr.structure(*[axdr.uint8(n) for n in range(4)])))
        read = decode_apdu(apdu.GetRequestNormal(0xC1, buffer, other).encode())
        assert isinstance(read, apdu.GetRequestNormal)
        assert read.access == other


def test_a_bound_that_is_no_time_is_refused() -> None:
    with pytest.raises(DecodeError, match="NULL as a bound"):
        _ = apdu.RangeAccess(axdr.null(), axdr.null()).starts_epoch


# --- what real meters send although the standard says otherwise -----------------------------------


def test_a_notification_may_tag_its_date_time() -> None:
    kaifa = decode_apdu(bytes.fromhex("0f40000000 090c07e1090f05052128ff800000 0600000001"))
    assert kaifa == apdu.DataNotification(0x40000000, bytes.fromhex("07e1090f05052128ff800000"), b"\x06\0\0\0\1")


def test_an_event_may_write_the_length_of_its_time_for_the_flag() -> None:
    time = bytes.fromhex("07e1090f05052128ff800000")
    assert decode_apdu(b"\xc2\x0c" + time + ENERGY.octets + b"\x00") == apdu.EventNotification(time, ENERGY, b"\x00")


def test_conformance_may_have_a_one_octet_tag() -> None:
    response = decode_apdu(bytes.fromhex("0800065f040000501f01f40007"))
    assert response == apdu.InitiateResponse(apdu.Conformance(0x00501F), 500)


@pytest.mark.parametrize("mechanism", ["890760857405080205", "8909060760857405080205"])
def test_an_answer_may_tag_the_mechanism_name(mechanism: str) -> None:
    fields = bytes.fromhex("a203020100a305a103020100" + mechanism)
    answer = decode_apdu(b"\x61" + bytes((len(fields),)) + fields)
    assert isinstance(answer, apdu.Aare)
    assert answer.mechanism is apdu.Mechanism.HIGH_GMAC


def test_an_answer_may_leave_out_context_and_diagnostic_and_use_long_lengths() -> None:
    answer = decode_apdu(bytes.fromhex("61820007 a2820003020101"))
    assert isinstance(answer, apdu.Aare)
    assert (answer.context, answer.result, answer.diagnostic) == (None, apdu.AssociationResult.REJECTED_PERMANENT, 0)


def test_an_answer_may_carry_an_error_in_its_user_information() -> None:
    error = apdu.ConfirmedServiceError(apdu.ConfirmedService.INITIATE, apdu.ErrorClass.INITIATE, 3)
    answer = apdu.Aare(
        apdu.ApplicationContext.LOGICAL_NAME, apdu.AssociationResult.REJECTED_PERMANENT, user_information=error.encode()
    )
    read = decode_apdu(answer.encode())
    assert isinstance(read, apdu.Aare)
    assert read.user_information is not None
    assert decode_apdu(read.user_information) == error


def test_user_information_may_lack_its_inner_tag() -> None:
    answer = decode_apdu(bytes.fromhex("6109 a203020100 be02 0800"))
    assert isinstance(answer, apdu.Aare)
    assert answer.user_information == b"\x08\x00"


def test_presence_flags_may_be_left_out_at_the_end() -> None:
    assert decode_apdu(bytes.fromhex("c701c100")) == apdu.ActionResponseNormal(0xC1, apdu.ActionResult.SUCCESS)
    assert decode_apdu(b"\xc3\x01\xc1" + BREAKER.octets) == apdu.ActionRequestNormal(0xC1, BREAKER)
    assert decode_apdu(b"\xc0\x01\xc1" + ENERGY.octets) == apdu.GetRequestNormal(0xC1, ENERGY)
    assert decode_apdu(b"\xd8\x01\x06") == apdu.ExceptionResponse(apdu.StateError(1), apdu.ServiceError(6))


def test_results_outside_the_standard_keep_their_number() -> None:
    read = decode_apdu(bytes.fromhex("c501c1f9"))
    assert isinstance(read, apdu.SetResponseNormal)
    assert (int(read.result), read.result.name) == (249, "UNKNOWN_249")


# --- writing --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value",
    [
        apdu.GetRequestNext(0xC1, 2**32),
        apdu.GetResponseWithDatablock(0xC1, True, -1, b""),
        apdu.SetRequestBlock(0xC1, True, 2**32, b""),
        apdu.SetResponseLastBlock(0xC1, apdu.DataAccessResult.SUCCESS, 2**32),
        apdu.DataNotification(2**32, None, b""),
        apdu.AccessRequest(2**32, None, (), ()),
        apdu.ExceptionResponse(apdu.StateError(1), apdu.ServiceError(6), 2**32),
        apdu.ConfirmedServiceError(apdu.ConfirmedService(1), apdu.ErrorClass(1), 256),
        apdu.GeneralBlockTransfer(True, True, 64, 0, 0, b""),
        apdu.GeneralBlockTransfer(True, True, 63, 65536, 0, b""),
        apdu.ServiceCiphered(0xC8, 0x30, 2**32, b""),
        apdu.InitiateRequest(apdu.Conformance(0), 65536),
        apdu.InitiateRequest(apdu.Conformance(0), 0, quality_of_service=200),
        apdu.GetRequestNormal(0xC1, ENERGY, apdu.EntryAccess(2**32)),
        apdu.GetRequestNormal(0xC1, ENERGY, apdu.OtherAccess(256, b"")),
    ],
)
def test_a_field_that_does_not_fit_is_refused(value: apdu.Apdu) -> None:
    with pytest.raises(EncodeError):
        value.encode()


@pytest.mark.parametrize("arguments", [(65536, 2), (-1, 2), (3, 256), (3, -129)])
def test_a_descriptor_that_does_not_fit_is_refused(arguments: tuple[int, int]) -> None:
    with pytest.raises(EncodeError):
        apdu.Attribute(arguments[0], ENERGY.obis, arguments[1])


def test_descriptors_are_values() -> None:
    same = apdu.Attribute(3, Obis.parse("1-0:1.8.0*255"), 2)
    assert same == ENERGY
    assert hash(same) == hash(ENERGY)
    assert apdu.Method(3, ENERGY.obis, 2) != ENERGY
    assert (str(ENERGY), repr(ENERGY)) == ("3/1.0.1.8.0.255/2", "Attribute(3, Obis('1.0.1.8.0.255'), 2)")
    assert (ENERGY.attribute, BREAKER.method) == (2, 1)


def test_secrets_do_not_show() -> None:
    key = bytes(range(16))
    request = apdu.InitiateRequest(apdu.Conformance(0), 512, key)
    aarq = apdu.Aarq(apdu.ApplicationContext.LOGICAL_NAME, request.encode(), apdu.Mechanism.LOW, b"password")
    for text in (repr(request), str(request), repr(aarq), str(aarq)):
        assert repr(key) not in text
        assert key.hex() not in text
        assert "password" not in text

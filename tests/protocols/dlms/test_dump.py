"""APDUs written out as XML and JSON, real captures among them."""

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.protocols.dlms.codec_strategies import APDUS
from tests.shared_data import SHARED, needs_shared

from meterops.protocols.dlms import axdr
from meterops.protocols.dlms.apdu.acse import Aarq
from meterops.protocols.dlms.apdu.descriptors import Attribute
from meterops.protocols.dlms.apdu.enums import ApplicationContext, Conformance, Mechanism
from meterops.protocols.dlms.apdu.get import GetRequestNormal, GetResponseNormal, GetResponseWithDatablock
from meterops.protocols.dlms.apdu.initiate import InitiateRequest
from meterops.protocols.dlms.apdu.notification import DataNotification, EventNotification
from meterops.protocols.dlms.capture import read_capture
from meterops.protocols.dlms.dump import CaptureKeys, as_xml, dump_apdu
from meterops.protocols.dlms.errors import DlmsError, SecurityError
from meterops.protocols.dlms.obis import Obis
from meterops.protocols.dlms.security import EnvelopeTag, GcmKey
from meterops.protocols.dlms.security.envelopes import SignedApdu, seal_general

KEY, AUTH_KEY, TITLE = bytes(range(16)), bytes(range(16, 32)), b"TST\x00\x00\x00\x00\x01"
PUSH = DataNotification(5, None, axdr.encode(axdr.structure(axdr.uint32(7), axdr.enum(27)))).encode()
CAPTURES = sorted((SHARED / "data" / "dlms_frames").glob("*_decoded.xml")) if SHARED else []


def hex_file(path: Path) -> bytes | None:
    return bytes.fromhex(path.read_text()) if path.exists() else None


@needs_shared
@pytest.mark.parametrize("expected", CAPTURES, ids=lambda path: path.stem)
def test_real_captures_decode_to_what_is_known_of_them(expected):
    name = str(expected).removesuffix("_decoded.xml")
    keys = CaptureKeys(hex_file(Path(f"{name}.key")), hex_file(Path(f"{name}.gak")))
    capture = read_capture(Path(f"{name}.log").read_bytes())
    written = as_xml([dump_apdu(apdu, keys) for apdu in capture.apdus])
    assert written.rstrip() == expected.read_text().rstrip()
    assert capture.damage == []


def protected(control: int = 0x30) -> bytes:
    content = GcmKey(KEY, AUTH_KEY).protect(PUSH, TITLE, 9, control)
    return seal_general(EnvelopeTag.GENERAL_GLO_CIPHERING, TITLE, content)


def test_a_protected_push_without_keys_is_shown_as_it_came():
    shown = dump_apdu(protected()).attributes
    assert shown["Encrypted"] == "true"
    assert (shown["SystemTitle"], shown["FrameCounter"]) == (TITLE.hex().upper(), "9")
    assert bytes.fromhex(shown["Ciphertext"]) in protected()


@pytest.mark.parametrize("control", [0x10, 0x20, 0x30])
@pytest.mark.parametrize("authentication", [None, AUTH_KEY])
def test_keys_open_it_and_the_tag_needs_the_second(control, authentication):
    opened = dump_apdu(protected(control), CaptureKeys(KEY, authentication))
    assert [child.name for child in opened.children] == ["DataNotification"]
    assert opened.children[0].as_json() == dump_apdu(PUSH).as_json()


def test_wrong_keys_are_said_and_never_shown():
    with pytest.raises(SecurityError, match="the keys are not those of 5453540000000001"):
        dump_apdu(protected(), CaptureKeys(KEY, KEY))
    with pytest.raises(SecurityError, match="the key does not fit"):
        dump_apdu(protected(), CaptureKeys(AUTH_KEY))
    assert KEY.hex() not in repr(CaptureKeys(KEY, AUTH_KEY))


def test_a_signed_push_shows_what_it_carries():
    signed = SignedApdu(b"\x01" * 8, TITLE, b"", b"", b"", PUSH, b"\x02" * 64)
    shown = dump_apdu(signed.encode())
    assert (shown.name, shown.children[0].name) == ("GeneralSigning", "DataNotification")


def test_passwords_and_keys_are_never_shown():
    initiate = InitiateRequest(Conformance(0), 1024, dedicated_key=KEY)
    aarq = Aarq(ApplicationContext.LOGICAL_NAME, None, Mechanism.LOW, b"secret-word")
    for apdu, secret in ((initiate, KEY), (aarq, b"secret-word")):
        written = as_xml([dump_apdu(apdu.encode())]) if apdu is aarq else str(dump_apdu(apdu.encode()))
        assert "redacted" in written or apdu is initiate
        assert secret.hex().upper() not in written
        assert secret.decode("latin-1") not in written


def test_services_are_shown_with_their_values():
    attribute = Attribute(8, Obis.parse("0.0.1.0.0.255"), 2)
    request = as_xml([dump_apdu(GetRequestNormal(0xC1, attribute).encode())])
    assert '<InstanceId Value="0.0.1.0.0.255" /> <!-- Clock / datetime -->' in request
    response = GetResponseNormal(0xC1, axdr.encode(axdr.octets(bytes.fromhex("07e80101010a0000ff800000"))))
    assert '<OCTETSTRING Value="2024-01-01 10:00:00" />' in as_xml([dump_apdu(response.encode())])
    block = GetResponseWithDatablock(0xC1, False, 1, b"\x06\x00")
    assert 'Data="0600"' in as_xml([dump_apdu(block.encode())])
    event = EventNotification(None, attribute, axdr.encode(axdr.boolean(True)))
    assert '<BOOLEAN Value="true" />' in as_xml([dump_apdu(event.encode())])


@pytest.mark.parametrize(
    ("data", "line"),
    [
        (axdr.octets(b"KFM_001"), '<OCTETSTRING Value="KFM_001" />'),
        (axdr.octets(b"490642"), '<OCTETSTRING Value="52.57.48.54.52.50" />'),
        (axdr.octets(b"\x00\xff"), '<OCTETSTRING Value="00FF" />'),
        (axdr.octets(b"ABCDEFGHIJKL"), '<OCTETSTRING Value="ABCDEFGHIJKL" />'),
        (axdr.octets(bytes.fromhex("07e70401061520230 0ff8880".replace(" ", ""))), ".00 -02:00"),
        (axdr.visible_string('a<b&"c"'), '<VISIBLESTRING Value="a&lt;b&amp;&quot;c&quot;" />'),
        (axdr.enum(0), '<ENUM Value="0" />'),
        (axdr.enum(27), '<ENUM Value="27" Unit="W" />'),
        (axdr.int8(-1), '<INT8 Value="-1" />'),
        (axdr.null(), "<NULL />"),
        (axdr.bit_string("1011"), '<BITSTRING Value="1011" />'),
        (axdr.float32(1.5), '<FLOAT32 Value="1.5" />'),
    ],
)
def test_values_by_type(data, line):
    assert line in as_xml([dump_apdu(axdr.encode(axdr.structure(data)))])


@given(APDUS)
def test_every_apdu_can_be_written_and_read_as_xml(apdu):
    try:
        node = dump_apdu(apdu.encode())
    except DlmsError:  # values inside that are no values, keys that nobody can agree on
        return
    ET.fromstring(as_xml([node, node]).encode())  # our own output


@given(st.binary(max_size=200))
def test_any_octets_are_written_out_or_refused(octets):
    try:
        as_xml([dump_apdu(octets, CaptureKeys(KEY, AUTH_KEY, TITLE))])
    except DlmsError as error:
        assert str(error)

"""A recorded session step by step: opened with the keys, put into words, with what is odd about it.

The trace follows the conversation: it learns titles and the dedicated key from the association, watches that counters rise,
puts blocks together, and knows which answer belongs to which request. Passwords, keys and what is read from or written to
places that hold keys are redacted; octets as such are never part of a trace.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Iterator
from typing import Any, Final

from meterops.protocols.dlms.apdu.acse import Aare, Aarq
from meterops.protocols.dlms.apdu.base import Apdu
from meterops.protocols.dlms.apdu.ciphered import PLAIN_OF_DED, PLAIN_OF_GLO
from meterops.protocols.dlms.apdu.codec import decode_apdu
from meterops.protocols.dlms.apdu.descriptors import Attribute, Method
from meterops.protocols.dlms.apdu.get import GetResponseWithDatablock
from meterops.protocols.dlms.apdu.initiate import InitiateRequest, InitiateResponse
from meterops.protocols.dlms.dump import CaptureKeys, Node, dump_apdu, open_content, redact_values
from meterops.protocols.dlms.errors import DlmsError, SecurityError, SecurityFault
from meterops.protocols.dlms.security import Envelope, is_protected, open_envelope, open_signed
from meterops.protocols.dlms.security.envelopes import EnvelopeTag
from meterops.protocols.dlms.security.gcm import AUTHENTICATED, ENCRYPTED
from meterops.protocols.dlms.summaries import brief_value, summarize

CLIENT: Final = "client"
METER: Final = "meter"

_FROM_CLIENT: Final = frozenset((0x01, 0x05, 0x06, 0x60, 0x62, 0xC0, 0xC1, 0xC3))
_SECRET_ATTRIBUTES: Final = frozenset(((15, 7), (12, 4)))
"""(class, attribute) that hold a secret: the secret of an association."""
_SECRET_METHODS: Final = frozenset(((15, 2), (12, 8), (64, 2), (64, 3), (72, 7), (72, 8)))
"""(class, method) whose parameters are secrets or keys, wrapped or not: change of a secret, transfer of keys."""
_RECORD_LINE: Final = re.compile(rb"(?m)^[ \t]*[<>][ \t]?")


@dataclasses.dataclass(frozen=True, slots=True)
class Step:
    """One APDU of a session: who sent it, how it was protected, what it says, and what is odd about it."""

    number: int
    sender: str
    kind: str
    protection: str
    summary: str
    notes: tuple[str, ...] = ()
    is_open: bool = True
    """False when the content stayed closed."""
    tree: Node | None = None

    def as_json(self) -> dict[str, Any]:
        """The step as plain values."""
        shown = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {**shown, "notes": list(self.notes), "tree": None if self.tree is None else self.tree.as_json()}


def recorded_octets(content: bytes) -> bytes:
    """A file of `> hex` and `< hex` lines without its marks, anything else as it is."""
    return _RECORD_LINE.sub(b"", content) if _RECORD_LINE.match(content) else content


def trace_session(apdus: Iterable[bytes], keys: CaptureKeys | None = None) -> Iterator[Step]:
    """Follow a session, or several one after the other, in the order in which the APDUs went over the wire."""
    follower = _Follower(keys or CaptureKeys())
    for number, apdu in enumerate(apdus, 1):
        yield follower.step(number, apdu)


class _Follower:
    """What is known of the session so far."""

    def __init__(self, keys: CaptureKeys) -> None:
        self._keys = keys
        self._counters: dict[bytes, int] = {}
        self._begin()

    def _begin(self) -> None:
        """Nothing of the last association holds for the next one, but the counters of the global keys."""
        self._titles: dict[str, bytes] = {}
        self._dedicated: bytes | None = None
        self._dedicated_counters: dict[bytes, int] = {}
        self._is_secret = False
        self._blocks = bytearray()

    def step(self, number: int, octets: bytes) -> Step:
        notes: list[str] = []
        sender, kind, protection = METER, "unknown", "plain"
        try:
            signed = ""
            if octets[:1] == bytes((EnvelopeTag.GENERAL_SIGNING,)):
                content = open_signed(octets)
                octets, signed = content.content, f"signed by {content.originator.hex()}"
            plain = octets
            if is_protected(octets):
                envelope = open_envelope(octets)
                sender, kind = self._sender_of(envelope), _kind_of(envelope)
                protection = self._protection(envelope, sender, notes)
                plain = self._opened(envelope, sender)
            protection = ", ".join(part for part in (signed, protection) if part)
            sender = CLIENT if plain[0] in _FROM_CLIENT else METER
            apdu = decode_apdu(plain)
        except (DlmsError, IndexError) as error:
            return Step(number, sender, kind, protection, f"cannot be read: {error}", tuple(notes), is_open=False)
        kind = type(apdu).__name__
        self._follow(apdu, sender, notes)
        summary = summarize(apdu, is_secret=self._is_secret)
        tree = dump_apdu(plain)
        if self._is_secret:
            redact_values(tree)
        return Step(number, sender, kind, protection, summary, tuple(notes), tree=tree)

    def _sender_of(self, envelope: Envelope) -> str:
        """Who sent a closed APDU, by its tag or by the title it names."""
        plain = PLAIN_OF_DED.get(envelope.tag, PLAIN_OF_GLO.get(envelope.tag))
        if plain is not None:
            return CLIENT if plain in _FROM_CLIENT else METER
        return CLIENT if envelope.title and envelope.title == self._titles.get(CLIENT) else METER

    def _title(self, envelope: Envelope, sender: str) -> bytes:
        return envelope.title or self._titles.get(sender) or self._keys.system_title

    def _protection(self, envelope: Envelope, sender: str, notes: list[str]) -> str:
        content, title = envelope.content, self._title(envelope, sender)
        control = content[0] if content else 0
        applied = [word for bit, word in ((AUTHENTICATED, "authenticated"), (ENCRYPTED, "encrypted")) if control & bit]
        counters = self._dedicated_counters if envelope.dedicated else self._counters
        before = counters.get(title, -1)
        if title and envelope.counter <= before:
            notes.append(f"the counter does not rise: {envelope.counter} after {before}")
        counters[title] = max(before, envelope.counter)
        key = "dedicated key" if envelope.dedicated else "global key"
        return f"{' and '.join(applied) or 'compressed'} with the {key}, suite {control & 0x0F}, counter {envelope.counter}"

    def _opened(self, envelope: Envelope, sender: str) -> bytes:
        title = self._title(envelope, sender)
        if not title:
            raise SecurityError(f"the {sender}'s system title is not known", SecurityFault.TITLE_MISMATCH)
        encryption = self._dedicated if envelope.dedicated else self._keys.encryption
        if encryption is None:
            which = "dedicated" if envelope.dedicated else "encryption"
            raise SecurityError(f"the {which} key is not known", SecurityFault.NO_KEY)
        return open_content(envelope, title, encryption, self._keys.authentication)

    def _follow(self, apdu: Apdu, sender: str, notes: list[str]) -> None:
        if isinstance(apdu, Aarq):
            self._begin()
            self._titles[CLIENT] = apdu.calling_ap_title or b""
            self._read_initiate(apdu.user_information, CLIENT, notes)
        elif isinstance(apdu, Aare):
            self._titles[METER] = apdu.responding_ap_title or b""
            self._read_initiate(apdu.user_information, METER, notes)
        elif sender == CLIENT:
            self._note_target(apdu)
        elif isinstance(apdu, GetResponseWithDatablock) and apdu.data is not None:
            self._blocks += apdu.data
            if apdu.last and not self._is_secret:
                notes.append(f"together: {brief_value(bytes(self._blocks))}")

    def _note_target(self, apdu: Apdu) -> None:
        """Remember whether what is asked for is a secret; requests for further blocks ask for the same."""
        targets = list(_targets(apdu))
        if targets:
            self._is_secret = any(map(_holds_secret, targets))
            self._blocks.clear()

    def _read_initiate(self, octets: bytes | None, sender: str, notes: list[str]) -> None:
        """Take what both sides agree on from the user information."""
        if not octets:
            return
        try:
            if is_protected(octets):
                envelope = open_envelope(octets)
                notes.append(f"initiate {self._protection(envelope, sender, notes)}")
                octets = self._opened(envelope, sender)
            initiate = decode_apdu(octets)
        except DlmsError as error:
            notes.append(f"initiate cannot be read: {error}")
            return
        if isinstance(initiate, InitiateRequest):
            self._dedicated = initiate.dedicated_key
            notes.append(f"proposes {_agreed(initiate)}{', a dedicated key' if initiate.dedicated_key else ''}")
        elif isinstance(initiate, InitiateResponse):
            notes.append(f"agrees on {_agreed(initiate)}")
        else:
            notes.append(summarize(initiate))


def _agreed(initiate: InitiateRequest | InitiateResponse) -> str:
    return f"PDUs of {initiate.max_pdu_size or 'any number of'} octets, conformance {int(initiate.conformance):06x}"


def _kind_of(envelope: Envelope) -> str:
    return EnvelopeTag(envelope.tag).name if envelope.tag in set(EnvelopeTag) else f"ciphered {envelope.tag:02x}"


def _targets(apdu: Apdu) -> Iterator[Attribute | Method]:
    for name in ("attribute", "method"):
        target = getattr(apdu, name, None)
        if isinstance(target, Attribute | Method):
            yield target
    for one in (*getattr(apdu, "items", ()), *getattr(apdu, "methods", ())):
        yield one if isinstance(one, Attribute | Method) else one[0]


def _holds_secret(target: Attribute | Method) -> bool:
    class_id, number = int.from_bytes(target.octets[:2], "big"), target.octets[8]
    return (class_id, number) in (_SECRET_METHODS if isinstance(target, Method) else _SECRET_ATTRIBUTES)

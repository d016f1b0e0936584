"""The client's side of an application association, without input or output (IEC 62056-5-3, 6.2 and 7.3).

Every method that makes an APDU encodes it before the state changes; every method that takes one refuses what is weaker
than agreed. `flows` puts the methods into order; a driver carries the octets.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from meterops.protocols.dlms import axdr
from meterops.protocols.dlms.apdu.acse import AARE_TAG, RLRE_TAG, Aare, Aarq, Rlrq, decode_aare, decode_rlre
from meterops.protocols.dlms.apdu.action import ACTION_RESPONSE, ActionRequestNormal, decode_action_response
from meterops.protocols.dlms.apdu.action import ActionResponseNormal as ActionResponse
from meterops.protocols.dlms.apdu.block_transfer import GENERAL_BLOCK_TRANSFER
from meterops.protocols.dlms.apdu.ciphered import DED_OF_PLAIN, GLO_OF_PLAIN, PLAIN_OF_DED, PLAIN_OF_GLO
from meterops.protocols.dlms.apdu.descriptors import Method
from meterops.protocols.dlms.apdu.enums import (
    ActionResult,
    ApplicationContext,
    AssociationResult,
    Conformance,
    DiagnosticSource,
    Mechanism,
    ProviderDiagnostic,
    ReleaseRequestReason,
    UserDiagnostic,
)
from meterops.protocols.dlms.apdu.faults import (
    CONFIRMED_SERVICE_ERROR,
    EXCEPTION_RESPONSE,
    ConfirmedServiceError,
    decode_confirmed_service_error,
    decode_exception_response,
)
from meterops.protocols.dlms.apdu.initiate import (
    DLMS_VERSION,
    INITIATE_REQUEST,
    INITIATE_RESPONSE,
    InitiateRequest,
    decode_initiate_response,
)
from meterops.protocols.dlms.apdu.notification import DATA_NOTIFICATION, EVENT_NOTIFICATION
from meterops.protocols.dlms.association.parameters import Authentication, ClientParameters
from meterops.protocols.dlms.errors import (
    AssociationRefused,
    DecodeError,
    PeerException,
    ProtocolError,
    SecurityError,
    SecurityFault,
)
from meterops.protocols.dlms.obis import Obis
from meterops.protocols.dlms.security import (
    AUTHENTICATED,
    BROADCAST,
    CounterRange,
    Envelope,
    EnvelopeTag,
    GcmKey,
    KeyRing,
    SignedApdu,
    check_ecdsa_answer,
    check_gmac_answer,
    ecdsa_answer,
    gmac_answer,
    new_challenge,
    open_envelope,
    open_signed,
    seal_general,
    seal_glo,
)
from meterops.protocols.dlms.security.gcm import HEADER_LENGTH, SUITE_MASK, TAG_LENGTH, TITLE_LENGTH

CURRENT_ASSOCIATION: Final = Obis.parse("0.0.40.0.0.255")
REPLY_TO_HLS: Final = Method(15, CURRENT_ASSOCIATION, 1)
MAX_ASIDE: Final = 256
"""So many notifications are put aside while one association lasts; a peer that sends more is cut off."""
MIN_PDU_SIZE: Final = 12
UNLIMITED_PDU_SIZE: Final = 0xFFFF

_GENERAL_HEAD: Final = 1 + 1 + TITLE_LENGTH + 3 + HEADER_LENGTH + TAG_LENGTH
_SPECIFIC_HEAD: Final = 1 + 3 + HEADER_LENGTH + TAG_LENGTH
_SIGNATURE_ROOM: Final = 160
_CIPHERED: Final = frozenset((*PLAIN_OF_GLO, *PLAIN_OF_DED, 0xDB, 0xDC, 0xDD))
_GLO_HEADS: Final = {plain: glo.to_bytes(1, "big") for plain, glo in GLO_OF_PLAIN.items()}
_DED_HEADS: Final = {plain: ded.to_bytes(1, "big") for plain, ded in DED_OF_PLAIN.items()}
_INVOKES: Final = tuple(bytes((0xC0 | number,)) for number in range(16))


class AssociationState(StrEnum):
    """Where an association stands."""

    IDLE = "idle"
    ASSOCIATING = "associating"
    AUTHENTICATING = "authenticating"
    OPEN = "open"
    RELEASING = "releasing"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Notification:
    """A DataNotification or EventNotification that arrived while something else was awaited.

    `apdu` is the plain APDU when it could be opened, else as it came; `is_protected` says whether it was under the keys
    of the association.
    """

    apdu: bytes
    is_protected: bool


class ClientAssociation:
    """One association with one logical device. Not reusable: make a new one for the next session.

    `notifications` collects what the meter sent unasked. `conformance` and `server_pdu_size` (octets) are what was
    agreed, `max_plain_size` the longest plain APDU (octets) that fits when protected. `peer_title` is the meter's system
    title once it is known, `received_counter` its last invocation counter. `last_was_protected` tells of the APDU opened
    last; `own_blocks` and `peer_blocks` count the general-block-transfer APDUs of a request and of its confirmations.
    """

    __slots__ = (
        "_challenge",
        "_cipher",
        "_control",
        "_general_head",
        "_heads",
        "_invoke",
        "_next_counter",
        "_peer_challenge",
        "_peer_head",
        "_required",
        "_ring",
        "_suites",
        "_transaction",
        "conformance",
        "is_ciphered",
        "last_was_protected",
        "max_plain_size",
        "notifications",
        "own_blocks",
        "parameters",
        "peer_blocks",
        "peer_title",
        "received_counter",
        "received_dedicated_counter",
        "server_pdu_size",
        "state",
    )

    def __init__(self, parameters: ClientParameters) -> None:
        """Prepare an association; nothing is sent yet."""
        self.parameters: Final = parameters
        self.state = AssociationState.IDLE
        self.notifications: list[Notification] = []
        self.conformance = parameters.conformance
        self.server_pdu_size = UNLIMITED_PDU_SIZE
        self.max_plain_size = UNLIMITED_PDU_SIZE
        self.peer_title = b""
        self.is_ciphered: Final = parameters.is_ciphered
        self.received_counter = parameters.received_counter
        self.received_dedicated_counter = -1
        self.last_was_protected = False
        self.own_blocks = 0
        self.peer_blocks = 0
        self._invoke = 0
        self._ring = parameters.keys
        self._control = parameters.control
        self._required = parameters.protection
        self._suites = (0, int(parameters.suite))
        self._challenge = parameters.challenge or (new_challenge() if parameters.authentication.is_high else b"")
        self._peer_challenge = b""
        self._peer_head = b"?"
        self._transaction = 0
        self._cipher: GcmKey | None = None
        self._general_head = b""
        self._heads = _GLO_HEADS
        # Where no counter is needed, none can be taken: an exhausted range says so.
        self._next_counter: Callable[[], int] = (parameters.counter or CounterRange(0, 0)).take
        if parameters.meter_system_title:
            self._pin(parameters.meter_system_title)

    def __repr__(self) -> str:
        who = f"client {self.parameters.client_sap}, server {self.parameters.server_sap}"
        return f"ClientAssociation({who}, {self.state}, {self.parameters.authentication.name})"

    # --- opening --------------------------------------------------------------------------------------

    def request_association(self) -> bytes:
        """Make the AARQ."""
        self._expect(AssociationState.IDLE)
        parameters = self.parameters
        dedicated = os.urandom(parameters.suite.key_length) if parameters.ciphering.is_dedicated else None
        initiate = InitiateRequest(parameters.conformance, parameters.max_pdu_size, dedicated).encode()
        ring = self._ring
        if self.is_ciphered:
            ring = self._keys().with_dedicated(dedicated)
            protected = ring.unicast_cipher.protect(
                initiate, parameters.system_title, self._next_counter(), self._control
            )
            initiate = seal_glo(INITIATE_REQUEST, protected)
        apdu = self._aarq(initiate).encode()
        self._ring = ring
        self.state = AssociationState.ASSOCIATING
        return apdu

    def accept_association(self, apdu: bytes) -> bool:
        """Take the answer to the AARQ; False when it was a notification, which is put aside.

        Raises `AssociationRefused`, `PeerException`, or `SecurityError` when the meter offers less than was asked for.
        """
        self._expect(AssociationState.ASSOCIATING)
        tag = apdu[0] if apdu else -1
        if tag == AARE_TAG:
            self._accept_aare(decode_aare(apdu))
            return True
        if tag == CONFIRMED_SERVICE_ERROR:
            raise self._refused_by(decode_confirmed_service_error(apdu), AssociationResult.REJECTED_PERMANENT, None)
        if tag in (DATA_NOTIFICATION, EVENT_NOTIFICATION) or tag in _CIPHERED:
            self._put_aside(apdu, is_protected=False)
            return False
        self._raise_exception_response(apdu)
        raise ProtocolError(f"{_named(apdu)} where an AARE was expected")

    def answer_challenge(self) -> bytes:
        """Make the plain ACTION with our answer to the meter's challenge (pass 3); `seal` it like any service.

        The answer uses up one invocation counter of its own, and the envelope takes the next.
        """
        self._expect(AssociationState.AUTHENTICATING)
        parameters = self.parameters
        ring = self._keys()
        if parameters.authentication is Authentication.HLS7_ECDSA:
            answer = ecdsa_answer(ring, parameters.system_title, self.peer_title, self._peer_challenge, self._challenge)
        else:
            suite = 0 if parameters.quirks.challenge_control_without_suite else int(parameters.suite)
            answer = gmac_answer(
                ring, parameters.system_title, self._next_counter(), self._peer_challenge, AUTHENTICATED | suite
            )
        return ActionRequestNormal(self.next_invoke()[0], REPLY_TO_HLS, axdr.encode(axdr.octets(answer))).encode()

    def seal_challenge_answer(self, plain: bytes) -> bytes:
        """Protect pass 3 the way this meter wants it."""
        if not (self.parameters.quirks.challenge_as_glo_action and self._general_head):
            return self.seal(plain)
        title = self.parameters.system_title
        cipher = self._keys().unicast_cipher
        return seal_glo(plain[0], cipher.protect(plain, title, self._next_counter(), self._control))

    def accept_challenge_answer(self, plain: bytes) -> None:
        """Take the plain ACTION response with the meter's answer to our challenge (pass 4); opens the association."""
        self._expect(AssociationState.AUTHENTICATING)
        self.check_answer(plain, ACTION_RESPONSE, None)
        response = decode_action_response(plain)
        if not isinstance(response, ActionResponse):
            raise ProtocolError("the answer to the challenge came in blocks")
        if response.result != ActionResult.SUCCESS:
            raise AssociationRefused(
                AssociationResult.REJECTED_PERMANENT,
                UserDiagnostic.AUTHENTICATION_FAILURE,
                f"the meter refuses our answer to its challenge, {response.result.name.lower().replace('_', ' ')}",
            )
        self._check_challenge_answer(response.returned)
        self._open()

    # --- services -------------------------------------------------------------------------------------

    def can(self, conformance: Conformance) -> bool:
        """Whether both sides can do this."""
        return bool(self.conformance & conformance)

    def next_invoke(self) -> bytes:
        """The invoke-id-and-priority octet of the next request: confirmed, high priority, ids 1 to 15 in turn."""
        if not self.parameters.quirks.constant_invoke_id:
            self._invoke = self._invoke % 15 + 1
        return _INVOKES[self._invoke or 1]

    def seal(self, plain: bytes) -> bytes:
        """Protect a service APDU as agreed, with the next invocation counter; plain associations pass it through."""
        cipher = self._cipher
        sealed = plain
        if cipher is not None:
            protected = cipher.protect(plain, self.parameters.system_title, self._next_counter(), self._control)
            if self._general_head:
                sealed = self._general_head + axdr.encode_octets(protected)
            else:
                head = self._heads.get(plain[0])
                if head is None:
                    raise ProtocolError(f"service {plain[0]:#04x} has no ciphered variant of its own")
                sealed = head + axdr.encode_octets(protected)
        return self._sign(sealed) if self.parameters.signs_requests else sealed

    def open(self, apdu: bytes) -> bytes | None:
        """Take an APDU of the meter and return the plain service APDU, or None when it was put aside as a notification.

        A general-block-transfer APDU is returned as it is: what it carries is opened when it is complete. Raises
        `SecurityError` for whatever does not hold, is replayed or weaker than agreed, and `PeerException`.
        """
        if not apdu:
            raise DecodeError("APDU: empty", 0)
        tag = apdu[0]
        if tag in _CIPHERED:
            plain = self._unprotect(apdu)
            if plain[0] == EnvelopeTag.GENERAL_SIGNING:
                plain = self._verified(plain)
            self.last_was_protected = True
        elif tag == EnvelopeTag.GENERAL_SIGNING:
            return self.open(self._verified(apdu))
        else:
            plain = apdu
            self.last_was_protected = False
            if self._cipher is not None and tag not in _PLAIN_ALLOWED:
                raise SecurityError(
                    f"{_named(apdu)} came unprotected in a ciphered association", SecurityFault.WEAKER_PROTECTION
                )
        return self.take_plain(plain, is_protected=self.last_was_protected)

    def take_plain(self, plain: bytes, *, is_protected: bool) -> bytes | None:
        """Sort out an APDU whose protection is settled: notifications aside, errors raised, services returned."""
        tag = plain[0] if plain else -1
        if tag in (DATA_NOTIFICATION, EVENT_NOTIFICATION):
            self._put_aside(plain, is_protected=is_protected)
            return None
        if tag == EXCEPTION_RESPONSE:
            self._raise_exception_response(plain)
        if tag == CONFIRMED_SERVICE_ERROR:
            raise ProtocolError(_said(decode_confirmed_service_error(plain)))
        if tag == -1:
            raise DecodeError("APDU: empty", 0)
        return plain

    def check_answer(self, plain: bytes, tag: int, invoke: bytes | None) -> None:
        """Check that a plain APDU is the answer awaited: its tag, and the invoke id of the request."""
        if plain[0] != tag:
            raise ProtocolError(f"{_named(plain)} where tag {tag:#04x} was expected")
        if len(plain) < 4:
            raise DecodeError("answer: cut short", len(plain))
        if invoke is not None and (plain[2] ^ invoke[0]) & 0x0F and not self.parameters.quirks.ignores_invoke_id:
            raise ProtocolError(f"answer to invoke id {plain[2] & 0x0F} where {invoke[0] & 0x0F} was expected")

    # --- closing --------------------------------------------------------------------------------------

    def request_release(self) -> bytes:
        """Make the RLRQ as this meter wants it; empty when it knows none."""
        quirks = self.parameters.quirks
        if quirks.no_release or self.state in (AssociationState.IDLE, AssociationState.CLOSED):
            self.state = AssociationState.CLOSED
            return b""
        information = None
        if quirks.protected_release and self._cipher is not None:
            initiate = InitiateRequest(self.parameters.conformance, self.parameters.max_pdu_size).encode()
            cipher = self._keys().unicast_cipher
            information = seal_glo(
                INITIATE_REQUEST,
                cipher.protect(initiate, self.parameters.system_title, self._next_counter(), self._control),
            )
        reason = None if quirks.release_without_reason else ReleaseRequestReason.NORMAL
        apdu = Rlrq(reason, information).encode()
        if quirks.release_in_envelope and self._cipher is not None:
            title = self.parameters.system_title
            protected = self._cipher.protect(apdu, title, self._next_counter(), self._control)
            tag = EnvelopeTag.GENERAL_GLO_CIPHERING
            if self._heads is _DED_HEADS or self.parameters.ciphering.is_dedicated:
                tag = EnvelopeTag.GENERAL_DED_CIPHERING
            apdu = seal_general(tag, title, protected)
        self.state = AssociationState.RELEASING
        return apdu

    def accept_release(self, apdu: bytes) -> bool:
        """Take the answer to the RLRQ; False when it was a notification. Whatever it is, the association is over."""
        self._expect(AssociationState.RELEASING)
        plain: bytes | None = apdu
        if not apdu or apdu[0] != RLRE_TAG:
            plain = self._open_release(apdu)
            if plain is None:
                return False
        self.state = AssociationState.CLOSED
        if plain is None or plain[0] != RLRE_TAG:
            raise ProtocolError(f"{_named(plain or b'')} where an RLRE was expected")
        information = decode_rlre(plain).user_information
        if information and information[0] in _CIPHERED and self._cipher is not None:
            self._unprotect(information)
        return True

    # --- the rest is private --------------------------------------------------------------------------

    def _open_release(self, apdu: bytes) -> bytes | None:
        if apdu and apdu[0] == EXCEPTION_RESPONSE:
            self.state = AssociationState.CLOSED
        try:
            return self.open(apdu)
        except SecurityError:
            self.state = AssociationState.CLOSED
            raise

    def _keys(self) -> KeyRing:
        if self._ring is None:
            raise SecurityError("no keys are known", SecurityFault.NO_KEY)
        return self._ring

    def _expect(self, state: AssociationState) -> None:
        if self.state is not state:
            raise ProtocolError(f"the association is {self.state}, not {state}")

    def _aarq(self, information: bytes) -> Aarq:
        parameters = self.parameters
        authentication = parameters.authentication
        context = ApplicationContext.LOGICAL_NAME_CIPHERED if self.is_ciphered else ApplicationContext.LOGICAL_NAME
        has_secret = authentication is not Authentication.NONE
        value = self._challenge if authentication.is_high else parameters.password
        return Aarq(
            context,
            information,
            mechanism=Mechanism(authentication) if has_secret else None,
            authentication_value=value if has_secret else None,
            calling_ap_title=parameters.system_title if parameters.needs_title else None,
        )

    def _accept_aare(self, aare: Aare) -> None:
        if aare.result != AssociationResult.ACCEPTED:
            raise self._refusal(aare)
        if aare.responding_ap_title:
            self._check_title(aare.responding_ap_title)
        authentication = self.parameters.authentication
        if self.is_ciphered and aare.context not in (None, ApplicationContext.LOGICAL_NAME_CIPHERED):
            raise _weaker("the meter offers a context without ciphering")
        if authentication.is_high:
            self._take_challenge(aare)
        self._take_initiate_response(self._initiate_response(aare))
        self._start_ciphering()
        self.state = AssociationState.AUTHENTICATING
        if not authentication.is_high:
            self._open()

    def _take_challenge(self, aare: Aare) -> None:
        if aare.mechanism is not None and int(aare.mechanism) != int(self.parameters.authentication):
            raise _weaker(f"the meter answers with authentication {aare.mechanism.name}")
        challenge = aare.authentication_value
        if not challenge:
            raise _weaker("the meter sends no challenge")
        if len(challenge) < 8:
            raise _weaker(f"a challenge of {len(challenge)} octets is too short")
        if challenge == self._challenge:
            raise SecurityError("the meter sends our own challenge back", SecurityFault.REFLECTED_CHALLENGE)
        if not self.peer_title:
            raise SecurityError("the meter does not say its system title", SecurityFault.TITLE_MISMATCH)
        self._peer_challenge = challenge

    def _initiate_response(self, aare: Aare) -> bytes:
        information = aare.user_information
        if not information:
            raise ProtocolError("AARE: no user information")
        if self.is_ciphered:
            if information[0] not in _CIPHERED:
                raise _weaker("the meter's InitiateResponse came unprotected")
            information = self._unprotect(information)
        if information[:1] == bytes((CONFIRMED_SERVICE_ERROR,)):
            fault = decode_confirmed_service_error(information)
            raise self._refused_by(fault, AssociationResult.REJECTED_PERMANENT, aare.diagnostic)
        if information[:1] != bytes((INITIATE_RESPONSE,)):
            raise ProtocolError(f"{_named(information)} where an InitiateResponse was expected")
        return information

    def _take_initiate_response(self, plain: bytes) -> None:
        response = decode_initiate_response(plain)
        if response.dlms_version != DLMS_VERSION:
            raise ProtocolError(f"DLMS version {response.dlms_version} where {DLMS_VERSION} was expected")
        size = response.max_pdu_size or UNLIMITED_PDU_SIZE
        if size < MIN_PDU_SIZE:
            raise ProtocolError(f"the meter takes APDUs of {size} octets only")
        self.server_pdu_size = size
        self.conformance = response.conformance & self.parameters.conformance

    def _start_ciphering(self) -> None:
        """Protect services from now on; the global key still serves pass 3, the dedicated one what follows."""
        overhead = _SIGNATURE_ROOM if self.parameters.signs_requests else 0
        if self.is_ciphered:
            self._cipher = self._keys().unicast_cipher
            overhead += _SPECIFIC_HEAD
            if self.parameters.ciphering.is_general:
                self._general_head = self._head_of(EnvelopeTag.GENERAL_GLO_CIPHERING)
                overhead += _GENERAL_HEAD - _SPECIFIC_HEAD
        self.max_plain_size = self.server_pdu_size - overhead

    def _open(self) -> None:
        ciphering = self.parameters.ciphering
        if ciphering.is_dedicated:
            self._cipher = self._keys().dedicated_cipher
            self._heads = _DED_HEADS
            # The counters go on from the global key's: meters that keep one counter for both keys want it so.
            if ciphering.is_general:
                self._general_head = self._head_of(EnvelopeTag.GENERAL_DED_CIPHERING)
        self.state = AssociationState.OPEN

    def _head_of(self, tag: EnvelopeTag) -> bytes:
        return bytes((tag, TITLE_LENGTH)) + self.parameters.system_title

    def _check_challenge_answer(self, returned: object) -> None:
        answer = axdr.decode_plain(returned)[0] if isinstance(returned, bytes) else None
        if not isinstance(answer, bytes):
            raise SecurityError("the meter does not answer our challenge", SecurityFault.BAD_CHALLENGE_ANSWER)
        parameters = self.parameters
        ring = self._keys()
        if parameters.authentication is Authentication.HLS7_ECDSA:
            own, peer = parameters.system_title, self.peer_title
            check_ecdsa_answer(ring, answer, own, peer, self._peer_challenge, self._challenge)
        else:
            # Our challenge is fresh, so the counter inside needs no check against earlier ones.
            check_gmac_answer(ring, answer, self.peer_title, self._challenge, int(parameters.suite))

    def _unprotect(self, apdu: bytes) -> bytes:
        """Open a ciphering envelope: sender, strength, tag, rising counter."""
        tag = apdu[0]
        if tag == 0xDB and apdu.startswith(self._peer_head, 1):
            content, _ = axdr.decode_octets(apdu, 2 + TITLE_LENGTH, "ciphered service")
            return self._unprotect_content(content, None)
        if tag in PLAIN_OF_GLO:
            content, _ = axdr.decode_octets(apdu, 1, "ciphered service")
            return self._unprotect_content(content, None)
        envelope = open_envelope(apdu)
        if envelope.title:
            self._check_title(envelope.title)
        if envelope.recipient and envelope.recipient != self.parameters.system_title:
            raise SecurityError("the APDU is meant for another client", SecurityFault.TITLE_MISMATCH)
        return self._unprotect_content(envelope.content, envelope)

    def _unprotect_content(self, content: bytes, envelope: Envelope | None) -> bytes:
        if len(content) < HEADER_LENGTH:
            raise DecodeError("ciphered service: cut short", len(content))
        control = content[0]
        if (
            control & self._required != self._required
            or control & BROADCAST
            or (control & SUITE_MASK) not in self._suites
        ):
            raise _weaker(f"security control {control:#04x} is weaker than agreed")
        ring = self._keys()
        dedicated = envelope is not None and envelope.dedicated
        if envelope is None:
            plain = ring.unicast_cipher.unprotect(content, self.peer_title)
        else:
            plain = envelope.open(ring, self.peer_title)
        counter = int.from_bytes(content[1:HEADER_LENGTH], "big")
        last = self.received_dedicated_counter if dedicated else self.received_counter
        if counter <= last:
            raise SecurityError(f"invocation counter {counter} does not rise above {last}", SecurityFault.REPLAY)
        if dedicated:
            self.received_dedicated_counter = counter
        else:
            self.received_counter = counter
        if not plain:
            raise DecodeError("APDU: empty", 0)
        return plain

    def _verified(self, apdu: bytes) -> bytes:
        """Return what a general-signing APDU holds, its signature checked."""
        signed = open_signed(apdu)
        if signed.originator:
            self._check_title(signed.originator)
        if signed.recipient and signed.recipient != self.parameters.system_title:
            raise SecurityError("the APDU is signed for another client", SecurityFault.TITLE_MISMATCH)
        if not signed.is_signed_by(self._keys()):
            raise SecurityError("the signature is wrong", SecurityFault.BAD_SIGNATURE)
        if signed.content[:1] == bytes((EnvelopeTag.GENERAL_SIGNING,)):
            raise ProtocolError("a signed APDU within a signed APDU")
        return signed.content

    def _sign(self, sealed: bytes) -> bytes:
        self._transaction += 1
        transaction = self._transaction.to_bytes(8, "big")
        title = self.parameters.system_title
        return SignedApdu(transaction, title, self.peer_title, b"", b"", sealed).signed_with(self._keys()).encode()

    def _pin(self, title: bytes) -> None:
        if len(title) != TITLE_LENGTH:
            raise SecurityError(f"a system title has 8 octets, the meter's {len(title)}", SecurityFault.TITLE_MISMATCH)
        if title == self.parameters.system_title:
            raise SecurityError("the meter shows our own system title", SecurityFault.TITLE_MISMATCH)
        self.peer_title = title
        self._peer_head = bytes((TITLE_LENGTH,)) + title

    def _check_title(self, title: bytes) -> None:
        if not self.peer_title:
            self._pin(title)
        elif title != self.peer_title:
            raise SecurityError(
                f"system title {title.hex()} where {self.peer_title.hex()} was expected", SecurityFault.TITLE_MISMATCH
            )

    def _put_aside(self, apdu: bytes, *, is_protected: bool) -> None:
        if len(self.notifications) >= MAX_ASIDE:
            raise ProtocolError(f"more than {MAX_ASIDE} notifications in one association")
        self.notifications.append(Notification(apdu, is_protected))

    def _raise_exception_response(self, apdu: bytes) -> None:
        if apdu[:1] == bytes((EXCEPTION_RESPONSE,)):
            said = decode_exception_response(apdu)
            raise PeerException(said.state_error, said.service_error, said.invocation_counter)

    def _refusal(self, aare: Aare) -> AssociationRefused:
        information = aare.user_information
        fault = None
        if information and information[0] == CONFIRMED_SERVICE_ERROR:
            fault = decode_confirmed_service_error(information)
        names = UserDiagnostic if aare.diagnostic_source is DiagnosticSource.SERVICE_USER else ProviderDiagnostic
        said = [_lower(names(aare.diagnostic).name)] if 0 <= aare.diagnostic <= 255 else []
        if fault is not None:
            said.append(_said(fault))
        return AssociationRefused(aare.result, aare.diagnostic, ", ".join(said))

    def _refused_by(
        self, fault: ConfirmedServiceError, result: AssociationResult, diagnostic: int | None
    ) -> AssociationRefused:
        return AssociationRefused(result, diagnostic, _said(fault))


_PLAIN_ALLOWED: Final = frozenset(
    (EXCEPTION_RESPONSE, DATA_NOTIFICATION, EVENT_NOTIFICATION, CONFIRMED_SERVICE_ERROR, GENERAL_BLOCK_TRANSFER)
)


def _weaker(what: str) -> SecurityError:
    return SecurityError(what, SecurityFault.WEAKER_PROTECTION)


def _named(apdu: bytes) -> str:
    return f"APDU {apdu[0]:#04x}" if apdu else "an empty APDU"


def _said(fault: ConfirmedServiceError) -> str:
    service, kind = _lower(fault.service.name), _lower(fault.error_class.name)
    return f"confirmed service error: {service}, {kind}, {fault.value}"


def _lower(name: str) -> str:
    return name.lower().replace("_", " ")

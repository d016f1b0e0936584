"""The meter's side of an association: opening it, protecting it, serving requests within it (IEC 62056-5-3, 5 to 7).

Sans-IO: `receive` takes one APDU of the client and gives the APDUs to send back, most often one. Nothing is raised for
what a client sends: every fault becomes the answer that the standard has for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from hmac import compare_digest
from typing import Final

from meterops.protocols.dlms import apdu as pdu
from meterops.protocols.dlms import axdr
from meterops.protocols.dlms.apdu.acse import decode_aarq, decode_rlrq
from meterops.protocols.dlms.apdu.block_transfer import decode_general_block_transfer
from meterops.protocols.dlms.apdu.enums import (
    ActionResult,
    ApplicationContext,
    AssociationResult,
    Conformance,
    DataAccessResult,
    DiagnosticSource,
    Mechanism,
    ProviderDiagnostic,
    ServiceError,
    StateError,
    UserDiagnostic,
)
from meterops.protocols.dlms.apdu.initiate import decode_initiate_request
from meterops.protocols.dlms.axdr import BitString
from meterops.protocols.dlms.errors import DecodeError, DlmsError, SecurityError, SecurityFault
from meterops.protocols.dlms.security import (
    AUTHENTICATED,
    BROADCAST,
    ENCRYPTED,
    Envelope,
    EnvelopeTag,
    KeyRing,
    ReplayGuard,
    SecuritySuite,
    SignedApdu,
    check_ecdsa_answer,
    check_gmac_answer,
    ecdsa_answer,
    gmac_answer,
    is_protected,
    new_challenge,
    open_envelope,
    open_signed,
    seal_ded,
    seal_general,
    seal_glo,
)
from meterops.protocols.dlms.server.general_blocks import GeneralBlocks
from meterops.protocols.dlms.server.logical_device import AssociationRule, LogicalDevice, Notice
from meterops.protocols.dlms.server.object_table import ASSOCIATION_CLASS, CURRENT_ASSOCIATION
from meterops.protocols.dlms.server.services import (
    OPERATION_NOT_POSSIBLE,
    OTHER_REASON,
    PDU_TOO_LONG,
    SERVICE_NOT_SUPPORTED,
    Services,
)

MAX_LAYERS: Final = 3
"""How deep protection may be nested: signed within ciphered within signed is more than anybody does."""

MIN_PDU_SIZE: Final = 12
MAX_PDU_SIZE: Final = 0xFFFF
MIN_CHALLENGE: Final = 8

_DECIPHERING_ERROR: Final = pdu.ExceptionResponse(
    StateError.SERVICE_NOT_ALLOWED, ServiceError.DECIPHERING_ERROR
).encode()
_CIPHERED_CONTEXTS: Final = frozenset((ApplicationContext.LOGICAL_NAME_CIPHERED,))
_KNOWN_CONTEXTS: Final = frozenset((ApplicationContext.LOGICAL_NAME, ApplicationContext.LOGICAL_NAME_CIPHERED))
_OWN_HEAD: Final = ASSOCIATION_CLASS.to_bytes(2, "big") + CURRENT_ASSOCIATION.octets
_ACSE: Final = frozenset((0x61, 0x63))
"""AARE and RLRE, which belong to no PDU size and never travel in blocks."""
_REPLY_TO_HLS: Final = _OWN_HEAD + b"\x01"
_NAMES: Final = b"\x09\x07\x60\x85\x74\x05\x08"
_SECURITY_SETUP: Final = b"\x09\x06\x00\x00\x2b\x00\x00\xff"


class _State(Enum):
    IDLE = auto()
    CHALLENGED = auto()
    OPEN = auto()


@dataclass(frozen=True, slots=True)
class _Ciphered:
    """A ciphering layer that was taken off, so that the answer gets the same."""

    tag: int
    control: int
    ring: KeyRing
    envelope: Envelope

    @property
    def overhead(self) -> int:
        """Octets that the layer adds at most."""
        return 64 + len(self.envelope.header) if self.tag == EnvelopeTag.GENERAL_CIPHERING else 31


@dataclass(frozen=True, slots=True)
class _Signed:
    """A signature that was checked, so that the answer gets one too."""

    request: SignedApdu
    overhead: int


_Layer = _Ciphered | _Signed


class _Refusal(Exception):  # it is an answer on its way, not an error
    """The AARQ is answered with a rejecting AARE."""

    def __init__(self, diagnostic: UserDiagnostic, initiate_error: int | None = None) -> None:
        super().__init__(diagnostic)
        self.diagnostic = diagnostic
        self.initiate_error = initiate_error


class ServerAssociation:
    """One client's association with a logical device. Keep one for each client SAP of a connection."""

    def __init__(self, device: LogicalDevice, client_sap: int, server_sap: int = 1) -> None:
        """Wait for an AARQ of `client_sap`."""
        self._device = device
        self._client_sap = client_sap
        self._server_sap = server_sap
        self._blocks: GeneralBlocks | None = None
        self._reset()

    def _reset(self) -> None:
        self._state = _State.IDLE
        self._rule: AssociationRule | None = None
        self._services: Services | None = None
        self._conformance = Conformance(0)
        self._context = ApplicationContext.LOGICAL_NAME
        self._limit = MAX_PDU_SIZE
        self._client_title = b""
        self._client_challenge = b""
        self._own_challenge = b""
        self._ring = self._device.keys
        self._former: tuple[KeyRing, ReplayGuard] | None = None
        self._dedicated: tuple[KeyRing, ReplayGuard] | None = None

    @property
    def is_open(self) -> bool:
        """Whether requests are served."""
        return self._state is _State.OPEN

    def lost(self) -> None:
        """Hear that the connection is gone."""
        self._reset()
        self._blocks = None

    def receive(self, request: bytes) -> list[bytes]:
        """Take one APDU of the client; give the APDUs to send, in order."""
        tag = request[0] if request else 0
        if tag == 0xE0:
            return self._receive_block(request, [])
        if tag >= 0xC8 and self._state is not _State.IDLE and (tag == 0xDF or is_protected(request)):
            return self._receive_protected(request)
        answer = self._answer_plain(request)
        return [] if answer is None else self._whole(answer)

    def _whole(self, answer: bytes) -> list[bytes]:
        """Give an answer in one piece, or in blocks where it is too long for that."""
        if self._blocks is not None:
            self._blocks.restart()
        if (
            answer[0] not in _ACSE
            and len(answer) > self._limit
            and self._conformance & Conformance.GENERAL_BLOCK_TRANSFER
        ):
            self._blocks = self._blocks or GeneralBlocks()
            return self._blocks.send(answer, self._limit)
        return [answer]

    def _receive_protected(self, request: bytes) -> list[bytes]:
        opened = self._open_protected(request)
        if isinstance(opened, bytes):
            return [opened]
        plain, layers = opened
        if plain[:1] == b"\xe0":
            return [self._put_on(block, layers) for block in self._receive_block(plain, layers)]
        answer = self._answer_opened(plain, layers, self._limit - _overhead(layers))
        return [] if answer is None else self._whole(answer)

    def _open_protected(self, request: bytes) -> tuple[bytes, list[_Layer]] | bytes:
        """Take protection off a request, or give the answer to one that is not good enough."""
        try:
            plain, layers = self._take_off(request)
        except SecurityError as error:
            return self._security_answer(error)
        except DecodeError:
            return OTHER_REASON
        if self._rule is None or not _is_strong_enough(layers, self._rule.protection):
            return OPERATION_NOT_POSSIBLE
        return plain, layers

    def _answer_opened(self, plain: bytes, layers: list[_Layer], room: int) -> bytes | None:
        answer = self._answer_within(plain, room)
        protected = None if answer is None else self._put_on(answer, layers)
        self._after_answer()
        return protected

    def _receive_block(self, request: bytes, layers: list[_Layer]) -> list[bytes]:
        """Take a block of a request, or a confirmation. `layers` is the protection of each single block."""
        if self._state is _State.IDLE:
            return [OPERATION_NOT_POSSIBLE]
        if not self._conformance & Conformance.GENERAL_BLOCK_TRANSFER:
            return [SERVICE_NOT_SUPPORTED]
        try:
            block = decode_general_block_transfer(request)
        except DecodeError:
            return [OTHER_REASON]
        self._blocks = self._blocks or GeneralBlocks()
        step = self._blocks.receive(block)
        if step.message is None:
            return step.sent
        answer = self._answer_message(step.message, layers)
        return step.sent if answer is None else self._blocks.send(answer, self._limit - _overhead(layers))

    def _answer_message(self, message: bytes, layers: list[_Layer]) -> bytes | None:
        """Answer a request that came in blocks: protected as a whole, or each block for itself."""
        if layers:
            answer = self._answer_within(message, self._limit)
            self._after_answer()
            return answer
        if message[0] == EnvelopeTag.GENERAL_SIGNING or is_protected(message):
            opened = self._open_protected(message)
            return opened if isinstance(opened, bytes) else self._answer_opened(*opened, self._limit)
        return self._answer_plain(message)

    def _answer_plain(self, request: bytes) -> bytes | None:
        tag = request[0] if request else 0
        if tag == 0x60:
            return self._associate(request)
        if tag == 0x62:
            return self._release(request)
        if self._state is _State.IDLE or self._rule is None or self._rule.protection:
            return OPERATION_NOT_POSSIBLE
        answer = self._serve(request, self._limit)
        self._after_answer()
        return answer

    def _answer_within(self, plain: bytes, room: int) -> bytes | None:
        """Answer a request whose protection has been taken off."""
        return self._release(plain) if plain[:1] == b"\x62" else self._serve(plain, room)

    # Protection

    def _take_off(self, request: bytes) -> tuple[bytes, list[_Layer]]:
        layers: list[_Layer] = []
        while request[:1] == b"\xdf" or is_protected(request):
            if len(layers) == MAX_LAYERS:
                raise SecurityError("protection is nested too deep", SecurityFault.UNSUPPORTED)
            if request[0] == EnvelopeTag.GENERAL_SIGNING:
                request, layer = self._check_signature(open_signed(request))
            else:
                request, layer = self._decipher(open_envelope(request))
            layers.append(layer)
        return request, layers

    def _check_signature(self, signed: SignedApdu) -> tuple[bytes, _Layer]:
        self._check_title(signed.originator)
        if signed.recipient and signed.recipient != self._device.system_title:
            raise SecurityError("signed for another recipient", SecurityFault.TITLE_MISMATCH)
        if not signed.is_signed_by(self._ring):
            raise SecurityError("the signature is wrong", SecurityFault.BAD_SIGNATURE)
        return signed.content, _Signed(signed, 48 + len(signed.transaction_id) + len(signed.signature))

    def _decipher(self, envelope: Envelope) -> tuple[bytes, _Layer]:
        control = envelope.content[0] if envelope.content else 0
        self._check_control(control)
        if envelope.title:
            self._check_title(envelope.title)
        title = envelope.title or self._client_title
        if envelope.dedicated:
            return self._decipher_dedicated(envelope, title, control)
        try:
            plain = envelope.open(self._ring, title)
        except SecurityError:
            if self._former is None:
                raise
            ring, guard = self._former
            plain = envelope.open(ring, title)
            guard.accept(envelope.counter)
            return plain, _Ciphered(envelope.tag, control, ring, envelope)
        if envelope.wrapped_key is None:
            self._accept_counter(envelope.counter, control)
        return plain, _Ciphered(envelope.tag, control, self._ring, envelope)

    def _decipher_dedicated(self, envelope: Envelope, title: bytes, control: int) -> tuple[bytes, _Layer]:
        if self._dedicated is None:
            raise SecurityError("no dedicated key was agreed on", SecurityFault.NO_KEY)
        ring, guard = self._dedicated
        plain = envelope.open(ring, title)
        guard.accept(envelope.counter)
        return plain, _Ciphered(envelope.tag, control, ring, envelope)

    def _check_control(self, control: int) -> None:
        """Refuse the broadcast key and suites whose keys are of another length; suites 0 and 1 cipher alike."""
        suite = control & 0x0F
        if control & BROADCAST or suite > SecuritySuite.SUITE_2:
            raise SecurityError(f"security control {control:#04x} is not for this meter", SecurityFault.UNSUPPORTED)
        if SecuritySuite(suite).key_length != self._device.suite.key_length:
            raise SecurityError(f"suite {suite} is not the active one", SecurityFault.UNSUPPORTED)

    def _check_title(self, title: bytes) -> None:
        if not self._client_title:
            self._client_title = title
        elif title != self._client_title:
            raise SecurityError("another system title than in the AARQ", SecurityFault.TITLE_MISMATCH)

    def _accept_counter(self, counter: int, control: int) -> None:
        if counter <= self._device.last_client_counter:
            raise SecurityError("the invocation counter does not rise", SecurityFault.REPLAY)
        if control & AUTHENTICATED:
            self._device.accept_client_counter(counter)

    def _security_answer(self, error: SecurityError) -> bytes:
        if error.reason is SecurityFault.REPLAY:
            self._device.noticed(Notice.REPLAYED)
            expected = min(self._device.last_client_counter + 1, 0xFFFF_FFFF)
            return pdu.ExceptionResponse(
                StateError.SERVICE_NOT_ALLOWED, ServiceError.INVOCATION_COUNTER_ERROR, expected
            ).encode()
        self._device.noticed(Notice.DECIPHERING_FAILED)
        return _DECIPHERING_ERROR

    def _put_on(self, answer: bytes, layers: list[_Layer]) -> bytes:
        """Give an answer the protection its request had. Exceptions have no protected form and travel plain."""
        if answer[0] == 0xD8:
            return answer
        for layer in reversed(layers):
            answer = self._sign(answer, layer) if isinstance(layer, _Signed) else self._cipher(answer, layer)
        return answer

    def _cipher(self, answer: bytes, layer: _Ciphered) -> bytes:
        title = self._device.system_title
        counter = self._device.take_counter()
        tag, envelope = layer.tag, layer.envelope
        if tag == EnvelopeTag.GENERAL_CIPHERING:
            header = self._general_header(envelope)
            protected = envelope.key_of(layer.ring).protect(answer, title, counter, layer.control, header)
            return b"\xdd" + header + b"\x01\x00\x00" + axdr.encode_octets(protected)
        protected = envelope.key_of(layer.ring).protect(answer, title, counter, layer.control)
        if envelope.title is not None:
            return seal_general(EnvelopeTag(tag), title, protected)
        if answer[0] == 0x63:
            return answer
        return seal_ded(answer[0], protected) if envelope.dedicated else seal_glo(answer[0], protected)

    def _general_header(self, envelope: Envelope) -> bytes:
        transaction, _ = axdr.decode_octets(envelope.header, 0, "transaction-id")
        fields = (transaction, self._device.system_title, self._client_title, b"", b"")
        return b"".join(map(axdr.encode_octets, fields))

    def _sign(self, answer: bytes, layer: _Signed) -> bytes:
        transaction = layer.request.transaction_id
        signed = SignedApdu(transaction, self._device.system_title, self._client_title, b"", b"", answer)
        return signed.signed_with(self._ring).encode()

    def _after_answer(self) -> None:
        """Let new keys take effect. For the rest of the association the client may go on with the former ones."""
        last = self._device.last_client_counter
        self._device.answered()
        if self._device.keys is not self._ring:
            self._former = (self._ring, ReplayGuard(last))
            self._ring = self._device.keys

    # Opening and closing

    def _associate(self, octets: bytes) -> bytes:
        self._reset()
        self._blocks = None
        try:
            request = decode_aarq(octets)
        except DecodeError:
            return pdu.Aare(
                ApplicationContext.LOGICAL_NAME,
                AssociationResult.REJECTED_PERMANENT,
                ProviderDiagnostic.NO_REASON_GIVEN,
                DiagnosticSource.SERVICE_PROVIDER,
            ).encode()
        try:
            return self._open(request)
        except _Refusal as refusal:
            answer = _rejection(request.context, refusal)
        except SecurityError as error:
            if error.reason is SecurityFault.REPLAY:
                answer = self._security_answer(error)
            else:
                self._device.noticed(Notice.DECIPHERING_FAILED)
                answer = _rejection(request.context, _Refusal(UserDiagnostic.AUTHENTICATION_FAILURE))
        except DecodeError:
            answer = _rejection(request.context, _Refusal(UserDiagnostic.NO_REASON_GIVEN))
        self._reset()
        return answer

    def _open(self, request: pdu.Aarq) -> bytes:
        rule = self._device.rule_for(self._client_sap)
        if rule is None:
            raise _Refusal(UserDiagnostic.CALLING_AP_TITLE_NOT_RECOGNIZED)
        if request.context not in _KNOWN_CONTEXTS:
            raise _Refusal(UserDiagnostic.APPLICATION_CONTEXT_NAME_NOT_SUPPORTED)
        self._context = request.context
        self._client_title = request.calling_ap_title or b""
        _check_mechanism(request.mechanism or Mechanism.LOWEST, rule.mechanism)
        initiate, layers = self._open_initiate(request.user_information, rule)
        self._authenticate(request, rule)
        self._negotiate(initiate, rule)
        self._rule = rule
        self._services = self._make_services(rule)
        answer = pdu.InitiateResponse(self._conformance, rule.max_pdu_size).encode()
        is_high = rule.mechanism > Mechanism.LOW
        self._state = _State.CHALLENGED if is_high else _State.OPEN
        if not is_high:
            self._device.noticed(Notice.ASSOCIATED)
        shows_title = is_high or request.context in _CIPHERED_CONTEXTS
        return pdu.Aare(
            request.context,
            AssociationResult.ACCEPTED,
            UserDiagnostic.AUTHENTICATION_REQUIRED if is_high else UserDiagnostic.NULL,
            user_information=self._put_on(answer, layers),
            mechanism=rule.mechanism if is_high else None,
            authentication_value=self._own_challenge if is_high else None,
            responding_ap_title=self._device.system_title if shows_title else None,
        ).encode()

    def _open_initiate(
        self, information: bytes | None, rule: AssociationRule
    ) -> tuple[pdu.InitiateRequest, list[_Layer]]:
        if not information:
            raise _Refusal(UserDiagnostic.NO_REASON_GIVEN)
        plain, layers = self._take_off(information)
        if not _is_strong_enough(layers, rule.protection):
            raise _Refusal(UserDiagnostic.APPLICATION_CONTEXT_NAME_NOT_SUPPORTED)
        if plain[:1] != b"\x01":
            raise DecodeError("an InitiateRequest was expected", 0)
        return decode_initiate_request(plain), layers

    def _authenticate(self, request: pdu.Aarq, rule: AssociationRule) -> None:
        if rule.mechanism is Mechanism.LOW:
            if not compare_digest(request.authentication_value or b"", self._device.password):
                self._device.noticed(Notice.AUTHENTICATION_FAILED)
                raise _Refusal(UserDiagnostic.AUTHENTICATION_FAILURE)
        elif rule.mechanism > Mechanism.LOW:
            challenge = request.authentication_value or b""
            if len(challenge) < MIN_CHALLENGE:
                raise _Refusal(UserDiagnostic.AUTHENTICATION_FAILURE)
            if len(self._client_title) != 8:
                raise _Refusal(UserDiagnostic.CALLING_AP_TITLE_NOT_RECOGNIZED)
            self._client_challenge = challenge
            self._own_challenge = new_challenge(32 if rule.mechanism is Mechanism.HIGH_ECDSA else 16)

    def _negotiate(self, initiate: pdu.InitiateRequest, rule: AssociationRule) -> None:
        if initiate.dlms_version < 6:
            raise _Refusal(UserDiagnostic.NO_REASON_GIVEN, pdu.InitiateError.DLMS_VERSION_TOO_LOW)
        self._conformance = Conformance(initiate.conformance & rule.conformance)
        if not self._conformance & (Conformance.GET | Conformance.SET | Conformance.ACTION | Conformance.ACCESS):
            raise _Refusal(UserDiagnostic.NO_REASON_GIVEN, pdu.InitiateError.INCOMPATIBLE_CONFORMANCE)
        if 0 < initiate.max_pdu_size < MIN_PDU_SIZE:
            raise _Refusal(UserDiagnostic.NO_REASON_GIVEN, pdu.InitiateError.PDU_SIZE_TOO_SHORT)
        self._limit = initiate.max_pdu_size or MAX_PDU_SIZE
        if initiate.dedicated_key is not None:
            if len(initiate.dedicated_key) != self._device.suite.key_length:
                raise _Refusal(UserDiagnostic.NO_REASON_GIVEN, pdu.InitiateError.OTHER)
            self._dedicated = (self._ring.with_dedicated(initiate.dedicated_key), ReplayGuard())

    def _make_services(self, rule: AssociationRule) -> Services:
        services = Services(self._device, rule.view, _OWN_HEAD, self._own_attribute)
        services.conformance = self._conformance
        return services

    def _release(self, octets: bytes) -> bytes:
        try:
            request = decode_rlrq(octets)
        except DecodeError:
            request = pdu.Rlrq()
        information = None
        if request.user_information and self._state is not _State.IDLE:
            try:
                information = self._release_information(request.user_information)
            except SecurityError as error:
                return self._security_answer(error)
            except DecodeError:
                information = None
        self._state = _State.IDLE
        return pdu.Rlre(user_information=information).encode()

    def _release_information(self, octets: bytes) -> bytes:
        _, layers = self._take_off(octets)
        size = self._rule.max_pdu_size if self._rule is not None else 0
        return self._put_on(pdu.InitiateResponse(self._conformance, size).encode(), layers)

    # Within the association

    def _serve(self, request: bytes, room: int) -> bytes | None:
        if self._services is None:
            return OPERATION_NOT_POSSIBLE
        if self._state is _State.CHALLENGED:
            return self._finish_authentication(request)
        answer = self._services.answer(request, room)
        too_long = answer is not None and len(answer) > room
        if too_long and not self._conformance & Conformance.GENERAL_BLOCK_TRANSFER:
            return PDU_TOO_LONG
        return answer

    def _finish_authentication(self, request: bytes) -> bytes:
        """Check pass 3 of high-level security and give pass 4."""
        try:
            action = pdu.decode_apdu(request)
        except DecodeError:
            return OTHER_REASON
        if not isinstance(action, pdu.ActionRequestNormal) or action.method.octets != _REPLY_TO_HLS:
            return OPERATION_NOT_POSSIBLE
        try:
            answer = axdr.decode_all(action.parameter or b"", allow_trailing=True).value
            proof = self._proof(answer if isinstance(answer, bytes) else b"")
        except DlmsError:
            self._state = _State.IDLE
            self._device.noticed(Notice.AUTHENTICATION_FAILED)
            return pdu.ActionResponseNormal(action.invoke, ActionResult.READ_WRITE_DENIED).encode()
        self._state = _State.OPEN
        self._device.noticed(Notice.ASSOCIATED)
        returned = b"\x09" + axdr.encode_octets(proof)
        return pdu.ActionResponseNormal(action.invoke, ActionResult.SUCCESS, returned).encode()

    def _proof(self, answer: bytes) -> bytes:
        ring, own, client = self._ring, self._device.system_title, self._client_title
        if self._rule is not None and self._rule.mechanism is Mechanism.HIGH_ECDSA:
            check_ecdsa_answer(ring, answer, own, client, self._client_challenge, self._own_challenge)
            return ecdsa_answer(ring, own, client, self._client_challenge, self._own_challenge)
        suite = answer[0] & 0x0F if answer else 0
        counter = check_gmac_answer(ring, answer, client, self._own_challenge, suite)
        # The challenge is fresh, so this cannot be a replay, and clients take this counter before or after that of
        # the ACTION around it. Whatever is higher counts.
        if counter > self._device.last_client_counter:
            self._device.accept_client_counter(counter)
        return gmac_answer(ring, own, self._device.take_counter(), self._client_challenge, answer[0])

    def _own_attribute(self, descriptor: bytes) -> bytes | DataAccessResult:
        """Read an attribute of the current association (class 15)."""
        rule = self._rule
        if rule is None:
            return DataAccessResult.OBJECT_UNAVAILABLE
        number = descriptor[8]
        if number == 1:
            return b"\x09\x06" + CURRENT_ASSOCIATION.octets
        if number == 2:
            return rule.view.object_list
        if number == 3:
            return axdr.encode(axdr.structure(axdr.int8(self._client_sap & 0x7F), axdr.uint16(self._server_sap)))
        if number == 4:
            return _NAMES + bytes((1, self._context))
        if number == 5:
            return self._context_info(rule)
        constant = {6: _NAMES + bytes((2, rule.mechanism)), 7: b"\x09\x00", 8: b"\x16\x02", 9: _SECURITY_SETUP}
        return constant.get(number, DataAccessResult.READ_WRITE_DENIED)

    def _context_info(self, rule: AssociationRule) -> bytes:
        return axdr.encode(
            axdr.structure(
                axdr.bit_string(BitString(24, int(self._conformance).to_bytes(3, "big"))),
                axdr.uint16(rule.max_pdu_size),
                axdr.uint16(self._limit),
                axdr.uint8(6),
                axdr.int8(0),
                axdr.octets(b""),
            )
        )


def _overhead(layers: list[_Layer]) -> int:
    return sum([layer.overhead for layer in layers])


def _check_mechanism(asked: Mechanism, wanted: Mechanism) -> None:
    if asked is wanted:
        return
    if asked is Mechanism.LOWEST:
        raise _Refusal(UserDiagnostic.AUTHENTICATION_REQUIRED)
    raise _Refusal(UserDiagnostic.AUTHENTICATION_MECHANISM_NAME_NOT_RECOGNIZED)


def _is_strong_enough(layers: list[_Layer], wanted: int) -> bool:
    """Whether the ciphering layers together authenticate and encrypt as much as the policy wants."""
    given = 0
    for layer in layers:
        if isinstance(layer, _Ciphered):
            given |= layer.control & (AUTHENTICATED | ENCRYPTED)
    return given & wanted == wanted


def _rejection(context: ApplicationContext, refusal: _Refusal) -> bytes:
    information = None
    if refusal.initiate_error is not None:
        information = pdu.ConfirmedServiceError(
            pdu.ConfirmedService.INITIATE, pdu.ErrorClass.INITIATE, refusal.initiate_error
        ).encode()
    return pdu.Aare(
        context,
        AssociationResult.REJECTED_PERMANENT,
        refusal.diagnostic,
        user_information=information,
    ).encode()

"""Security of DLMS/COSEM (IEC 62056-5-3, 5): suites 0 to 2, ciphering, signatures, challenges, key wrap, counters."""

from __future__ import annotations

from meterops.protocols.dlms.security.challenges import (
    check_ecdsa_answer,
    check_gmac_answer,
    ecdsa_answer,
    gmac_answer,
    new_challenge,
)
from meterops.protocols.dlms.security.counters import MAX_COUNTER, CounterRange, InvocationCounter, ReplayGuard
from meterops.protocols.dlms.security.envelopes import (
    Envelope,
    EnvelopeTag,
    SignedApdu,
    is_protected,
    open_envelope,
    open_signed,
    seal_ded,
    seal_general,
    seal_glo,
)
from meterops.protocols.dlms.security.gcm import (
    AUTHENTICATED,
    BROADCAST,
    COMPRESSED,
    ENCRYPTED,
    PROTECTION,
    GcmKey,
    SecurityControl,
    SecuritySuite,
)
from meterops.protocols.dlms.security.keys import KeyKind, KeyRing, unwrap_key, wrap_key
from meterops.protocols.dlms.security.protection import protect, unprotect
from meterops.protocols.dlms.security.signatures import is_signed, load_signing_key, load_verification_key, sign

__all__ = [
    "AUTHENTICATED",
    "BROADCAST",
    "COMPRESSED",
    "ENCRYPTED",
    "MAX_COUNTER",
    "PROTECTION",
    "CounterRange",
    "Envelope",
    "EnvelopeTag",
    "GcmKey",
    "InvocationCounter",
    "KeyKind",
    "KeyRing",
    "ReplayGuard",
    "SecurityControl",
    "SecuritySuite",
    "SignedApdu",
    "check_ecdsa_answer",
    "check_gmac_answer",
    "ecdsa_answer",
    "gmac_answer",
    "is_protected",
    "is_signed",
    "load_signing_key",
    "load_verification_key",
    "new_challenge",
    "open_envelope",
    "open_signed",
    "protect",
    "seal_ded",
    "seal_general",
    "seal_glo",
    "sign",
    "unprotect",
    "unwrap_key",
    "wrap_key",
]

"""What real meters do differently, as named flags. The defaults suit most of them; profiles set the others."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Quirks:
    """Deviations of a meter, each by its name.

    Always accepted, without a flag: glo- and general- envelopes mixed in one association, an empty system title in an
    envelope, long-form lengths, block numbers that begin with 0 or 1, an empty last block, trailing octets, a first
    counter of 0, an RLRE with or without user information, either security control in HLS5 answers.
    """

    challenge_as_glo_action: bool = False
    """HLS pass 3 goes out as glo-action even where services use general protection."""
    challenge_control_without_suite: bool = False
    """Our HLS5 answer carries security control 0x10 under suites 1 and 2 as well, without the suite."""
    ignores_invoke_id: bool = False
    """The meter does not repeat the invoke id of the request."""
    constant_invoke_id: bool = False
    """The meter wants the same invoke id in every request."""
    no_release: bool = False
    """The meter does not know RLRQ; the association ends with the connection."""
    protected_release: bool = False
    """RLRQ carries a ciphered InitiateRequest, as the standard has it for ciphered contexts."""
    release_in_envelope: bool = False
    """RLRQ as a whole goes into a ciphering envelope."""
    release_without_reason: bool = False
    """RLRQ is sent empty."""
    unspecified_deviation: bool = False
    """Ranges are asked for with an unspecified deviation from UTC instead of 0."""
    local_deviation_minutes: int = 0
    """Ranges are asked for in local time with this deviation (UTC minus local time, minutes)."""
    range_as_date_time: bool = False
    """Bounds of ranges are date-times (tag 25) instead of octet strings."""
    no_range_access: bool = False
    """Profiles are read by entry because the meter selects by range wrongly."""
    no_lists: bool = False
    """GET and SET with a list are refused although the conformance block offers them."""
    list_limit: int = 0
    """At most this many attributes in one list; 0 leaves it to the PDU size."""
    confirms_image_blocks_late: bool = False
    """TEMPORARY_FAILURE while a block is written to flash is normal; the block is sent again."""

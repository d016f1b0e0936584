"""How APDUs travel: TCP/UDP wrapper, HDLC, wired M-Bus. Every link is a state machine without a socket."""

from meterops.protocols.dlms.framing.hdlc import HdlcClientLink, HdlcLimits, HdlcServerLink
from meterops.protocols.dlms.framing.link import Link, LinkResult
from meterops.protocols.dlms.framing.push_receiver import PushReceiver
from meterops.protocols.dlms.framing.wrapper import WrapperLink

__all__ = [
    "HdlcClientLink",
    "HdlcLimits",
    "HdlcServerLink",
    "Link",
    "LinkResult",
    "PushReceiver",
    "WrapperLink",
]

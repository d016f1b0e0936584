"""How APDUs travel: TCP/UDP wrapper, HDLC, wired M-Bus. Every link is a state machine without a socket."""

from meterops.protocols.dlms.framing.link import Link, LinkResult
from meterops.protocols.dlms.framing.wrapper import WrapperLink

__all__ = ["Link", "LinkResult", "WrapperLink"]

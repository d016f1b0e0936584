"""DLMS/COSEM (IEC 62056): codecs, framing, security, client and server roles, without input or output of its own."""

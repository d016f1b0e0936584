"""What COSEM says about objects, as data: interface classes with attributes and methods, units, names of OBIS codes."""

from meterops.protocols.dlms.cosem.classes import InterfaceClass, Member, find_class, list_classes
from meterops.protocols.dlms.cosem.names import name_of
from meterops.protocols.dlms.cosem.units import unit_symbol

__all__ = ["InterfaceClass", "Member", "find_class", "list_classes", "name_of", "unit_symbol"]

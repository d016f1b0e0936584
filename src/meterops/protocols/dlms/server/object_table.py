"""The COSEM objects of a meter model, built once and shared by every meter of that model (Blue Book, object models).

A table holds no state of any meter: what varies is fetched by a getter that is given the meter. A view is what one
association sees of it: flat dictionaries keyed by the attribute descriptor exactly as it travels (class, OBIS code,
attribute: 9 octets), so that serving a GET costs one look-up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, Final

from meterops.protocols.dlms import axdr
from meterops.protocols.dlms.apdu.descriptors import Access as SelectiveAccess
from meterops.protocols.dlms.apdu.enums import ActionResult, DataAccessResult
from meterops.protocols.dlms.axdr import Data
from meterops.protocols.dlms.errors import DlmsError
from meterops.protocols.dlms.obis import Obis

Access = SelectiveAccess | None
Getter = Callable[[Any, Access], bytes | DataAccessResult]
"""Gives the encoded A-XDR value of an attribute of one meter, or why not."""
Setter = Callable[[Any, Data], DataAccessResult]
Invoker = Callable[[Any, Data | None], tuple[ActionResult, bytes | None]]

ASSOCIATION_CLASS: Final = 15
CURRENT_ASSOCIATION: Final = Obis.parse("0.0.40.0.0.255")


class AccessMode(IntEnum):
    """Access mode of an attribute, version 0 to 2 of class 15."""

    NONE = 0
    READ_ONLY = 1
    WRITE_ONLY = 2
    READ_AND_WRITE = 3


@dataclass(frozen=True, slots=True)
class CosemObject:
    """One object: constants (encoded) or getters by attribute number, setters and invokers by number.

    Attribute 1, the logical name, is added by the table. `selectors` names the attributes with selective access.
    """

    class_id: int
    obis: Obis
    attributes: Mapping[int, bytes | Getter]
    setters: Mapping[int, Setter] = field(default_factory=dict)
    methods: Mapping[int, Invoker] = field(default_factory=dict)
    version: int = 0
    selectors: Mapping[int, tuple[int, ...]] = field(default_factory=dict)

    @property
    def key(self) -> bytes:
        """Class and OBIS code, 8 octets: the head of every descriptor of this object."""
        return self.class_id.to_bytes(2, "big") + self.obis.octets


@dataclass(frozen=True, slots=True)
class ObjectView:
    """What one association may read, write and invoke, keyed by descriptors of 9 octets, and its encoded object list."""

    attributes: dict[bytes, bytes | Getter]
    setters: dict[bytes, Setter]
    methods: dict[bytes, Invoker]
    visible: frozenset[bytes]
    classes: Mapping[bytes, frozenset[int]]
    object_list: bytes

    def refusal(self, descriptor: bytes) -> DataAccessResult:
        """Why a descriptor that is in none of the dictionaries cannot be served."""
        classes = self.classes.get(descriptor[2:8])
        if classes is None:
            return DataAccessResult.OBJECT_UNDEFINED
        if int.from_bytes(descriptor[:2], "big") not in classes:
            return DataAccessResult.OBJECT_CLASS_INCONSISTENT
        return DataAccessResult.READ_WRITE_DENIED


class ObjectTable:
    """All objects of a meter model; `view` cuts out what an association sees."""

    def __init__(self, objects: Iterable[CosemObject]) -> None:
        self._objects = {one.key: one for one in objects}
        names: dict[bytes, set[int]] = {}
        for one in self._objects.values():
            names.setdefault(one.obis.octets, set()).add(one.class_id)
        self._classes = {name: frozenset(classes) for name, classes in names.items()}

    def __iter__(self) -> Iterator[CosemObject]:
        return iter(self._objects.values())

    def view(self, only: Iterable[Obis] | None = None, *, writable: bool = True) -> ObjectView:
        """Cut out the objects named in `only` (all by default), without setters and methods unless `writable`."""
        wanted = None if only is None else set(only)
        seen = [one for one in self._objects.values() if wanted is None or one.obis in wanted]
        attributes: dict[bytes, bytes | Getter] = {}
        setters: dict[bytes, Setter] = {}
        methods: dict[bytes, Invoker] = {}
        for one in seen:
            attributes[one.key + b"\x01"] = b"\x09\x06" + one.obis.octets
            attributes.update({one.key + _octet(number): value for number, value in one.attributes.items()})
            if writable:
                setters.update({one.key + _octet(number): value for number, value in one.setters.items()})
                methods.update({one.key + _octet(number): value for number, value in one.methods.items()})
        entries = [_list_entry(one, writable) for one in seen]
        return ObjectView(
            attributes=attributes,
            setters=setters,
            methods=methods,
            visible=frozenset(one.key for one in seen),
            classes=self._classes,
            object_list=b"\x01" + axdr.encode_length(len(entries)) + b"".join(entries),
        )


def _octet(number: int) -> bytes:
    return (number & 0xFF).to_bytes(1, "big")


def _list_entry(one: CosemObject, writable: bool) -> bytes:
    """Encode one object_list_element of class 15, attribute 2 (Blue Book 4.4.4)."""
    numbers = sorted({1, *one.attributes, *one.setters})
    rights = [_attribute_right(one, number, writable) for number in numbers]
    mode = int(writable)
    methods = [axdr.structure(axdr.int8(number), axdr.enum(mode)) for number in sorted(one.methods)]
    return axdr.encode(
        axdr.structure(
            axdr.uint16(one.class_id),
            axdr.uint8(one.version),
            axdr.octets(one.obis.octets),
            axdr.structure(axdr.array(rights), axdr.array(methods)),
        )
    )


def _attribute_right(one: CosemObject, number: int, writable: bool) -> Data:
    mode = AccessMode.READ_ONLY if number == 1 or number in one.attributes else AccessMode.NONE
    if writable and number in one.setters:
        mode = AccessMode(mode | AccessMode.WRITE_ONLY)
    chosen = one.selectors.get(number)
    selectors = axdr.null() if chosen is None else axdr.array([axdr.int8(selector) for selector in chosen])
    return axdr.structure(axdr.int8(number), axdr.enum(mode), selectors)


def read_attribute(view: ObjectView, device: Any, descriptor: bytes, access: Access) -> bytes | DataAccessResult:
    """Read one attribute: its encoded value, or why not. An access that the attribute's getter cannot follow is a
    SCOPE_OF_ACCESS_VIOLATED.
    """
    value = view.attributes.get(descriptor)
    if value is None:
        return view.refusal(descriptor)
    if isinstance(value, bytes):
        return value if access is None else DataAccessResult.SCOPE_OF_ACCESS_VIOLATED
    return value(device, access)


def write_attribute(view: ObjectView, device: Any, descriptor: bytes, value: Data) -> DataAccessResult:
    """Write one attribute. A value of the wrong shape is TYPE_UNMATCHED."""
    setter = view.setters.get(descriptor)
    if setter is None:
        return view.refusal(descriptor)
    try:
        return setter(device, value)
    except (DlmsError, TypeError, ValueError, IndexError):
        return DataAccessResult.TYPE_UNMATCHED


def invoke_method(
    view: ObjectView, device: Any, descriptor: bytes, parameters: Data | None
) -> tuple[ActionResult, bytes | None]:
    """Invoke one method: the result and, where it has one, the encoded return value."""
    invoker = view.methods.get(descriptor)
    if invoker is None:
        return ActionResult(view.refusal(descriptor)), None
    try:
        return invoker(device, parameters)
    except (DlmsError, TypeError, ValueError, IndexError):
        return ActionResult.TYPE_UNMATCHED, None


def current_association() -> CosemObject:
    """The object through which a client sees its own association; a `ServerAssociation` answers its attributes."""
    return CosemObject(
        ASSOCIATION_CLASS,
        CURRENT_ASSOCIATION,
        dict.fromkeys(range(2, 10), b"\x00"),
        methods={1: _handled_by_association},
        version=1,
    )


def _handled_by_association(device: Any, parameters: Data | None) -> tuple[ActionResult, bytes | None]:
    return ActionResult.OBJECT_UNAVAILABLE, None

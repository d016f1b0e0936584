"""The COSEM objects a simulated meter shows, and the associations through which it shows them.

Everything here is made once per model. A getter is a plain function of the meter; a constant is its encoded octets.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

from meterops.protocols.dlms import axdr
from meterops.protocols.dlms.apdu.descriptors import CaptureObject, EntryAccess, OtherAccess, RangeAccess
from meterops.protocols.dlms.apdu.enums import ActionResult, DataAccessResult, Mechanism
from meterops.protocols.dlms.axdr import Data, Tag
from meterops.protocols.dlms.cosem_time import decode_epoch, encode_epoch
from meterops.protocols.dlms.obis import Obis
from meterops.protocols.dlms.security import AUTHENTICATED, ENCRYPTED, KeyKind, unwrap_key
from meterops.protocols.dlms.server.logical_device import AssociationRule
from meterops.protocols.dlms.server.object_table import (
    CURRENT_ASSOCIATION,
    Access,
    CosemObject,
    Getter,
    ObjectTable,
    current_association,
)
from meterops.protocols.dlms.server.profile_buffer import ProfileColumn, ProfileLayout, ProfileWindow, encode_rows
from meterops.simulator.meter import MeterModel, SimulatedMeter
from meterops.simulator.meter_events import EventCode, EventLog, EventLogs
from meterops.simulator.meter_image import FirmwareDefects, ImageSlot, TransferStatus, block_size_for
from meterops.simulator.meter_readings import Channel

PUBLIC_CLIENT: Final = 16
READING_CLIENT: Final = 2
MANAGEMENT_CLIENT: Final = 1
SIGNING_CLIENT: Final = 3

CLOCK: Final = Obis.parse("0.0.1.0.0.255")
LOGICAL_DEVICE_NAME: Final = Obis.parse("0.0.42.0.0.255")
INVOCATION_COUNTER: Final = Obis.parse("0.0.43.1.0.255")
LOAD_PROFILE: Final = Obis.parse("1.0.99.1.0.255")
DAILY_PROFILE: Final = Obis.parse("1.0.99.2.0.255")

DAY: Final = 86_400

_WH: Final = 30
_VARH: Final = 32
_W: Final = 27
_V: Final = 35
_A: Final = 33

_U32: Final = struct.Struct(">BI")
_EMPTY_ARRAY: Final = b"\x01\x00"
_OPEN_DATE_TIME: Final = b"\x09\x0c" + bytes.fromhex("ffffffffffffffffff800000")

# Registers: OBIS, channel, scaler, unit, tag.
_ENERGIES: Final = (
    ("1.0.1.8.0.255", Channel.IMPORT_WH, 0, _WH),
    ("1.0.2.8.0.255", Channel.EXPORT_WH, 0, _WH),
    ("1.0.3.8.0.255", Channel.IMPORT_VARH, 0, _VARH),
    ("1.0.4.8.0.255", Channel.EXPORT_VARH, 0, _VARH),
)
_PHASE_VALUES: Final = (
    (1, "1.0.32.7.0.255", Channel.VOLTAGE_L1, -1, _V, Tag.UINT16),
    (2, "1.0.52.7.0.255", Channel.VOLTAGE_L2, -1, _V, Tag.UINT16),
    (3, "1.0.72.7.0.255", Channel.VOLTAGE_L3, -1, _V, Tag.UINT16),
    (1, "1.0.31.7.0.255", Channel.CURRENT_L1, -2, _A, Tag.UINT32),
    (2, "1.0.51.7.0.255", Channel.CURRENT_L2, -2, _A, Tag.UINT32),
    (3, "1.0.71.7.0.255", Channel.CURRENT_L3, -2, _A, Tag.UINT32),
)
_POWERS: Final = (
    ("1.0.1.7.0.255", Channel.IMPORT_W),
    ("1.0.2.7.0.255", Channel.EXPORT_W),
)
_NUMBER_FORMATS: Final = {Tag.UINT16: struct.Struct(">BH"), Tag.UINT32: _U32}


def make_model(
    name: str = "SIM-1",
    *,
    phases: int = 3,
    profile_period: int = 900,
    profile_channels: tuple[Channel, ...] = (Channel.IMPORT_WH, Channel.EXPORT_WH),
    firmware: Mapping[str, FirmwareDefects] | None = None,
    max_pdu_size: int = 1024,
    ciphered: bool = True,
) -> MeterModel:
    """Make a model: its objects, its associations (public 16, reading 2 with LLS, management 1 with HLS5, 3 with HLS7).

    `profile_channels` are the columns of the load profile after clock and status. With `ciphered` False the management
    association also takes plain requests (for test benches only).
    """
    load = _layout(profile_channels)
    daily = _layout((Channel.IMPORT_WH, Channel.EXPORT_WH))
    table = ObjectTable(
        (
            *_identification(),
            _clock(),
            *_registers(phases),
            _profile(LOAD_PROFILE, load, profile_period),
            _profile(DAILY_PROFILE, daily, DAY),
            *(_event_log(log) for log in EventLog),
            *(_event_code(log) for log in EventLog),
            *_alarms(),
            _disconnector(),
            _image_transfer(block_size_for(max_pdu_size)),
            _security_setup(),
            current_association(),
            *_association_references(),
            *_plain_objects(),
        )
    )
    public = table.view((LOGICAL_DEVICE_NAME, INVOCATION_COUNTER, CLOCK, CURRENT_ASSOCIATION), writable=False)
    full = table.view()
    protection = AUTHENTICATED | ENCRYPTED if ciphered else 0
    rules = (
        AssociationRule(0, PUBLIC_CLIENT, Mechanism.LOWEST, public, max_pdu_size=max_pdu_size),
        AssociationRule(1, MANAGEMENT_CLIENT, Mechanism.HIGH_GMAC, full, protection, max_pdu_size=max_pdu_size),
        AssociationRule(2, READING_CLIENT, Mechanism.LOW, full, max_pdu_size=max_pdu_size),
        AssociationRule(3, SIGNING_CLIENT, Mechanism.HIGH_ECDSA, full, protection, max_pdu_size=max_pdu_size),
    )
    return MeterModel(
        name=name,
        rules={rule.client_sap: rule for rule in rules},
        load_profile=load,
        daily_profile=daily,
        firmware=firmware or {},
        profile_period=profile_period,
        phases=phases,
        image_block_size=block_size_for(max_pdu_size),
    )


# Values and their encoding.


def _octets(value: bytes) -> bytes:
    return b"\x09" + axdr.encode_octets(value)


def _u32(value: int) -> bytes:
    return _U32.pack(Tag.UINT32, value & 0xFFFF_FFFF)


def _scaler_unit(scaler: int, unit: int) -> bytes:
    return axdr.encode(axdr.structure(axdr.int8(scaler), axdr.enum(unit)))


def _date_time(epoch: int, status: int = 0) -> bytes:
    return b"\x09\x0c" + encode_epoch(epoch, status=status)


def _get(read: Callable[[SimulatedMeter], bytes]) -> Getter:
    """Make a getter of an attribute without selective access."""

    def getter(meter: Any, access: Access) -> bytes | DataAccessResult:
        return read(meter) if access is None else DataAccessResult.SCOPE_OF_ACCESS_VIOLATED

    return getter


def _number(data: Data) -> int:
    if isinstance(data.value, bool) or not isinstance(data.value, int):
        raise TypeError(f"{data.tag.name} where a number was expected")
    return data.value


def _data(obis: str, value: bytes | Getter) -> CosemObject:
    return CosemObject(1, Obis.parse(obis), {2: value})


# Identification.


def _identification() -> tuple[CosemObject, ...]:
    return (
        _data("0.0.42.0.0.255", _get(lambda meter: _octets(meter.name))),
        _data("0.0.96.1.0.255", _get(lambda meter: _octets(meter.serial.encode()))),
        _data("1.0.0.2.0.255", _get(lambda meter: _octets(meter.state.firmware.encode()))),
        _data("0.0.43.1.0.255", _get(lambda meter: _u32(max(meter.last_client_counter, 0)))),
        _data("0.0.96.10.1.255", b"\x11\x00"),
    )


# Clock.


def _clock() -> CosemObject:
    return CosemObject(
        8,
        CLOCK,
        {
            2: _get(lambda meter: _date_time(int(meter.clock))),
            3: b"\x10\x00\x00",
            4: b"\x11\x00",
            5: b"\x09\x0c" + bytes.fromhex("ffff03fe0702000000800000"),
            6: b"\x09\x0c" + bytes.fromhex("ffff0afe0703000000800080"),
            7: b"\x0f\x3c",
            8: b"\x03\x00",
            9: b"\x16\x01",
        },
        setters={2: _write_clock, 3: _accept, 8: _accept},
        methods={1: _round_clock, 2: _round_clock, 3: _round_clock, 5: _preset_clock, 6: _shift_clock},
    )


def _accept(meter: Any, value: Data) -> DataAccessResult:
    meter.note(EventCode.CONFIGURATION_CHANGE)
    return DataAccessResult.SUCCESS


def _write_clock(meter: Any, value: Data) -> DataAccessResult:
    if not isinstance(value.value, bytes):
        return DataAccessResult.TYPE_UNMATCHED
    meter.set_clock(float(decode_epoch(value.value)))
    return DataAccessResult.SUCCESS


def _round_clock(meter: Any, parameters: Data | None) -> tuple[ActionResult, bytes | None]:
    meter.set_clock(float(round(meter.clock / 60) * 60))
    return ActionResult.SUCCESS, None


def _preset_clock(meter: Any, parameters: Data | None) -> tuple[ActionResult, bytes | None]:
    if parameters is None:
        return ActionResult.TYPE_UNMATCHED, None
    meter.set_clock(float(decode_epoch(parameters.elements[0].value)))
    return ActionResult.SUCCESS, None


def _shift_clock(meter: Any, parameters: Data | None) -> tuple[ActionResult, bytes | None]:
    if parameters is None or not -900 <= _number(parameters) <= 900:
        return ActionResult.TYPE_UNMATCHED, None
    meter.set_clock(meter.clock + _number(parameters))
    return ActionResult.SUCCESS, None


# Registers.


def _registers(phases: int) -> list[CosemObject]:
    objects = [_register(obis, channel, scaler, unit, Tag.UINT32) for obis, channel, scaler, unit in _ENERGIES]
    objects += [
        _register(obis, channel, scaler, unit, tag)
        for phase, obis, channel, scaler, unit, tag in _PHASE_VALUES
        if phase <= phases
    ]
    objects += [_register(obis, channel, 0, _W, Tag.UINT32) for obis, channel in _POWERS]
    return objects


def _register(obis: str, channel: Channel, scaler: int, unit: int, tag: Tag) -> CosemObject:
    pack = _NUMBER_FORMATS[tag].pack
    number, mark, mask = int(channel), int(tag), 0xFFFF if tag is Tag.UINT16 else 0xFFFF_FFFF

    def read(meter: Any, access: Access) -> bytes | DataAccessResult:
        if access is not None:
            return DataAccessResult.SCOPE_OF_ACCESS_VIOLATED
        return pack(mark, meter.readings.value(number, int(meter.now())) & mask)

    return CosemObject(3, Obis.parse(obis), {2: read, 3: _scaler_unit(scaler, unit)})


# Profiles.


def _layout(channels: tuple[Channel, ...]) -> ProfileLayout:
    obis = {channel: name for name, channel, *_ in _ENERGIES}
    obis |= {channel: name for _, name, channel, *_ in _PHASE_VALUES}
    obis |= {channel: name for name, channel in _POWERS}
    tags = {channel: tag for _, _, channel, _, _, tag in _PHASE_VALUES}
    values = [
        ProfileColumn(3, Obis.parse(obis[channel]), 2, tags.get(channel, Tag.UINT32), int(channel))
        for channel in channels
    ]
    return ProfileLayout(
        (
            ProfileColumn(8, CLOCK, 2, Tag.OCTET_STRING),
            ProfileColumn(1, Obis.parse("0.0.96.10.1.255"), 2, Tag.UINT8, int(Channel.STATUS)),
            *values,
        )
    )


def _profile(obis: Obis, layout: ProfileLayout, period: int) -> CosemObject:
    def window(meter: SimulatedMeter) -> ProfileWindow:
        first_at, count = meter.readings.window(period, int(meter.clock))
        if count and meter.model.defects(meter.state.firmware).profile_ends_early:
            count = max(count - DAY // period, 0)
        return ProfileWindow(first_at, count, period)

    def buffer(meter: Any, access: Access) -> bytes | DataAccessResult:
        readings = meter.readings
        return layout.encode(
            window(meter),
            access,
            lambda channel, first_at, count, width: readings.column(channel, period, first_at, count, width),
            partial(readings.missing, period),
        )

    return CosemObject(
        7,
        obis,
        {
            2: buffer,
            3: layout.capture_objects(),
            4: _u32(period),
            5: b"\x16\x01",
            6: axdr.encode(layout.columns[0].capture_object()),
            7: _get(lambda meter: _u32(window(meter).count)),
            8: _u32(400 * DAY // period if period < DAY else 400),
        },
        version=1,
        selectors={2: (1, 2)},
    )


def _event_log(log: EventLog) -> CosemObject:
    columns = (
        CaptureObject(8, CLOCK, 2),
        CaptureObject(1, Obis.parse(f"0.0.96.11.{int(log)}.255"), 2),
    )

    def entries(meter: SimulatedMeter) -> tuple[tuple[int, int], ...]:
        return meter.logs.entries(log) if meter.logs is not None else ()

    def buffer(meter: Any, access: Access) -> bytes | DataAccessResult:
        chosen = _select_events(entries(meter), access)
        if chosen is None:
            return DataAccessResult.SCOPE_OF_ACCESS_VIOLATED
        return encode_rows([(axdr.octets(encode_epoch(at)), axdr.uint8(code)) for at, code in chosen])

    def clear(meter: Any, parameters: Data | None) -> tuple[ActionResult, bytes | None]:
        meter.logs = meter.logs or EventLogs()
        meter.logs.clear(log, int(meter.clock))
        return ActionResult.SUCCESS, None

    return CosemObject(
        7,
        Obis.parse(f"0.0.99.98.{int(log)}.255"),
        {
            2: buffer,
            3: axdr.encode(axdr.array(column.data() for column in columns)),
            4: _u32(0),
            5: b"\x16\x01",
            6: axdr.encode(columns[0].data()),
            7: _get(lambda meter: _u32(len(entries(meter)))),
            8: _u32(100),
        },
        methods={1: clear},
        version=1,
        selectors={2: (1, 2)},
    )


def _select_events(entries: tuple[tuple[int, int], ...], access: Access) -> tuple[tuple[int, int], ...] | None:
    if isinstance(access, OtherAccess):
        return None
    if isinstance(access, RangeAccess):
        starts_at, ends_at = access.starts_epoch, access.ends_epoch
        return tuple(entry for entry in entries if starts_at <= entry[0] <= ends_at)
    if isinstance(access, EntryAccess):
        return entries[max(access.first, 1) - 1 : access.last or None]
    return entries


def _event_code(log: EventLog) -> CosemObject:
    def read(meter: SimulatedMeter) -> bytes:
        return bytes((Tag.UINT8, meter.logs.last_code(log) if meter.logs is not None else 0))

    return _data(f"0.0.96.11.{int(log)}.255", _get(read))


# Alarms.


def _alarms() -> tuple[CosemObject, ...]:
    return (
        CosemObject(
            1,
            Obis.parse("0.0.97.98.0.255"),
            {2: _get(lambda meter: _u32(meter.state.alarm_register))},
            setters={2: _clear_alarms},
        ),
        CosemObject(
            1,
            Obis.parse("0.0.97.98.10.255"),
            {2: _get(lambda meter: _u32(meter.state.alarm_filter))},
            setters={2: _write_alarm_filter},
        ),
        _data("0.0.97.97.0.255", _u32(0)),
    )


def _clear_alarms(meter: Any, value: Data) -> DataAccessResult:
    """Clear the bits that are written as one."""
    meter.state.alarm_register &= ~_number(value)
    meter.note(EventCode.ALARM_REGISTER_CLEARED)
    meter.kept()
    return DataAccessResult.SUCCESS


def _write_alarm_filter(meter: Any, value: Data) -> DataAccessResult:
    meter.state.alarm_filter = _number(value) & 0xFFFF_FFFF
    meter.kept()
    return DataAccessResult.SUCCESS


# Disconnector.


def _disconnector() -> CosemObject:
    return CosemObject(
        70,
        Obis.parse("0.0.96.3.10.255"),
        {
            2: _get(lambda meter: bytes((Tag.BOOLEAN, meter.state.output_connected))),
            3: _get(lambda meter: bytes((Tag.ENUM, meter.state.control_state))),
            4: _get(lambda meter: bytes((Tag.ENUM, meter.state.control_mode))),
        },
        setters={4: _write_control_mode},
        methods={1: partial(_switch, False), 2: partial(_switch, True)},
    )


def _write_control_mode(meter: Any, value: Data) -> DataAccessResult:
    if not 0 <= _number(value) <= 6:
        return DataAccessResult.TYPE_UNMATCHED
    meter.state.control_mode = _number(value)
    meter.note(EventCode.CONFIGURATION_CHANGE)
    meter.kept()
    return DataAccessResult.SUCCESS


def _switch(connected: bool, meter: Any, parameters: Data | None) -> tuple[ActionResult, bytes | None]:
    if meter.state.control_mode == 0:
        return ActionResult.READ_WRITE_DENIED, None
    meter.switch(connected=connected)
    return ActionResult.SUCCESS, None


# Image transfer.


def _image_transfer(block_size: int) -> CosemObject:
    def of_slot(read: Callable[[ImageSlot], bytes], otherwise: bytes) -> Getter:
        return _get(lambda meter: otherwise if meter.image is None else read(meter.image))

    return CosemObject(
        18,
        Obis.parse("0.0.44.0.0.255"),
        {
            2: _u32(block_size),
            3: of_slot(ImageSlot.bitmap, b"\x04\x00"),
            4: of_slot(lambda slot: _u32(slot.first_missing()), _u32(0)),
            5: b"\x03\x01",
            6: of_slot(lambda slot: bytes((Tag.ENUM, slot.status)), bytes((Tag.ENUM, TransferStatus.NOT_INITIATED))),
            7: of_slot(ImageSlot.to_activate, _EMPTY_ARRAY),
        },
        setters={5: _accept},
        methods={1: _initiate_image, 2: _transfer_block, 3: _verify_image, 4: _activate_image},
    )


MAX_IMAGE_SIZE: Final = 4 << 20


def _initiate_image(meter: Any, parameters: Data | None) -> tuple[ActionResult, bytes | None]:
    if parameters is None:
        return ActionResult.TYPE_UNMATCHED, None
    identifier, size = parameters.elements
    if not isinstance(identifier.value, bytes) or not 0 < _number(size) <= MAX_IMAGE_SIZE:
        return ActionResult.TYPE_UNMATCHED, None
    meter.image = ImageSlot(identifier.value, _number(size), meter.model.image_block_size)
    return ActionResult.SUCCESS, None


def _transfer_block(meter: Any, parameters: Data | None) -> tuple[ActionResult, bytes | None]:
    if meter.image is None or parameters is None:
        return ActionResult.OBJECT_CLASS_INCONSISTENT, None
    number, block = parameters.elements
    if not isinstance(block.value, bytes) or not meter.image.put(_number(number), block.value):
        return ActionResult.OTHER_REASON, None
    return ActionResult.SUCCESS, None


def _verify_image(meter: Any, parameters: Data | None) -> tuple[ActionResult, bytes | None]:
    slot: ImageSlot | None = meter.image
    if slot is None:
        return ActionResult.OTHER_REASON, None
    if meter.model.defects(_version(slot)).verification_fails:
        slot.status = TransferStatus.VERIFICATION_FAILED
        return ActionResult.HARDWARE_FAULT, None
    if not slot.verify():
        return ActionResult.OTHER_REASON, None
    meter.note(EventCode.FIRMWARE_READY_FOR_ACTIVATION)
    return ActionResult.SUCCESS, None


def _activate_image(meter: Any, parameters: Data | None) -> tuple[ActionResult, bytes | None]:
    slot: ImageSlot | None = meter.image
    if slot is None or slot.status is not TransferStatus.VERIFICATION_SUCCESSFUL:
        return ActionResult.OTHER_REASON, None
    if meter.model.defects(_version(slot)).activation_fails:
        slot.status = TransferStatus.ACTIVATION_FAILED
        return ActionResult.HARDWARE_FAULT, None
    slot.status = TransferStatus.ACTIVATION_SUCCESSFUL
    slot.blocks.clear()
    meter.activate_firmware(_version(slot))
    return ActionResult.SUCCESS, None


def _version(slot: ImageSlot) -> str:
    return slot.identifier.decode("ascii", "replace")


# Security.


def _security_setup() -> CosemObject:
    return CosemObject(
        64,
        Obis.parse("0.0.43.0.0.255"),
        {
            2: b"\x16\x03",
            3: _get(lambda meter: bytes((Tag.ENUM, meter.suite))),
            4: _octets(bytes(8)),
            5: _get(lambda meter: _octets(meter.system_title)),
        },
        methods={1: _activate_policy, 2: _transfer_keys},
    )


def _activate_policy(meter: Any, parameters: Data | None) -> tuple[ActionResult, bytes | None]:
    """Take the policy that is in force already; a weaker one is refused."""
    strongest = parameters is not None and _number(parameters) == 3
    return (ActionResult.SUCCESS if strongest else ActionResult.READ_WRITE_DENIED), None


def _transfer_keys(meter: Any, parameters: Data | None) -> tuple[ActionResult, bytes | None]:
    """Unwrap new keys with the master key; they hold once the answer has left."""
    if parameters is None or meter.keys.master is None:
        return ActionResult.READ_WRITE_DENIED, None
    keys: dict[int, bytes] = {}
    for entry in parameters.elements:
        kind, wrapped = entry.elements
        key = unwrap_key(meter.keys.master, wrapped.value)
        if len(key) != meter.suite.key_length:
            return ActionResult.TYPE_UNMATCHED, None
        keys[KeyKind(_number(kind))] = key
    meter.change_keys(keys)
    return ActionResult.SUCCESS, None


def _association_references() -> tuple[CosemObject, ...]:
    """The association objects by instance; the current one is answered by the association itself."""
    return tuple(
        CosemObject(15, Obis.parse(f"0.0.40.0.{instance}.255"), {3: _partners(sap), 8: b"\x16\x00"}, version=1)
        for instance, sap in ((1, MANAGEMENT_CLIENT), (2, READING_CLIENT), (3, SIGNING_CLIENT))
    )


def _partners(client_sap: int) -> bytes:
    return axdr.encode(axdr.structure(axdr.int8(client_sap), axdr.uint16(1)))


# Objects that can be read but do nothing.


def _plain_objects() -> tuple[CosemObject, ...]:
    return (
        _push_setup(),
        CosemObject(9, Obis.parse("0.0.10.0.106.255"), {2: _disconnect_scripts()}),
        CosemObject(10, Obis.parse("0.0.12.0.0.255"), {2: _EMPTY_ARRAY}),
        CosemObject(11, Obis.parse("0.0.11.0.0.255"), {2: _EMPTY_ARRAY}),
        CosemObject(20, Obis.parse("0.0.13.0.0.255"), _calendar()),
        CosemObject(21, Obis.parse("0.0.16.1.0.255"), _register_monitor()),
        CosemObject(22, Obis.parse("0.0.15.0.0.255"), _single_action()),
        CosemObject(71, Obis.parse("0.0.17.0.0.255"), _limiter()),
        CosemObject(47, Obis.parse("0.0.25.6.0.255"), _gsm()),
        CosemObject(72, Obis.parse("0.1.24.1.0.255"), _mbus(), version=1),
    )


PUSH_OBJECTS: Final = (
    CaptureObject(1, LOGICAL_DEVICE_NAME, 2),
    CaptureObject(8, CLOCK, 2),
    CaptureObject(1, Obis.parse("0.0.97.98.0.255"), 2),
    CaptureObject(1, Obis.parse("0.0.96.11.0.255"), 2),
    CaptureObject(3, Obis.parse("1.0.1.8.0.255"), 2),
)
"""What a push holds, in this order."""


def _push_setup() -> CosemObject:
    def destination(meter: SimulatedMeter) -> bytes:
        address = b"" if meter.push_destination is None else ":".join(map(str, meter.push_destination)).encode()
        return axdr.encode(axdr.structure(axdr.enum(0), axdr.octets(address), axdr.enum(0)))

    def write_destination(meter: Any, value: Data) -> DataAccessResult:
        host, _, port = value.elements[1].value.decode("ascii").rpartition(":")
        meter.push_destination = (host, int(port)) if host else None
        return DataAccessResult.SUCCESS

    def push(meter: Any, parameters: Data | None) -> tuple[ActionResult, bytes | None]:
        meter.wants_push = True
        return ActionResult.SUCCESS, None

    return CosemObject(
        40,
        Obis.parse("0.0.25.9.0.255"),
        {
            2: axdr.encode(axdr.array(column.data() for column in PUSH_OBJECTS)),
            3: _get(destination),
            4: _EMPTY_ARRAY,
            5: b"\x12\x00\x00",
            6: b"\x11\x00",
            7: b"\x12\x00\x00",
        },
        setters={3: write_destination},
        methods={1: push},
    )


def _disconnect_scripts() -> bytes:
    def script(number: int, method: int) -> Data:
        action = axdr.structure(
            axdr.enum(2),
            axdr.uint16(70),
            axdr.octets(Obis.parse("0.0.96.3.10.255").octets),
            axdr.int8(method),
            axdr.int8(0),
        )
        return axdr.structure(axdr.uint16(number), axdr.array(action))

    return axdr.encode(axdr.array(script(1, 1), script(2, 2)))


def _calendar() -> dict[int, bytes | Getter]:
    return {
        2: _octets(b"DEFAULT"),
        3: _EMPTY_ARRAY,
        4: _EMPTY_ARRAY,
        5: _EMPTY_ARRAY,
        6: _octets(b""),
        7: _EMPTY_ARRAY,
        8: _EMPTY_ARRAY,
        9: _EMPTY_ARRAY,
        10: _OPEN_DATE_TIME,
    }


def _register_monitor() -> dict[int, bytes | Getter]:
    monitored = axdr.structure(axdr.uint16(3), axdr.octets(Obis.parse("1.0.1.7.0.255").octets), axdr.int8(2))
    return {2: axdr.encode(axdr.array(axdr.uint32(17_000))), 3: axdr.encode(monitored), 4: _EMPTY_ARRAY}


def _single_action() -> dict[int, bytes | Getter]:
    script = axdr.structure(axdr.octets(Obis.parse("0.0.10.0.106.255").octets), axdr.uint16(1))
    return {2: axdr.encode(script), 3: b"\x16\x01", 4: _EMPTY_ARRAY}


def _limiter() -> dict[int, bytes | Getter]:
    monitored = axdr.structure(axdr.uint16(3), axdr.octets(Obis.parse("1.0.1.7.0.255").octets), axdr.int8(2))
    emergency = axdr.structure(axdr.uint16(0), axdr.octets(_OPEN_DATE_TIME[2:]), axdr.uint32(0))
    no_action = axdr.structure(axdr.octets(bytes(6)), axdr.uint16(0))
    return {
        2: axdr.encode(monitored),
        3: _u32(17_000),
        4: _u32(17_000),
        5: _u32(0),
        6: _u32(60),
        7: _u32(0),
        8: axdr.encode(emergency),
        9: _EMPTY_ARRAY,
        10: b"\x03\x00",
        11: axdr.encode(axdr.structure(no_action, no_action)),
    }


def _gsm() -> dict[int, bytes | Getter]:
    cell = axdr.structure(axdr.uint16(4711), axdr.uint16(815), axdr.uint8(21), axdr.uint8(0))
    return {
        2: axdr.encode(axdr.visible_string("SIM NET")),
        3: b"\x16\x01",
        4: b"\x16\x00",
        5: b"\x16\x04",
        6: axdr.encode(cell),
        7: _EMPTY_ARRAY,
        8: _OPEN_DATE_TIME,
    }


def _mbus() -> dict[int, bytes | Getter]:
    return {
        2: _octets(bytes.fromhex("000018000000")[:6]),
        3: _EMPTY_ARRAY,
        4: _u32(3600),
        5: b"\x11\x00",
        6: _u32(0),
        7: b"\x12\x00\x00",
        8: b"\x11\x00",
        9: b"\x11\x00",
        10: b"\x11\x00",
        11: b"\x11\x00",
        12: b"\x11\x00",
        13: b"\x12\x00\x00",
        14: b"\x16\x00",
    }

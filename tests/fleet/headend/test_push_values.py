"""Notifications of several makes, taken apart."""

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterops.fleet.headend.push_values import ALARM_LOG, BodyReader, PushedValues
from meterops.fleet.headend.sink import is_amount, is_code
from meterops.protocols.dlms import axdr
from meterops.protocols.dlms.apdu import Attribute
from meterops.protocols.dlms.errors import DecodeError
from meterops.protocols.dlms.flows import Push
from meterops.protocols.dlms.obis import Obis


def a_push(values: Any, attribute: Attribute | None = None) -> Push:
    return Push(b"", None, None, False, 1, None, attribute, axdr.encode(data_of(values)))


def data_of(value: Any) -> axdr.Data:
    """A native as the A-XDR of the type that fits it."""
    match value:
        case None:
            return axdr.null()
        case bytes():
            return axdr.octets(value)
        case str():
            return axdr.utf8_string(value)
        case bool():
            return axdr.boolean(value)
        case float():
            return axdr.float64(value)
        case int():
            return axdr.uint64(value) if value > 0 else axdr.int64(value)
        case _:
            return axdr.structure(*map(data_of, value))


def take_apart(push: Push) -> PushedValues:
    """By a reader that sees the body a first time and then a second time, which must not differ."""
    reader = BodyReader()
    first = reader.take_apart(push)
    assert reader.take_apart(push) == first
    return first


def obis(text: str) -> bytes:
    return Obis.parse(text).octets


def test_a_list_of_objects_names_the_values_after_it() -> None:
    objects = [
        [1, obis("0.0.42.0.0.255"), 2, 0],
        [8, obis("0.0.1.0.0.255"), 2, 0],
        [3, obis("1.0.1.8.0.255"), 2, 0],
        [1, obis("0.0.97.98.0.255"), 2, 0],
        [1, obis("0.0.96.11.4.255"), 2, 0],
    ]
    found = take_apart(a_push([objects, b"SIM0000000000001", bytes(12), 4711, 0b101, 40]))
    assert found.identity == "SIM0000000000001"
    assert [(kind.id, value) for kind, value in found.registers] == [(1, 4_711_000)]
    assert found.events == [(ALARM_LOG, 0), (ALARM_LOG, 2), (4, 40)]


def test_structures_with_scaler_and_unit_are_scaled() -> None:
    body = [
        [obis("0.0.96.1.0.255"), "7359992890000001"],
        [obis("1.0.32.7.0.255"), 2354, [-1, 35]],
        [obis("1.0.1.7.0.255"), 1, [3, 27]],
    ]
    found = take_apart(a_push(body))
    assert found.identity == "7359992890000001"
    assert [(kind.id, value) for kind, value in found.registers] == [(11, 235_400), (31, 1_000_000)]


def test_names_and_values_in_turn() -> None:
    body = [
        "Kamstrup_V0001",
        obis("1.1.0.0.5.255"),
        "5706567000000000",
        obis("1.0.1.8.0.255"),
        12,
        obis("1.0.32.7.0.255"),
        230,
    ]
    found = take_apart(a_push(body))
    assert found.identity == "5706567000000000"
    assert [(kind.id, value) for kind, value in found.registers] == [(1, 12_000)], (
        "a voltage without scaler is not guessed"
    )


def test_an_event_notification_names_its_attribute() -> None:
    found = take_apart(a_push(9, Attribute(1, Obis.parse("0.0.96.11.0.255"), 2)))
    assert found.events == [(0, 9)]


NATIVES = st.recursive(
    st.none()
    | st.integers(-(2**63), 2**64 - 1)
    | st.booleans()
    | st.floats()
    | st.binary(max_size=12)
    | st.text(max_size=6)
    | st.sampled_from([obis("1.0.1.8.0.255"), obis("0.0.97.98.0.255"), obis("0.0.96.11.2.255")]),
    lambda inner: st.lists(inner, max_size=6),
    max_leaves=40,
)


@given(NATIVES)
def test_any_body_is_taken_apart_into_what_columns_hold(body: Any) -> None:
    found = take_apart(a_push(body))
    assert all(is_code(code) for _, code in found.events)
    assert all(is_amount(value) for _, value in found.registers)
    assert found.identity.isprintable()
    assert len(found.identity) <= 64


LISTS = st.lists(st.sampled_from(["0.0.42.0.0.255", "1.0.1.8.0.255", "0.0.97.98.0.255", "0.0.96.11.1.255"]), max_size=4)


@given(
    LISTS, st.lists(LISTS.flatmap(lambda names: st.tuples(st.just(names), st.lists(NATIVES, max_size=4))), max_size=8)
)
def test_a_known_list_reads_as_an_unknown_one(first: list[str], bodies: list[tuple[list[str], list[Any]]]) -> None:
    """Whatever a reader has seen before, it takes a body apart like one that has seen nothing."""
    seasoned = BodyReader()
    for names, values in [(first, []), *bodies]:
        push = a_push([[[1, obis(name), 2, 0] for name in names], *values])
        assert seasoned.take_apart(push) == BodyReader().take_apart(push)


def test_a_known_list_before_values_that_are_cut_off_is_refused() -> None:
    whole = a_push([[[3, obis("1.0.1.8.0.255"), 2, 0]], 4711])
    reader = BodyReader()
    reader.take_apart(whole)
    with pytest.raises(DecodeError):
        reader.take_apart(dataclasses.replace(whole, body=whole.body[:-1]))

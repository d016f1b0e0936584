"""The catalogue: every Dutch code is in it, codes that clash are told apart, and wrong files are refused by line."""

from __future__ import annotations

import csv

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.shared_data import SHARED

from meterops.practices.events.catalogue import (
    CatalogueNotValid,
    EventClass,
    catalogue,
    family_of,
    parse_catalogue,
)
from meterops.protocols.dlms.profiles import list_profiles
from meterops.simulator.meter_events import EventCode

HEADER = "family,log,code,type,severity,class,restores,security,words\n"


@pytest.mark.skipif(SHARED is None, reason="the table of Dutch codes is not beside the project")
def test_every_dutch_code_has_an_entry_in_each_family_that_knows_it() -> None:
    assert SHARED is not None
    with (SHARED / "data" / "dutch_profiles" / "event_types.csv").open() as file:
        rows = [(int(code, 0), family) for code, family, _ in csv.reader(file)]
    assert len(rows) == 299
    for code, family in rows:
        for name in [family.lower()] if family else ["dsmr", "smr"]:
            assert catalogue().find(name, 0, code) is not None, (name, hex(code))


def test_the_same_code_means_other_things_in_other_families() -> None:
    types = {family: catalogue().find(family, 0, 80) for family in ("dsmr", "smr")}
    assert types["dsmr"] is not None
    assert types["smr"] is not None
    assert types["dsmr"].type != types["smr"].type


def test_restorations_end_what_they_name() -> None:
    for (family, _, code), one in catalogue().items():
        assert one.event_class is not EventClass.ALARM or not one.restores, (family, code)
        for restored in one.restores:
            ended = catalogue().by_type(restored)
            assert ended is not None
            assert ended.event_class is not EventClass.LOG_ONLY, (family, code)


def test_every_profile_has_a_family_and_simulated_meters_say_nothing_unknown() -> None:
    families = {family for (family, _, _), _ in catalogue().items()}
    assert {family_of(name) for name in list_profiles()} <= families
    for code in EventCode:
        assert catalogue().find("smr", 0, code) is not None, code.name


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "the first row names the columns"),
        ("a,b\n", "the first row names the columns"),
        (
            HEADER + "f,*,1,A,EXCEPTION,ALARM,,,x\nf,*,1,B,EXCEPTION,ALARM,,,x\n",
            "line 3, column code: f has code 1 already",
        ),
        (HEADER + "f,*,x,A,EXCEPTION,ALARM,,,x\n", "line 2, column code: 'x' is no number"),
        (HEADER + "f,*,70000,A,EXCEPTION,ALARM,,,x\n", "line 2, column code"),
        (HEADER + "f,*,1,A,BAD,ALARM,,,x\n", "line 2, column severity: 'BAD' is none of INFORMATIONAL"),
        (HEADER + "f,*,1,A,EXCEPTION,LOUD,,,x\n", "line 2, column class"),
        (HEADER + "f,*,1,A,EXCEPTION,ALARM,,no,x\n", "line 2, column security: 'no' is none of nothing, yes"),
        (HEADER + "f,*,1,A,EXCEPTION,ALARM,,\n", "line 2: 8 columns stand there, not 9"),
        (HEADER + "f,*,1,,EXCEPTION,ALARM,,,x\n", "line 2, column type: it is empty"),
        (HEADER + "f,*,1,A,EXCEPTION,ALARM,GONE,,x\n", "f 1 restores GONE, which is no event's type"),
    ],
)
def test_wrong_files_are_refused_by_line_and_column(text: str, said: str) -> None:
    with pytest.raises(CatalogueNotValid, match=r"events\.csv") as refused:
        parse_catalogue(text, "events.csv")
    assert said in str(refused.value)


@given(st.text(max_size=200))
def test_any_text_is_a_catalogue_or_refused(text: str) -> None:
    try:
        parse_catalogue(HEADER + text, "any.csv")
    except CatalogueNotValid as error:
        assert str(error)

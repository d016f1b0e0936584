"""Scenario files: what is shipped can be read, what is wrong is refused with file and key, and nothing else ever happens."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterops.simulator.behaviors import Reach
from meterops.simulator.meter_events import EventCode
from meterops.simulator.scenario import (
    ActKind,
    Place,
    PlaceKind,
    Scenario,
    ScenarioRefused,
    find_scenario,
    list_scenarios,
    parse_scenario,
    read_scenario,
)

ACT = '[[act]]\nwhat = "{what}"\nwhere = "{where}"\nat = "{at}"\n{more}\n'


def act(what="outage", where="transformer 1", at="5m", more='for = "1h"'):
    return ACT.format(what=what, where=where, at=at, more=more).encode()


@pytest.mark.parametrize("name", list_scenarios())
def test_shipped_scenarios_can_be_read_and_say_what_they_are(name):
    scenario = find_scenario(name)
    assert scenario.name == name
    assert len(scenario.description) > 20
    assert scenario.acts or name == "healthy"


def test_the_expected_scenarios_are_shipped():
    assert {"calm", "morning", "outage", "storm", "hostile"} <= set(list_scenarios())


def test_every_word_of_an_act_is_understood():
    scenario = parse_scenario(
        act("fuse", "lv-feeder any", "1.5h", 'phase = 2\nfor = "30m"\nevery = "1d"\npush = 0.5\nlabel = "x"')
        + act("slow", "meters 2.5%", "90s", 'latency = "3s"')
        + act("event", "meters 7", "0s", 'event = "meter-cover-removed"')
        + act("behave", "fleet", "2d", "behavior = { malformed = 0.5, reach = 'refused' }")
        + act("clock-jump", "meter 12", "1m", "seconds = -90"),
        "all.toml",
    )
    fuse, slow, event, behave, jump = scenario.acts
    assert (fuse.at_s, fuse.for_s, fuse.every_s, fuse.phase, fuse.push) == (5400, 1800, 86_400, 2, 0.5)
    assert fuse.place == Place(PlaceKind.LV_FEEDER)
    assert (slow.place, slow.behavior.latency_s) == (Place(PlaceKind.METERS, share=0.025), 3)
    assert (event.code, event.place.count) == (EventCode.METER_COVER_REMOVED, 7)
    assert (behave.behavior.malformed, behave.behavior.reach) == (0.5, Reach.REFUSED)
    assert (jump.seconds, jump.place) == (-90, Place(PlaceKind.METER, 12))


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"pace = 0", "bad.toml, key 'pace': a number from 0.001"),
        (b"pase = 2", "bad.toml, key 'pase': no such key belongs here"),
        (b"x = 1\ny = z\n", r"bad.toml: this is no TOML: .*line 2"),
        (b"a = 1\nb = '\xff'", "bad.toml, line 2: the text is not UTF-8"),
        (b"[pushes]\nshare = 2", r"bad.toml, \[pushes\], key 'share': a share between 0 and 1"),
        (b"act = 3", "bad.toml, key 'act': acts are written as"),
        (b"[[act]]\nat = '1m'", "bad.toml, act 1, key 'what': it is missing"),
        (act() + act("outrage"), "bad.toml, act 2, key 'what': 'outrage' is not known; known are outage"),
        (act(at="soon"), "act 1, key 'at': a duration such as '90s'"),
        (act(at="999999d"), "act 1, key 'at': at most 400d"),
        (act(where="pole 3"), "act 1, key 'where': 'pole 3' is no place"),
        (act(where="transformer 0"), "act 1, key 'where'"),
        (act(where="meters 0"), "act 1, key 'where': a number of meters is whole"),
        (act(where="meters 101%"), "act 1, key 'where': a share of meters"),
        (act(where="fleet"), "key 'where': outage happens to substation"),
        (act("concentrator-down", "feeder 1"), "concentrator-down happens to concentrator, cell, not to feeder"),
        (act(more=""), "key 'for': how long supply is lost"),
        (act(more='for = "1h"\nevery = "30m"'), "key 'every': an act is repeated after"),
        (act(more='for = "1h"\nrate_per_year = 1'), "key 'rate_per_year': a rate goes with 'transformer any'"),
        (act("fuse", more='for = "1h"'), "key 'phase': it is missing"),
        (act("fuse", more='for = "1h"\nphase = 4'), "key 'phase': 1, 2 or 3"),
        (act("event", more='event = "eclipse"'), "key 'event': 'eclipse' is no event of a meter"),
        (act("behave", more="behavior = { loud = 1 }"), "key 'behavior': no such behavior: loud"),
        (act("behave", more="behavior = { bad_tag = 'a' }"), "key 'behavior': bad_tag: a number is expected"),
        (act("behave", more="behavior = { latency_s = nan }"), "key 'behavior': latency_s: a number is expected"),
        (act("behave", more="behavior = { latency_s = 1e8 }"), "key 'behavior': latency_s: at most 3600"),
        (act("behave", more="behavior = { session_limit = 1.5 }"), "key 'behavior': session_limit: a whole number"),
        (act("behave", more="behavior = { reach = 3 }"), "key 'behavior': 3 is not a valid Reach"),
        (act("mute", more='latency = "3s"'), "key 'latency': no such key belongs here"),
        (act("clock-jump", more='seconds = "3s"'), "key 'seconds': a number is expected"),
    ],
)
def test_a_wrong_file_is_refused_with_the_place_of_the_error(data, said):
    with pytest.raises(ScenarioRefused, match=said):
        parse_scenario(data, "bad.toml")


def test_what_is_not_there_is_refused(tmp_path):
    with pytest.raises(ScenarioRefused, match=r"there is no scenario 'clam': .*calm"):
        find_scenario("clam")
    with pytest.raises(ScenarioRefused, match=r"nowhere\.toml: No such file"):
        read_scenario(tmp_path / "nowhere.toml")
    long = tmp_path / "long.toml"
    long.write_bytes(b"#" * (1 << 20) + b"\n")
    with pytest.raises(ScenarioRefused, match="longer than"):
        read_scenario(long)


@given(st.binary(max_size=200))
def test_any_octets_are_a_scenario_or_refused(data):
    read_or_refused(data)


KEYS = [
    "what",
    "where",
    "at",
    "for",
    "every",
    "rate_per_year",
    "phase",
    "latency",
    "share",
    "behavior",
    "seconds",
    "event",
    "push",
    "label",
]
VALUES = st.sampled_from(
    [
        *(f'"{kind}"' for kind in ActKind),
        *('"transformer any"', '"meters 3%"', '"fleet"', '"meter 1"', '"5m"', '"0s"', '"power-failure"', '""'),
        *(
            "1",
            "2.5",
            "-1",
            "nan",
            "inf",
            "true",
            "[]",
            "{}",
            "{ reach = 'silent' }",
            "{ truncated = nan }",
            "2020-01-01",
        ),
        *(
            "{ latency_s = true }",
            "{ latency_s = nan }",
            "{ session_limit = 'x' }",
            "{ reach = 1 }",
            "[1]",
            "1e308",
            "9223372036854775807",
        ),
    ]
)


@given(st.lists(st.dictionaries(st.sampled_from(KEYS), VALUES, min_size=3), max_size=3))
def test_any_mixture_of_words_is_a_scenario_or_refused(acts):
    lines = ["[[act]]\n" + "\n".join(f"{key} = {value}" for key, value in one.items()) for one in acts]
    read_or_refused("\n".join(lines).encode())


def read_or_refused(data: bytes) -> None:
    try:
        scenario = parse_scenario(data, "any.toml")
    except ScenarioRefused as refused:
        assert str(refused).startswith("any.toml")
    else:
        assert isinstance(scenario, Scenario)
        for one in scenario.acts:
            assert one.at_s >= 0
            assert 0 <= one.push <= 1
            assert one.behavior.latency_s >= 0

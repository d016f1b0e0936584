"""A scenario fitted to a region: whom it befalls, when, and the same on every start."""

import numpy as np
import pytest

from meterops.simulator.region import generate_region
from meterops.simulator.scenario import ScenarioRefused, find_scenario, list_scenarios, parse_scenario
from meterops.simulator.script import make_script

REGION = generate_region(seed=17, meters=1500)
BEGAN = 1_770_000_000.0


def script_of(text: str, region=REGION):
    return make_script(parse_scenario(text.encode(), "one.toml"), region, began_at=BEGAN)


def one_act(where: str, what: str = "outage", more: str = 'for = "1h"') -> str:
    return f'[[act]]\nwhat = "{what}"\nwhere = "{where}"\nat = "10m"\n{more}\n'


@pytest.mark.parametrize("name", list_scenarios())
@pytest.mark.parametrize("meters", [3, 30, 1500])
def test_shipped_scenarios_fit_regions_of_any_size(name, meters):
    region = generate_region(seed=3, meters=meters)
    script = make_script(find_scenario(name), region, began_at=BEGAN)
    assert all(len(one.meters) for one in script.happenings if "concentrator" not in one.act.place.kind)
    assert [one.starts_at for one in script.happenings] == sorted(one.starts_at for one in script.happenings)


@pytest.mark.parametrize(
    ("where", "belongs"),
    [
        ("transformer 3", lambda: REGION.transformer_of == 2),
        ("feeder 2", lambda: REGION.grid.transformer_feeder[REGION.transformer_of] == 1),
        ("substation 1", lambda: np.ones(1500, bool)),
    ],
)
def test_an_outage_befalls_what_hangs_below(where, belongs):
    (happening,) = script_of(one_act(where)).happenings
    np.testing.assert_array_equal(happening.meters, np.flatnonzero(belongs()))
    assert (happening.starts_at, happening.ends_at) == (BEGAN + 600, BEGAN + 4200)


def test_a_concentrator_takes_those_who_talk_through_it():
    text = one_act("concentrator 4", "concentrator-down", "")
    (happening,) = script_of(text).happenings
    assert happening.where == "DC-00004"
    assert 5 < len(happening.meters) < (REGION.transformer_of == 3).sum()
    assert np.all(REGION.meter_route[happening.meters] == 3)
    assert happening.ends_at is None


def test_a_second_start_finds_the_same_story():
    text = one_act("meters 5%") + one_act("lv-feeder any", more='for = "1h"\nevery = "7h"')
    one, two = script_of(text), script_of(text)
    assert len(one.happenings) == len(two.happenings) > 200
    for first, second in zip(one.happenings, two.happenings, strict=True):
        np.testing.assert_array_equal(first.meters, second.meters)
        assert (first.key, first.starts_at) == (second.key, second.starts_at)
    places = {happening.where for happening in one.happenings}
    assert len(places) > 30, "an act that is repeated does not always strike the same place"


def test_a_rate_gives_each_thing_its_share_of_a_year():
    text = one_act("concentrator any", "concentrator-down", 'for = "2h"\nrate_per_year = 5.0').replace(
        'at = "10m"\n', ""
    )
    happenings = script_of(text).happenings
    expected = 5 * REGION.grid.transformers
    assert 0.6 * expected < len(happenings) < 1.4 * expected
    lasted = np.array([one.ends_at - one.starts_at for one in happenings if one.ends_at is not None])
    assert 3600 < np.median(lasted) < 4 * 3600
    assert lasted.max() > 5 * np.median(lasted)
    assert len({one.where for one in happenings}) > REGION.grid.transformers / 2


def test_pace_makes_the_script_run_faster():
    (happening,) = script_of("pace = 60\n" + one_act("transformer 1")).happenings
    assert (happening.starts_at, happening.ends_at) == (BEGAN + 10, BEGAN + 70)


def test_supply_is_planned_from_outages_fuses_and_works_alone():
    text = (
        one_act("transformer 1")
        + one_act("lv-feeder 9", "fuse", 'phase = 3\nfor = "2h"')
        + one_act("lv-feeder 12", "planned-work")
        + one_act("meters 9", "mute", "")
    )
    plan = script_of(text).outages
    assert len(plan.gaps) == 3
    meter = int(np.flatnonzero(REGION.transformer_of == 0)[0])
    assert plan.gaps_of(REGION, meter) == [(BEGAN + 600, BEGAN + 4200)]
    assert plan.is_dark(REGION, meter, BEGAN + 600)
    assert not plan.is_dark(REGION, meter, BEGAN + 4200)


@pytest.mark.parametrize("where", ["transformer 9999", "substation 7", "meter 1500000", "meters 1501"])
def test_places_that_the_region_does_not_have_are_refused(where):
    with pytest.raises(ScenarioRefused, match="one, act 1: "):
        script_of(one_act(where))

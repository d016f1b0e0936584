"""Badges, the alarm load, and the parts that the pages of incidents are made of."""

import re
from datetime import UTC, datetime

import pytest
from django.template.loader import render_to_string

from meterops.interfaces.console.svg import load_strip, priority

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)


def test_no_two_priorities_have_the_same_shape() -> None:
    shapes = {re.sub(r"<svg[^>]*>|<text.*", "", priority.badge(one)) for one in (1, 2, 3, 4)}
    assert len(shapes) == 4


@pytest.mark.parametrize(
    ("badge", "words", "look"),
    [
        (priority.badge(1), "Priority 1, unacknowledged", "priority p1"),
        (priority.badge(2, acknowledged=True), "Priority 2, acknowledged", "priority p2 seen"),
        (priority.badge(3, acknowledged=True, shelved=True), "Priority 3, shelved", "priority p3 shelved"),
        (priority.badge(1, fresh=True), "Priority 1, unacknowledged", "priority p1 fresh"),
        (priority.badge(2, fresh=True), "Priority 2, unacknowledged", "priority p2"),
    ],
)
def test_a_badge_says_in_words_what_it_shows(badge: str, words: str, look: str) -> None:
    assert f'class="{look}"' in badge
    assert f'aria-label="{words}"' in badge


def test_there_is_no_fifth_priority() -> None:
    with pytest.raises(KeyError):
        priority.badge(5)


def test_the_load_has_a_bar_for_every_count_and_marks_what_is_a_flood() -> None:
    drawn = load_strip.strip([0, 1, 10, 11, 400])
    assert drawn.count("<rect") == 4
    assert drawn.count('class="load over"') == 2
    assert "0, 1, 10, 11, 400" in drawn
    heights = [float(one) for one in re.findall(r'height="([\d.]+)"/>', drawn)]
    assert heights == sorted(heights)
    assert max(heights) <= 24, "a flood is cut off, not drawn out of the picture"
    line = float(re.findall(r'class="limit" d="M0 ([\d.]+)', drawn)[0])
    tops = [float(one) for one in re.findall(r' y="([\d.]+)"', drawn)]
    assert tops[1] == pytest.approx(line), "ten alarms reach the line and no more"


def test_the_load_shows_the_newest_two_hours_to_the_right() -> None:
    assert load_strip.strip(range(20)).count("<rect") == 12
    one = load_strip.strip([5])
    assert float(re.findall(r'<rect class="load" x="(\d+)"', one)[0]) > 70
    assert "none" in load_strip.strip([])


def test_the_parts_say_what_they_are_given() -> None:
    entries = [{"at": AT, "text": "Acknowledged", "who": "M. Nowak", "kind": "person", "detail": "<crew> on its way"}]
    timeline = render_to_string("console/parts/timeline.html", {"entries": entries})
    assert '<li class="person">' in timeline
    assert "&lt;crew&gt;" in timeline
    assert "2026-03-01 12:00:00 UTC" in timeline
    flood = render_to_string("console/parts/flood.html", {"flood": {"since": AT, "alarms": 1200, "incidents": 1}})
    assert "1\u202f200 alarms in 10 min, held by 1 incident<" in flood
    load = render_to_string("console/parts/alarm_load.html", {"load": {"counts": [3, 4]}})
    assert "<b>4</b> alarms in 10 min" in load


def test_a_list_without_news_has_no_bar() -> None:
    assert not render_to_string("console/parts/new_rows.html", {"count": 0}).strip()
    assert "3 new" in render_to_string("console/parts/new_rows.html", {"count": 3, "href": "?"})

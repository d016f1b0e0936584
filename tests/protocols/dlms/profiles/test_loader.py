"""Companion profiles are data, and a wrong file is refused by name and line."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterops.protocols.dlms.association.parameters import Authentication, Ciphering
from meterops.protocols.dlms.obis import Obis
from meterops.protocols.dlms.profiles import (
    ProfileNotValid,
    ProfileUnknown,
    list_profiles,
    load_profile,
    load_profile_file,
)


@pytest.mark.parametrize("name", list_profiles())
def test_every_shipped_profile_loads_under_its_own_name(name: str) -> None:
    profile = load_profile(name)
    assert profile.name == name
    assert profile.registers
    assert profile.load_profile is not None


def test_a_profile_keeps_what_it_does_not_say_otherwise() -> None:
    old = load_profile("dsmr-4.2.2")
    assert (old.ciphering, old.authentication) == (Ciphering.GLO, Authentication.HLS5_GMAC)
    assert old.registers == load_profile("generic").registers
    assert (3, Obis.parse("0.0.99.98.3.255")) in old.event_logs
    assert load_profile("") is not None
    assert load_profile("").name == "generic"


def test_an_unknown_name_says_which_there_are() -> None:
    with pytest.raises(ProfileUnknown, match="generic"):
        load_profile("../../etc/passwd")


HEAD = 'name = "x"\ntitle = "X"\n'


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        (HEAD + "[association]\nclient = 1\nauthentification = 'lls'\n", 5, "authentification is not known"),
        (HEAD + "[association]\nciphering = 'rot13'\n", 4, "one of none, glo"),
        (HEAD + "[association]\n\nclient = true\n", 5, "whole number"),
        (HEAD + "[objects]\nregisters = [\n'1.0.1.8.0.255',\n'1.0.1.8']\n", 4, "no OBIS code"),
        (HEAD + "[objects.event_logs]\nx = '0.0.99.98.0.255'\n", 3, "0 to 99"),
        (HEAD + "[quirks]\nlikes_mondays = true\n", 3, "likes_mondays"),
        (HEAD + "[quirks]\nno_lists = 1\n", 3, "true or false"),
        (HEAD + "quirks = 3\n", 3, "table of quirks"),
        (HEAD + "[surprise]\n", 3, "surprise is not known"),
        (HEAD + "extends = 'nobody'\n", 3, "no companion profile"),
        ("name = 'Big Letters'\ntitle = 'x'\n", 1, "lower-case"),
        ("name = 'x'\n[objects\n", 2, "line 2"),
        ("title = 'x'\n", None, "'name' is missing"),
    ],
)
def test_a_wrong_file_is_refused_by_name_and_line(tmp_path: Path, text: str, line: int | None, what: str) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(text)
    with pytest.raises(ProfileNotValid) as refused:
        load_profile_file(file)
    assert refused.value.file == "mine.toml"
    assert refused.value.line == line
    assert what in str(refused.value)


@given(st.text(max_size=120), st.sampled_from(["", HEAD, HEAD + "[objects]\n", HEAD + "[association]\n"]))
def test_any_text_is_a_profile_or_a_refusal(tmp_path_factory: pytest.TempPathFactory, text: str, head: str) -> None:
    file = tmp_path_factory.mktemp("profile") / "any.toml"
    file.write_bytes((head + text).encode("utf-8", "replace"))
    try:
        load_profile_file(file)
    except ProfileNotValid as refused:
        assert str(refused).startswith("any.toml")

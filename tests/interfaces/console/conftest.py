"""A seeded fleet for the console's tests: state in the test database, its past in a lake that all tests of a run share."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from pytest_django import Settings
from tests.interfaces.console import outages, seed

from meterops.fleet.telemetry import api as telemetry
from meterops.interfaces.console import fleet_state
from meterops.interfaces.console.views import overview
from meterops.kernel.clock import utc_now

_lakes: dict[tuple[int, ...], datetime] = {}


@dataclass(frozen=True, slots=True)
class Console:
    """The fleet, when it was seeded, and a signed-in client per kind of person."""

    fleet: seed.Fleet
    now: datetime

    @staticmethod
    def client(name: str = "operator") -> Client:
        """A client in which somebody is signed in; nobody with an empty name."""
        client = Client()
        if name:
            client.force_login(User.objects.get(username=name))
        return client


def forget_kept() -> None:
    """Have every answer that pages keep for some seconds made anew."""
    fleet = (fleet_state.CONTACTS, fleet_state.MAP, *fleet_state.TREES.values(), fleet_state.SUPPLY, fleet_state.HEALTH)
    for kept in (*fleet, overview.COMPLETENESS, overview.LAST_HOUR):
        kept.forget()


@pytest.fixture(scope="session")
def lakes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the lakes of this run are."""
    return tmp_path_factory.mktemp("lakes")


@pytest.fixture
def empty_lake(settings: Settings, tmp_path_factory: pytest.TempPathFactory, lakes: Path) -> Iterator[None]:
    """A lake without a row, and pages that have kept nothing."""
    settings.METEROPS_LAKE = str(lakes / "empty")
    forget_kept()
    yield
    forget_kept()


@pytest.fixture
def console(db: None, settings: Settings, lakes: Path, tmp_path: Path) -> Iterator[Console]:
    """A seeded fleet of 48 meters below 4 transformers, with two days behind it."""
    now = utc_now()
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # a good one takes its time
    fleet = seed.make(tmp_path, now=now)
    seed.beat(now)
    settings.METEROPS_LAKE = str(lakes / f"of-{fleet.ids[0]}-{len(fleet.ids)}")
    if tuple(fleet.ids) not in _lakes:
        seed.fill_lake(telemetry.lake(), fleet, days=2, now=now)
        _lakes[tuple(fleet.ids)] = now
    forget_kept()
    yield Console(fleet, _lakes[tuple(fleet.ids)])
    forget_kept()


@pytest.fixture
def street(db: None) -> int:
    """A transformer with three meters on two feeders; its id."""
    forget_kept()
    return outages.make_street()


@pytest.fixture
def operator(db: None, client: Client) -> Client:
    """Somebody who may do everything with incidents."""
    user = User.objects.create_user("maria")
    user.user_permissions.set(Permission.objects.filter(codename__in=seed.OPERATOR_MAY))
    client.force_login(user)
    return client


@pytest.fixture
def guest(db: None) -> Client:
    """Somebody who may look."""
    client = Client()
    client.force_login(User.objects.create_user("guest"))
    return client

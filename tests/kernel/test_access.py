"""Access tokens: shown once, kept as a digest, worth nothing when they ended, were revoked or their user is gone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.auth.models import User

from meterops.kernel import access, audit
from meterops.kernel.actor import Actor, ActorKind
from meterops.kernel.models import AccessToken

NOW = datetime(2026, 3, 1, tzinfo=UTC)
ENDS = NOW + timedelta(days=30)
ACTOR = Actor("maria")


@pytest.fixture
def maria(db: None) -> User:
    return User.objects.create_user("maria")


def token(user: User) -> str:
    return access.create_token(user=user, purpose="reports", actor=ACTOR, at=NOW, expires_at=ENDS)


def test_a_token_stands_for_its_user_until_it_ends(maria: User) -> None:
    text = token(maria)
    found = access.user_of_token(text, now=ENDS - timedelta(seconds=1))
    assert found == (maria, Actor("maria (reports)", ActorKind.TOKEN))
    assert str(found[1]) == "token:maria (reports)"
    assert access.user_of_token(text, now=ENDS) is None


def test_the_text_of_a_token_is_kept_nowhere(maria: User) -> None:
    text = token(maria)
    stored = repr(list(AccessToken.objects.values_list())) + repr(access.list_tokens()) + repr(audit.list_entries())
    assert text not in stored
    assert text[len(access.PREFIX) + 6 :] not in stored
    assert token(maria) != text


@pytest.mark.parametrize("text", ["", "mo_", "mo_nothing", "\x00", "é" * 50])
def test_what_is_no_token_opens_nothing(maria: User, text: str) -> None:
    token(maria)
    assert access.user_of_token(text, now=NOW) is None


def test_a_revoked_token_opens_nothing_and_leaves_a_trace(maria: User) -> None:
    text = token(maria)
    (view,) = access.list_tokens(maria)
    access.revoke_token(token_id=view.id, actor=ACTOR, at=NOW)
    assert access.user_of_token(text, now=NOW) is None
    assert not access.list_tokens(maria)[0].is_valid(NOW)
    assert [entry.action for entry in audit.list_entries()] == ["revoke token", "create token"]
    with pytest.raises(access.TokenUnknown):
        access.revoke_token(token_id=view.id, actor=ACTOR, at=NOW)


def test_nobody_revokes_or_sees_the_tokens_of_another(maria: User) -> None:
    text = token(maria)
    (view,) = access.list_tokens()
    paul = User.objects.create_user("paul")
    assert access.list_tokens(paul) == []
    with pytest.raises(access.TokenUnknown):
        access.revoke_token(token_id=view.id, actor=Actor("paul"), at=NOW, user=paul)
    assert access.user_of_token(text, now=NOW) is not None


def test_a_user_who_may_not_sign_in_has_no_tokens_that_open(maria: User) -> None:
    text = token(maria)
    User.objects.filter(pk=maria.pk).update(is_active=False)
    assert access.user_of_token(text, now=NOW) is None


def test_the_last_use_is_noted_once_a_minute(maria: User) -> None:
    text = token(maria)
    for second in (0, 30, 59):
        access.user_of_token(text, now=NOW + timedelta(seconds=second))
    assert access.list_tokens()[0].last_used_at == NOW
    access.user_of_token(text, now=NOW + timedelta(seconds=61))
    assert access.list_tokens()[0].last_used_at == NOW + timedelta(seconds=61)


def test_a_token_that_ends_before_it_begins_is_refused(maria: User) -> None:
    with pytest.raises(access.TokenLifetimeNotValid):
        access.create_token(user=maria, purpose="x", actor=ACTOR, at=NOW, expires_at=NOW)
    assert not AccessToken.objects.exists()

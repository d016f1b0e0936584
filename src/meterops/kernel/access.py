"""Access tokens: a program acts with a person's rights until the token's end, and says who it is in the audit log."""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from django.db import transaction

from meterops.kernel import audit
from meterops.kernel.actor import Actor, ActorKind
from meterops.kernel.models import AccessToken
from meterops.kernel.refusal import Refusal

if TYPE_CHECKING:
    from django.contrib.auth.models import User

PREFIX = "mo_"
_NOTE_USE_EVERY = timedelta(minutes=1)


class TokenUnknown(Refusal):
    """There is no such token."""


class TokenLifetimeNotValid(Refusal):
    """A token ends after it begins."""


@dataclass(frozen=True, slots=True)
class TokenView:
    """A token as lists show it: never the token itself."""

    id: int
    user: str
    purpose: str
    prefix: str
    created_at: datetime
    expires_at: datetime
    last_used_at: datetime | None
    revoked_at: datetime | None

    def is_valid(self, now: datetime) -> bool:
        """Whether it opens anything now."""
        return self.revoked_at is None and now < self.expires_at


@transaction.atomic
def create_token(*, user: "User", purpose: str, actor: Actor, at: datetime, expires_at: datetime) -> str:
    """Draw a token for a user; the text is returned this once and kept nowhere.

    Raises:
        TokenLifetimeNotValid: when it would end before it begins.
    """
    if expires_at <= at:
        raise TokenLifetimeNotValid
    text = PREFIX + secrets.token_urlsafe(32)
    AccessToken.objects.create(
        user=user, purpose=purpose, digest=_digest(text), prefix=text[:9], created_at=at, expires_at=expires_at
    )
    subject = f"token {text[:9]} of {user.get_username()}"
    audit.record(actor=actor, action="create token", subject=subject, after={"purpose": purpose}, at=at)
    return text


def user_of_token(text: str, *, now: datetime) -> "tuple[User, Actor] | None":
    """The user a token stands for, and the actor to write into the audit log; None when it opens nothing."""
    row = AccessToken.objects.select_related("user").filter(digest=_digest(text)).first()
    if row is None or row.revoked_at is not None or now >= row.expires_at or not row.user.is_active:
        return None
    if row.last_used_at is None or now - row.last_used_at > _NOTE_USE_EVERY:
        AccessToken.objects.filter(pk=row.pk).update(last_used_at=now)
    return row.user, Actor(f"{row.user.get_username()} ({row.purpose})", ActorKind.TOKEN)


@transaction.atomic
def revoke_token(*, token_id: int, actor: Actor, at: datetime, user: "User | None" = None) -> None:
    """Make a token open nothing from now on; with `user`, only one of that user's.

    Raises:
        TokenUnknown: when there is none of that id (for that user).
    """
    found = AccessToken.objects.select_related("user").filter(pk=token_id, revoked_at__isnull=True)
    row = (found.filter(user=user) if user is not None else found).first()
    if row is None:
        raise TokenUnknown
    row.revoked_at = at
    row.save(update_fields=["revoked_at"])
    audit.record(actor=actor, action="revoke token", subject=f"token {row.prefix} of {row.user.get_username()}", at=at)


def list_tokens(user: "User | None" = None) -> list[TokenView]:
    """Tokens, newest first; with `user`, only theirs."""
    rows = AccessToken.objects.select_related("user")
    if user is not None:
        rows = rows.filter(user=user)
    return [
        TokenView(
            r.pk, r.user.get_username(), r.purpose, r.prefix, r.created_at, r.expires_at, r.last_used_at, r.revoked_at
        )
        for r in rows
    ]


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()

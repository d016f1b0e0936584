"""Facts: what happened in a lower package, told to upper ones at least once.

A fact is a frozen dataclass of plain values, named in the past tense. It is written to the outbox in the transaction of the
change itself; the engine delivers it to the subscribers that `site.wiring` lists.
"""

import dataclasses
import logging
from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any, TypeVar

from django.core.serializers.json import DjangoJSONEncoder
from django.db import transaction

from meterops.kernel.clock import utc_now
from meterops.kernel.models import OutboxFact

log = logging.getLogger(__name__)

F = TypeVar("F")
_types: dict[str, type[Any]] = {}
_subscribers: dict[str, list[Callable[[Any], None]]] = defaultdict(list)
_kept: set[str] = set()


def fact(cls: type[F]) -> type[F]:
    """Class decorator: make a frozen dataclass known under its name.

    Raises:
        TypeError: when it is no frozen dataclass, or another fact has its name.
    """
    if not dataclasses.is_dataclass(cls) or not cls.__dataclass_params__.frozen:  # type: ignore[attr-defined]
        raise TypeError(f"{cls.__name__} is a fact, so it must be a frozen dataclass")
    if _types.setdefault(cls.__name__, cls) is not cls:
        raise TypeError(f"two facts are called {cls.__name__}")
    return cls


def subscribe(fact_type: type[F], handler: Callable[[F], None]) -> None:
    """Have `handler` called with every fact of the type. Handlers are idempotent: delivery is at least once."""
    if handler not in _subscribers[fact_type.__name__]:
        _subscribers[fact_type.__name__].append(handler)


def keep(names: Iterable[str]) -> None:
    """Have facts of these names kept for whichever process delivers them, although nobody in this one subscribes."""
    _kept.update(names)


def publish(*happened: Any) -> None:
    """Write facts to the outbox in the caller's transaction. Those nobody subscribes to, here or elsewhere, are not kept."""
    now = utc_now()
    OutboxFact.objects.bulk_create(
        OutboxFact(name=type(one).__name__, payload=_payload(one), published_at=now)
        for one in happened
        if _subscribers.get(type(one).__name__) or type(one).__name__ in _kept
    )


def deliver(*, now: datetime, limit: int = 500) -> int:
    """Deliver undelivered facts in order; a handler that raises leaves its fact for the next call. Returns how many went out.

    A fact is locked while its handlers run, so that of several engines one delivers it and the others wait for it.
    """
    delivered = 0
    waiting = OutboxFact.objects.filter(delivered_at__isnull=True)
    for row in waiting.order_by("id")[:limit]:
        try:
            with transaction.atomic():
                if not waiting.select_for_update().filter(id=row.id).exists():
                    continue  # another engine was faster
                fact_type = _types[row.name]
                for handler in _subscribers[row.name]:
                    handler(_from_payload(fact_type, row.payload))
                row.delivered_at = now
                row.save(update_fields=["delivered_at"])
            delivered += 1
        except Exception as error:
            log.exception("a subscriber of %s failed; the fact is kept and tried again", row.name)
            OutboxFact.objects.filter(id=row.id).update(attempts=row.attempts + 1, last_error=repr(error)[:2000])
            break
    return delivered


def _payload(one: Any) -> dict[str, Any]:
    encoder = DjangoJSONEncoder()
    plain: dict[str, Any] = {}
    for name, value in ((f.name, getattr(one, f.name)) for f in dataclasses.fields(one)):
        plain[name] = encoder.default(value) if isinstance(value, datetime) else value
    return plain


def _from_payload(fact_type: type[F], payload: dict[str, Any]) -> F:
    values = {}
    for field in dataclasses.fields(fact_type):  # type: ignore[arg-type]
        value = payload[field.name]
        if field.type in (datetime, "datetime") and isinstance(value, str):
            value = datetime.fromisoformat(value)
        values[field.name] = tuple(value) if isinstance(value, list) else value
    return fact_type(**values)

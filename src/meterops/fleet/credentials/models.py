"""Tables of the credentials: keys only wrapped, and counters."""

from django.db import models
from django.db.models import Q

from meterops.fleet.credentials.lifecycle import KeyState
from meterops.protocols.dlms.security import KeyKind


class DeviceKey(models.Model):
    """One key of one meter, wrapped under the master key that `master_key_id` names."""

    end_device_id = models.BigIntegerField()
    kind = models.PositiveSmallIntegerField(choices=[(k.value, k.name) for k in KeyKind])
    version = models.PositiveIntegerField(default=1)
    state = models.CharField(max_length=10, choices=[(s.value, s.value) for s in KeyState])
    wrapped = models.BinaryField()
    master_key_id = models.CharField(max_length=16)
    created_at = models.DateTimeField()
    state_since = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["end_device_id", "kind", "version"], name="one_key_per_version"),
            models.UniqueConstraint(
                fields=["end_device_id", "kind"], condition=Q(state=KeyState.ACTIVE), name="one_active_key_per_kind"
            ),
        ]
        permissions = [("manage_keys", "May import and rotate keys")]


class SendCounter(models.Model):
    """The next invocation counter that may be used towards a meter; only ever raised."""

    end_device_id = models.BigIntegerField(primary_key=True)
    next_value = models.BigIntegerField()


class PushCounter(models.Model):
    """The last invocation counter taken from a meter's pushes; only ever raised."""

    end_device_id = models.BigIntegerField(primary_key=True)
    last_value = models.BigIntegerField()

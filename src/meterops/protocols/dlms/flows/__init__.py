"""Flows: what a client does in an association, step by step, as generators that any transport can drive."""

from __future__ import annotations

from meterops.protocols.dlms.flows.actions import invoke
from meterops.protocols.dlms.flows.images import (
    IMAGE_TRANSFER,
    ImageStatus,
    ImageToActivate,
    ImageTransferReport,
    activate_image,
    read_image_status,
    read_images_to_activate,
    transfer_image,
    verify_image,
)
from meterops.protocols.dlms.flows.keys import SECURITY_SETUP, rotate_keys
from meterops.protocols.dlms.flows.pushes import Push, PushReassembly, SealedPush, receive_push
from meterops.protocols.dlms.flows.reading import (
    ObjectEntry,
    read,
    read_association_view,
    read_capture_objects,
    read_many,
    read_octets,
    read_plain,
    read_profile,
    read_profile_entries,
)
from meterops.protocols.dlms.flows.sessions import INVOCATION_COUNTER, associate, read_invocation_counter, release
from meterops.protocols.dlms.flows.steps import Flow, Pause, Silence, drive
from meterops.protocols.dlms.flows.writing import write, write_many

__all__ = [
    "IMAGE_TRANSFER",
    "INVOCATION_COUNTER",
    "SECURITY_SETUP",
    "Flow",
    "ImageStatus",
    "ImageToActivate",
    "ImageTransferReport",
    "ObjectEntry",
    "Pause",
    "Push",
    "PushReassembly",
    "SealedPush",
    "Silence",
    "activate_image",
    "associate",
    "drive",
    "invoke",
    "read",
    "read_association_view",
    "read_capture_objects",
    "read_image_status",
    "read_images_to_activate",
    "read_invocation_counter",
    "read_many",
    "read_octets",
    "read_plain",
    "read_profile",
    "read_profile_entries",
    "receive_push",
    "release",
    "rotate_keys",
    "transfer_image",
    "verify_image",
    "write",
    "write_many",
]

"""`meterops dlms read | write | invoke | profile | image | keys | info`: talk to any meter, without a database."""

import csv
import json
import secrets
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeVar

import typer

from meterops.interfaces.cli.dlms_connection import (
    EXIT_FAILED,
    EXIT_USAGE,
    Conversation,
    Hex,
    MeterOptions,
    confirm,
    takes_meter,
    talk,
)
from meterops.interfaces.cli.dlms_values import as_json as plain_json
from meterops.interfaces.cli.dlms_values import moment, parse_attribute, parse_method, parse_value, shown
from meterops.interfaces.cli.output import AsJson, print_json, print_table
from meterops.protocols.dlms import axdr
from meterops.protocols.dlms.apdu.descriptors import Attribute
from meterops.protocols.dlms.apdu.enums import DataAccessResult
from meterops.protocols.dlms.association.client import ClientAssociation
from meterops.protocols.dlms.axdr import Data
from meterops.protocols.dlms.errors import DlmsError, ServiceRefused
from meterops.protocols.dlms.flows import (
    IMAGE_TRANSFER,
    ImageStatus,
    ImageToActivate,
    ImageTransferReport,
    activate_image,
    invoke,
    read_association_view,
    read_capture_objects,
    read_image_status,
    read_many,
    read_plain,
    read_profile,
    rotate_keys,
    transfer_image,
    verify_image,
    write,
)
from meterops.protocols.dlms.obis import Obis
from meterops.protocols.dlms.security import KeyKind

T = TypeVar("T")

LOAD_PROFILE = "1.0.99.1.0.255"
_CLOCK_CLASS = 8

Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be sent, and change nothing.")]


def register(app: typer.Typer) -> None:
    """Hang the commands into the group `dlms`."""
    app.command("read")(read_command)
    app.command("write")(write_command)
    app.command("invoke")(invoke_command)
    app.command("profile")(profile_command)
    app.command("image")(image_command)
    app.command("keys")(keys_command)
    app.command("info")(info_command)


@takes_meter
def read_command(
    meter: MeterOptions,
    targets: Annotated[list[str], typer.Argument(metavar="CLASS:OBIS:ATTRIBUTE...", help="What to read.")],
    as_json: AsJson = False,
) -> None:
    """Read attributes, several in one request where the meter can. Exit code 1 when one is refused."""
    attributes = [_parsed(parse_attribute, text) for text in targets]

    async def visit(conversation: Conversation, a: ClientAssociation) -> list[Data | DataAccessResult]:
        return await conversation.run(read_many(a, attributes))

    results = talk(meter, visit)
    if as_json:
        print_json([_result_json(text, result) for text, result in zip(targets, results, strict=True)])
    else:
        for text, result in zip(targets, results, strict=True):
            typer.echo(f"{text} = {_result_text(result)}")
    if any(isinstance(result, DataAccessResult) for result in results):
        raise typer.Exit(EXIT_FAILED)


@takes_meter
def write_command(
    meter: MeterOptions,
    target: Annotated[str, typer.Argument(metavar="CLASS:OBIS:ATTRIBUTE", help="What to write.")],
    value: Annotated[str, typer.Argument(metavar="TYPE:VALUE", help="For example uint32:5, text:abc, time:now.")],
    yes: Yes = False,
    dry_run: DryRun = False,
) -> None:
    """Write an attribute."""
    attribute, data = _parsed(parse_attribute, target), _parsed(parse_value, value)
    if dry_run:
        typer.echo(f"would write {target} = {shown(data.plain())} (A-XDR {axdr.encode(data).hex()})")
        return
    confirm(f"Write {value} to {target} of {meter.host}:{meter.port}", yes=yes)

    async def visit(conversation: Conversation, a: ClientAssociation) -> None:
        await conversation.run(write(a, attribute, data))

    talk(meter, visit)
    typer.echo(f"{target} is written")


@takes_meter
def invoke_command(
    meter: MeterOptions,
    target: Annotated[str, typer.Argument(metavar="CLASS:OBIS:METHOD", help="What to invoke.")],
    value: Annotated[str, typer.Argument(metavar="TYPE:VALUE", help="The parameter.")] = "int8:0",
    yes: Yes = False,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Invoke a method, such as 70:0.0.96.3.10.255:1, which disconnects the supply."""
    method, data = _parsed(parse_method, target), _parsed(parse_value, value)
    if dry_run:
        typer.echo(f"would invoke {target} with {shown(data.plain())} (A-XDR {axdr.encode(data).hex()})")
        return
    confirm(f"Invoke {target} with {value} on {meter.host}:{meter.port}", yes=yes)

    async def visit(conversation: Conversation, a: ClientAssociation) -> Data | None:
        return await conversation.run(invoke(a, method, data))

    returned = talk(meter, visit)
    if as_json:
        print_json({"returned": None if returned is None else plain_json(returned.plain())})
    else:
        typer.echo("done" if returned is None else f"done, returned {shown(returned.plain())}")


@takes_meter
def profile_command(
    meter: MeterOptions,
    obis: Annotated[str, typer.Argument(help="Logical name of the profile.")] = LOAD_PROFILE,
    from_: Annotated[str, typer.Option("--from", help="First moment, UTC unless it says otherwise.")] = "",
    to: Annotated[str, typer.Option(help="Moment after the last; now when not given.")] = "now",
    as_json: AsJson = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Answer with comma-separated values.")] = False,
) -> None:
    """Read the rows of a profile from --from up to and excluding --to; the last day when not given."""
    name = _parsed(Obis.parse, obis)
    ends = int(_parsed(moment, to).timestamp())
    starts = int(_parsed(moment, from_).timestamp()) if from_ else ends - 86_400
    if starts >= ends:
        _wrong("--from must be before --to")

    async def visit(conversation: Conversation, a: ClientAssociation) -> tuple[list[str], list[list[Any]]]:
        captured = await conversation.run(read_capture_objects(a, name))
        clocks = tuple(i for i, column in enumerate(captured) if column.class_id == _CLOCK_CLASS)
        rows = await conversation.run(read_profile(a, name, starts, ends, clock_columns=clocks or (0,)))
        titles = [f"{column.class_id}:{column.obis}:{column.attribute}" for column in captured]
        return titles, [[_cell(value, i in clocks) for i, value in enumerate(row)] for row in rows.rows()]

    titles, rows = talk(meter, visit)
    if as_json:
        print_json({"columns": titles, "rows": rows})
    elif as_csv:
        writer = csv.writer(sys.stdout)
        writer.writerow(titles)
        writer.writerows(rows)
    else:
        print_table(titles, [[shown(value) for value in row] for row in rows], empty="No rows in this period.")


@takes_meter
def image_command(
    meter: MeterOptions,
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="The firmware image.")],
    identifier: Annotated[str, typer.Option(help="Image identification; the file's name when not given.")] = "",
    activate: Annotated[bool, typer.Option("--activate", help="Activate it once it is verified.")] = False,
    resume: Annotated[bool, typer.Option(help="Go on with a transfer that was interrupted.")] = True,
    yes: Yes = False,
    dry_run: DryRun = False,
) -> None:
    """Transfer a firmware image and let the meter verify it; activate it only when told to."""
    image, name = file.read_bytes(), (identifier or file.name).encode()
    if not image:
        _wrong(f"{file} is empty")
    if dry_run:
        _image_dry_run(meter, name, len(image), activate=activate)
        return
    if activate:
        confirm(f"Transfer {file.name} to {meter.host}:{meter.port} and ACTIVATE it", yes=yes)
    else:
        confirm(f"Transfer {file.name} to {meter.host}:{meter.port}", yes=yes)

    def progress(done: int, total: int) -> None:
        if sys.stderr.isatty():
            typer.echo(f"\rblock {done} of {total}", err=True, nl=done == total)

    async def visit(
        conversation: Conversation, a: ClientAssociation
    ) -> tuple[ImageTransferReport, tuple[ImageToActivate, ...]]:
        report = await conversation.run(
            transfer_image(a, IMAGE_TRANSFER, name, image, resume=resume, on_block=progress)
        )
        held = await conversation.run(verify_image(a, IMAGE_TRANSFER))
        if activate:
            await conversation.run(activate_image(a, IMAGE_TRANSFER))
        return report, held

    report, held = talk(meter, visit)
    typer.echo(f"transferred {report.blocks_sent} of {report.blocks} blocks of {report.block_size} octets, verified")
    for one in held:
        typer.echo(f"holds {one.identifier.decode(errors='replace')}: {one.size} octets, {one.signature.hex()}")
    typer.echo("activated" if activate else "not activated (--activate)")


def _image_dry_run(meter: MeterOptions, name: bytes, size: int, *, activate: bool) -> None:
    async def visit(conversation: Conversation, a: ClientAssociation) -> tuple[int, ImageStatus]:
        block_size = await conversation.run(read_plain(a, Attribute(18, IMAGE_TRANSFER, 2)))
        return int(block_size), await conversation.run(read_image_status(a, IMAGE_TRANSFER))

    block_size, status = talk(meter, visit)
    blocks = -(-size // max(block_size, 1))
    then = "verify and activate it" if activate else "verify it"
    typer.echo(f"would transfer {name.decode(errors='replace')}: {blocks} blocks of {block_size} octets, and {then}")
    typer.echo(f"the meter's transfer status is {status.name.lower().replace('_', ' ')}")


@takes_meter
def keys_command(
    meter: MeterOptions,
    new_ek: Hex = None,
    new_ak: Hex = None,
    new_kek: Hex = None,
    generate: Annotated[
        Path | None, typer.Option(help="Make new --ek and --ak and write them to this new file before they are sent.")
    ] = None,
    yes: Yes = False,
    dry_run: DryRun = False,
) -> None:
    """Give the meter new keys, wrapped under --kek, and prove them with an association of their own."""
    if meter.kek is None or meter.ek is None:
        _wrong("keys travel wrapped: --kek, --ek and --ak are needed")
    length = len(meter.ek)
    if generate is not None and not dry_run:
        new_ek, new_ak = secrets.token_bytes(length), secrets.token_bytes(length)
    given = {KeyKind.UNICAST_ENCRYPTION: new_ek, KeyKind.AUTHENTICATION: new_ak, KeyKind.MASTER: new_kek}
    new = {kind: key for kind, key in given.items() if key is not None}
    if not new and generate is None:
        _wrong("say which keys are new: --new-ek, --new-ak, --new-kek or --generate FILE")
    if any(len(key) != length for key in new.values()):
        _wrong(f"keys of suite {meter.suite} have {length} octets")
    named = ", ".join(kind.name.lower().replace("_", " ") for kind in new) or "unicast encryption, authentication"
    if dry_run:
        typer.echo(f"would replace: {named}")
        return
    confirm(f"Replace {named} of {meter.host}:{meter.port}", yes=yes)
    if generate is not None:
        _write_keys(generate, new)

    async def rotate(conversation: Conversation, a: ClientAssociation) -> None:
        await conversation.run(rotate_keys(a, new))

    async def prove(conversation: Conversation, a: ClientAssociation) -> Any:
        return await conversation.run(read_plain(a, Attribute(1, Obis.parse("0.0.42.0.0.255"), 2)))

    talk(meter, rotate)
    changed = replace(meter, ek=new_ek or meter.ek, ak=new_ak or meter.ak, kek=new_kek or meter.kek, counter=None)
    name = talk(changed, prove)
    typer.echo(f"replaced {named}; proved with {shown(name)}")


def _write_keys(path: Path, new: dict[KeyKind, bytes]) -> None:
    """Write keys to a file that was not there and is for its owner only."""
    try:
        path.touch(mode=0o600, exist_ok=False)
        path.write_text(
            json.dumps({kind.name.lower(): key.hex() for kind, key in new.items()}) + "\n", encoding="ascii"
        )
    except OSError as error:
        _wrong(f"{path}: {error.strerror}")


@takes_meter
def info_command(meter: MeterOptions, as_json: AsJson = False) -> None:
    """Show what the association offers: the meter, what it can do, its objects and the access to them."""

    async def visit(conversation: Conversation, a: ClientAssociation) -> dict[str, Any]:
        try:
            name = await conversation.run(read_plain(a, Attribute(1, Obis.parse("0.0.42.0.0.255"), 2)))
        except ServiceRefused:
            name = None
        view = await conversation.run(read_association_view(a))
        return {
            "logical_device_name": name,
            "system_title": a.peer_title.hex(),
            "conformance": [flag.name.lower() for flag in a.conformance if flag.name],
            "max_pdu_size": a.server_pdu_size,
            "objects": [
                {
                    "class_id": entry.class_id,
                    "version": entry.version,
                    "obis": str(entry.obis),
                    "attributes": entry.attribute_access,
                    "methods": entry.method_access,
                }
                for entry in view
            ],
        }

    found = talk(meter, visit)
    if as_json:
        print_json({**found, "logical_device_name": plain_json(found["logical_device_name"])})
        return
    typer.echo(f"logical device name  {shown(found['logical_device_name'])}")
    typer.echo(f"system title         {found['system_title'] or 'not shown'}")
    typer.echo(f"takes APDUs of       {found['max_pdu_size']} octets")
    typer.echo(f"can                  {', '.join(found['conformance'])}")
    print_table(
        ("Class", "Version", "OBIS", "Attributes", "Methods"),
        [
            (o["class_id"], o["version"], o["obis"], _accesses(o["attributes"]), _accesses(o["methods"]))
            for o in found["objects"]
        ],
    )


def _accesses(modes: dict[int, int]) -> str:
    """Numbers with their access mode behind a slash, as the meter's class version encodes it; 0 is none."""
    return " ".join(f"{number}/{mode}" for number, mode in modes.items() if mode)


def _parsed(parse: Callable[[str], T], text: str) -> T:
    try:
        return parse(text)
    except (ValueError, DlmsError) as error:
        raise typer.BadParameter(str(error)) from None


def _wrong(sentence: str) -> NoReturn:
    typer.echo(sentence, err=True)
    raise typer.Exit(EXIT_USAGE)


def _cell(value: Any, is_clock: bool) -> Any:
    if is_clock and isinstance(value, int):
        return datetime.fromtimestamp(value, UTC).isoformat()
    return plain_json(value)


def _result_text(result: Data | DataAccessResult) -> str:
    if isinstance(result, DataAccessResult):
        return f"refused: {result.name.lower().replace('_', ' ')}"
    return shown(result.plain())


def _result_json(target: str, result: Data | DataAccessResult) -> dict[str, Any]:
    if isinstance(result, DataAccessResult):
        return {"target": target, "refused": result.name.lower()}
    return {"target": target, "type": result.tag.name.lower(), "value": plain_json(result.plain())}

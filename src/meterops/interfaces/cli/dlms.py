"""`meterops dlms`: captured frames decoded, sessions traced, classes and profiles looked up, single meters talked to."""

import dataclasses
import re
import textwrap
from pathlib import Path
from typing import Annotated

import typer

from meterops.interfaces.cli.output import EXIT_FAILED, EXIT_USAGE, AsJson, print_json, print_table, refuse
from meterops.protocols.dlms.capture import Capture, read_capture
from meterops.protocols.dlms.cosem import InterfaceClass, find_class, list_classes
from meterops.protocols.dlms.dump import CaptureKeys, Node, as_xml, dump_apdu
from meterops.protocols.dlms.errors import DlmsError
from meterops.protocols.dlms.profiles import CompanionProfile, ProfileNotValid, list_profiles, load_profile
from meterops.protocols.dlms.profiles import load_profile_file as load_file
from meterops.protocols.dlms.trace import CLIENT, Step, recorded_octets, trace_session

app = typer.Typer(no_args_is_help=True, help="DLMS/COSEM by hand: decode captures, trace sessions, talk to one meter.")

_KEY_LENGTHS = (16, 24, 32)
_HEX_KEY = re.compile(r"(?:[0-9A-Fa-f]{2}[\s:]?){16,32}")

CaptureFile = Annotated[Path, typer.Argument(help="Captured octets, raw or as hexadecimal text; - reads stdin.")]
Key = Annotated[
    str | None, typer.Option("--key", metavar="FILE", help="Encryption key: a file (hex or octets), or hex.")
]
AuthKey = Annotated[
    str | None,
    typer.Option("--auth-key", metavar="FILE", help="Authentication key, likewise. Without it no tag is checked."),
]
Title = Annotated[
    str,
    typer.Option("--system-title", metavar="HEX", help="The sender's system title, for frames that do not name it."),
]


@app.command()
def decode(
    file: CaptureFile, key: Key = None, auth_key: AuthKey = None, system_title: Title = "", as_json: AsJson = False
) -> None:
    """Decode captured frames: HDLC, wired M-Bus, the TCP/UDP wrapper or bare APDUs, told by looking.

    Prints XML, or JSON that holds the same tree (and the XML). What was passed over is said on stderr.
    """
    keys = CaptureKeys(_key_of(key, "--key"), _key_of(auth_key, "--auth-key"), _title_of(system_title))
    try:
        capture = read_capture(content_of(file))
        nodes = [dump_apdu(apdu, keys) for apdu in capture.apdus]
    except DlmsError as error:
        refuse(f"{file}: {error}")
    if as_json:
        print_json(_as_json(file, capture, nodes))
        return
    for what in capture.damage:
        typer.echo(f"{file}: {what}", err=True)
    typer.echo(as_xml(nodes), nl=False)


@app.command()
def trace(
    file: CaptureFile,
    key: Key = None,
    auth_key: AuthKey = None,
    system_title: Title = "",
    full: Annotated[bool, typer.Option("--full", help="Write every APDU out below its line.")] = False,
    as_json: AsJson = False,
) -> None:
    """Follow a recorded session: every APDU opened, in words, with what is odd about it. Secrets are redacted.

    Takes what `meterops dlms read --trace-to FILE` wrote, or captured octets of both directions in the order of the wire.
    The exit code is 1 when an APDU stayed closed.
    """
    keys = CaptureKeys(_key_of(key, "--key"), _key_of(auth_key, "--auth-key"), _title_of(system_title))
    try:
        capture = read_capture(recorded_octets(content_of(file)))
    except DlmsError as error:
        refuse(f"{file}: {error}")
    steps = list(trace_session(capture.apdus, keys))
    if as_json:
        print_json(
            {
                "file": str(file),
                "framing": capture.framing,
                "damage": capture.damage,
                "steps": [step.as_json() for step in steps],
            }
        )
    else:
        for what in capture.damage:
            typer.echo(f"{file}: {what}", err=True)
        for step in steps:
            _show_step(step, full=full)
        _show_total(capture, steps, keys)
    if not all(step.is_open for step in steps):
        raise typer.Exit(EXIT_FAILED)


@app.command()
def classes(
    class_id: Annotated[int | None, typer.Argument(help="A class id, such as 7; all classes without it.")] = None,
    as_json: AsJson = False,
) -> None:
    """List COSEM interface classes, or the attributes and methods of one."""
    if class_id is None:
        rows = [(one.class_id, one.name, one.version, len(one.attributes), len(one.methods)) for one in list_classes()]
        print_json(list_classes()) if as_json else print_table(
            ("Class", "Name", "Version", "Attributes", "Methods"), rows
        )
        return
    found = find_class(class_id)
    if found is None:
        refuse(f"class {class_id} is not described here; `meterops dlms classes` lists those that are")
    print_json(found) if as_json else _show_class(found)


@app.command()
def profiles(
    name: Annotated[str | None, typer.Argument(help="A profile, or a profile file to check; all without it.")] = None,
    as_json: AsJson = False,
) -> None:
    """List companion profiles, show one, or check a file of your own."""
    try:
        if name is None:
            found = [load_profile(one) for one in list_profiles()]
            rows = [(one.name, one.title) for one in found]
            print_json(found) if as_json else print_table(("Name", "Title"), rows)
            return
        profile = load_file(Path(name)) if Path(name).suffix == ".toml" else load_profile(name)
    except ProfileNotValid as error:
        refuse(str(error))
    except DlmsError as error:
        refuse(str(error))
    print_json(profile) if as_json else _show_profile(profile)


def content_of(file: Path) -> bytes:
    """A file, or stdin for `-`; a sentence and exit code 3 when it cannot be read."""
    try:
        return typer.get_binary_stream("stdin").read() if str(file) == "-" else file.read_bytes()
    except OSError as error:
        refuse(f"{file}: {error.strerror}")


def _key_of(given: str | None, option: str) -> bytes | None:
    """A key from a file that holds it as hex or as octets, or from the option itself. It is never shown."""
    if given is None:
        return None
    path = Path(given)
    try:
        content = path.read_bytes() if path.is_file() else None
    except OSError as error:
        refuse(f"{option}: {given}: {error.strerror}")
    if content is None and not _HEX_KEY.fullmatch(given):
        refuse(f"{option}: there is no such file, and it is no key of 16 or 32 octets in hex", EXIT_USAGE)
    return _key_octets(given.encode() if content is None else content, option)


def _key_octets(content: bytes, option: str) -> bytes:
    text = content.decode("latin-1").strip().removeprefix("\xef\xbb\xbf")
    if _HEX_KEY.fullmatch(text):
        key = bytes.fromhex(text.replace(":", ""))
    else:
        key = content if len(content) in _KEY_LENGTHS else content.strip()
    if len(key) not in (16, 32):
        refuse(f"{option}: {len(key)} octets; a key has 16 or 32, as octets or in hex", EXIT_USAGE)
    return key


def _title_of(text: str) -> bytes:
    try:
        title = bytes.fromhex(text)
    except ValueError:
        title = b"?"
    if title and len(title) != 8:
        refuse("--system-title: 8 octets in hex are expected, such as 4D4D4D0000BC614E", EXIT_USAGE)
    return title


def _as_json(file: Path, capture: Capture, nodes: list[Node]) -> dict[str, object]:
    return {
        "file": str(file),
        "framing": capture.framing,
        "damage": capture.damage,
        "telegrams": [node.as_json() for node in nodes],
        "xml": as_xml(nodes),
    }


def _show_step(step: Step, *, full: bool) -> None:
    arrow = "→" if step.sender == CLIENT else "←"
    typer.echo(f"{step.number:>4} {arrow} {step.kind}: {step.summary}")
    for text in (step.protection, *step.notes):
        if text != "plain":
            typer.echo(f"         {text}")
    if full and step.tree is not None:
        typer.echo(textwrap.indent(as_xml([step.tree]).partition("\n")[2], " " * 9), nl=False)


def _show_total(capture: Capture, steps: list[Step], keys: CaptureKeys) -> None:
    closed = sum(not step.is_open for step in steps)
    checked = "tags checked" if keys.authentication is not None else "tags not checked: no authentication key"
    typer.echo(
        f"{len(steps)} APDUs over {capture.framing}, {checked}{f', {closed} stayed closed' if closed else ''}", err=True
    )


def _show_class(found: InterfaceClass) -> None:
    rows: list[tuple[object, ...]] = [("attribute", one.number, one.name, one.type) for one in found.attributes]
    rows += [("method", one.number, one.name, one.type) for one in found.methods]
    print_table(("", "Number", "Name", "Type"), rows, title=f"{found.class_id} {found.name}, version {found.version}")


def _show_profile(profile: CompanionProfile) -> None:
    rows = [
        (field.name.replace("_", " "), _words(getattr(profile, field.name))) for field in dataclasses.fields(profile)
    ]
    print_table(("Setting", "Value"), rows, title=profile.title)


def _words(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(_words, value)) or "none"
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        parts = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
        return ", ".join(f"{name}={part}" for name, part in parts.items())
    return "none" if value is None else str(value)

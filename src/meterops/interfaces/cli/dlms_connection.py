"""Reaching a meter from a command line: its options, one session or several, a record of the octets, exit codes."""

import asyncio
import contextlib
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, Protocol, TextIO, TypeVar, cast, get_type_hints

import typer

# The driver of flows needs no database, and its module neither; the door beside it would ask for both.
from meterops.fleet.headend.session import PeerClosed, Session, SessionError, Unreachable, open_session
from meterops.protocols.dlms.association.client import ClientAssociation
from meterops.protocols.dlms.association.parameters import Authentication, Ciphering, ClientParameters
from meterops.protocols.dlms.association.quirks import Quirks
from meterops.protocols.dlms.errors import DlmsError, SecurityError
from meterops.protocols.dlms.flows import Flow, associate, read_invocation_counter, release
from meterops.protocols.dlms.framing import Link, LinkResult, WrapperLink
from meterops.protocols.dlms.security import (
    CounterRange,
    KeyRing,
    SecuritySuite,
    load_signing_key,
    load_verification_key,
)

EXIT_OK, EXIT_FAILED, EXIT_USAGE, EXIT_UNREACHABLE = 0, 1, 2, 3

OWN_TITLE = b"MOPCLI\x00\x01"
"""Not the head-end's title: a counter that both used with one key would lay the key open."""

T = TypeVar("T")


class Auth(StrEnum):
    """Who the meter is told that we are."""

    NONE = "none"
    LLS = "lls"
    HLS5 = "hls5"
    HLS7 = "hls7"


_AUTHENTICATION = {
    Auth.NONE: Authentication.NONE,
    Auth.LLS: Authentication.LLS,
    Auth.HLS5: Authentication.HLS5_GMAC,
    Auth.HLS7: Authentication.HLS7_ECDSA,
}
_USUAL_CLIENT = {Auth.NONE: 16, Auth.LLS: 2, Auth.HLS5: 1, Auth.HLS7: 3}


def octets(text: str) -> bytes:
    """Read hexadecimal digits, or those in a file named after `@`: keys on a command line are seen by everybody."""
    try:
        if text.startswith("@"):
            return bytes.fromhex(Path(text[1:]).read_text(encoding="ascii").strip())
        return bytes.fromhex(text)
    except (OSError, UnicodeDecodeError) as error:
        raise typer.BadParameter(f"{text[1:]}: {error}") from None
    except ValueError:
        raise typer.BadParameter("hexadecimal digits, or @ and the name of a file with them, are expected") from None


Hex = Annotated[bytes | None, typer.Option(parser=octets, metavar="HEX|@FILE", show_default=False)]


@dataclass(frozen=True)
class MeterOptions:
    """How to reach a meter and associate with it; each field is an option of every command."""

    host: Annotated[str, typer.Argument(help="Name or address of the meter or its concentrator.")]
    port: Annotated[int, typer.Argument(min=1, max=65535, help="TCP (or UDP) port.")]
    auth: Annotated[Auth, typer.Option(help="Authentication mechanism.")] = Auth.NONE
    client: Annotated[int | None, typer.Option(help="Client SAP; usual ones: 16, lls 2, hls5 1, hls7 3.")] = None
    server: Annotated[int, typer.Option(help="Server SAP (logical device).")] = 1
    password_file: Annotated[Path | None, typer.Option(help="File with the password of --auth lls.")] = None
    ek: Hex = None
    ak: Hex = None
    kek: Hex = None
    system_title: Annotated[
        bytes | None, typer.Option(parser=octets, metavar="HEX", help="Our own; never the head-end's.")
    ] = None
    meter_title: Annotated[
        bytes | None, typer.Option(parser=octets, metavar="HEX", help="Accept no other meter than this.")
    ] = None
    ciphering: Annotated[
        Ciphering | None, typer.Option(help="Protection of services; general-glo with keys, none without.")
    ] = None
    suite: Annotated[int, typer.Option(min=0, max=2, help="Security suite.")] = 0
    counter: Annotated[
        int | None, typer.Option(min=0, help="First invocation counter; read over the public client when not given.")
    ] = None
    signing_key: Annotated[Path | None, typer.Option(help="PEM file with our private key (hls7, --sign).")] = None
    meter_key: Annotated[Path | None, typer.Option(help="PEM file with the meter's public key.")] = None
    sign: Annotated[bool, typer.Option("--sign", help="Sign every request (general-signing).")] = False
    hdlc: Annotated[bool, typer.Option("--hdlc", help="HDLC frames instead of the wrapper.")] = False
    udp: Annotated[bool, typer.Option("--udp", help="The wrapper over UDP.")] = False
    pdu: Annotated[int, typer.Option(min=12, max=65535, help="Longest APDU we take, in octets.")] = 65535
    quirk: Annotated[
        list[str] | None, typer.Option(metavar="NAME[=VALUE]", help="How this meter deviates; may be repeated.")
    ] = None
    timeout: Annotated[float, typer.Option(min=0.01, help="Seconds to wait for each answer.")] = 15.0
    trace_to: Annotated[
        Path | None, typer.Option(help="Append the octets to this file, for `meterops dlms trace`.")
    ] = None

    @property
    def needs_keys(self) -> bool:
        """Whether the association needs symmetric keys."""
        return self.auth is Auth.HLS5 or self.used_ciphering is not Ciphering.NONE

    @property
    def used_ciphering(self) -> Ciphering:
        """The protection asked for, or the usual one."""
        if self.ciphering is not None:
            return self.ciphering
        return Ciphering.GENERAL_GLO if self.ek is not None and self.auth is not Auth.NONE else Ciphering.NONE

    def quirks(self) -> Quirks:
        """The deviations named; `BadParameter` for one that there is not."""
        known = {field.name: field.type for field in fields(Quirks)}
        chosen: dict[str, Any] = {}
        for text in self.quirk or ():
            name, _, value = text.replace("-", "_").partition("=")
            if name not in known:
                raise typer.BadParameter(f"no quirk is named {name}; known are {', '.join(known)}")
            is_number = known[name] == "int"
            if is_number and not value.lstrip("_").isdecimal():
                raise typer.BadParameter(f"the quirk {name} needs a number: {name}=3")
            chosen[name] = int(value.replace("_", "-")) if is_number else value != "false"
        return Quirks(**chosen)

    def parameters(self, counter: int | None = None) -> ClientParameters:
        """What the association needs; `BadParameter` says what is missing."""
        if self.needs_keys and (self.ek is None or self.ak is None):
            raise typer.BadParameter("give --ek and --ak: ciphering and hls5 need keys")
        try:
            return ClientParameters(
                client_sap=_USUAL_CLIENT[self.auth] if self.client is None else self.client,
                server_sap=self.server,
                authentication=_AUTHENTICATION[self.auth],
                password=self._password(),
                system_title=self.system_title or OWN_TITLE,
                meter_system_title=self.meter_title,
                keys=self._keys(),
                suite=SecuritySuite(self.suite),
                ciphering=self.used_ciphering,
                counter=None if counter is None else CounterRange(counter, 1 << 32),
                max_pdu_size=self.pdu,
                signs_requests=self.sign,
                quirks=self.quirks(),
            )
        except SecurityError as error:
            raise typer.BadParameter(str(error)) from None

    def _password(self) -> bytes:
        if self.auth is not Auth.LLS:
            return b""
        if self.password_file is None:
            raise typer.BadParameter("--auth lls needs --password-file")
        try:
            return self.password_file.read_bytes().rstrip(b"\r\n")
        except OSError as error:
            raise typer.BadParameter(f"{self.password_file}: {error.strerror}") from None

    def _keys(self) -> KeyRing | None:
        if self.auth is Auth.NONE and not self.needs_keys and not self.sign:
            return None
        try:
            return KeyRing(
                encryption=self.ek or b"",
                authentication=self.ak or b"",
                master=self.kek,
                signing=None if self.signing_key is None else load_signing_key(self.signing_key),
                verification=None if self.meter_key is None else load_verification_key(self.meter_key),
            )
        except OSError as error:
            raise typer.BadParameter(f"{error.filename}: {error.strerror}") from None

    def public(self) -> "MeterOptions":
        """The same meter as anybody may see it."""
        return replace(
            self, auth=Auth.NONE, client=16, ciphering=Ciphering.NONE, ek=None, ak=None, kek=None, sign=False
        )


def takes_meter(command: Callable[..., T]) -> Callable[..., T]:
    """Decorator: the parameter `meter: MeterOptions` becomes one option for each of its fields, and errors exit codes.

    0 done, 1 refused or failed, 2 wrong use, 3 the meter cannot be reached.
    """
    hints = get_type_hints(MeterOptions, include_extras=True)
    own = inspect.signature(command)
    expanded = [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            annotation=hints[field.name],
            default=inspect.Parameter.empty if field.name in ("host", "port") else field.default,
        )
        for field in fields(MeterOptions)
    ]
    rest = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own.parameters.values() if p.name != "meter"]

    @wraps(command)
    def run(**given: Any) -> T:
        meter = MeterOptions(**{field.name: given.pop(field.name) for field in fields(MeterOptions)})
        with exit_codes():
            return command(meter, **given)

    run.__signature__ = own.replace(parameters=[*expanded[:2], *rest, *expanded[2:]])  # type: ignore[attr-defined]
    run.__annotations__ = {p.name: p.annotation for p in [*expanded, *rest]}
    return run


@contextlib.contextmanager
def exit_codes() -> Iterator[None]:
    """Turn what goes wrong between us and a meter into one sentence and an exit code."""
    try:
        yield
    except Unreachable as error:
        typer.echo(f"unreachable: {error}", err=True)
        raise typer.Exit(EXIT_UNREACHABLE) from None
    except (DlmsError, SessionError) as error:
        typer.echo(f"failed: {error}", err=True)
        raise typer.Exit(EXIT_FAILED) from None


def confirm(what: str, *, yes: bool) -> None:
    """Ask before a meter is changed; without a terminal to ask on, `--yes` is needed."""
    if yes:
        return
    try:
        agreed = typer.confirm(f"{what}?")
    except typer.Abort:
        typer.echo("nothing was done: answer yes, or give --yes", err=True)
        raise typer.Exit(EXIT_USAGE) from None
    if not agreed:
        typer.echo("nothing was done", err=True)
        raise typer.Exit(EXIT_FAILED)


class Conversation(Protocol):
    """Runs flows with a meter."""

    async def run(self, flow: Flow[T]) -> T:
        """Drive a flow to its end."""
        ...


def talk(meter: MeterOptions, visit: Callable[[Conversation, ClientAssociation], Awaitable[T]]) -> T:
    """Associate with the meter, let `visit` do its work, and release."""

    async def all_of_it() -> T:
        with _record(meter.trace_to) as record:
            counter = await _counter(meter, record)
            parameters = meter.parameters(counter)
            async with _conversation(meter, record, parameters) as conversation:
                a = ClientAssociation(parameters)
                await conversation.run(associate(a))
                result = await visit(conversation, a)
                with contextlib.suppress(DlmsError, SessionError):  # the work is done, whatever the goodbye is like
                    await conversation.run(release(a))
                return result

    return asyncio.run(all_of_it())


async def _counter(meter: MeterOptions, record: TextIO | None) -> int | None:
    """The first counter to use, read over the public client where none is given."""
    if not meter.needs_keys or meter.counter is not None:
        return meter.counter
    meter.parameters(0)
    public = meter.public()
    parameters = public.parameters()
    async with _conversation(public, record, parameters) as conversation:
        last: int = await conversation.run(read_invocation_counter(ClientAssociation(parameters)))
    return last + 1


@contextlib.contextmanager
def _record(path: Path | None) -> Iterator[TextIO | None]:
    if path is None:
        yield None
        return
    try:
        path.touch(mode=0o600)  # a password may be in it
        file = path.open("a", encoding="ascii")
    except OSError as error:
        raise typer.BadParameter(f"{path}: {error.strerror}") from None
    with file:
        yield file


@contextlib.asynccontextmanager
async def _conversation(
    meter: MeterOptions, record: TextIO | None, parameters: ClientParameters
) -> AsyncIterator[Conversation]:
    link: Link = _link(meter, parameters)
    if record is not None:
        link = RecordingLink(link, record)
    if meter.udp:
        async with _datagrams(meter, link) as conversation:
            yield conversation
        return
    session: Session = await open_session(meter.host, meter.port, link, meter.timeout)
    async with session:
        yield session


def _link(meter: MeterOptions, parameters: ClientParameters) -> Link:
    if not meter.hdlc:
        return WrapperLink(parameters.client_sap, parameters.server_sap)
    if meter.udp:
        raise typer.BadParameter("--udp goes with the wrapper, not with --hdlc")
    from meterops.protocols.dlms.framing import HdlcClientLink

    return HdlcClientLink(parameters.client_sap, parameters.server_sap)


class RecordingLink:
    """A link that writes down what goes through it: `> hex` to the meter, `< hex` from it, one line a frame."""

    def __init__(self, link: Link, record: TextIO) -> None:
        """Record what passes `link`."""
        self._link = link
        self._record = record
        self._received = bytearray()

    def open(self) -> bytes:
        """Open the link."""
        return self._sent(self._link.open())

    def send(self, apdu: bytes) -> bytes:
        """Frame an APDU."""
        return self._sent(self._link.send(apdu))

    def feed(self, data: bytes) -> LinkResult:
        """Take octets; those of an unfinished frame wait for the rest of it."""
        self._received += data
        result = self._link.feed(data)
        if result.apdus or result.reply or result.opened or result.closed:
            self._record.write(f"< {self._received.hex()}\n")
            self._received.clear()
        self._sent(result.reply)
        return result

    def close(self) -> bytes:
        """Close the link."""
        return self._sent(self._link.close())

    def _sent(self, octets: bytes) -> bytes:
        if octets:
            self._record.write(f"> {octets.hex()}\n")
        return octets


class _Datagrams(asyncio.DatagramProtocol):
    """Flows over UDP: a request is a datagram, and so is its answer. Nothing is sent twice."""

    def __init__(self, link: Link, timeout: float) -> None:
        self._link = link
        self._timeout = timeout
        self._arrived: asyncio.Queue[bytes | Exception] = asyncio.Queue()
        self.transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        try:
            for apdu in self._link.feed(data).apdus:
                self._arrived.put_nowait(apdu)
        except DlmsError as error:
            self._arrived.put_nowait(error)

    def error_received(self, exc: Exception) -> None:
        self._arrived.put_nowait(Unreachable(f"nobody listens there: {exc}"))

    async def run(self, flow: Flow[T]) -> T:
        """Drive a flow to its end."""
        try:
            request = next(flow)
            while True:
                if request and self.transport is not None:
                    self.transport.sendto(self._link.send(request))
                try:
                    async with asyncio.timeout(self._timeout):
                        answer = await self._arrived.get()
                except TimeoutError:
                    raise PeerClosed(f"no answer within {self._timeout:g} s") from None
                if isinstance(answer, Exception):
                    raise answer
                request = flow.send(answer)
        except StopIteration as end:
            result: T = end.value
            return result


@contextlib.asynccontextmanager
async def _datagrams(meter: MeterOptions, link: Link) -> AsyncIterator[Conversation]:
    try:
        transport, conversation = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: _Datagrams(link, meter.timeout), remote_addr=(meter.host, meter.port)
        )
    except OSError as error:
        raise Unreachable(f"{meter.host}:{meter.port}: {error.strerror or error}") from None
    try:
        yield conversation
    finally:
        transport.close()

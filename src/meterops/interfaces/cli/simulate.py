"""`meterops simulate`: one simulated meter on a bench, or a whole fleet."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from meterops.protocols.dlms.errors import SecurityError
from meterops.protocols.dlms.security import KeyRing, SecuritySuite, load_signing_key, load_verification_key
from meterops.simulator.behaviors import Behavior
from meterops.simulator.fleet_server import Framing
from meterops.simulator.meter_bench import DEMO_KEYS, BenchMeter, BenchPush, serve_meter

app = typer.Typer(help="Simulated meters that speak real DLMS/COSEM.", no_args_is_help=True)


def _octets(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise typer.BadParameter("hexadecimal digits are expected") from None


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter("a date such as 2026-03-01 or 2026-03-01T00:00:00 is expected") from None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _destination(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal():
        raise typer.BadParameter("HOST:PORT is expected")
    return host, int(port)


Hex = Annotated[bytes | None, typer.Option(parser=_octets, metavar="HEX", show_default=False)]


@app.command()
def meter(  # one parameter for each option
    *,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="TCP port; 0 takes a free one.")] = 4059,
    hdlc: Annotated[bool, typer.Option("--hdlc", help="HDLC frames over TCP instead of the wrapper.")] = False,
    udp: Annotated[bool, typer.Option("--udp", help="Answer wrapper frames over UDP as well.")] = False,
    demo_keys: Annotated[bool, typer.Option("--demo-keys", help="Use the keys printed in books.")] = False,
    ek: Hex = None,
    ak: Hex = None,
    kek: Hex = None,
    system_title: Hex = None,
    lls: Annotated[str, typer.Option(help="Password of the low-level security association.")] = "12345678",
    suite: Annotated[int, typer.Option(min=0, max=2, help="Security suite.")] = 0,
    signing_key: Annotated[Path | None, typer.Option(help="PEM file with the meter's private key.")] = None,
    client_signing_key: Annotated[Path | None, typer.Option(help="PEM file with the client's public key.")] = None,
    serial: Annotated[str, typer.Option(help="Serial number.")] = "12345",
    start: Annotated[datetime, typer.Option(parser=_moment, help="Stamp of the first profile row.")] = "2026-03-01",  # type: ignore[assignment]  # Typer parses the default too
    rows: Annotated[int, typer.Option(min=0, help="Rows of the load profile.")] = 960,
    period: Annotated[int, typer.Option(min=1, help="Capture period in seconds.")] = 900,
    max_pdu: Annotated[int, typer.Option(min=64, max=65535, help="Octets of the longest APDU received.")] = 1024,
    state: Annotated[Path | None, typer.Option(help="Folder that keeps keys and counters over a restart.")] = None,
    push: Annotated[str | None, typer.Option(metavar="HOST:PORT", help="Push to this listener.")] = None,
    push_every: Annotated[float, typer.Option(help="Seconds between pushes.")] = 10.0,
    push_plain: Annotated[bool, typer.Option("--push-plain", help="Push without ciphering.")] = False,
    latency_ms: Annotated[float, typer.Option(min=0, help="Delay of every answer.")] = 0.0,
    answer_loss: Annotated[float, typer.Option(min=0, max=1, help="Share of answers that get lost.")] = 0.0,
    bad_tag: Annotated[float, typer.Option(min=0, max=1, help="Share of answers with a wrong tag.")] = 0.0,
    truncated: Annotated[float, typer.Option(min=0, max=1, help="Share of answers cut in the middle.")] = 0.0,
    malformed: Annotated[float, typer.Option(min=0, max=1, help="Share of answers that are noise.")] = 0.0,
    drip: Annotated[int, typer.Option(min=0, help="Send answers in pieces of so many octets.")] = 0,
) -> None:
    """Serve one meter until Ctrl-C. Client SAPs: 16 public, 2 password, 1 HLS5-GMAC, 3 HLS7-ECDSA.

    Keys must be given, or --demo-keys.
    """
    keys = _keys(SecuritySuite(suite), (ek, ak, kek), demo=demo_keys)
    keys = _with_signing(keys, signing_key, client_signing_key)
    bench = BenchMeter(
        keys=keys,
        system_title=_title(system_title, serial),
        serial=serial,
        password=lls.encode(),
        suite=SecuritySuite(suite),
        starts_at=int(start.timestamp()),
        rows=rows,
        period_s=period,
        max_pdu_size=max_pdu,
        state_folder=state,
    )
    behavior = Behavior(
        latency_s=latency_ms / 1000,
        answer_loss=answer_loss,
        bad_tag=bad_tag,
        truncated=truncated,
        malformed=malformed,
        drip_octets=drip,
        drip_pause_s=0.001,
    )
    serving = serve_meter(
        bench,
        host=host,
        port=port,
        framing=Framing.HDLC if hdlc else Framing.WRAPPER,
        udp=udp,
        behavior=behavior,
        push=None if push is None else BenchPush(*_destination(push), push_every, ciphered=not push_plain),
        ready=lambda address, taken: typer.echo(f"READY {address} {taken} {bench.system_title.hex()}"),
    )
    try:
        asyncio.run(serving)
    except OSError as error:
        typer.echo(f"cannot listen on {host}:{port}: {error.strerror or error}", err=True)
        raise typer.Exit(1) from None


@app.command()
def fleet(  # one parameter for each option
    *,
    meters: Annotated[int, typer.Option(min=2, max=1_000_000, help="How many meters the region has.")] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="Another seed is another region.")] = 7,
    state: Annotated[
        Path | None, typer.Option(help="Folder that keeps keys, counters and totals over a restart.")
    ] = None,
    port: Annotated[int, typer.Option(min=1, max=65535, help="TCP port of the meters.")] = 4059,
    scenario: Annotated[str, typer.Option(help="A shipped scenario's name or a TOML file.")] = "calm",
    listener: Annotated[str | None, typer.Option(metavar="HOST:PORT", help="Where meters push to.")] = None,
    addressing: Annotated[
        str | None, typer.Option(help="loopback (127.x.y.z for each), port or sap; the system's usual by default.")
    ] = None,
    speed: Annotated[float, typer.Option(min=0.01, max=10_000, help="How much faster than real time.")] = 1.0,
    days: Annotated[int, typer.Option(min=0, max=400, help="Days of load profile that are there at the start.")] = 3,
    shipment: Annotated[Path | None, typer.Option(help="Write nodes.csv, devices.csv and keys.csv here first.")] = None,
) -> None:
    """Serve a region of meters, its grid computed behind them, until Ctrl-C."""
    from meterops.simulator import api as simulator

    try:
        chosen = simulator.usual_addressing() if addressing is None else simulator.Addressing(addressing)
        played = simulator.find_scenario(scenario)
        region = simulator.generate_region(seed=seed, meters=meters)
        if shipment is not None:
            simulator.write_shipment(region, shipment, port=port, addressing=chosen)
        serving = simulator.serve_fleet(
            region,
            state=state,
            port=port,
            scenario=played,
            listener=None if listener is None else _destination(listener),
            addressing=chosen,
            speed=speed,
            days_back=days,
            ready=lambda at: typer.echo(
                f"READY {at.meters} meters at {at.host} port {at.ports[0]} after {at.seconds:.1f} s, scenario {played.name}"
            ),
        )
        asyncio.run(serving)
    except ValueError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None
    except OSError as error:
        typer.echo(f"cannot listen on port {port}: {error.strerror or error}", err=True)
        raise typer.Exit(1) from None


def _keys(suite: SecuritySuite, given: tuple[bytes | None, bytes | None, bytes | None], *, demo: bool) -> KeyRing:
    if demo:
        typer.echo("warning: demonstration keys are public knowledge; use them on a bench only", err=True)
        times = suite.key_length // 16
        given = (
            given[0] or DEMO_KEYS.encryption * times,
            given[1] or DEMO_KEYS.authentication * times,
            given[2] or (DEMO_KEYS.master or b"") * times,
        )
    ek, ak, kek = given
    if ek is None or ak is None:
        raise typer.BadParameter("give --ek and --ak (and --kek for key rotation), or --demo-keys")
    for name, key in (("--ek", ek), ("--ak", ak), ("--kek", kek)):
        if key is not None and len(key) != suite.key_length:
            raise typer.BadParameter(f"{name} has {suite.key_length} octets in suite {int(suite)}, not {len(key)}")
    return KeyRing(encryption=ek, authentication=ak, master=kek)


def _with_signing(keys: KeyRing, own: Path | None, client: Path | None) -> KeyRing:
    try:
        signing = None if own is None else load_signing_key(own)
        verification = None if client is None else load_verification_key(client)
    except (OSError, SecurityError) as error:
        raise typer.BadParameter(str(error)) from None
    return replace(keys, signing=signing, verification=verification)


def _title(given: bytes | None, serial: str) -> bytes:
    if given is None:
        digits = "".join(filter(str.isdecimal, serial))
        return b"SIM" + (int(digits or "0") % (1 << 40)).to_bytes(5, "big")
    if len(given) != 8:
        raise typer.BadParameter(f"a system title has 8 octets, not {len(given)}")
    return given

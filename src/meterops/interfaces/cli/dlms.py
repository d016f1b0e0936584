"""`meterops dlms`: captured frames decoded, sessions traced, classes and profiles looked up, single meters talked to."""

import typer

app = typer.Typer(no_args_is_help=True, help="DLMS/COSEM by hand: decode captures, trace sessions, talk to one meter.")

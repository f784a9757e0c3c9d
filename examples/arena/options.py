"""The options of the command."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from pathlib import Path

from actorcred.rpc.protocol.addresses import Address
from examples.arena.world.region import NARROWEST
from examples.arena.world.terrain import SMALLEST
from examples.common import seconds

LARGEST = 1200.0
"""The longest side of an island, in steps."""

MOST_NODES = 6
"""The most processes among which the island is divided."""

DESCRIPTION = """\
Serve the arena, a game in the browser: collect gold, carry it to your camp, and be there before
the storm. Bots play along."""


def parse(argv: list[str] | None) -> argparse.Namespace:
    """Return the options; a mistake ends the program with a sentence about it."""
    parser = argparse.ArgumentParser(prog="python -m examples.arena", description=DESCRIPTION)
    parser.add_argument(
        "--listen",
        type=_web_address,
        default="ws:127.0.0.1:8080",
        metavar="ADDRESS",
        help="where to serve the page (%(default)s)",
    )
    parser.add_argument("--headless", action="store_true", help="no page, only bots")
    parser.add_argument(
        "--duration",
        type=_number(seconds, "a number of seconds"),
        metavar="S",
        help="seconds to play (20 when headless, else until Ctrl-C)",
    )
    parser.add_argument(
        "--max-sessions",
        type=_number(_positive, "a whole number"),
        metavar="N",
        help="maximum number of players and spectators, including bots (no limit)",
    )
    parser.add_argument(
        "--data",
        type=Path,
        default=Path("arena-data"),
        metavar="DIR",
        help="accounts and points (%(default)s)",
    )
    parser.add_argument(
        "--nodes",
        type=_number(_nodes, "a whole number"),
        default=1,
        metavar="N",
        help="number of processes, which share the island and find each other by a nats-server "
        "(%(default)s)",
    )
    _add_options_of_bots(parser)
    arguments = parser.parse_args(argv)
    least = NARROWEST * arguments.nodes
    if arguments.nodes > 1 and arguments.size is not None and arguments.size < least:
        parser.error(f"argument --size: must be at least {least:g} for {arguments.nodes} nodes")
    if arguments.headless and arguments.duration is None:
        arguments.duration = 20.0
    return arguments


def _add_options_of_bots(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--avatars",
        type=_number(_bots, "a whole number"),
        default=2000,
        metavar="N",
        help="number of bots (%(default)s)",
    )
    parser.add_argument(
        "--size",
        type=_number(_side, "a number"),
        metavar="STEPS",
        help="length of each side of the island (grows with the number of bots)",
    )
    parser.add_argument(
        "--wrong",
        type=_number(_share, "a number"),
        default=0.1,
        metavar="P",
        help="share of logins with a wrong password (%(default)s)",
    )
    parser.add_argument(
        "--crash-rate",
        type=_number(_share, "a number"),
        default=0.0002,
        metavar="P",
        help="share of a bot's thoughts in which its avatar crashes (%(default)s)",
    )
    parser.add_argument(
        "--seed",
        type=_number(int, "a whole number"),
        default=1,
        help="seed for everything random except passwords (%(default)s)",
    )


def _number(convert: Callable[[str], float], what: str) -> Callable[[str], float]:
    """Return a converter for argparse that says what a text should have been."""

    def convert_or_say(text: str) -> float:
        try:
            return convert(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"must be {what}, not {text!r}") from None

    return convert_or_say


def _web_address(text: str) -> Address:
    try:
        address = Address.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    if address.kind not in {"ws", "wss"}:
        raise argparse.ArgumentTypeError(
            f"must begin with ws: or wss:, as ws:127.0.0.1:8080, not with {address.kind}:"
        )
    return address


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, not {value}")
    return value


def _nodes(text: str) -> int:
    value = _positive(text)
    if value > MOST_NODES:
        raise argparse.ArgumentTypeError(f"must be at most {MOST_NODES}, not {value}")
    return value


def _bots(text: str) -> int:
    value = _positive(text)
    if value > 100_000:
        raise argparse.ArgumentTypeError(f"must be at most 100000, not {value}")
    return value


def _side(text: str) -> float:
    value = float(text)
    if not SMALLEST <= value <= LARGEST:
        raise argparse.ArgumentTypeError(f"must be from {SMALLEST:g} to {LARGEST:g}, not {value:g}")
    return value


def _share(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 1 or math.isnan(value):
        raise argparse.ArgumentTypeError(f"must be from 0 to 1, not {value}")
    return value

"""The interface in TypeScript, and the types of the client for browsers that uses it."""

from __future__ import annotations

import datetime
import decimal
import shutil
import subprocess
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, TypedDict

import msgspec
import pykka
import pytest

from actorcred import Future
from actorcred.cli.interfaces import InterfaceError
from actorcred.cli.typescript_stubs import typescript_stub
from tests.typing.game import Player

ROOT = Path(__file__).parents[2]


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Pair(NamedTuple):
    a: int
    b: str


class Figures(TypedDict, total=False):
    when: datetime.datetime


@dataclass
class Spot:
    x: float
    y: float = 0.0
    near: list[Spot] = field(default_factory=list)


@dataclass
class Place:
    spot: Spot
    owner: str | None = None


class Tagged(msgspec.Struct, tag="tagged", rename="camel"):
    first_name: str


class Point(msgspec.Struct, array_like=True):
    x: int
    y: int


def stub_of(function: Any, **others: Any) -> str:
    """Return the stub of an interface with a method `play`, and others."""
    return typescript_stub("game:Player", type("Player", (), {"play": function, **others}))


def test_an_interface_is_written_with_the_types_that_it_uses() -> None:
    class Game:
        def move(self, dx: float, dy: float = 0.0) -> tuple[float, float]: ...  # type: ignore[empty-body]
        async def think(self, about: str, *more: int | str) -> None: ...
        def goto(self, spot: Spot, *, quick: bool = False) -> Place: ...  # type: ignore[empty-body]

    text = typescript_stub("game:Game", Game)
    assert text.startswith("// The interface `Game` of the server")
    assert "`actorcred stubs game:Game --language ts`" in text
    assert 'import type { Game } from "./game.js";' in text
    assert (
        text.partition("\n\n")[2]
        == """\
export interface Game {
  move(dx: number, dy?: number): [number, number];
  think(about: string, ...more: (number | string)[]): null;
  goto(spot: Spot): Place;
}

export interface Spot {
  x: number;
  y?: number;
  near?: Spot[];
}

export interface Place {
  spot: Spot;
  owner: string | null;
}
"""
    )


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (Any, "unknown"),
        (bool, "boolean"),
        (bytes, "string"),
        (datetime.datetime, "string"),
        (decimal.Decimal, "string"),
        (uuid.UUID, "string"),
        (list[int | None], "(number | null)[]"),
        (set[str], "string[]"),
        (tuple[int, ...], "number[]"),
        (tuple[int, str], "[number, string]"),
        (dict[str, float], "{ [key: string]: number }"),
        (Mapping[str, int], "{ [key: string]: number }"),
        (int | float, "number"),
        (Literal["a", 1], '"a" | 1'),
        (Colour, '"blue" | "red"'),
        (list[Colour], '("blue" | "red")[]'),
        (Pair, "[number, string]"),
        (Point, "[number, number]"),
        (Annotated[int, msgspec.Meta(ge=0, description="a number")], "number"),
    ],
)
def test_types_are_those_of_their_json(kind: Any, text: str) -> None:
    def play(self: Any, it: Any) -> Any: ...

    play.__annotations__.update({"it": kind, "return": kind})
    line = f"  play(it: {text}): {text};"
    written = stub_of(play)
    order = {'"red" | "blue"': '"blue" | "red"', '1 | "a"': '"a" | 1'}
    for other, usual in order.items():
        written = written.replace(other, usual)
    assert line in written


def test_objects_have_the_names_and_tags_of_their_json() -> None:
    def play(self: Any, it: Tagged) -> Figures: ...  # type: ignore[empty-body]

    text = stub_of(play)
    assert 'export interface Tagged {\n  type: "tagged";\n  firstName: string;\n}' in text
    assert "export interface Figures {\n  when?: string;\n}" in text


@pytest.mark.parametrize("future", [Future, pykka.Future])
def test_a_future_is_what_it_holds(future: Any) -> None:
    def play(self: Any) -> Any: ...

    play.__annotations__["return"] = future[list[int]]
    assert "  play(): number[];" in stub_of(play)


def test_a_name_that_typescript_reserves_gets_an_underscore() -> None:
    def play(self: Any, function: int, default: int = 1) -> None: ...

    assert "play(function_: number, default_?: number): null;" in stub_of(play)


@pytest.mark.parametrize(
    ("kind", "error"),
    [(complex, r"the result of .*play\(\) cannot be sent over the wire"), (Path, "cannot be sent")],
)
def test_a_result_that_cannot_be_sent_is_an_error(kind: Any, error: str) -> None:
    def play(self: Any) -> Any: ...

    play.__annotations__["return"] = kind
    with pytest.raises(InterfaceError, match=error):
        stub_of(play)


def test_an_argument_that_cannot_be_sent_is_an_error() -> None:
    def play(self: Any, it: Path) -> None: ...

    with pytest.raises(InterfaceError, match=r"play\(it\) cannot be sent over the wire"):
        stub_of(play)


def test_two_types_of_one_name_are_an_error() -> None:
    other = dataclass(type("Spot", (), {"__annotations__": {"z": int}}))

    def play(self: Any, a: Spot, b: Any) -> None: ...

    play.__annotations__["b"] = other
    with pytest.raises(InterfaceError, match="two types have the name Spot"):
        stub_of(play)


PROGRAM = """\
import { connect, CredError, resume, type Client } from "./actorcred.js";
import type { Player } from "./player.js";

async function right(): Promise<void> {
  const secrets = { username: "ann", password: "s3cret", interface: ["Player"] };
  const client: Client<Player> = await connect<Player>("/rpc/socket", secrets);
  const place: [number, number] = await client.call("move", 1, 0);
  const thoughts: string[] = await client.call("think", "tea", "milk");
  const spots = await client.call("goto", { x: 1, colour: "red" }, "slow");
  const x: number = spots["slow"].x;
  const sent: boolean = client.notify("move", place[0] + x + thoughts.length);
  const sessions = await client.call("cred.sessions");
  client.on("moved", (x: number, y: number) => x + y);
  client.on("reconnecting", (error, seconds) => error.code + Math.ceil(seconds));
  if (sent) client.reconnectNow();
  const again: Client<Player> | null = await resume<Player>("/rpc/socket");
  await again?.close();
  const untyped = await connect("/rpc/socket", { storage: null });
  await untyped.call("anything", sessions);
  throw new CredError("late", "too late", 3);
}

async function wrong(client: Client<Player>): Promise<void> {
  // @ts-expect-error a string is no number
  await client.call("move", "a");
  // @ts-expect-error there is no such method
  await client.call("mvoe", 1);
  // @ts-expect-error an argument is missing
  await client.call("move");
  // @ts-expect-error the result is two numbers
  const text: string = await client.call("move", 1);
  // @ts-expect-error there is no such colour
  await client.call("goto", { x: 1, colour: "green" }, "slow");
  // @ts-expect-error there is no such option
  await connect("/rpc/socket", { user: "ann" });
  // @ts-expect-error a listener of this event gets an error first
  client.on("closed", (complete: boolean) => text + complete);
}

export { right, wrong };
"""


@pytest.mark.foreign
@pytest.mark.slow
def test_typescript_checks_the_calls_of_the_client_for_browsers(tmp_path: Path) -> None:
    program = shutil.which("tsc")
    if program is None:
        pytest.skip("TypeScript is not installed: apt install node-typescript")
    for name in ("actorcred.js", "actorcred.d.ts"):
        shutil.copy(ROOT / "actorcred" / "rpc" / "browser" / name, tmp_path)
    (tmp_path / "player.ts").write_text(typescript_stub("tests.typing.game:Player", Player))
    (tmp_path / "program.ts").write_text(PROGRAM)
    (tmp_path / "package.json").write_text('{"type": "module"}')
    options = ["--noEmit", "--strict", "--target", "es2022", "--lib", "es2022,dom"]
    modules = ["--module", "node16", "--moduleResolution", "node16"]
    done = subprocess.run(
        [program, *options, *modules, "program.ts"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_the_types_of_the_client_for_browsers_name_what_it_has() -> None:
    folder = ROOT / "actorcred" / "rpc" / "browser"
    code = (folder / "actorcred.js").read_text()
    types = (folder / "actorcred.d.ts").read_text()
    for name in ("connect", "resume", "Client", "CredError"):
        assert f"export class {name} " in code or f"export async function {name}(" in code
        assert f" {name}" in types
    for member in ("on", "call", "notify", "reauthenticate", "reconnectNow", "close"):
        assert f"  {member}(" in code or f"  async {member}(" in code
        assert f"  {member}" in types
    for option in ("username", "password", "token", "interface", "storage", "timeout",
                   "loginTimeout", "notifications", "info", "listeners"):  # fmt: skip
        assert f" *   {option}" in code or f", {option}:" in code
        assert f"  {option}?: " in types

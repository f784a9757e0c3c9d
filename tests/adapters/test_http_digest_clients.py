"""HTTP Digest and Basic with real clients: curl, Chromium, httpx, requests; files by htdigest."""

from __future__ import annotations

import asyncio
import subprocess
from pathlib import Path
from typing import Any

import httpx
import pytest
import requests
import requests.auth
from playwright.async_api import async_playwright

from actorcred import Portal
from actorcred.actors import AsyncioDispatcher
from actorcred.adapters.asgi import AuthMiddleware
from actorcred.checkers.htdigest import HtdigestChecker
from actorcred.checkers.memory import MemoryChecker
from actorcred.checkers.wrappers.first_of import FirstOf
from actorcred.sasl.http_digest import digest_of
from tests.adapters.front import LOCALHOST
from tests.adapters.loops import HttpServer, loop
from tests.adapters.test_asgi_cookies import Library, Reader, page
from tests.backends.servers import program

ZHENYA = "\u0436\u0435\u043d\u044f"
PLAYERS = "\u0438\u0433\u0440\u043e\u043a\u0438 \u2192 1"
PASSWORD = "\u043f\u0430\u0440\u043e\u043b\u044c"


async def app(scope: Any, receive: Any, send: Any) -> None:
    await page(scope["actorcred"], "/", send)


class Stage:
    """A page behind HTTP authentication, on a real server."""

    def __init__(self, *checkers: Any, realm: str, **settings: Any) -> None:
        dispatcher = AsyncioDispatcher(loop(), "http")
        self.portal = Portal.start(
            Library.start(dispatcher=dispatcher), list(checkers), dispatcher=dispatcher
        )
        self.server = HttpServer(AuthMiddleware(app, self.portal, Reader, realm=realm, **settings))
        self.url = f"http://{LOCALHOST}:{self.server.port}/a%20page?x=1,2"

    def stop(self) -> None:
        self.server.stop()

    def challenges(self) -> list[str]:
        asked = httpx.get(self.url).headers.get_list("www-authenticate")
        return [f"{scheme} {algorithm}".strip() for scheme, algorithm in map(_scheme, asked)]


def _scheme(challenge: str) -> tuple[str, str]:
    return challenge.partition(" ")[0], challenge.partition("algorithm=")[2].partition(",")[0]


def apaches_file(path: Path, realm: str, users: dict[str, str]) -> Path:
    made = program("htdigest", "apache2-utils")
    for number, (name, password) in enumerate(users.items()):
        words = f"{password}\n{password}\n".encode()
        subprocess.run(
            [made, *(["-c"] if not number else []), path, realm, name],
            input=words,
            check=True,
            capture_output=True,
        )
    return path


def digests(path: Path, realm: str, *users: tuple[str, str, str]) -> Path:
    """Write a file of name, password and algorithm."""
    path.write_text(
        "".join(
            f"{name}:{realm}:{digest_of(kind, name, realm, secret)}\n"
            for name, secret, kind in users
        )
    )
    return path


# -- the clients: each returns the status and the body -------------------------------------------


def by_curl(url: str, name: str, password: str, scheme: str = "digest") -> tuple[int, str]:
    words = [
        program("curl", "curl"),
        "-s",
        f"--{scheme}",
        "-u",
        f"{name}:{password}",
        "-w",
        "\n%{http_code}",
        "--max-time",
        "30",
        url,
    ]
    body, _, status = subprocess.run(
        words, capture_output=True, text=True, timeout=60, check=True
    ).stdout.rpartition("\n")
    return int(status), body


def by_httpx(url: str, name: str, password: str, scheme: str = "digest") -> tuple[int, str]:
    kinds = {"digest": httpx.DigestAuth, "basic": httpx.BasicAuth}
    with httpx.Client(auth=kinds[scheme](name, password)) as client:
        answers = [client.get(url) for _ in range(2)]  # the second one uses the nonce again
    assert answers[0].status_code == answers[1].status_code
    return answers[0].status_code, answers[0].text


def by_requests(url: str, name: str, password: str, scheme: str = "digest") -> tuple[int, str]:
    kinds = {"digest": requests.auth.HTTPDigestAuth, "basic": requests.auth.HTTPBasicAuth}
    with requests.Session() as session:
        session.auth = kinds[scheme](name, password)
        answers = [session.get(url, timeout=30) for _ in range(2)]
    assert answers[0].status_code == answers[1].status_code
    return answers[0].status_code, answers[0].text


def by_chromium(url: str, name: str, password: str, scheme: str = "digest") -> tuple[int, str]:
    path = program("chromium", "chromium")

    async def visit() -> tuple[int, str]:
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
            context = await browser.new_context(
                http_credentials={"username": name, "password": password}
            )
            answer = await (await context.new_page()).goto(url)
            assert answer is not None
            status, body = answer.status, await answer.text()
            await browser.close()
            return status, body

    return asyncio.run(visit())


CLIENTS = [by_curl, by_httpx, by_requests, by_chromium]


@pytest.mark.parametrize("client", CLIENTS)
def test_apaches_own_file(stages, tmp_path, client):
    path = apaches_file(
        tmp_path / "users", "players", {"ann": "s3cret", "bob, the 2nd": 'a "b" \\c'}
    )
    stage = stages(HtdigestChecker.start(path), realm="players")
    assert client(stage.url, "ann", "s3cret") == (200, "ann")
    assert client(stage.url, "bob, the 2nd", 'a "b" \\c')[0] == 200
    assert client(stage.url, "ann", "wrong")[0] == 401
    assert client(stage.url, "eve", "s3cret")[0] == 401


@pytest.mark.parametrize("client", CLIENTS)
def test_a_store_of_sha_256_or_of_plaintext(stages, tmp_path, client):
    path = digests(tmp_path / "users", "players", ("ann", "s3cret", "SHA-256"))
    assert client(stages(HtdigestChecker.start(path), realm="players").url, "ann", "s3cret") == (
        200,
        "ann",
    )
    plain = MemoryChecker.start({"ann": "s3cret"}, plaintext=True)
    assert client(stages(plain, realm="players").url, "ann", "s3cret") == (200, "ann")


@pytest.mark.parametrize(
    "client", [by_curl, by_chromium]
)  # httpx and requests cannot send them by Digest
def test_names_realms_and_passwords_beyond_latin_1(stages, tmp_path, client):
    path = apaches_file(tmp_path / "users", PLAYERS, {ZHENYA: PASSWORD, "J\u00f6rg": "\u00e4"})
    stage = stages(HtdigestChecker.start(path), realm=PLAYERS)
    assert client(stage.url, ZHENYA, PASSWORD) == (200, ZHENYA)
    assert client(stage.url, "J\u00f6rg", "\u00e4") == (200, "J\u00f6rg")
    assert client(stage.url, ZHENYA, PASSWORD + "x")[0] == 401


def test_requests_sends_names_in_latin_1(stages, tmp_path):
    stage = stages(
        HtdigestChecker.start(apaches_file(tmp_path / "users", "players", {"J\u00f6rg": "\u00e4"})),
        realm="players",
    )
    assert by_requests(stage.url, "J\u00f6rg", "\u00e4") == (200, "J\u00f6rg")
    assert by_requests(stage.url, "J\u00f6rg", "\u00e4", "basic") == (200, "J\u00f6rg")


@pytest.mark.parametrize("client", [by_curl, by_chromium, by_httpx])
def test_basic_beyond_latin_1(stages, client):
    stage = stages(MemoryChecker.start({ZHENYA: PASSWORD}, rounds=4), realm=PLAYERS)
    assert client(stage.url, ZHENYA, PASSWORD, "basic") == (200, ZHENYA)
    assert client(stage.url, ZHENYA, "x", "basic")[0] == 401


def test_what_the_checkers_keep_is_offered(stages, tmp_path):
    md5 = apaches_file(tmp_path / "md5", "players", {"ann": "s3cret"})
    sha = digests(tmp_path / "sha", "players", ("bob", "hush", "SHA-256"))
    both = digests(
        tmp_path / "both", "players", ("ann", "s3cret", "MD5"), ("ann", "s3cret", "SHA-256")
    )

    def offers(*checkers: Any, **settings: Any) -> list[str]:
        return [
            one
            for one in stages(*checkers, realm="players", **settings).challenges()
            if one.startswith("Digest")
        ]

    def plain() -> Any:
        return MemoryChecker.start({"eve": "hush"}, plaintext=True)

    assert offers(HtdigestChecker.start(md5)) == ["Digest MD5"]
    assert offers(HtdigestChecker.start(sha)) == ["Digest SHA-256"]
    assert offers(HtdigestChecker.start(both)) == ["Digest SHA-256", "Digest MD5"]
    assert offers(plain()) == ["Digest SHA-256", "Digest MD5"]
    assert offers(HtdigestChecker.start(md5), plain()) == [
        "Digest MD5"
    ]  # by which the users of both get in
    assert offers(FirstOf.start(HtdigestChecker.start(md5), plain())) == ["Digest MD5"]
    assert offers(HtdigestChecker.start(md5), HtdigestChecker.start(sha)) == [
        "Digest SHA-256",
        "Digest MD5",
    ]
    assert offers(plain(), algorithms=["SHA-512-256", "MD5"]) == [
        "Digest SHA-512-256",
        "Digest MD5",
    ]
    assert offers(HtdigestChecker.start(md5), algorithms=["SHA-256"]) == []


def test_a_user_with_two_digests_gets_in_by_each(stages, tmp_path):
    path = digests(
        tmp_path / "both",
        "players",
        ("ann", "s3cret", "MD5"),
        ("ann", "s3cret", "SHA-256"),
        ("bob", "hush", "MD5"),
    )
    for algorithm in ("MD5", "SHA-256"):
        stage = stages(HtdigestChecker.start(path), realm="players", algorithms=[algorithm])
        assert by_curl(stage.url, "ann", "s3cret") == (200, "ann")
        assert by_curl(stage.url, "bob", "hush")[0] == (200 if algorithm == "MD5" else 401)
        assert by_curl(stage.url, "ann", "s3cret", "basic") == (200, "ann")

"""The site of docs/how-to/use-django.md: its admin makes and closes accounts of a running game."""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

pytest.importorskip("django", reason="Django is not installed: pip install django")
pytest.importorskip("sqlalchemy", reason="SQLAlchemy is not installed: pip install sqlalchemy")

from actorcred import CallError, UnauthorizedLogin, rpc
from tests.backends.servers import free_port
from tests.how_to.programs import HOW_TO, environment, running

pytestmark = pytest.mark.slow

ANN = {"username": "ann", "password": "horse staple 7"}
CHIEF = {"username": "chief", "password": "battery correct 4"}
WAIT = 30


class Site:
    """A running site."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder
        self.port = port
        self.socket = f"ws:127.0.0.1:{port}/rpc/socket"

    def browser(self) -> httpx.Client:
        return httpx.Client(
            base_url=f"http://127.0.0.1:{self.port}", timeout=WAIT, follow_redirects=True
        )


def submit(browser: httpx.Client, path: str, **fields: str) -> httpx.Response:
    """Fill in a form, as it is, but for some fields; return the page that follows."""
    page = browser.get(path).raise_for_status().text
    form = page[page.index("<form", page.index('id="content"')) :]
    given: dict[str, Any] = {}
    for tag in re.findall(r"<input[^>]*>", form):
        there = dict(re.findall(r'([\w-]+)="([^"]*)"', tag))
        is_off = there.get("type") in {"checkbox", "radio"} and " checked" not in tag
        if "name" in there and there.get("type") != "submit" and not is_off:
            given[there["name"]] = there.get("value", "")
    given = {name: value for name, value in {**given, **fields}.items() if value is not None}
    answer = browser.post(path, data=given, headers={"referer": str(browser.base_url)})
    assert answer.status_code in (200, 404), answer.text  # 404: the site has no front page
    assert "errornote" not in answer.text, answer.text
    return answer


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("django")
    shutil.copytree(HOW_TO / "django", folder, dirs_exist_ok=True)
    settings = {"SECRET_KEY": "not secret", "SITE_DATA": str(folder)}
    chief = {f"DJANGO_SUPERUSER_{name.upper()}": value for name, value in CHIEF.items()}
    for command in (["migrate", "-v0"], ["createsuperuser", "--noinput", "--email=c@example.org"]):
        run(folder, ["manage.py", *command], **settings, **chief)
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "website.asgi:application", f"--port={port}"]
    with running(command, folder, port, **settings):
        yield Site(folder, port)


def run(folder: Path, words: list[str], **variables: str) -> str:
    done = subprocess.run(
        [sys.executable, *words],
        cwd=folder,
        env=environment(**variables),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def admin(site: Site) -> Iterator[httpx.Client]:
    with site.browser() as browser:
        submit(browser, "/admin/login/?next=/admin/", **CHIEF)
        password = {"password1": ANN["password"], "password2": ANN["password"]}
        submit(browser, "/admin/auth/user/add/", username=ANN["username"], **password)
        yield browser


def address_of_ann(admin: httpx.Client) -> str:
    users = admin.get("/admin/auth/user/").text
    found = re.search(r'href="(/admin/auth/user/\d+/change/)[^"]*">ann<', users)
    assert found is not None, users
    return found[1]


class Page:
    """A client of the game."""

    def __init__(self) -> None:
        self.heard: asyncio.Queue[Any] = asyncio.Queue()

    def shouted(self, name: str, text: str) -> None:
        self.heard.put_nowait((name, text))


async def shout(site: Site, *secrets: str, **token: str) -> Any:
    page = Page()
    async with await rpc.connect(site.socket, *secrets, handler=page, **token) as client:
        assert await client.call("shout", "hello") >= 1
        async with asyncio.timeout(WAIT):
            return await page.heard.get()


def ticket_for(site: Site, browser: httpx.Client) -> str:
    submit(browser, "/accounts/login/", **ANN)
    token = browser.cookies["csrftoken"]
    answer = browser.post("/ticket", headers={"x-csrftoken": token, "referer": "http://x"})
    return str(answer.raise_for_status().json()["ticket"])


def test_whom_the_admin_has_made_plays_with_the_same_password(
    site: Site, admin: httpx.Client
) -> None:
    assert asyncio.run(shout(site, *ANN.values())) == ("ann", "hello")
    with pytest.raises(UnauthorizedLogin):
        asyncio.run(shout(site, "ann", "wrong"))


def test_the_command_calls_the_game(site: Site, admin: httpx.Client) -> None:
    url = f"ws:127.0.0.1:{site.port}/rpc/socket"
    words = ["-m", "actorcred.cli", "call", url, "shout", "hello", "-u", "ann"]
    assert int(run(site.folder, words, ACTORCRED_PASSWORD=ANN["password"])) >= 1


def test_the_game_can_run_on_its_own_with_the_same_table(site: Site, admin: httpx.Client) -> None:
    store = f"sql[table=auth_user,active=is_active]:sqlite:///{site.folder}/site.sqlite3"
    words = ["serve", "--realm", "website.game:Game", "--listen", "tcp:127.0.0.1:0"]
    command = [sys.executable, "-m", "actorcred.cli", *words, "--auth", store]
    server = subprocess.Popen(
        command, cwd=site.folder, env=environment(), stdout=subprocess.PIPE, text=True
    )
    with server:
        try:
            assert server.stdout is not None
            address = server.stdout.readline().split()[-1]
            words = ["-m", "actorcred.cli", "call", address, "shout", "hello", "-u", "ann"]
            assert run(site.folder, words, ACTORCRED_PASSWORD=ANN["password"]) == "1\n"
        finally:
            server.terminate()


def test_who_is_logged_in_on_the_site_enters_by_a_ticket(site: Site, admin: httpx.Client) -> None:
    with site.browser() as browser:
        ticket = ticket_for(site, browser)
    assert asyncio.run(shout(site, token=ticket)) == ("ann", "hello")
    with pytest.raises(UnauthorizedLogin):
        asyncio.run(shout(site, token=ticket[:-1] + "_"))


def test_a_ticket_is_for_those_who_are_logged_in_and_for_pages_of_the_site(site: Site) -> None:
    with site.browser() as browser:
        assert browser.post("/ticket").status_code == 403  # no CSRF token
        browser.get("/accounts/login/")
        token = {"x-csrftoken": browser.cookies["csrftoken"], "referer": "http://x"}
        answer = browser.post("/ticket", headers=token, follow_redirects=False)
        assert answer.headers["location"].startswith("/accounts/login/")


def test_a_method_for_the_staff_is_for_the_staff_of_the_site(
    site: Site, admin: httpx.Client
) -> None:
    async def close(*secrets: str) -> Any:
        async with await rpc.connect(site.socket, *secrets) as client:
            return await client.call("close")

    assert asyncio.run(close(*CHIEF.values())) == "closed by chief"
    with pytest.raises(CallError) as forbidden:
        asyncio.run(close(*ANN.values()))
    assert forbidden.value.code == "forbidden"


def test_who_logs_out_of_the_site_leaves_the_game(site: Site, admin: httpx.Client) -> None:
    async def play() -> str:
        with site.browser() as browser:
            ticket = await asyncio.to_thread(ticket_for, site, browser)
            return await end_of(
                site, lambda: browser.post("/accounts/logout/", headers=headers(browser)), ticket
            )

    assert asyncio.run(play()) == "kicked"


def test_whom_the_admin_closes_out_is_logged_out_at_once(site: Site, admin: httpx.Client) -> None:
    page = address_of_ann(admin)

    async def play() -> str:
        return await end_of(site, lambda: submit(admin, page, is_active=None))  # type: ignore[arg-type]

    assert asyncio.run(play()) == "revoked"
    with pytest.raises(UnauthorizedLogin):
        asyncio.run(shout(site, *ANN.values()))
    submit(admin, page, is_active="on")
    assert asyncio.run(shout(site, *ANN.values())) == ("ann", "hello")


def headers(browser: httpx.Client) -> dict[str, str]:
    return {"x-csrftoken": browser.cookies["csrftoken"], "referer": str(browser.base_url)}


async def end_of(site: Site, cause: Any, ticket: str = "") -> str:
    """Return why the game of ann ends after something was done on the site."""
    secrets = () if ticket else tuple(ANN.values())
    client = await rpc.connect(site.socket, *secrets, token=ticket or None)
    await client.call("shout", "hello")
    await asyncio.to_thread(cause)
    async with asyncio.timeout(WAIT):
        return str((await client.wait_closed()).code)

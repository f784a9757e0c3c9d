"""The site of docs/topics/coming-from-django-channels.md: clients of Channels beside new ones."""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
from collections.abc import Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

pytest.importorskip("channels", reason="Channels is not installed: pip install channels")
pytest.importorskip("sqlalchemy", reason="SQLAlchemy is not installed: pip install sqlalchemy")

import websockets.asyncio.client
import websockets.exceptions

from actorcred import rpc
from tests.backends.servers import free_port
from tests.how_to.programs import HOW_TO, running
from tests.how_to.test_django import ANN, CHIEF, WAIT, Page, Site, headers, run, submit

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("channels")
    shutil.copytree(HOW_TO / "django", folder, dirs_exist_ok=True)
    settings = {"SECRET_KEY": "not secret", "SITE_DATA": str(folder)}
    run(folder, ["manage.py", "migrate", "-v0"], **settings)
    for user in (ANN, CHIEF):
        chief = {f"DJANGO_SUPERUSER_{name.upper()}": value for name, value in user.items()}
        words = ["manage.py", "createsuperuser", "--noinput", "--email=c@example.org"]
        run(folder, words, **settings, **chief)
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "website.both:application", f"--port={port}"]
    with running(command, folder, port, **settings):
        yield Site(folder, port)


@asynccontextmanager
async def old_client(site: Site, cookie: str, **settings: Any) -> Any:
    async with websockets.asyncio.client.connect(
        f"ws://127.0.0.1:{site.port}/ws/game/",
        additional_headers={"Cookie": cookie},
        origin=settings.get("origin", f"http://127.0.0.1:{site.port}"),
    ) as client:
        yield client


def test_old_clients_and_new_ones_see_each_other_until_a_logout(site: Site) -> None:
    async def play() -> None:
        page = Page()
        with site.browser() as browser:
            await asyncio.to_thread(submit, browser, "/accounts/login/", **ANN)
            cookie = f"sessionid={browser.cookies['sessionid']}"
            secrets = tuple(CHIEF.values())
            async with (
                asyncio.timeout(WAIT),
                await rpc.connect(site.socket, *secrets, handler=page) as new,
                old_client(site, cookie) as old,
            ):
                await new.call("shout", "new")
                assert json.loads(await old.recv()) == {"type": "shouted", "args": ["chief", "new"]}
                assert await page.heard.get() == ("chief", "new")
                for wrong in ({"type": "stop"}, {"type": "shout", "args": [7]}, {"no": "type"}, []):
                    await old.send(json.dumps(wrong))
                    assert json.loads(await old.recv())["type"] == "error"
                await old.send(json.dumps({"type": "shout", "args": ["old"]}))
                assert await page.heard.get() == ("ann", "old")
                assert json.loads(await old.recv())["args"] == ["ann", "old"]

                path = "/accounts/logout/"
                await asyncio.to_thread(browser.post, path, headers=headers(browser))
                with pytest.raises(websockets.exceptions.ConnectionClosed) as closed:
                    await old.recv()
                assert closed.value.rcvd is not None
                assert closed.value.rcvd.code == 4001

    asyncio.run(play())


@pytest.mark.parametrize("origin", [None, "https://evil.example"])
def test_who_is_not_logged_in_on_the_site_is_not_let_in(site: Site, origin: str | None) -> None:
    async def knock() -> None:
        with site.browser() as browser:
            if origin is not None:  # with a good cookie, but from a page of another host
                await asyncio.to_thread(submit, browser, "/accounts/login/", **ANN)
            cookie = f"sessionid={browser.cookies.get('sessionid', 'guessed')}"
            settings = {} if origin is None else {"origin": origin}
            with pytest.raises(websockets.exceptions.InvalidStatus):
                async with old_client(site, cookie, **settings):
                    pass

    asyncio.run(knock())

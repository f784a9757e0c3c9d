"""Answers to an invalid bearer token: by HTTP (RFC 6750) and by SASL in SMTP (RFC 7628)."""

from __future__ import annotations

import base64
import json
import re
import subprocess

import pytest

from tests.adapters import test_aiosmtpd, test_asgi
from tests.adapters.front import LOCALHOST
from tests.adapters.test_asgi import Tokens
from tests.backends.servers import program

BAD = b"n,,\x01auth=Bearer stolen\x01\x01"
GOOD = b"n,,\x01auth=Bearer ticket\x01\x01"


@pytest.fixture
def smtp():
    made = []

    def start():
        made.append(test_aiosmtpd.Stage(Tokens.start()))
        return made[-1]

    yield start
    for stage in made:
        stage.stop()


def said(client, word, data):
    """Send base64 behind a word; return the reply's code and text."""
    code, text = client.docmd(" ".join([*word.split(), base64.b64encode(data).decode()]))
    return code, text.decode()


def test_smtp_says_why_before_it_refuses(smtp):
    client = smtp().client()
    code, text = said(client, "AUTH OAUTHBEARER", BAD)
    assert (code, json.loads(base64.b64decode(text))["status"]) == (334, "invalid_token")
    assert said(client, "", b"\x01")[0] == 535
    assert said(client, "AUTH OAUTHBEARER", GOOD)[0] == 235


def test_smtp_says_it_after_a_message_that_it_asked_for(smtp):
    client = smtp().client()
    assert client.docmd("AUTH OAUTHBEARER")[0] == 334
    assert said(client, "", BAD)[0] == 334
    assert said(client, "", b"\x01")[0] == 535


@pytest.mark.parametrize("answer", ["*", "=", "no base64!"])
def test_a_client_that_breaks_off_there_has_failed_all_the_same(smtp, answer):
    client = smtp().client()
    for _ in range(test_aiosmtpd.MAX_TRIES - 1):
        assert said(client, "AUTH OAUTHBEARER", BAD)[0] == 334
        assert client.docmd(answer)[0] == 535
    assert said(client, "AUTH OAUTHBEARER", BAD)[0] == 334
    client.send(f"{answer}\r\n")
    assert b"too many failed logins" in client.file.read()


@pytest.mark.parametrize(("token", "status"), [("ticket", 0), ("stolen", 67)])
def test_curl_by_smtp(smtp, token, status):
    command = [
        program("curl", "curl"),
        "-sv",
        f"smtp://bea@{LOCALHOST}:{smtp().port}",
        "--oauth2-bearer",
        token,
    ]
    command += [
        "--login-options",
        "AUTH=OAUTHBEARER",
        "--mail-from",
        "a@example.org",
        "--mail-rcpt",
        "b@example.org",
        "-T",
        "-",
    ]
    done = subprocess.run(
        command,
        input="Subject: x\r\n\r\nx\r\n",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == status, done.stderr
    assert ("535 5.7.8" in done.stderr) is bool(status)


def test_curl_by_http(tmp_path):
    stage = test_asgi.Stage(Tokens.start())
    try:
        for headers, challenge in [
            (["-H", "Authorization: Bearer stolen"], 'Bearer realm="site", error="invalid_token"'),
            ([], 'Bearer realm="site"'),
            (["-u", "ann:x"], 'Bearer realm="site"'),
        ]:
            command = [
                program("curl", "curl"),
                "-si",
                *headers,
                f"http://{LOCALHOST}:{stage.port}/",
            ]
            done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
            assert done.stdout.startswith("HTTP/1.1 401")
            found = re.findall(r"(?i)^www-authenticate: (Bearer.*?)\r?$", done.stdout, re.MULTILINE)
            assert [re.sub('realm="[^"]*"', 'realm="site"', text) for text in found] == [challenge]
    finally:
        stage.stop()

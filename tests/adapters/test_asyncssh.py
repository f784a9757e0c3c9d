"""SSH with OpenSSH and asyncssh clients: passwords, codes, keys, shells, commands, subsystems."""

from __future__ import annotations

import os
import subprocess
import threading
from abc import ABC
from pathlib import Path
from typing import Any

import asyncssh
import pyotp
import pytest

from actorcred import Avatar, CallError, Portal, PortalOptions, Realm, actors
from actorcred.actors import AsyncioDispatcher
from actorcred.adapters.asyncssh import (
    MAX_KEYS,
    MAX_TRIES,
    Exec,
    Shell,
    SSHServer,
    Subsystem,
    Terminal,
)
from actorcred.checkers.memory import MemoryChecker
from actorcred.checkers.otp import OTPChecker
from actorcred.checkers.sshkey import SSHKeyChecker
from actorcred.checkers.wrappers.all_of import AllOf
from actorcred.throttle import Penalty
from tests.adapters.front import LOCALHOST
from tests.adapters.loops import in_loop, loop
from tests.backends.servers import program
from tests.backends.ssh_keys import keygen, make_keys
from tests.helpers import until


class Everything(Shell, Exec, Subsystem, ABC):
    """An interface with all that SSH can do."""


class OnlyExec(Exec, ABC):
    """An interface that runs commands only."""


class Guest(Avatar, Everything, OnlyExec):
    def __init__(self, avatar_id: Any, mind: Any, log: list[Any]) -> None:
        super().__init__(avatar_id, mind)
        self.log = log
        self.terminals: list[Terminal] = []

    def on_login(self) -> None:
        self.mind.notify("welcome", "back")

    def on_logout(self, reason: Any) -> None:
        self.log.append(("logout", str(reason.code)))

    def shell_opened(self, terminal: Terminal) -> str:
        self.terminals.append(terminal)
        return f"hello {self.avatar_id} on {terminal.term or 'no terminal'}"

    async def shell_line(self, terminal: Terminal, line: str) -> Any:
        if line == "bye":
            terminal.write("so long\n")
            terminal.close(3)
            return None
        if line == "fail":
            raise CallError("that did not go well")
        if line == "news":
            self.mind.notify("news", "rain", 7)
            return None
        if line == "die":
            raise ZeroDivisionError("a secret of the server")
        return f"[{line}]"

    def shell_closed(self, terminal: Terminal) -> None:
        self.terminals.remove(terminal)
        self.log.append(("closed", terminal.closed))

    def execute(self, command: str) -> Any:
        if command == "fail":
            raise CallError("there is no such command")
        if command == "later":
            return self.mind.actor_inbox.dispatcher.offload(lambda: "it came\n")
        if command == "die":
            raise ZeroDivisionError("a secret of the server")
        return b"\xc3\xa4 bytes\n" if command == "bytes" else f"{self.avatar_id} ran {command}\n"

    def subsystem_opened(self, terminal: Terminal, name: str) -> None:
        if name != "echo":
            raise CallError("there is only echo")

    def subsystem_data(self, terminal: Terminal, data: bytes) -> bytes:
        return data[::-1]

    def subsystem_closed(self, terminal: Terminal) -> None:
        self.log.append(("stream closed",))


class House(Realm):
    interfaces = (Everything, OnlyExec)

    def __init__(self, log: list[Any]) -> None:
        super().__init__()
        self.log = log

    def request_avatar(self, avatar_id: Any, mind: Any, *interfaces: type) -> Any:
        avatar = Guest.start(avatar_id, mind, self.log)
        return interfaces[0], avatar, avatar.stop


def render(name: str, *args: Any) -> str | None:
    return f"* {name} {' '.join(map(str, args))}" if name in {"welcome", "news"} else None


class Stage:
    def __init__(self, *checkers: Any, interface: type = Everything) -> None:
        self.log: list[Any] = []
        dispatcher = AsyncioDispatcher(loop(), "ssh")
        users = MemoryChecker.start({"ann": "s3cret"}, rounds=4)
        self.portal = Portal.start(
            House.start(self.log, dispatcher=dispatcher),
            checkers or [users],
            PortalOptions(penalty=Penalty(step=0.0)),  # clients of SSH try a password several times
            dispatcher=dispatcher,
        )
        self.server = SSHServer(self.portal, interface, render=render)
        key = asyncssh.generate_private_key("ssh-ed25519")
        self.acceptor = in_loop(self.server.listen(LOCALHOST, 0, server_host_keys=[key]))
        self.port = self.acceptor.get_port()

    def stop(self) -> None:
        async def end() -> None:
            self.acceptor.close()
            await self.server.close()

        in_loop(end())

    async def connect(
        self, password: str = "s3cret", name: str = "ann", **options: Any
    ) -> asyncssh.SSHClientConnection:
        options = {
            "known_hosts": None,
            "config": None,
            "client_keys": None,
            "username": name,
            "password": password,
            **options,
        }
        return await asyncssh.connect(LOCALHOST, self.port, **options)

    def ssh(
        self,
        folder: Path,
        *words: str,
        name: str = "ann",
        password: str = "s3cret",
        text: str = "",
        **options: str,
    ) -> Any:
        """Run OpenSSH's client, which gets a password from a program."""
        asker = folder / "ask"
        asker.write_text(f"#!/bin/sh\nprintf '%s\\n' '{password}'\n")
        asker.chmod(0o700)
        settings = {
            "StrictHostKeyChecking": "no",
            "UserKnownHostsFile": str(folder / "known"),
            "NumberOfPasswordPrompts": "1",
        }
        settings |= {
            "LogLevel": "INFO",
            "PreferredAuthentications": "password",
            "IdentityAgent": "none",
            **options,
        }
        arguments = [f"-o{name}={value}" for name, value in settings.items()]
        command = [
            program("ssh", "openssh-client"),
            "-F",
            "none",
            "-p",
            str(self.port),
            *arguments,
            f"{name}@{LOCALHOST}",
            *words,
        ]
        environment = {**os.environ, "SSH_ASKPASS": str(asker), "SSH_ASKPASS_REQUIRE": "force"}
        return subprocess.run(
            command,
            input=text,
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


# -- what a connection can do --------------------------------------------------------------------


def test_openssh_runs_commands_with_their_output_and_status(stages, tmp_path):
    stage = stages()
    good, bad, later = (stage.ssh(tmp_path, word) for word in ("look", "fail", "later"))

    assert (good.stdout, good.returncode) == ("ann ran look\n", 0)
    assert (bad.stdout, bad.returncode) == ("", 1)
    assert "there is no such command" in bad.stderr
    assert later.stdout == "it came\n"
    assert stage.ssh(tmp_path, "bytes").stdout == "ä bytes\n"
    died = stage.ssh(tmp_path, "die")
    assert (died.returncode, "something went wrong" in died.stderr, "secret" in died.stderr) == (
        1,
        True,
        False,
    )


def test_openssh_has_a_shell_line_by_line_and_reads_what_it_is_told(stages, tmp_path):
    done = stages().ssh(tmp_path, text="one\nnews\nfail\ndie\nbye\nnever\n")

    assert done.stdout.splitlines() == [
        "hello ann on no terminal",
        "* welcome back",
        "[one]",
        "* news rain 7",
        "that did not go well",
    ]
    assert "something went wrong" in done.stderr
    assert "secret" not in done.stderr


def test_a_shell_ends_with_the_status_that_the_avatar_gives_or_at_the_end_of_what_is_typed(
    stages, tmp_path
):
    stage = stages()
    assert stage.ssh(tmp_path, text="bye\n").returncode == 3
    done = stage.ssh(tmp_path, text="without an end of line")
    assert done.stdout.splitlines()[-1] == "[without an end of line]"
    assert done.returncode == 0
    until(lambda: ("closed", True) in stage.log)


def test_a_terminal_has_its_kind_size_and_an_editor_of_lines(stages):
    stage = stages()

    async def talk() -> list[str]:
        async with await stage.connect() as connection:
            process = await connection.create_process(term_type="vt100", term_size=(100, 30))
            process.stdin.write("abx\x7fc\n")
            said = [await process.stdout.readline() for _ in range(4)]
            (guest,) = [session.avatar for session in await stage.portal.sessions()]
            (terminal,) = await guest.proxy().terminals
            process.change_terminal_size(90, 20)
            process.stdin.write("x\n")
            while "[x]" not in said[-1]:
                said.append(await process.stdout.readline())
            assert (terminal.term, terminal.columns, terminal.rows) == ("vt100", 90, 20)
            return said

    said = in_loop(talk())
    assert "hello ann on vt100" in said[0]
    assert any("[abc]" in line for line in said)


def test_the_end_of_a_shell_is_not_the_end_of_the_session(stages):
    stage = stages()

    async def talk() -> None:
        async with await stage.connect() as connection:
            assert "[one]" in (await connection.run(input="one\n")).stdout
            assert (await connection.run("look")).stdout == "ann ran look\n"
            assert await stage.portal.count() == 1

    in_loop(talk())
    until(lambda: ("logout", "logout") in stage.log)


def test_a_subsystem_is_a_stream_of_bytes(stages):
    stage = stages()

    async def talk() -> None:
        async with await stage.connect() as connection:
            process = await connection.create_process(subsystem="echo", encoding=None)
            process.stdin.write(b"\x00\xffabc")
            assert await process.stdout.read(5) == b"cba\xff\x00"
            process.stdin.write_eof()
            await process.wait_closed()
            refused = await connection.create_process(subsystem="other", encoding=None)
            assert b"there is only echo" in await refused.stderr.read()

    in_loop(talk())
    assert ("stream closed",) in stage.log


def test_what_the_interface_does_not_declare_cannot_be_done(stages):
    stage = stages(interface=OnlyExec)

    async def talk() -> None:
        async with await stage.connect() as connection:
            assert (await connection.run("look")).stdout == "ann ran look\n"
            for wish in ({}, {"subsystem": "echo"}):
                with pytest.raises(asyncssh.ChannelOpenError):
                    await connection.create_process(**wish)
            for forward in (
                connection.forward_local_port("", 0, LOCALHOST, 1),
                connection.forward_remote_port("", 0, "", 1),
            ):
                listener = None
                try:
                    listener = await forward
                except (asyncssh.ChannelListenError, OSError):
                    continue
                finally:
                    if listener is not None:
                        listener.close()
            with pytest.raises(asyncssh.ChannelOpenError):
                await connection.open_connection(LOCALHOST, stage.port)

    in_loop(talk())


def test_a_line_without_end_is_not_kept_for_ever(stages, tmp_path):
    done = stages().ssh(tmp_path, text="x" * 100_000)
    assert done.returncode == 1


def test_without_an_interface_there_is_no_server():
    with pytest.raises(TypeError, match="interface"):
        SSHServer(None)  # type: ignore[arg-type]


# -- logins --------------------------------------------------------------------------------------


def test_openssh_reads_why_it_was_thrown_out(stages, tmp_path):
    stage = stages()
    result: list[Any] = []
    client = threading.Thread(target=lambda: result.append(stage.ssh(tmp_path, "-N")))
    client.start()
    until(lambda: stage.portal.count().get(timeout=10) == 1)
    stage.portal.kick(avatar_id="ann", reason="it is\r\nlate").get(timeout=10)
    client.join(30)
    assert "logged out: kicked: it is??late" in result[0].stderr


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
def test_openssh_logs_in_with_its_keys(stages, tmp_path, kind):
    make_keys(tmp_path)
    (tmp_path / "of-ann").write_text((tmp_path / f"{kind}.pub").read_text())
    stage = stages(SSHKeyChecker.start(str(tmp_path / "of-%u")))

    def log_in(key: str, name: str = "ann") -> Any:
        options = {
            "PreferredAuthentications": "publickey",
            "IdentityFile": str(tmp_path / key),
            "IdentitiesOnly": "yes",
        }
        return stage.ssh(tmp_path, "look", name=name, **options)

    assert log_in(kind).stdout == "ann ran look\n"
    for refused in (log_in("other"), log_in(kind, name="bob")):
        assert refused.returncode == 255
        assert "Permission denied (publickey)" in refused.stderr


def test_openssh_logs_in_with_a_certificate_of_an_authority(stages, tmp_path):
    make_keys(tmp_path)
    keygen("-s", tmp_path / "ca", "-I", "id", "-n", "ann", "-V", "+1h", tmp_path / "ed25519.pub")
    (tmp_path / "of-ann").write_text("cert-authority " + (tmp_path / "ca.pub").read_text())
    stage = stages(SSHKeyChecker.start(str(tmp_path / "of-%u")))
    options = {
        "PreferredAuthentications": "publickey",
        "IdentityFile": str(tmp_path / "ed25519"),
        "IdentitiesOnly": "yes",
    }

    assert stage.ssh(tmp_path, "look", **options).stdout == "ann ran look\n"


def test_a_signature_for_another_session_is_worth_nothing(stages, tmp_path):
    make_keys(tmp_path)
    (tmp_path / "of-ann").write_text((tmp_path / "ed25519.pub").read_text())
    stage = stages(SSHKeyChecker.start(str(tmp_path / "of-%u")))
    key = asyncssh.read_private_key(tmp_path / "ed25519")

    forged = asyncssh.read_private_key(tmp_path / "ed25519")
    forged.sign = lambda data, algorithm: key.sign(b"what was signed before", algorithm)  # type: ignore[method-assign]
    with pytest.raises(asyncssh.PermissionDenied):
        in_loop(stage.connect(password=None, client_keys=[forged]))  # type: ignore[arg-type]
    assert stage.portal.count().get(timeout=10) == 0


def test_a_code_is_asked_for_beside_the_password_where_two_factors_are_wanted(stages, tmp_path):
    secret = pyotp.random_base32()
    codes = OTPChecker.start(tmp_path / "codes.db")
    codes.enrol("ann", secret=secret).get(timeout=10)
    stage = stages(AllOf.start(MemoryChecker.start({"ann": "s3cret"}, rounds=4), codes))
    asked: list[str] = []

    def client(*answers: str) -> Any:
        class Person(asyncssh.SSHClient):
            def kbdint_auth_requested(self) -> str:
                return ""

            def kbdint_challenge_received(
                self, name: str, instructions: str, lang: str, prompts: Any
            ) -> Any:
                asked.extend(prompt for prompt, _ in prompts)
                return list(answers)

        return Person

    options = {"client_factory": client("s3cret", pyotp.TOTP(secret).now())}
    connection = in_loop(
        stage.connect(password=None, preferred_auth="keyboard-interactive", **options)
    )  # type: ignore[arg-type]
    assert asked == ["Password: ", "Verification code: "]
    assert in_loop(connection.run("look")).stdout == "ann ran look\n"
    in_loop(closed(connection))
    for answers in (("s3cret", "000000"), ("wrong", pyotp.TOTP(secret).now()), ("s3cret", ""), ()):
        with pytest.raises(asyncssh.PermissionDenied):
            in_loop(
                stage.connect(
                    password=None,
                    preferred_auth="keyboard-interactive",
                    client_factory=client(*answers),
                )  # type: ignore[arg-type]
            )


async def closed(connection: Any) -> None:
    connection.close()
    await connection.wait_closed()


def test_only_what_a_checker_takes_is_offered(stages, tmp_path):
    make_keys(tmp_path)
    keys = stages(SSHKeyChecker.start(str(tmp_path / "of-%u")))
    passwords = stages()

    def offered(stage: Stage) -> set[str]:
        return set(
            in_loop(asyncssh.get_server_auth_methods(LOCALHOST, stage.port, "ann", config=None))
        )

    assert offered(keys) == {"publickey"}
    assert offered(passwords) == {"password", "keyboard-interactive"}


def test_a_client_that_tries_too_often_is_hung_up_on(stages):
    stage = stages()
    tries = iter(range(100))

    class Guesser(asyncssh.SSHClient):
        def password_auth_requested(self) -> str:
            return f"guess {next(tries)}"

    with pytest.raises(asyncssh.DisconnectError):
        in_loop(stage.connect(password=None, client_factory=Guesser, preferred_auth="password"))  # type: ignore[arg-type]
    assert next(tries) <= MAX_TRIES + 1


def test_at_the_end_of_the_server_everybody_is_logged_out(stages):
    stage = stages()
    connections = [in_loop(stage.connect()) for _ in range(3)]

    assert in_loop(stage.server.close()) == 3
    for connection in connections:
        in_loop(connection.wait_closed())
    assert stage.portal.count().get(timeout=10) == 0
    assert stage.log == [("logout", "drained")] * 3
    assert actors.statistics().actors == 3


def test_an_agent_may_offer_many_keys_before_the_right_one_and_no_end_of_them(stages):
    right, *others = [asyncssh.generate_private_key("ssh-ed25519") for _ in range(MAX_KEYS + 2)]
    stage = stages(SSHKeyChecker.start(lambda name: right.export_public_key().decode()))

    async def with_keys(*keys: Any) -> None:
        async with await stage.connect(password=None, client_keys=list(keys)):  # type: ignore[arg-type]
            pass

    in_loop(with_keys(*others[: MAX_KEYS - 1], right))
    with pytest.raises((asyncssh.DisconnectError, asyncssh.PermissionDenied)):
        in_loop(with_keys(*others, right))


def test_a_damaged_key_of_a_stranger_ends_no_connection_of_others(stages):
    key = asyncssh.generate_private_key("ssh-ed25519")
    stage = stages(SSHKeyChecker.start(lambda name: key.export_public_key().decode()))

    class Damaged(asyncssh.SSHKeyPair):
        """Sends an RSA key with a negative number, signed with nonsense."""

        def __init__(self) -> None:
            parts = (b"ssh-rsa", b"\x80", b"\x00" + b"\xb1" * 256)
            blob = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
            super().__init__(
                b"ssh-rsa", b"ssh-rsa", (b"rsa-sha2-256",), (b"rsa-sha2-256",), blob, b"damaged"
            )

        def sign(self, data: bytes) -> bytes:
            return b"\x00\x00\x00\x0crsa-sha2-256\x00\x00\x00\x01x"

    class Stranger(asyncssh.SSHClient):
        def public_key_auth_requested(self) -> Any:
            return Damaged()

    for _ in range(6):
        with pytest.raises((asyncssh.DisconnectError, asyncssh.PermissionDenied)):
            in_loop(stage.connect(password=None, client_factory=Stranger))  # type: ignore[arg-type]
    connection = in_loop(stage.connect(password=None, client_keys=[key]))  # type: ignore[arg-type]
    assert in_loop(connection.run("look")).stdout == "ann ran look\n"
    in_loop(closed(connection))

"""Sessions that end, are resumed, replace each other, or wait for themselves."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from actorcred.passwords.hashing import hash_password
from tests.faults.checkers import STORED
from tests.faults.clients import ATTACKER, HONEST, Closed, Raw, connect, many
from tests.faults.fault import Ground, fault
from tests.faults.floods import attacking
from tests.faults.lines import QUICK
from tests.faults.served import poll


@fault("a storm of logins that replace each other", options=("--policy", "replace", *QUICK))
def replacing(ground: Ground) -> None:
    answers: Counter[str] = Counter()

    def attack(number: int) -> None:
        with connect(ground.server.address, source=f"127.0.5.{number + 1}") as client:
            error, _ = client.try_login("same")
            answers[error["code"] if error else "in"] += 1

    with attacking(attack, 8):
        for _ in poll(2):
            pass
    with connect(ground.server.address, source=HONEST) as client:
        client.login("same", resume=False)
        sessions = client.call("cred.sessions")
        assert len(sessions) == 1, sessions
    ground.note(", ".join(f"{count} {what}" for what, count in answers.items()))


@fault(
    "a server that is full: newcomers replace themselves",
    options=("--policy", "replace", "--max-sessions", "12", *QUICK),
)
def replacing_when_full(ground: Ground) -> None:
    """Ten users fill the server: they can log in again, others cannot, and no session is lost."""
    clients = many(ground.server.address, 10, resume=False)
    for number in range(10):
        with connect(ground.server.address) as newcomer:
            error, _ = newcomer.try_login(f"newcomer{number}")
            assert error["code"] == "denied", error
    for number, client in enumerate(clients):
        again = connect(ground.server.address)
        again.login(f"user{number}", resume=False)
        assert client.until_closed()[-1][2][0]["code"] == "replaced"
        client.close()
        clients[number] = again
    for client in clients:
        assert client.call("echo", 1) == 1
        client.close()


@fault("tokens are replayed, and stolen", options=("--grace", "3", "--limit-loopback"))
def tokens(ground: Ground) -> None:
    """A token is valid once, its holder alone has the session, and guesses are penalised."""
    address = ground.server.address
    used = 0
    for number in range(10):
        first = connect(address, source=f"127.0.6.{number + 1}")
        token = first.login(f"user{number}")["token"]
        first.reset()
        tokens = [token]
        for _ in range(5):
            with connect(address, source=f"127.0.6.{number + 1}") as client:
                tokens.append(client.call("cred.resume", tokens[-1], 0)["token"])
        for old in tokens[:3]:
            with connect(address, source=f"127.0.6.{number + 101}") as thief:
                error, _ = thief.answer(thief.begin_call("cred.resume", old, 0))
                assert error["code"] == "refused", error
        used += len(tokens)
        with connect(address, source=f"127.0.6.{number + 1}") as client:
            for odd in (-1, 2**31, 2**62):
                client.answer(client.begin_call("cred.resume", tokens[-1], odd))
    guesses: Counter[str] = Counter()
    with contextlib.suppress(Closed), connect(address) as guesser:
        for number in range(50):
            guesses[_code(guesser, f"guess{number}")] += 1
    ground.note(
        f"{used} tokens; of 50 guesses "
        f"{', '.join(f'{count} {what}' for what, count in guesses.items())}"
    )
    assert set(guesses) == {"refused", "denied"}, guesses
    assert guesses["refused"] < 10, guesses


def _code(client: Raw, token: str) -> str:
    error, _ = client.answer(client.begin_call("cred.resume", token, 0))
    return str(error["code"]) if error else "in"


@fault("two clients resume one session at the same time", options=QUICK)
def resuming_twice(ground: Ground) -> None:
    won = 0
    for number in range(20):
        with connect(ground.server.address) as first:
            token = first.login(f"user{number}")["token"]
        pair = [
            connect(ground.server.address, source=f"127.0.7.{2 * number + turn + 1}")
            for turn in range(2)
        ]
        begun = [(client, client.begin_call("cred.resume", token, 0)) for client in pair]
        wins = sum(_answered(*one) for one in begun)
        assert wins == 1, f"{wins} clients have one session"
        won += wins
        for client in pair:
            client.close()
    ground.note(f"{won} of 40 came in")


def _answered(client: Raw, number: int) -> bool:
    with contextlib.suppress(Closed):
        return client.answer(number)[0] is None
    return False


@fault(
    "reconnect storms: all lose their connection at once and come back", options=("--grace", "3")
)
def reconnecting(ground: Ground) -> None:
    """50 clients, ten times: reset all, resume all, while notifications are sent."""
    address = ground.server.address
    clients, tokens = [], []
    for number in range(50):
        client = connect(address)
        tokens.append(client.login(f"user{number}")["token"])
        clients.append(client)
    begin = time.monotonic()
    with connect(address) as caster:
        caster.login("caster", resume=False)
        for turn in range(10):
            caster.call("broadcast", turn, 100)
            for client in clients:
                client.reset()
            caster.call("broadcast", turn, 100)
            clients = [connect(address) for _ in clients]
            begun = [
                client.begin_call("cred.resume", token, 0)
                for client, token in zip(clients, tokens, strict=True)
            ]
            tokens = [
                _resumed(client, number) for client, number in zip(clients, begun, strict=True)
            ]
    ground.note(f"500 came back in {time.monotonic() - begin:.1f} s")
    for client in clients:
        client.begin_call("cred.logout")
        client.until_closed()
        client.close()


def _resumed(client: Raw, number: int) -> str:
    error, result = client.answer(number)
    assert error is None, error
    return str(result["token"])


def _ended_with_a_queue(ground: Ground, user: str, end: Callable[[Raw], object]) -> None:
    """100 calls wait; after the session's end at most the running one completes.

    The goodbye is sent immediately.
    """
    with (
        connect(ground.server.address, source=ATTACKER) as thief,
        connect(ground.server.address, source=HONEST) as judge,
    ):
        judge.login("judge", resume=False)
        thief.login(user, "secret" if user == STORED else "right", resume=False)
        numbers = [thief.begin_call("pay", number) for number in range(100)]
        assert thief.answer(numbers[1])[0] is None  # two are done
        end(judge)
        begin = time.monotonic()
        told = thief.until_closed()
        took = time.monotonic() - begin
        paid = judge.call("paid", user)
        ground.note(f"{paid} of 100 calls carried out; goodbye after {took:.1f} s")
        assert any(message[1] == "cred.goodbye" for message in told), told
        for _ in poll(1):
            assert judge.call("paid", user) == paid, "calls are carried out after the goodbye"
        assert paid < 60, f"{paid} of 100 calls were carried out"


@fault("a kicked session whose client has 100 calls in the queue", options=QUICK)
def kicked_with_a_queue(ground: Ground) -> None:
    def kick(judge: Raw) -> None:
        assert judge.call("kick", "thief") == 1

    _ended_with_a_queue(ground, "thief", kick)


def stored(folder: Path) -> None:
    """Make a password file with one user."""
    (folder / "users").write_text(f"{STORED}:{hash_password(password='secret', rounds=4)}\n")


@fault(
    "a deleted account whose client has 100 calls in the queue",
    options=QUICK,
    prepare=stored,
    auth=("file:{folder}/users",),
)
def revoked_with_a_queue(ground: Ground) -> None:
    def delete(judge: Raw) -> None:
        (ground.folder / "users").write_text("")
        with connect(
            ground.server.address, source="127.0.0.3"
        ) as client:  # its login has the file read again
            client.try_login(STORED, "secret")

    _ended_with_a_queue(ground, STORED, delete)


@fault(
    "an on_logout that never ends",
    slow=True,
    options=("--policy", "replace", *QUICK),
    patience=40.0,
)
def endless_logout(ground: Ground) -> None:
    """Its user can log in again after the deadline; failed logins do not pile up meanwhile."""
    with connect(ground.server.address) as client:
        client.login("slow", resume=False)
        client.call("stop_slowly")
    begin = time.monotonic()
    answers: Counter[str] = Counter()
    for _ in poll(40, 0.5):
        with connect(ground.server.address, timeout=60) as client:
            error, _ = client.try_login("slow", resume=False)
            answers[error["code"] if error else "in"] += 1
            if error is None:
                break
    ground.note(
        f"in again after {time.monotonic() - begin:.0f} s: "
        + ", ".join(f"{n} {what}" for what, n in answers.items())
    )
    assert answers["in"], answers


@fault("an avatar that waits for itself", options=QUICK, tracebacks=True)
def waiting_for_oneself(ground: Ground) -> None:
    """A blocking wait raises immediately, and delays no one else."""
    answered = []
    for number in range(3):
        with connect(ground.server.address, timeout=8) as client:
            client.login(f"user{number}", resume=False)
            error, _ = client.answer(client.begin_call("ask_self"))
            answered.append(error["code"])
    ground.note(", ".join(answered))


@fault(
    "avatars that wait for themselves and for each other by await",
    slow=True,
    options=QUICK,
    patience=60.0,
    tracebacks=True,
)
def waiting_in_circles(ground: Ground) -> None:
    """Sessions end when their clients disconnect, and the avatars stop; the log names the cycle."""
    with (
        connect(ground.server.address, timeout=60) as left,
        connect(ground.server.address, timeout=60) as right,
    ):
        left.login("left", resume=False)
        right.login("right", resume=False)
        left.begin_call("ask_other", "right", True)
        with connect(ground.server.address) as alone:
            alone.login("alone", resume=False)
            alone.begin_call("ask_self_later")
            for _ in poll(45, 1.0):
                if "circle" in ground.server.said().lower():
                    break
    ground.note(
        "told in the log" if "circle" in ground.server.said().lower() else "not told in the log"
    )


@fault("clients that are asked and never answer", options=QUICK)
def asked(ground: Ground) -> None:
    clients = many(ground.server.address, 20, resume=False)
    for client in clients:
        for _ in range(20):
            client.begin_call("ask_client")
    threads = [threading.Thread(target=client.until_closed, daemon=True) for client in clients]
    for thread in threads:
        thread.start()
    for client in clients:
        client.socket.shutdown(1)
    for thread in threads:
        thread.join(20)
    for client in clients:
        client.close()

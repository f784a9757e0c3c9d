"""The methods that begin with `cred.`: login, logout, resuming, and the user's own sessions.

The signatures are those of the protocol, after the peer as the first parameter; see
`docs/protocol.md`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from actorcred.actors import Future
from actorcred.errors import (
    CallCode,
    CallError,
    LoginDenied,
    LoginFailed,
    NoInterface,
    RefusalCause,
    UnauthorizedLogin,
)
from actorcred.identity import NO_INFO, ClientInfo
from actorcred.logout import GOING_DOWN, LogoutCode
from actorcred.methods import Method
from actorcred.names import ANONYMOUS, AvatarId
from actorcred.portal.login import Login
from actorcred.rpc.protocol.connection import PREFIX
from actorcred.rpc.protocol.faults import FORMS
from actorcred.rpc.server.connection import ServerConnection
from actorcred.rpc.server.dialogue import Dialogue
from actorcred.rpc.server.events import SessionResumed
from actorcred.rpc.server.hub import Commands
from actorcred.rpc.server.login_options import LoginOptions
from actorcred.rpc.server.relay import Relay
from actorcred.rpc.server.session_channel import SessionChannel, token_hash
from actorcred.sasl.mechanism import Credentials
from actorcred.sasl.mechanisms import find, offered
from actorcred.sessions.info import SessionInfo
from actorcred.sessions.routing import node_of
from actorcred.sessions.session import Session

__all__ = ["COMMANDS", "continue_session"]


T = TypeVar("T", bound=LoginFailed)

LONGEST_NAME = 100
"""Characters of the name and version of a client that are kept."""


def mechanisms(peer: ServerConnection) -> Future[list[str]]:
    """Return the names of the SASL mechanisms that are offered on this connection."""
    hub = peer.hub
    clear = hub.options.passwords_in_clear
    # If a password may be sent, offer only what every user with a password can use.
    safe = clear or peer.client.private
    return _then(
        hub.portal.list_credentials_interfaces(for_everybody=safe),
        lambda kinds: offered(
            kinds,
            peer.client,
            passwords_in_clear=clear,
            legacy=hub.options.legacy_mechanisms,
        ),
    )


def login(
    peer: ServerConnection, mechanism: str, initial: Any = None, options: LoginOptions | None = None
) -> Any:
    """Begin a login.

    Args:
        peer: the connection.
        mechanism: a SASL mechanism.
        initial: the client's first message, if the mechanism begins with one.
        options: see `LoginOptions`.
    """
    if peer.channel is not None or peer.relay is not None:
        raise CallError("this connection is logged in, or resumes a session", CallCode.OUT_OF_ORDER)
    wishes = options or LoginOptions()
    peer.client = _named(peer.client, wishes.client)
    errors = FORMS[wishes.errors]
    peer.speak(errors, answers_only=not wishes.notifications)
    if peer.hub.draining:
        raise _told(peer, _going_down(peer), mechanism)
    keeps = wishes.resume and peer.hub.options.resume.grace > 0
    channel = SessionChannel(
        peer.hub, keeps=keeps, takes_notifications=wishes.notifications, errors=errors
    )
    channel.moves = keeps and wishes.move and wishes.notifications

    def decide(step: Credentials) -> Future[Login]:
        return _log_in(peer, channel, step, wishes)

    def consent(granted: Login) -> tuple[dict[str, Any], Callable[[], object]]:
        channel.open(granted.session)
        # Not before the answer is sent: the notifications that the channel has kept follow it.
        return _enter(peer, channel, wishes.heartbeat), partial(channel.attach, peer, 0)

    return _begin(peer, mechanism, decide, consent).say(initial)


def _begin(peer: ServerConnection, mechanism: str, decide: Any, consent: Any) -> Dialogue:
    if peer.dialogue is not None:
        if not peer.dialogue.waits_for_client:
            raise CallError(
                "another login is in progress on this connection", CallCode.OUT_OF_ORDER
            )
        peer.dialogue.cancel()  # the client starts again
        # Counts as a failure, so that this does not avoid penalties.
        again = UnauthorizedLogin("the client began again")
        peer.tell_refused(again.because(RefusalCause.WRONG_CREDENTIALS), mechanism)
    options = peer.hub.options
    kind = find(
        mechanism,
        peer.client,
        passwords_in_clear=options.passwords_in_clear,
        legacy=options.legacy_mechanisms,
    )
    if kind is None:
        raise CallError(
            "this mechanism is not offered here; see cred.mechanisms", CallCode.BAD_ARGUMENTS
        )
    peer.dialogue = Dialogue(peer, kind(peer.client), decide, consent)
    return peer.dialogue


def _log_in(
    peer: ServerConnection, channel: SessionChannel, step: Credentials, wishes: LoginOptions
) -> Future[Login]:
    """Log in at the portal, with the interfaces that the client requests."""
    interfaces = peer.hub.interfaces
    if wishes.interface is None:
        wanted = interfaces[:1]
    else:
        names = [wishes.interface] if isinstance(wishes.interface, str) else wishes.interface
        by_name = {interface.__name__: interface for interface in interfaces}
        wanted = tuple(by_name[name] for name in names if name in by_name)
    if not wanted:
        return _failed(_told(peer, NoInterface(), type(step.credentials).__name__))
    return peer.hub.portal.login(
        step.credentials,
        channel,
        *wanted,
        authorize_as=step.authorize_as or None,
        client=peer.client,
        info=wishes.info or NO_INFO,
        mechanism=step.mechanism,
    )


def _going_down(peer: ServerConnection) -> LoginDenied:
    denied = LoginDenied(GOING_DOWN, retry_after=peer.hub.retry_after, seen=False)
    return denied.because(RefusalCause.DRAINING)


def _failed(error: Exception) -> Future[Any]:
    failed: Future[Any] = Future()
    failed.settle_error(error)
    return failed


def _told(peer: ServerConnection, error: T, kind: str) -> T:
    """Report a refusal that the portal does not see; return it."""
    peer.tell_refused(error, kind)
    return error


def _named(client: ClientInfo, said: list[str] | dict[str, str] | str) -> ClientInfo:
    """Return a client with the name and version that it gives itself."""
    if isinstance(said, dict):
        words = [said.get("name", ""), said.get("version", "")]
    else:
        words = [said] if isinstance(said, str) else said
    if not any(words):
        return client
    name, version = words[0], " ".join(words[1:])
    return client.named(name[:LONGEST_NAME], version[:LONGEST_NAME])


def _enter(peer: ServerConnection, channel: SessionChannel, heartbeat: bool) -> dict[str, Any]:
    """Let a connection use a session; return its description for the client."""
    peer.heartbeat = heartbeat
    peer.logged_in(channel)
    options, session = peer.hub.options, channel.session
    return {
        "avatar_id": None if session.avatar_id is ANONYMOUS else session.avatar_id,
        "interface": session.interface.__name__,
        "session": session.id,
        "token": channel.new_token(),
        "limits": {
            "frame": options.wire.frame,
            "pending": options.wire.pending,
            "requests_per_second": options.rates.requests_per_second,
            "heartbeat": options.heartbeat,
            "grace": options.resume.grace,
        },
    }


def respond(peer: ServerConnection, data: Any) -> Any:
    """Answer the challenge of a login or of a reauthentication."""
    if peer.dialogue is None:
        raise CallError("no challenge waits for a response", CallCode.OUT_OF_ORDER)
    return peer.dialogue.say(data)


def resume(peer: ServerConnection, token: Any, last_seen: int, heartbeat: bool = False) -> Any:
    """Continue a session whose connection was lost.

    Args:
        peer: the connection.
        token: from the answer to the login, or to the last `cred.resume`. It is valid once.
        last_seen: how many notifications the client has received in this session.
        heartbeat: as in `LoginOptions`.
    """
    hub = peer.hub
    if not peer.is_idle:
        raise CallError("this connection is logged in, or is about to be", CallCode.OUT_OF_ORDER)
    text = token.decode("utf-8", "replace") if isinstance(token, bytes) else token
    if not isinstance(text, str):
        raise CallError("the token must be a string", CallCode.BAD_ARGUMENTS)
    denied = hub.portal.must_wait(peer.client)
    if denied is not None:
        return peer.refusal(denied, "resume")
    node = node_of(text)
    if node not in ("", hub.node):
        peer.relay = Relay(peer, node)
        return peer.relay.resume(text, last_seen, heartbeat)
    # The time of a lookup by hash reveals nothing about the token.
    hashed = token_hash(text)
    channel = hub.channels.get(hashed)
    if channel is None or not channel.session.is_open:
        unknown = UnauthorizedLogin("no open session has this token")
        # Many users of one source may come when their sessions have ended with a cut.
        unknown.seen = not hub.is_over(hashed)
        return peer.refusal(unknown.because(RefusalCause.WRONG_CREDENTIALS), "resume")
    return continue_session(peer, channel, last_seen, heartbeat)


def continue_session(
    peer: ServerConnection, channel: SessionChannel, last_seen: int, heartbeat: bool
) -> Future[dict[str, Any]]:
    """Continue a session on a connection; return a future of the answer to the client."""
    hub, session = peer.hub, channel.session
    missed = channel.misses(last_seen)
    told = _enter(peer, channel, heartbeat)
    told["refresh"] = missed
    here, before = peer.client, session.client
    session.moved(here.named(before.name, before.version))
    hub.portal.publish(
        SessionResumed(
            session.id,
            session.avatar_id,
            session.client,
            not missed,
            session.checker,
            session.identity,
        )
    )
    seen = told["notifications"] = channel.sent if missed else last_seen
    answer: Future[dict[str, Any]] = Future()

    def finish() -> None:
        answer.settle(told)
        channel.attach(peer, seen)

    hub.loop.call_soon(finish)  # so that the answer precedes the missed notifications
    return answer


def logout(peer: ServerConnection) -> bool:
    """End the session; the server says goodbye and closes the connection."""
    _channel_of(peer).session.end(LogoutCode.LOGOUT)
    return True


def ping(peer: ServerConnection, last_seen: int | None = None) -> bool:
    """Show that the client is alive.

    The server need not keep the first `last_seen` notifications, which the client has received.
    """
    if last_seen is not None and peer.channel is not None:
        peer.channel.acknowledge(last_seen)
    return True


def sessions(peer: ServerConnection) -> Any:
    """Return the user's own sessions, over any protocol (OWASP ASVS 5.0, 7.5.2)."""
    own = _channel_of(peer).session
    return _then(_own_sessions(peer), lambda found: [_describe(session, own) for session in found])


def _own_sessions(peer: ServerConnection) -> Future[list[SessionInfo]]:
    session = _channel_of(peer).session
    avatar_id: AvatarId = session.avatar_id
    if avatar_id is not ANONYMOUS:
        return peer.hub.portal.sessions(avatar_id)
    alone: Future[list[SessionInfo]] = Future()  # two anonymous clients are never the same user
    alone.settle([session])
    return alone


def _describe(session: SessionInfo, own: Session) -> dict[str, Any]:
    return {
        "session": session.id,
        "current": session.id == own.id,
        "since": session.since,
        "last_seen": session.last_active,
        "protocol": session.client.protocol,
        "transport": session.client.transport,
        "encrypted": session.client.encrypted,
        "client": f"{session.client.name} {session.client.version}".strip(),
        "address": session.client.endpoint,
        "via": list(session.client.via),
    }


def end(peer: ServerConnection, session: str) -> Any:
    """End one of the user's own sessions (OWASP ASVS 5.0, 7.5.2).

    The user must have proven the credentials again.

    Returns:
        Whether the session existed.
    """
    _channel_of(peer).session.demand(peer.hub.options.reauthentication)

    def end_it(found: list[Session]) -> bool:
        own = any(one.id == session for one in found)
        if own:
            peer.hub.portal.kick(session_id=session, reason="ended by the user")
        return own

    return _then(_own_sessions(peer), end_it)


def reauthenticate(peer: ServerConnection, mechanism: str, initial: Any = None) -> Any:
    """Prove the credentials again, as some methods demand. Continues with `cred.respond`."""
    session = _channel_of(peer).session
    if session.avatar_id is ANONYMOUS:
        raise CallError("an anonymous client has no credentials to prove", CallCode.OUT_OF_ORDER)

    def decide(step: Credentials) -> Future[AvatarId]:
        return peer.hub.portal.reauthenticate(
            session,
            step.credentials,
            authorize_as=step.authorize_as or None,
            client=peer.client,
            mechanism=step.mechanism,
        )

    def consent(avatar_id: AvatarId) -> tuple[dict[str, Any], Callable[[], object]]:
        return {"avatar_id": avatar_id, "for": peer.hub.options.reauthentication}, lambda: None

    return _begin(peer, mechanism, decide, consent).say(initial)


def _channel_of(peer: ServerConnection) -> SessionChannel:
    if peer.channel is None:
        raise CallError("log in first: cred.login", CallCode.NOT_LOGGED_IN)
    return peer.channel


def _then(future: Future[Any], function: Callable[[Any], Any]) -> Future[Any]:
    """Return a future of `function(value)`."""
    result: Future[Any] = Future()
    result.follow(future, function)
    return result


_TABLE = {
    PREFIX + function.__name__: (Method(PREFIX + function.__name__, function), function)
    for function in (
        mechanisms,
        login,
        respond,
        resume,
        logout,
        ping,
        sessions,
        end,
        reauthenticate,
    )
}
_LOGINS = frozenset({PREFIX + "login", PREFIX + "respond", PREFIX + "resume"})
COMMANDS = Commands(_TABLE, _LOGINS, _LOGINS | {PREFIX + "mechanisms", PREFIX + "ping"})
"""The methods that the server handles itself."""

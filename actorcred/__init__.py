"""Pluggable authentication and session management for servers, in the actor model.

A portal connects any number of protocols with any number of credential databases, and gives each
logged-in user a business object of their own. Protocols, databases and business objects know
nothing about each other. Every part is an actor.
"""

import logging as _logging

from actorcred.actors import Actor, ActorRef, Future
from actorcred.avatar import Avatar
from actorcred.checker import Checker, CheckerRef, Revocation
from actorcred.credentials import Anonymous, BearerToken, Certificate, UsernamePassword
from actorcred.errors import (
    AccountError,
    ActorcredError,
    CallCode,
    CallError,
    CheckerUnavailable,
    ClientGone,
    ConnectionLost,
    LoginDenied,
    LoginFailed,
    MissingExtra,
    MoveFailed,
    NoInterface,
    PasswordRejected,
    ProtocolError,
    RestartRole,
    SnapshotDeclined,
    UnauthorizedLogin,
    UnhandledCredentials,
)
from actorcred.exchange import Exchange, ScramVerifier, UsernameHashedPassword, UsernameScram
from actorcred.identity import ClientInfo, Identity
from actorcred.logout import LogoutCode, LogoutReason
from actorcred.methods import reauthenticated, requires
from actorcred.mind.channel import Channel
from actorcred.mind.group import Group
from actorcred.mind.mind import MindRef
from actorcred.mind.outbox import Notification, OutboxLimit, OutboxOverflow
from actorcred.names import ANONYMOUS, AvatarId
from actorcred.portal.actor import Portal
from actorcred.portal.login import Login, LoginFuture
from actorcred.portal.options import PasswordChange, PortalOptions
from actorcred.portal.ref import PortalRef
from actorcred.realm import Realm
from actorcred.sessions.groups import NamedGroup
from actorcred.sessions.info import SessionInfo
from actorcred.sessions.policies import Policy
from actorcred.sessions.presence import PresenceLimits, UserPresence
from actorcred.sessions.session import AvatarRef, Session
from actorcred.standing import Standing
from actorcred.throttle import Admission, Penalty

__all__ = [
    "ANONYMOUS",
    "AccountError",
    "Actor",
    "ActorRef",
    "ActorcredError",
    "Admission",
    "Anonymous",
    "Avatar",
    "AvatarId",
    "AvatarRef",
    "BearerToken",
    "CallCode",
    "CallError",
    "Certificate",
    "Channel",
    "Checker",
    "CheckerRef",
    "CheckerUnavailable",
    "ClientGone",
    "ClientInfo",
    "ConnectionLost",
    "Exchange",
    "Future",
    "Group",
    "Identity",
    "Login",
    "LoginDenied",
    "LoginFailed",
    "LoginFuture",
    "LogoutCode",
    "LogoutReason",
    "MindRef",
    "MissingExtra",
    "MoveFailed",
    "NamedGroup",
    "NoInterface",
    "Notification",
    "OutboxLimit",
    "OutboxOverflow",
    "PasswordChange",
    "PasswordRejected",
    "Penalty",
    "Policy",
    "Portal",
    "PortalOptions",
    "PortalRef",
    "PresenceLimits",
    "ProtocolError",
    "Realm",
    "RestartRole",
    "Revocation",
    "ScramVerifier",
    "Session",
    "SessionInfo",
    "SnapshotDeclined",
    "Standing",
    "UnauthorizedLogin",
    "UnhandledCredentials",
    "UserPresence",
    "UsernameHashedPassword",
    "UsernamePassword",
    "UsernameScram",
    "reauthenticated",
    "requires",
]

_logging.getLogger(__name__).addHandler(_logging.NullHandler())

"""Guests: clients of other machines that share an avatar of this portal."""

from __future__ import annotations

from actorcred.avatar import Attached, Avatar
from actorcred.errors import NoInterface
from actorcred.mind.mind import MindRef
from actorcred.mind.outbox import Outbox
from actorcred.portal.ref import PortalRef
from actorcred.sessions.directory import Directory
from actorcred.sessions.guest import Guest, Newcomer
from actorcred.sessions.session import Session

__all__ = ["attach"]


def attach(
    portal: PortalRef, directory: Directory, present: Session, newcomer: Newcomer
) -> Session:
    """Have a client of another machine share an avatar. Must be called in the portal's context.

    Args:
        portal: the portal's ref.
        directory: its sessions.
        present: an open session that has the avatar.
        newcomer: the client.

    Returns:
        The guest's session.

    Raises:
        NoInterface: if the avatar implements none that the client has requested.
    """
    avatar_class = present.avatar.actor_class
    interface = newcomer.choose(avatar_class)
    if interface is None:
        raise NoInterface
    mind = MindRef(
        newcomer.channel,
        Outbox(portal.options.outbox),
        portal.actor_inbox.dispatcher,
        newcomer.identity,
        newcomer.client,
    )
    if newcomer.info:
        mind.inform(newcomer.info)
    session = Guest(
        newcomer.session_id, present.avatar_id, interface, checker="", mind=mind, owner=portal
    )
    session.give_avatar(present.avatar, present.shared)
    session.log_out_like(present)
    session.succeed()
    mind.session = session
    directory.add(session)
    if issubclass(avatar_class, Avatar):
        present.avatar.actor_inbox.put(Attached(mind))
    return session

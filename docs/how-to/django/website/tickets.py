"""Tickets: by these, a user who is logged in on the site enters the game."""

from django.core import signing

MAX_AGE = 30  # seconds

# Not the usual colon, which no bearer token may have (RFC 6750).
_signer = signing.TimestampSigner(salt="game", sep=".")


def make(name):
    """Return a ticket for a user."""
    return _signer.sign_object(name)


def name_in(ticket):
    """Return the user of a ticket.

    Raises:
        signing.BadSignature: if it was not made here, or is too old.
    """
    return _signer.unsign_object(ticket, max_age=MAX_AGE)

"""The portal of the game, whose users are those of Django. Only asgi.py imports this."""

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.signals import user_logged_out
from django.core import signing
from django.db import transaction
from django.db.models.signals import post_delete, post_save
from django.dispatch import receiver

from actorcred import Portal, Revocation, UnauthorizedLogin, UsernamePassword
from actorcred.checkers.sql import FactColumns, SQLChecker, UserTable
from actorcred.credentials import BearerToken
from website import tickets
from website.game import Game

GROUPS = """
    SELECT auth_group.name FROM auth_group
        JOIN auth_user_groups ON auth_user_groups.group_id = auth_group.id
        JOIN auth_user ON auth_user.id = auth_user_groups.user_id
        WHERE auth_user.username = :username
    UNION SELECT 'staff' FROM auth_user WHERE is_staff AND username = :username
"""

USERS = UserTable(
    table="auth_user",
    active="is_active",
    facts=FactColumns(subject="id", groups=GROUPS),
)


class SiteUsers(SQLChecker):
    """Checks users of Django: by their password, or by a ticket that the site has given them."""

    credential_interfaces = (UsernamePassword, BearerToken)

    def check(self, credentials):
        """Return who it is; called on a thread that may block."""
        if isinstance(credentials, UsernamePassword):
            return super().check(credentials)
        try:
            name = tickets.name_in(credentials.token)
        except signing.BadSignature as error:
            raise UnauthorizedLogin(f"a bad ticket: {type(error).__name__}") from None
        identity = self.current_identity(name)
        if identity is None:
            raise UnauthorizedLogin("no such user, or one that is not active", known=True)
        return identity


# For PostgreSQL: "postgresql+psycopg://site:${...}@db.example/site"
users = SiteUsers.start(f"sqlite:///{settings.DATABASES['default']['NAME']}", USERS)
portal = Portal.start(Game.start(), [users])


@receiver([post_save, post_delete], sender=get_user_model())
def changed(instance, **_):
    """Have the portal look at once what has become of a user that the admin has changed."""
    name = instance.get_username()
    transaction.on_commit(lambda: users.revoke(name, Revocation.CHANGED))


@receiver(user_logged_out)
def left(user, **_):
    """End the game of a user who logs out of the site."""
    if user is not None:
        portal.kick(avatar_id=user.get_username(), reason="logged out of the site")

"""Lets those in who know a number."""

import hmac

from actorcred import Checker, UnauthorizedLogin, UsernamePassword
from actorcred.auth.registry import CheckerPlugin


class TicketChecker(Checker):
    """Checks the number, whatever the name is."""

    credential_interfaces = (UsernamePassword,)

    def __init__(self, number):
        super().__init__()
        self._number = number.encode()

    def request_avatar_id(self, credentials):
        if not hmac.compare_digest(credentials.password.encode(), self._number):
            raise UnauthorizedLogin("wrong number")
        return credentials.username


def generate_checker(argument):
    if not argument.isdigit():
        raise ValueError("the ticket must be a number")
    return TicketChecker.start(str(argument))


plugin = CheckerPlugin(
    auth_type="ticket",
    arg_string_format="NUMBER",
    auth_help="Accepts any client that knows the number, under a name of its choice.",
    credential_interfaces=(UsernamePassword,),
    generate_checker=generate_checker,
)

import pytest

from actorcred import UsernamePassword
from actorcred.auth.registry import from_string
from actorcred.testing import CheckerContract


class TestTicket(CheckerContract):
    right = [(UsernamePassword("ann", "4711"), "ann")]
    wrong = [UsernamePassword("ann", "4712"), UsernamePassword("ann", "")]
    secrets = ["4711"]

    @pytest.fixture
    def checker(self):
        return from_string("ticket:4711")

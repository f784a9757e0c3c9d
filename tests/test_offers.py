"""Which kinds of credentials can be offered to clients."""

from __future__ import annotations

from typing import Any

from actorcred import Anonymous, UsernameHashedPassword, UsernamePassword, UsernameScram
from actorcred.offers import digests_of_all, offered_by_all
from tests.test_checker import Digests, Plain


def test_proofs_of_a_password_are_offered_only_if_all_who_know_passwords_take_them(
    inline: Any,
) -> None:
    both = Plain.start((UsernamePassword, UsernameScram))
    plain, other = Plain.start(), Plain.start((Anonymous,))

    assert set(offered_by_all([both, other])) == {UsernamePassword, UsernameScram, Anonymous}
    assert set(offered_by_all([both, plain])) == {UsernamePassword}


def test_a_checker_may_take_more_than_it_offers(inline: Any) -> None:
    class Careful(Plain):
        credential_interfaces = (UsernamePassword, UsernameScram)
        offered_interfaces = (UsernamePassword,)

    careful = Careful.start()

    assert careful.offered_interfaces == (UsernamePassword,)
    assert offered_by_all([careful]) == (UsernamePassword,)


def test_of_digests_those_are_offered_that_all_keep_or_else_any(inline: Any) -> None:
    def keeping(*algorithms: str) -> Any:
        class Keeping(Digests):
            digest_algorithms = frozenset(algorithms)

        return Keeping.start()

    assert digests_of_all([Digests.start(), Plain.start()]) is None
    assert digests_of_all([keeping("MD5", "SHA-256"), keeping("MD5")]) == {"MD5"}
    assert digests_of_all([keeping("SHA-256"), keeping("MD5")]) == {"MD5", "SHA-256"}


def test_an_answer_to_a_challenge_is_a_proof_too(inline: Any) -> None:
    hashed = Plain.start((UsernamePassword, UsernameHashedPassword))

    assert set(offered_by_all([hashed, Plain.start()])) == {UsernamePassword}

"""What the system knows about an account beside its password: its groups, and the user's name.

The calls block, for example while a directory server is asked, so they belong on a thread.
"""

from __future__ import annotations

import ctypes
import grp
import os
import pwd

from actorcred.checkers.bases.facts import MOST_GROUPS, shown

__all__ = ["full_name_of", "groups_of"]


FIRST_TRY = 64
"""Groups for which there is room at first; there can be up to `MOST_GROUPS`."""


def groups_of(username: str) -> frozenset[str]:
    """Return the names of the groups of an account; none if the system does not know it.

    Groups without a name are left out.

    Raises:
        OSError: if the groups cannot be asked for.
        ValueError: if there are more than `MOST_GROUPS`.
    """
    account = _account_of(username)
    if account is None:
        return frozenset()
    names = (_name_of(number) for number in _numbers_of(account.pw_name, account.pw_gid))
    return frozenset(name for name in names if name)


def full_name_of(username: str) -> str:
    """Return the user's name as in the account's GECOS field, up to the first comma; "" if none."""
    account = _account_of(username)
    return "" if account is None else shown(account.pw_gecos.partition(",")[0])


def _account_of(username: str) -> pwd.struct_passwd | None:
    try:
        return pwd.getpwnam(username)
    except (KeyError, ValueError):  # unknown; with a NUL
        return None


def _name_of(number: int) -> str:
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return ""


def _numbers_of(username: str, main: int) -> list[int]:
    """Return the numbers of all groups of an account.

    `os.getgrouplist` does not release the interpreter's lock while it waits for a directory server,
    and would so stop the event loop, too; a call by ctypes does.
    """
    ask = ctypes.CDLL(None, use_errno=True).getgrouplist
    ask.argtypes = [ctypes.c_char_p, ctypes.c_uint, ctypes.c_void_p, ctypes.c_void_p]
    for room in (FIRST_TRY, MOST_GROUPS):
        numbers, count = (ctypes.c_uint * room)(), ctypes.c_int(room)
        if ask(os.fsencode(username), main, numbers, ctypes.byref(count)) >= 0:
            return list(numbers[: count.value])
    raise ValueError(f"there are more than {MOST_GROUPS} groups")

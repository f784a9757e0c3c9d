"""What must be true once all faults of the chaos test are over."""

from __future__ import annotations

import asyncio
import re
import time
from collections import Counter
from typing import Any

from tests.cluster.judge import Judge
from tests.cluster.processes import Refused, Slot

LEASES = 10.0
"""Leases after which all must have been made good."""

TROUBLE = re.compile(r"^Traceback|Warning:|^n\S+ (ERROR|CRITICAL)|was destroyed", re.MULTILINE)
"""What nodes must not log."""


async def settle(
    slots: list[Slot], users: list[str], lease: float, judge: Judge, *, ghosts: bool
) -> None:
    """Wait until all is made good, try each user on each node, and end the nodes.

    Args:
        slots: the nodes.
        users: those who log in.
        lease: of the cluster, in seconds.
        judge: is told what is not good.
        ghosts: whether the roster may have sessions that no node has, until their users log in
            again. A NATS 2.9 that is killed forgets what was removed in the last seconds.
    """
    await _made_good(slots, lease, judge, ghosts)
    await _see_the_same(slots, judge)
    for slot in slots:
        report = await slot.node.ask("report")
        for session in report["sessions"]:
            await slot.node.ask("logout", session)
    for user in users:
        for slot in slots:
            await _try(slot, user, lease, judge)
    await _emptied(slots, lease, judge)
    for slot in slots:
        await _end(slot, judge)
    for slot in slots:
        for log in slot.logs:
            text = log.read_text()
            if found := TROUBLE.search(text):
                begin = max(0, found.start() - 200)
                judge.violations.append(f"{log.name}: ...{text[begin : found.start() + 2000]}")


async def _try(slot: Slot, user: str, lease: float, judge: Judge) -> None:
    """Log a user in and out. On a slow machine a node can lose its lease, and have it again.

    Then it does not know for a lease that a node is dead whose sessions the roster still has.
    """
    deadline = time.monotonic() + LEASES * lease
    while True:
        try:
            await slot.node.ask("logout", await slot.node.ask("login", user))
            return
        except Refused as error:
            late = time.monotonic() > deadline
            if late:
                judge.violations.append(f"{user} does not get in at {slot.node.name}: {error}")
                return
            await asyncio.sleep(0.05)


async def _made_good(slots: list[Slot], lease: float, judge: Judge, ghosts: bool) -> None:
    deadline = time.monotonic() + LEASES * lease
    while faults := await _faults(slots, judge, ghosts):
        if time.monotonic() > deadline:
            judge.violations += [f"not made good: {fault}" for fault in faults]
            return
        await asyncio.sleep(0.05)


async def _see_the_same(slots: list[Slot], judge: Judge) -> None:
    """Have each client look: those of one user must see one avatar, unless it ends just then."""
    seen: dict[str, set[tuple[Any, ...]]] = {}
    for slot in slots:
        report = await slot.node.ask("report")
        for session, (user, _) in report["sessions"].items():
            avatar = await slot.node.ask("look", session)
            if avatar or session in (await slot.node.ask("report"))["sessions"]:
                seen.setdefault(user, set()).add(tuple(avatar or ("none",)))
    judge.violations += [
        f"the clients of {user} see {avatars}"
        for user, avatars in seen.items()
        if len(avatars) > 1 or ("none",) in avatars
    ]


async def _emptied(slots: list[Slot], lease: float, judge: Judge) -> None:
    deadline = time.monotonic() + LEASES * lease
    while True:
        reports = [await slot.node.ask("report") for slot in slots]
        kinds = ("roster", "places", "guests")
        left = [report[kind] for report in reports for kind in kinds]
        if not any(left):
            return
        if time.monotonic() > deadline:
            judge.violations.append(f"all have logged out, but there are {left}")
            return
        await asyncio.sleep(0.05)


async def _faults(slots: list[Slot], judge: Judge, ghosts: bool) -> list[str]:
    """Return what is not as it should be, in words."""
    reports: list[dict[str, Any]] = []
    for slot in slots:
        try:
            reports.append(await slot.node.ask("report"))
        except Refused as error:
            return [f"{slot.node.name}: {error}"]
    nodes = sorted(report["node"] for report in reports)
    sessions = sorted([key, report["node"]] for report in reports for key in report["sessions"])
    users = Counter(user for report in reports for user, _ in report["sessions"].values())
    for report in reports if ghosts else ():
        known = [entry for entry in report["roster"] if entry in sessions]
        judge.counts["ghosts in the roster"] = len(report["roster"]) - len(known)
        report["roster"] = known
    shared = any(report["policy"] == "share" for report in reports)
    faults = [
        f"{user} has {number} sessions"
        for user, number in users.items()
        if number > 1 and not shared
    ]
    for report in reports:
        faults += [
            f"{report['node']}: {what} is {report[what]}, not {wanted}"
            for what, wanted in (
                ("nodes", nodes),
                ("owed", 0),
                ("usable", True),
                ("count", len(sessions)),
                ("missing", []),
                ("places", len(report["sessions"])),
                ("open", sorted(report["sessions"])),
                ("roster", sessions),
                ("guests", _visitors(reports, report["node"])),
            )
            if report[what] != wanted
        ]
    return faults


def _visitors(reports: list[dict[str, Any]], host: str) -> list[list[str]]:
    """Return the sessions of other nodes that share an avatar of a node, with their nodes."""
    return sorted(
        [session, report["node"]]
        for report in reports
        for session, at in report["visits"]
        if at == host
    )


async def _end(slot: Slot, judge: Judge) -> None:
    code = await slot.node.quit()
    gone = slot.node.gone
    if code or gone is None:
        judge.violations.append(f"{slot.node.name} has ended with {code}")
        return
    judge.violations += [f"{slot.node.name} has left {task}" for task in gone["tasks"]]
    judge.violations += [f"{slot.node.name} has left {socket}" for socket in gone["sockets"]]

"""What all benchmark servers and clients have in common: methods, counts, the shape of an order.

A client does what its standard input says, line by line, and answers each with a line of JSON:

    open N          log in until there are N sessions, which stay
    logins N        connect and log in N visitors, 50 in flight
    close           close the visitors
    calls N         N calls over all sessions, 64 in flight
    bursts N        N calls on one session, 64 in flight
    sequential N    N calls on one session, one after the other
    fan-out N       N notifications to all sessions
"""

from __future__ import annotations

SESSIONS = 1000
"""Connected while the figures below are measured; scaled by `--scale`, as all counts are."""

IDLE = 5000
"""Sessions in the measurement of memory."""

COUNTS = {"logins": 500, "calls": 12000, "bursts": 12000, "sequential": 1500, "fan-out": 10}
"""How often a client of Python's or JavaScript's does each thing in a round."""

RAW_COUNTS = {
    "logins": 1000, "calls": 40000, "bursts": 40000, "sequential": 4000, "fan-out": 20
}  # fmt: skip
"""The same for the client that only sends and receives bytes."""

LOGINS_IN_FLIGHT = 50
CALLS_IN_FLIGHT = 64

HASHED_USERS = 32
"""Users whose passwords are hashed: one account is checked at a time."""

ROUNDS_OF_BCRYPT = 9

"""One portal on many machines, which share their sessions by NATS (extra `cluster`)."""

from actorcred.cluster.cluster import Cluster
from actorcred.cluster.errors import BusDown, BusError, RemoteError
from actorcred.cluster.far import FarMind, FarRef, FarSession
from actorcred.cluster.found import Found, Number
from actorcred.cluster.settings import CutOff, NatsOptions

__all__ = [
    "BusDown",
    "BusError",
    "Cluster",
    "CutOff",
    "FarMind",
    "FarRef",
    "FarSession",
    "Found",
    "NatsOptions",
    "Number",
    "RemoteError",
]

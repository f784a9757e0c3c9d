"""HTTP Digest (RFC 7616) for servers, without I/O: challenges, and credentials from the answers.

Clients of RFC 2617 are served, too. Those of RFC 2069, which send no count, can use each nonce for
one request only. The time and the client's address are arguments.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
from collections import OrderedDict
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import unquote_to_bytes

from actorcred.errors import ActorcredError, ProtocolError, UnauthorizedLogin
from actorcred.exchange import UsernameDigestHash
from actorcred.names import prepare_username

__all__ = [
    "ALGORITHMS",
    "DIGESTS",
    "DigestAnswer",
    "DigestGate",
    "DigestRequest",
    "StaleNonce",
    "digest_of",
    "parse_parameters",
    "text_of_header",
]


ALGORITHMS = {"MD5": "md5", "SHA-256": "sha256", "SHA-512-256": "sha512_256"}
"""Algorithms: name in RFC 7616 -> name in hashlib."""

DIGESTS = ("SHA-256", "MD5")
"""The algorithms that are offered by default.

Debian's curl 7.88 answers SHA-512-256 with SHA-256, and httpx 0.28 fails.
"""

WINDOW = 64
"""Number of requests with one nonce that can arrive out of order; browsers send several at once."""

LONGEST_HEADER = 16_384
"""Maximum length of an Authorization header, in characters."""

# RFC 9110, section 11.2: name = token or quoted string, separated by commas. The quantifiers are
# possessive, without backtracking, so that the time is linear in the length of any header.
_PARAMETER = re.compile(
    r"""[ \t,]*+([!#$%&'*+.^_`|~0-9A-Za-z-]++)[ \t]*+=[ \t]*+"""
    r"""(?:"((?:[^"\\]|\\.)*+)"|([^\s",]++))[ \t]*+(?=,|\Z)"""
)

_EXTENDED = re.compile(r"(?i)utf-8'[^']*'(.*)")  # RFC 8187


class StaleNonce(ActorcredError):
    """The client's nonce is too old, used up, or was not issued by this gate.

    Challenge the client again with `stale=True`, so that it answers without asking its user.
    """


@dataclass(frozen=True, slots=True)
class DigestRequest:
    """The request that an answer is bound to.

    Args:
        method: the request's method, such as "GET".
        uri: its target as received: path and query.
        address: the client's address.
        body: the request's body; only with `auth-int`.
    """

    method: str
    uri: str
    address: str = ""
    body: bytes = field(default=b"", repr=False)


def digest_of(algorithm: str, username: str, realm: str, password: str | bytes) -> str:
    """Return `H(username:realm:password)` in hexadecimal.

    A server can store this instead of the password.
    """
    secret = password if isinstance(password, bytes) else password.encode()
    return _hash(algorithm, _raw(f"{username}:{realm}:") + secret)


def _hash(algorithm: str, data: bytes | str) -> str:
    raw = data if isinstance(data, bytes) else _raw(data)
    return hashlib.new(ALGORITHMS[algorithm], raw, usedforsecurity=False).hexdigest()


def _raw(text: str) -> bytes:
    """Return the bytes that the client sent and hashed."""
    return text.encode("utf-8", "surrogateescape")


def text_of_header(header: str | bytes) -> str:
    """Decode a header as UTF-8, which browsers and curl send; other bytes become surrogates.

    Args:
        header: bytes, or a string that a server decoded as Latin-1.
    """
    try:
        raw = header if isinstance(header, bytes) else header.encode("latin-1")
    except UnicodeEncodeError:
        return str(header)
    return raw.decode("utf-8", "surrogateescape")


def parse_parameters(header: str | bytes) -> dict[str, str]:
    """Return the parameters of an Authorization header of the scheme Digest.

    Bytes that are not UTF-8 become surrogates.

    Raises:
        ProtocolError: if it is not such a header.
    """
    if len(header) > LONGEST_HEADER:
        raise ProtocolError(f"an Authorization header has at most {LONGEST_HEADER} characters")
    text = text_of_header(header)
    scheme, _, rest = text.strip().partition(" ")
    if scheme.lower() != "digest" or not _is_text(text):
        raise ProtocolError("not an Authorization header of the scheme Digest")
    found: dict[str, str] = {}
    position = 0
    while position < len(rest):
        match = _PARAMETER.match(rest, position)
        if match is None:
            if not rest[position:].strip(" \t,"):
                break
            raise ProtocolError("the Authorization header is damaged")
        name, quoted, token = match.groups()
        if name.lower() in found:
            raise ProtocolError(f"the Authorization header has {name!r} twice")
        found[name.lower()] = token if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
        position = match.end()
    return found


def _is_text(header: str) -> bool:
    try:
        _raw(header)
    except UnicodeEncodeError:
        return False
    return True


def _name_as_text(name: str) -> str:
    """Return a name, decoded as Latin-1 if it is not UTF-8.

    The library requests sends it as Latin-1, and hashes it as UTF-8.
    """
    return name if _is_unicode(name) else _raw(name).decode("latin-1")


def _is_unicode(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)


class DigestAnswer(UsernameDigestHash):
    """A name and the answer to a challenge; credentials for a checker."""

    __slots__ = (
        "_given",
        "_name",
        "_request",
        "_session",
        "algorithm",
        "realm",
        "source",
        "username",
    )

    def __init__(
        self,
        name: str,
        algorithm: str,
        session: bool,
        given: Mapping[str, str],
        request: DigestRequest,
    ) -> None:
        self._name = name  # as the client hashed it
        self.username = prepare_username(name)
        self.realm = given["realm"]
        self.algorithm = algorithm
        self._session = session
        self._given = given
        self._request = request
        self.source = request.address

    def __repr__(self) -> str:
        return (
            f"DigestAnswer(username={self.username!r}, realm={self.realm!r}, "
            f"algorithm={self.algorithm!r})"
        )

    def check_password(self, password: bytes) -> bool:
        """Return whether the answer was made with this password."""
        return self.check_hash(digest_of(self.algorithm, self._name, self.realm, password))

    def check_hash(self, digest: str) -> bool:
        """Return whether the answer was made with this `H(username:realm:password)`."""
        given, request, algorithm = self._given, self._request, self.algorithm
        key = digest.lower()
        if self._session:
            key = _hash(algorithm, f"{key}:{given['nonce']}:{given['cnonce']}")
        what = f"{request.method}:{given['uri']}"
        qop = given.get("qop", "")
        if qop == "auth-int":
            what += f":{_hash(algorithm, request.body)}"
        middle = f"{given['nc']}:{given['cnonce']}:{qop}:" if qop else ""
        made = _hash(algorithm, f"{key}:{given['nonce']}:{middle}{_hash(algorithm, what)}")
        return hmac.compare_digest(made.encode(), _raw(given["response"].lower()))


@dataclass(slots=True)
class _Counts:
    """The used counts of a nonce: the highest one, and those in the window below it."""

    highest: int = 0
    seen: int = 0

    def take(self, count: int) -> bool:
        if count > self.highest:
            # Bounded before the shift: a client can skip four billion counts, each of them a bit.
            ahead = min(count - self.highest, WINDOW)
            self.seen = ((self.seen << ahead) | 1) & ((1 << WINDOW) - 1)
            self.highest = count
            return True
        bit = 1 << (self.highest - count)
        if self.highest - count >= WINDOW or self.seen & bit:
            return False
        self.seen |= bit
        return True


class DigestGate:
    """Creates challenges, and refuses answers that were given before.

    Args:
        realm: shown to the user by the client, and a part of every digest.
        algorithms: the offered algorithms, in order of preference: "SHA-256", "SHA-512-256", "MD5",
            each also with "-sess".
        qops: what an answer can protect: "auth" the request's target, "auth-int" its body, too.
        lifetime: seconds for which a nonce is valid.
        remember: number of used nonces that are remembered; nonces older than a forgotten one are
            stale.

    Raises:
        ValueError: if an argument is invalid.
    """

    def __init__(
        self,
        realm: str,
        algorithms: Sequence[str] = DIGESTS,
        qops: Sequence[str] = ("auth",),
        lifetime: float = 300.0,
        remember: int = 10_000,
    ) -> None:
        for name in algorithms:
            if name.removesuffix("-sess") not in ALGORITHMS:
                raise ValueError(
                    f"the algorithm {name!r} is not one of {', '.join(ALGORITHMS)}, "
                    "with or without -sess"
                )
        if (
            not algorithms
            or not qops
            or not set(qops) <= {"auth", "auth-int"}
            or not realm.isprintable()
        ):
            raise ValueError("needs a printable realm, an algorithm, and a qop: auth or auth-int")
        if lifetime <= 0 or remember < 1:
            raise ValueError("lifetime and remember must be more than 0")
        self.realm = realm
        self._algorithms = {name.lower(): name for name in algorithms}
        self._qops = tuple(qops)
        self._lifetime = lifetime
        self._remember = remember
        self._key = os.urandom(32)
        self._used: OrderedDict[str, _Counts] = OrderedDict()
        self._forgotten = -1.0
        """Creation time of the newest used nonce that was forgotten."""

    def challenges(
        self,
        address: str,
        now: float,
        *,
        stale: bool = False,
        algorithms: Container[str] | None = None,
    ) -> list[str]:
        """Return the values of the WWW-Authenticate headers of a response 401, to be sent in UTF-8.

        Args:
            address: the client's address.
            now: the time in seconds on any monotonic clock.
            stale: whether only the nonce of the client's last answer was wrong.
            algorithms: the algorithms that the checkers can verify, without -sess, as returned by
                `PortalRef.digest_algorithms`; None for all.
        """
        offered = [
            name
            for name in self._algorithms.values()
            if algorithms is None or name.removesuffix("-sess") in algorithms
        ]
        nonce = self._sign(f"{int(now * 1000):x}-{os.urandom(12).hex()}")
        realm = self.realm.replace("\\", "\\\\").replace('"', '\\"')
        common = (
            f'realm="{realm}", qop="{", ".join(self._qops)}", nonce="{nonce}", '
            f'opaque="{self._opaque(nonce, address)}"'
        )
        tail = ", stale=true" if stale else ""
        return [f"Digest {common}, algorithm={name}, charset=UTF-8{tail}" for name in offered]

    def read(self, header: str | bytes, request: DigestRequest, now: float) -> DigestAnswer:
        """Return the credentials of an Authorization header, and mark its count as used.

        Args:
            header: its value; bytes, or a string that a server decoded as Latin-1.
            request: the request with this header.
            now: see `challenges`.

        Raises:
            ProtocolError: if it is damaged, or does not answer a challenge of this gate for this
                request.
            StaleNonce: if the client should be challenged again.
            UnauthorizedLogin: if the name is invalid.
        """
        given = parse_parameters(header)
        name = self._name_of(given)
        algorithm = self._algorithms.get(given.get("algorithm", "MD5").lower())
        qop = given.get("qop", "")
        wanted = {"realm", "nonce", "uri", "response", "opaque"} | (
            {"cnonce", "nc"} if qop else set()
        )
        session = algorithm is not None and algorithm.endswith("-sess")
        if missing := sorted((wanted | ({"cnonce"} if session else set())) - given.keys()):
            raise ProtocolError(f"the Authorization header lacks {', '.join(missing)}")
        if algorithm is None or given["realm"] != self.realm or (qop and qop not in self._qops):
            raise ProtocolError("the Authorization header answers another challenge")
        if not qop and "auth" not in self._qops:
            raise ProtocolError("the answer must protect the body")
        uri = text_of_header(request.uri)
        if given["uri"] != uri and re.sub(r"^https?://[^/?]*", "", given["uri"]) != uri:
            raise ProtocolError("the Authorization header is for another target")
        self._check_nonce(given, request.address, now)
        self._use(given["nonce"], given.get("nc", ""), now)
        try:
            return DigestAnswer(name, algorithm.removesuffix("-sess"), session, given, request)
        except ValueError as error:
            raise UnauthorizedLogin(str(error)) from None

    @staticmethod
    def _name_of(given: Mapping[str, str]) -> str:
        if given.get("userhash", "false").lower() != "false" or ("username" in given) == (
            "username*" in given
        ):
            raise ProtocolError("the Authorization header needs one name in the clear")
        if "username" in given:
            return _name_as_text(given["username"])
        match = _EXTENDED.fullmatch(given["username*"])
        try:
            return unquote_to_bytes(match[1]).decode() if match else ""
        except UnicodeDecodeError:
            raise ProtocolError("the name in the Authorization header is not UTF-8") from None

    def _mac(self, text: str) -> str:
        return hmac.digest(self._key, _raw(text), "sha256").hex()[:32]

    def _sign(self, text: str) -> str:
        return f"{text}-{self._mac('nonce ' + text)}"

    def _opaque(self, nonce: str, address: str) -> str:
        return self._mac(f"opaque {nonce} {address}")

    def _check_nonce(self, given: Mapping[str, str], address: str, now: float) -> None:
        text, _, _ = given["nonce"].rpartition("-")
        ours = hmac.compare_digest(_raw(self._sign(text)), _raw(given["nonce"]))
        bound = hmac.compare_digest(
            self._opaque(given["nonce"], address).encode(), _raw(given["opaque"])
        )
        if not ours or not bound:
            raise StaleNonce("the nonce was not issued here, or was issued to another client")
        made = int(text.partition("-")[0], 16) / 1000
        if now - made > self._lifetime or made <= self._forgotten:
            raise StaleNonce("the nonce is too old")

    def _use(self, nonce: str, count: str, now: float) -> None:
        if count and not re.fullmatch(r"[0-9a-fA-F]{8}", count):
            raise ProtocolError(
                "the count in the Authorization header must be 8 hexadecimal digits"
            )
        counts = self._used.setdefault(nonce, _Counts())
        self._used.move_to_end(nonce)
        if not counts.take(int(count, 16) if count else 1):
            raise StaleNonce("the nonce was used with this count before")
        while len(self._used) > self._remember:
            oldest, _ = self._used.popitem(last=False)
            self._forgotten = max(self._forgotten, int(oldest.partition("-")[0], 16) / 1000)

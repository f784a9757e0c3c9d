"""An SSH agent (draft-ietf-sshm-ssh-agent) with keys of a software authenticator."""

from __future__ import annotations

import socketserver
import threading

from tests.backends.ssh_keys import string

LIST, IDENTITIES, SIGN, SIGNATURE, FAILURE = 11, 12, 13, 14, 5


class Agent:
    """Listens on a Unix socket.

    Args:
        path: of the socket.
        key: the authenticator.
        flags: of its signatures.
    """

    def __init__(self, path, key, flags):
        class Handler(socketserver.StreamRequestHandler):
            def handle(self):
                while length := int.from_bytes(self.rfile.read(4), "big"):
                    self.wfile.write(string(_answer(self.rfile.read(length), key, flags)))

        self.path = str(path)
        self._server = socketserver.ThreadingUnixStreamServer(self.path, Handler)
        self._thread = threading.Thread(target=self._server.serve_forever)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _answer(request, key, flags):
    if request[0] == LIST:
        return bytes([IDENTITIES, 0, 0, 0, 1]) + string(key.public_data) + string(b"ann's")
    if request[0] == SIGN:
        rest = request[1 + len(string(key.public_data)) :]
        return bytes([SIGNATURE]) + string(
            key.sign(rest[4 : 4 + int.from_bytes(rest[:4], "big")], flags)
        )
    return bytes([FAILURE])

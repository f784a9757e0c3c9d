"""A token issuer: keys, and an HTTP server on loopback that publishes them."""

from __future__ import annotations

import contextlib
import http.server
import json
import threading

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

RSA = rsa.generate_private_key(65537, 2048)
KEYS = {
    "RS256": RSA,
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate(),
}


def pem(key):
    return key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def jwks(**keys):
    made = []
    for kid, (algorithm, key) in keys.items():
        entry = jwt.get_algorithm_by_name(algorithm).to_jwk(key.public_key(), as_dict=True)
        made.append({**entry, "kid": kid, "alg": algorithm, "use": "sig"})
    return json.dumps({"keys": made})


class Issuer:
    """A JWKS over HTTP on loopback."""

    def __init__(self):
        self.text, self.fetched, self.hangs = jwks(first=("RS256", RSA)), 0, threading.Event()
        self.hangs.set()
        issuer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                issuer.fetched += 1
                issuer.hangs.wait(30)
                with contextlib.suppress(OSError):
                    self.send_response(200)
                    self.end_headers()
                    self.wfile.write(issuer.text.encode())

            def log_message(self, *args):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/jwks.json"
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    def close(self):
        self.hangs.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

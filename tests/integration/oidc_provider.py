"""A provider of OpenID Connect for tests, as a program of its own, and how a test tells it what to do."""

from __future__ import annotations

import json
import ssl
import sys
import threading
import time
from base64 import b64decode
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote_plus, urlencode
from urllib.request import urlopen

from joserfc import jwt
from joserfc.jwk import RSAKey

from tests.integration.certificates import Certified
from tests.integration.programs import PATIENCE_S, Program
from tests.integration.traffic import LOOPBACK

__all__ = ["AUDIENCE", "CLIENT", "SECRET", "Provider"]

CLIENT, SECRET, AUDIENCE = "edge", "hush-hush & more", "relay"

_HUGE_BYTES = 4 * 1024 * 1024
"""Of an answer: more than anybody reads."""

_LIFE_S = 600
"""Seconds that a token is good: longer than a test."""


class Provider:
    """A provider that runs: without TLS at one port, and with TLS at another one.

    :param shown: its certificate.
    :ivar issuer: what it calls itself where TLS is not spoken.
    :ivar tls_issuer: the same with TLS.
    """

    def __init__(self, folder: Path, ports: tuple[int, int], shown: Certified) -> None:
        plain, tls = ports
        self.issuer = f"http://{LOOPBACK}:{plain}"
        self.tls_issuer = f"https://{LOOPBACK}:{tls}"
        files = (str(shown.certificate), str(shown.key))
        self.program = Program(
            (sys.executable, "-m", "tests.integration.oidc_provider", str(plain), str(tls), *files), folder
        )
        self.program.wait_for("ready")

    def behave(self, what: str, how: str) -> None:
        """How it answers from now on who wants ``keys`` or ``tokens``: well, or with hanging, junk, huge."""
        self._order("behave", what=what, how=how)

    def rotate(self) -> None:
        """It signs with a new key from now on, and shows that alone."""
        self._order("rotate")

    def token(self, audience: str = AUDIENCE) -> str:
        """A token of it, as somebody else gets it."""
        return self._order("token", audience=audience)

    def issued(self) -> list[str]:
        """All that it has given out."""
        return self._order("issued").split()

    def _order(self, order: str, **arguments: str) -> str:
        with urlopen(f"{self.issuer}/{order}?{urlencode(arguments)}", timeout=PATIENCE_S) as answer:
            text: str = answer.read().decode()
        return text


# --- the program ----------------------------------------------------------------------------


class _State:
    """What both ports share."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.behavior = {"keys": "well", "tokens": "well"}
        self.issued: list[str] = []
        self.rotate()

    def rotate(self) -> None:
        self.key = RSAKey.generate_key(2048, {"kid": str(time.monotonic_ns())}, private=True)

    def sign(self, issuer: str, audience: str) -> str:
        claims = {"iss": issuer, "aud": audience, "sub": CLIENT, "exp": int(time.time()) + _LIFE_S}
        token = jwt.encode({"alg": "RS256", "kid": self.key.kid}, claims, self.key)
        self.issued.append(token)
        return token


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, port: int, issuer: str, state: _State) -> None:
        self.issuer = issuer
        self.state = state
        super().__init__((LOOPBACK, port), _Handler)


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        """Documents, and orders of the test."""
        state, issuer = self.server.state, self.server.issuer
        path, _, query = self.path.partition("?")
        asked = {name: values[0] for name, values in parse_qs(query).items()}
        if path == "/.well-known/openid-configuration":
            document = {
                "issuer": issuer,
                "jwks_uri": f"{issuer}/keys",
                "token_endpoint": f"{issuer}/token",
                "authorization_endpoint": f"{issuer}/authorize",
                "id_token_signing_alg_values_supported": ["RS256"],
            }
            self._answer("keys", document)
        elif path == "/keys":
            self._answer("keys", {"keys": [{**state.key.as_dict(private=False), "use": "sig"}]})
        elif path == "/behave":
            with state.changed:
                state.behavior[asked["what"]] = asked["how"]
                state.changed.notify_all()
            self._say(200, b"")
        elif path == "/rotate":
            state.rotate()
            self._say(200, b"")
        elif path == "/token":
            self._say(200, state.sign(issuer, asked["audience"]).encode())
        elif path == "/issued":
            self._say(200, " ".join(state.issued).encode())
        else:
            self._say(404, b"")

    def do_POST(self) -> None:
        """The grant for programs, with id and secret by HTTP Basic."""
        form = parse_qs(self.rfile.read(int(self.headers["content-length"])).decode())
        pair = b64decode(self.headers.get("authorization", "").removeprefix("Basic ")).decode()
        if [unquote_plus(each) for each in pair.split(":")] != [CLIENT, SECRET]:
            self._say(401, json.dumps({"error": "invalid_client"}).encode())
            return
        token = self.server.state.sign(self.server.issuer, form.get("audience", [""])[0])
        self._answer("tokens", {"access_token": token, "token_type": "Bearer", "expires_in": _LIFE_S})

    def _answer(self, what: str, document: object) -> None:
        state = self.server.state
        print(f"asked for {what}, behaves: {state.behavior[what]}", flush=True)
        with state.changed:
            state.changed.wait_for(lambda: state.behavior[what] != "hanging")
        behavior = state.behavior[what]
        if behavior == "junk":
            self._say(200, b"<html>Sorry</html>")
        elif behavior == "huge":
            self._say(200, b" " * _HUGE_BYTES)
        else:
            self._say(200, json.dumps(document).encode())

    def _say(self, status: int, body: bytes) -> None:
        try:
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        except OSError:
            # Who asked has gone.
            self.close_connection = True

    def log_message(self, format: str, *arguments: object) -> None:
        """What matters is said elsewhere."""


def _run(port: int, tls_port: int, certificate: str, key: str) -> None:
    state = _State()
    plain = _Server(port, f"http://{LOOPBACK}:{port}", state)
    secure = _Server(tls_port, f"https://{LOOPBACK}:{tls_port}", state)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    # The handshake is left to the thread of a connection.
    secure.socket = context.wrap_socket(secure.socket, server_side=True, do_handshake_on_connect=False)
    threading.Thread(target=secure.serve_forever, daemon=True).start()
    print("ready", flush=True)
    plain.serve_forever()


if __name__ == "__main__":
    _run(int(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:])

"""What strangers cost the log: less than a hundredth of what they put on the wire, whatever it is."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import time
from collections.abc import Iterable

from relaykit.authentication import TokenProver
from relaykit.logs.floods import INTERVAL_S
from relaykit.sansio.control.credentials import Scope
from relaykit.sansio.wire.framing import encode_v1
from relaykit.sansio.wire.messages import MOST_NAME, Login, NewVisitorConn, NewWorkConn
from relaykit.values import Secret
from tests.integration.peers import mux_frame
from tests.integration.programs import PATIENCE_S, free_port, relaykit_command
from tests.integration.relays import NOTHING, TOKEN, RelayTestCase, Table
from tests.integration.traffic import LOOPBACK, end_of

STRANGER = "127.0.0.2"
"""Where strangers come from: no client is logged in from there."""

CONNECTION_BYTES = 160
"""What a connection costs on the wire beside what is sent: three packets with headers of IPv4 and TCP, and
options."""

PART = 100
"""The log takes at most this part of what a flood has on the wire."""

JUNK = "\x7f" * MOST_NAME
"""One octet a letter in JSON, four in the log."""

AT_ONCE = 50

ENOUGH_DESCRIPTORS = 1024
"""With fewer a server would drop some of those who come at once, and tell of that, too."""

EACH = re.compile(r"\bis (?:refused|dropped): ")
"""What a line about a single connection has; who comes too often is dropped before it is heard."""

MORE = re.compile(r"\.\.\. and (\d+) more like this")

VISIT = encode_v1(NewVisitorConn(run_id=JUNK, proxy_name=JUNK, sign_key=JUNK))
WORK = encode_v1(NewWorkConn(run_id=JUNK))
LOGIN = encode_v1(Login(version=JUNK, hostname=JUNK, user=JUNK, privilege_key=JUNK, run_id=JUNK))
GARBAGE = b"".join(mux_frame(0, 1, stream, 3, b"o\xff\xff") for stream in (1, 3, 5, 7))
CLIENT_HELLO = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200)
"""The beginning of one, which never ends."""


class LogFloodTests(RelayTestCase):
    """Floods of what a server tells of at its usual level."""

    server_command = relaykit_command("server")
    log: Table = NOTHING
    more = 1
    """How many times as many connections a flood has: what a line costs is paid once."""

    def setUp(self) -> None:
        """Starts a server that also has sites."""
        super().setUp()
        self.allow_descriptors(ENOUGH_DESCRIPTORS)
        self.http_port = free_port()
        self.server = self.start_server(
            {"vhostHTTPPort": self.http_port, "auth.bound": "off", "transport.tls.force": False, **self.log}
        )

    def check_flood(self, content: bytes, count: int, port: int = 0, ends: bool = True) -> list[str]:
        """So many connections with this content leave hardly a trace, in short lines; answers those."""
        before, count = len(self.server.output), self.more * count
        began = time.monotonic()
        for _ in range(count // AT_ONCE):
            with contextlib.ExitStack() as stack:
                peers = []
                for _ in range(AT_ONCE):
                    # Who is dropped at once may notice that before it has noticed that it is connected.
                    with contextlib.suppress(ConnectionError):
                        peers.append(stack.enter_context(self.connect(port or self.bind_port)))
                for peer in peers:
                    # Whose connection is gone may be told that there is none.
                    with contextlib.suppress(OSError):
                        peer.sendall(content)
                        if not ends:
                            peer.shutdown(socket.SHUT_WR)
                for peer in peers:
                    with contextlib.suppress(ConnectionError):
                        end_of(peer)
        self.server.terminate()
        self.assertEqual(self.server.wait_for_end(), 0)
        # A slow machine takes so long for it that lines are counted anew.
        intervals = 1 + int((time.monotonic() - began) / INTERVAL_S)
        written = self.server.output[before:]
        on_the_wire = count * (len(content) + CONNECTION_BYTES)
        name = self.id().split(".")[-1]
        print(f"\n    FIGURE {name}: {on_the_wire:,} bytes on the wire, {len(written):,} in the log")
        self.assertLess(len(written), intervals * on_the_wire / PART, written[-2000:])
        lines = written.splitlines()
        self.check_form(lines)
        return lines

    def check_form(self, lines: Iterable[str]) -> None:
        """Every line is short."""
        for line in lines:
            self.assertLess(len(line), 2500)

    def check_counted(self, content: bytes, count: int) -> None:
        """The same, and nothing was lost without a word: each connection has a line or is in a number."""
        told = 0
        for line in self.check_flood(content, count):
            more = MORE.search(line)
            told += int(more.group(1)) if more else EACH.search(line) is not None
        self.assertEqual(told, self.more * count)

    def connect(self, port: int) -> socket.socket:
        """A stranger's connection."""
        return socket.create_connection((LOOPBACK, port), PATIENCE_S, (STRANGER, 0))

    def test_wrong_first_octets(self) -> None:
        """An octet that is nothing."""
        self.check_counted(b"\xfe", 3000)

    def test_http(self) -> None:
        """Web browsers at the wrong port."""
        self.check_counted(b"GET / HTTP/1.1\r\nHost: \x7f\r\n\r\n", 2000)

    def test_abandoned_handshakes(self) -> None:
        """TLS that is begun, and not gone on with."""
        self.check_flood(CLIENT_HELLO, 1500, ends=False)

    def test_garbage_streams(self) -> None:
        """Streams with what is no message."""
        self.check_flood(GARBAGE, 3000, ends=False)

    def test_wrong_logins(self) -> None:
        """Logins with junk in every field, and without the token."""
        self.check_flood(LOGIN, 1000)

    def test_conflicts(self) -> None:
        """Logins with the token that ask for what another client has, which is asked each time."""
        holder = self.start_client({"clientID": "laptop"}, command=relaykit_command("client"))
        holder.wait_for("login to server success")
        proof = TokenProver(Secret(TOKEN), lambda: 1_700_000_000).prove(Scope.LOGIN, False)
        login = Login(
            version="0",
            client_id="laptop",
            hostname=JUNK,
            privilege_key=proof.privilege_key,
            timestamp=proof.timestamp,
        )
        self.check_flood(encode_v1(login), 1000)
        self.assertIn("client_id [laptop] for user [] is already online", self.server.output)

    def test_visits(self) -> None:
        """Visits of junk in the name of junk."""
        self.check_counted(VISIT, 1000)

    def test_work(self) -> None:
        """Work connections of junk."""
        self.check_counted(WORK, 1000)

    def test_junk_hosts(self) -> None:
        """Users of sites that are not there."""
        request = b"GET / HTTP/1.1\r\nHost: " + b"\x7f" * 500 + b"\r\nConnection: close\r\n\r\n"
        self.check_flood(request, 500, self.http_port)


class JsonLogFloodTests(LogFloodTests):
    """The same where the log is for programs."""

    log: Table = {"log.format": "json"}
    more = 3

    def check_form(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.assertLess(len(line), 5000)
            json.loads(line)

"""What people carry in datagrams, by the programs that they use: DNS with dig, iperf3, QUIC."""

from __future__ import annotations

import json
import shutil
import string
import struct
import subprocess

from tests.integration.certificates import Authority
from tests.integration.datagram_traffic import DatagramService
from tests.integration.programs import PATIENCE_S, Program, free_port, free_ports
from tests.integration.quic import QuicEcho, exchange_quic, missing_quic
from tests.integration.relays import SECRET_KEY, RelayTestCase

MUCH_BYTES = 1024 * 1024
"""Bytes each way over QUIC: a thousand datagrams."""

_HEADER = struct.Struct(">6H")
_ADDRESS = struct.Struct(">HHHIH4B")
_TEXT = struct.Struct(">HHHIH")
_ANSWER, _A, _TXT, _IN, _QUESTION_NAME = 0x8180, 1, 16, 1, 0xC00C
_TTL_S = 60

LONG_TEXT = string.ascii_letters.encode() * 60
"""A record that does not fit into the datagrams of an Ethernet."""


def answer_dns(query: bytes) -> bytes:
    """A name server for every name, with one address and a long text.  Source: RFC 1035 section 4."""
    number, *_ = _HEADER.unpack_from(query)
    end = query.index(0, _HEADER.size) + 5
    question = query[_HEADER.size : end]
    (kind,) = struct.unpack_from(">H", query, end - 4)
    if kind == _A:
        record = _ADDRESS.pack(_QUESTION_NAME, _A, _IN, _TTL_S, 4, 192, 0, 2, 53)
    else:
        texts = [LONG_TEXT[at : at + 255] for at in range(0, len(LONG_TEXT), 255)]
        data = b"".join(bytes([len(each)]) + each for each in texts)
        record = _TEXT.pack(_QUESTION_NAME, _TXT, _IN, _TTL_S, len(data)) + data
    return _HEADER.pack(number, _ANSWER, 1, 1, 0, 0) + question + record


class LoadsTestCase(RelayTestCase):
    """A local service that is published as ``udp`` and as ``sudp``, between our own ends.

    On the server the TCP port of the same number leads to the same port of the service.
    """

    def publish_datagrams(self, service_port: int) -> tuple[int, int]:
        """The ports where users find a service: on the server, and of the visitor."""
        public, visitor = free_ports(2)
        self.start_server()
        service = {"localPort": service_port}
        client = self.start_client(
            {"transport.wireProtocol": "v2"},
            [
                {"name": "open", "type": "udp", "remotePort": public, **service},
                {"name": "beside", "type": "tcp", "remotePort": public, **service},
                {"name": "secret", "type": "sudp", "secretKey": SECRET_KEY, **service},
            ],
            [
                {
                    "name": "visitor",
                    "type": "sudp",
                    "serverName": "secret",
                    "secretKey": SECRET_KEY,
                    "bindPort": visitor,
                }
            ],
        )
        client.wait_for("start proxy success", 3)
        client.wait_for("start visitor success")
        return public, visitor


class DnsTests(LoadsTestCase):
    """``dig`` as user, and a name server as service."""

    if shutil.which("dig") is None:
        skip = "dig is not installed"

    def ask(self, port: int, kind: str) -> str:
        """What dig finds out."""
        asked = subprocess.run(
            f"dig @127.0.0.1 -p {port} relay.example {kind} +short +ignore +tries=9 +bufsize=8192".split(),
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=True,
        )
        return asked.stdout.strip()

    def test_records(self) -> None:
        """Answers of every size come, to each question its own."""
        service = DatagramService(answer_dns)
        self.addCleanup(service.stop)
        for port in self.publish_datagrams(service.port):
            self.assertEqual(self.ask(port, "A"), "192.0.2.53")
            text = self.ask(port, "TXT")
            self.assertEqual(text.replace('" "', ""), f'"{LONG_TEXT.decode()}"')


class IperfTests(LoadsTestCase):
    """``iperf3`` at both ends; it has a TCP connection beside its datagrams, and says what came of them."""

    if shutil.which("iperf3") is None:
        skip = "iperf3 is not installed"

    def test_both_ways(self) -> None:
        """Datagrams pass up and down, as fast as a call has them."""
        service = free_port()
        server = Program(("iperf3", "-s", "-p", str(service), "--forceflush"), self.folder)
        self.addCleanup(server.stop)
        port, _ = self.publish_datagrams(service)
        command = f"iperf3 -c 127.0.0.1 -p {port} -u -b 2M -l 1200 -n 200K -J".split()
        for runs, direction in enumerate(((), ("-R",))):
            server.wait_for("Server listening", runs + 1)
            told = subprocess.run([*command, *direction], capture_output=True, timeout=PATIENCE_S, check=True)
            measured = json.loads(told.stdout)["end"]["sum"]
            self.assertLess(measured["lost_packets"], measured["packets"])


class QuicTests(LoadsTestCase):
    """QUIC, which measures the way, and repeats what is lost on it."""

    skip = missing_quic()

    def test_stream(self) -> None:
        """Every byte of a stream arrives, both ways."""
        authority = Authority(self.folder)
        service = QuicEcho(authority.certify("echo.example"))
        self.addCleanup(service.stop)
        for port in self.publish_datagrams(service.port):
            exchange_quic(port, str(authority.file), MUCH_BYTES)

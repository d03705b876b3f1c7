"""TLS over legs in memory: handshakes, payload, endings, verification."""

from __future__ import annotations

import datetime
import functools
import hashlib
from typing import Any
from unittest import mock

from attrs import frozen
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa, x25519
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from hypothesis import given, settings
from hypothesis import strategies as st
from OpenSSL import SSL
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IPushProducer
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from relaykit.certificates.judging import Pem
from relaykit.dataplane import records, tls
from relaykit.dataplane.handshakes import STEPS_AT_ONCE
from relaykit.dataplane.records import RECORD_BYTES
from relaykit.dataplane.tls import (
    HANDSHAKE_TIMEOUT_S,
    MOST_ANSWER_BYTES,
    TlsContext,
    alert_reason,
    channel_binding,
    client_context,
    server_context,
    start_tls,
)
from relaykit.errors import TransportSecurityError
from relaykit.interfaces import ISecureLeg
from relaykit.sansio.contract import Buffer
from relaykit.testing.memory import MemoryLeg, MemoryNetwork, RecordingReceiver
from relaykit.values import Ended
from tests.certificates.made import ca, made

NOW = datetime.datetime(2020, 1, 1)
LATER = datetime.datetime(2120, 1, 1)


@frozen
class Pair:
    """A certificate and its key, in PEM."""

    certificate: bytes
    key: bytes

    @property
    def fingerprint(self) -> str:
        """As a configuration has it."""
        der = x509.load_pem_x509_certificate(self.certificate).public_bytes(serialization.Encoding.DER)
        return f"sha256:{hashlib.sha256(der).hexdigest()}"


PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


def make_pair(
    key: PrivateKey,
    names: list[x509.GeneralName],
    subject: x509.Name,
    issuer: x509.Name,
    signer: PrivateKey,
    authority: bool = False,
    until: datetime.datetime = LATER,
) -> Pair:
    """Signs a certificate."""
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW)
        .not_valid_after(until)
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    if authority:
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    certificate = builder.sign(signer, hashes.SHA256())
    return Pair(
        certificate.public_bytes(serialization.Encoding.PEM),
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ),
    )


AUTHORITY_NAME = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "an authority")])


@functools.cache
def authority_key() -> ec.EllipticCurvePrivateKey:
    """The key of the authority that the tests trust."""
    return ec.generate_private_key(ec.SECP256R1())


@functools.cache
def authority() -> bytes:
    """The certificate of the authority that the tests trust."""
    key = authority_key()
    return make_pair(key, [], AUTHORITY_NAME, AUTHORITY_NAME, key, authority=True).certificate


@functools.cache
def signed() -> Pair:
    """A server's certificate for relay.example, signed by the authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "relay")])
    return make_pair(key, [x509.DNSName("relay.example")], name, AUTHORITY_NAME, authority_key())


@functools.cache
def nameless() -> Pair:
    """A certificate as frp makes one: RSA, no names at all, signed by itself."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return make_pair(key, [], x509.Name([]), x509.Name([]), key)


FINGERPRINT = "sha256:" + 64 * "0"


def take_in_portions(leg: MemoryLeg, size: int, data: bytes) -> None:
    """Delivers bytes as if they had arrived so many at a time."""
    for at in range(0, len(data), size):
        leg._arrived(data[at : at + size])


def count_records(data: bytes) -> int:
    """How many TLS records there are.  Source: RFC 8446 section 5.1."""
    count = at = 0
    while at < len(data):
        at += 5 + int.from_bytes(data[at + 3 : at + 5])
        count += 1
    return count


def expand(secret: bytes, label: bytes, length: int) -> bytes:
    """Source: RFC 8446 section 7.1, HKDF-Expand-Label without context."""
    label = b"tls13 " + label
    info = length.to_bytes(2, "big") + bytes([len(label)]) + label + bytes(1)
    return HKDFExpand(hashes.SHA256(), length, info).derive(secret)


def ask_for_new_keys(secret: bytes, times: int) -> bytes:
    """Records of a client that has sent no payload and wants new keys so often: pyOpenSSL cannot.

    Source: RFC 8446 section 4.6.3 and 5.2.
    """
    asked = b""
    for _ in range(times):
        header, update = b"\x17\x03\x03\x00\x16", b"\x18\x00\x00\x01\x01\x16"
        cipher = AESGCM(expand(secret, b"key", 16))
        asked += header + cipher.encrypt(expand(secret, b"iv", 12), update, header)
        secret = expand(secret, b"traffic upd", 32)
    return asked


class TlsTestCase(SynchronousTestCase):
    """Two TLS legs on a pair of legs in memory."""

    def setUp(self) -> None:
        self.network = MemoryNetwork()
        self.near, self.far = self.network.pair()

    def shake(
        self, client: TlsContext, server: TlsContext
    ) -> tuple[Deferred[ISecureLeg], Deferred[ISecureLeg]]:
        """Does the handshake as far as it goes; the client's and the server's answer."""
        near = start_tls(self.network, self.near, client, server_side=False)
        far = start_tls(self.network, self.far, server, server_side=True)
        self.network.flush()
        return near, far

    def connected(
        self, client: TlsContext | None = None, server: TlsContext | None = None
    ) -> tuple[ISecureLeg, ISecureLeg]:
        """Two ends of a session."""
        pair = signed()
        near, far = self.shake(
            client or client_context(), server or server_context(pair.certificate, pair.key)
        )
        return self.successResultOf(near), self.successResultOf(far)


class TlsTests(TlsTestCase):
    """Tests for TLS legs."""

    def test_many_at_once(self) -> None:
        """Of many hellos that come together few are answered in a turn; in the end all are.

        A peer that ends its direction meanwhile has failed, and one that is gone is forgotten.
        """
        server = server_context(signed().certificate, signed().key)
        ends = []
        for _ in range(2 * STEPS_AT_ONCE + 3):
            near, far = self.network.pair()
            dialed = start_tls(self.network, near, client_context(), server_side=False)
            ends.append((near, dialed, start_tls(self.network, far, server, server_side=True)))
        self.network.flush()
        self.assertFalse(any(answered.called for _, _, answered in ends))
        ends[-1][0].finish_writing()
        ends[-2][0].abort()
        self.network.advance(0.1)
        for _, dialed, answered in ends[:-2]:
            self.successResultOf(dialed)
            self.successResultOf(answered)
        for _, dialed, answered in ends[-2:]:
            dialed.addErrback(lambda failure: failure.trap(TransportSecurityError))
            self.failureResultOf(answered, TransportSecurityError)

    def test_payload_both_ways(self) -> None:
        """Bytes arrive whole and in order, whatever their size; in one record each turn or several."""
        near, far = self.connected()
        verifyObject(ISecureLeg, near)
        here, there = RecordingReceiver(near), RecordingReceiver(far)
        big = bytes(range(256)) * 2000
        near.write(b"small")
        near.write_sequence([b"and", b"some", b"pieces"])
        far.write(memoryview(big))
        self.network.flush()
        self.assertEqual(there.data, b"smallandsomepieces")
        self.assertEqual(here.data, big)
        self.assertEqual(self.near.queued + self.far.queued, 0)

    @given(
        st.lists(
            st.sampled_from(
                (1, 12, RECORD_BYTES - 12, RECORD_BYTES - 1, RECORD_BYTES, RECORD_BYTES + 1, 40000)
            ),
            max_size=8,
        )
    )
    def test_pieces_of_all_sizes(self, sizes: list[int]) -> None:
        """Small and large pieces in any order arrive in this order, in as few records as hold them all."""
        self.setUp()
        near, far = self.connected()
        there = RecordingReceiver(far)
        pieces = [bytes([number]) * size for number, size in enumerate(sizes)]
        sent: list[bytes] = []
        write = MemoryLeg.write

        def note(leg: MemoryLeg, data: Buffer) -> None:
            sent.append(bytes(data))
            write(leg, data)

        with mock.patch.object(MemoryLeg, "write", note):
            near.write_sequence(pieces)
            self.network.flush()
        self.assertEqual(there.data, b"".join(pieces))
        large = sum(size > RECORD_BYTES for size in sizes)
        self.assertLessEqual(count_records(b"".join(sent)), -(-sum(sizes) // RECORD_BYTES) + large)

    def test_several_records_are_one_delivery(self) -> None:
        """Records that came together are delivered together, up to eight full ones."""
        near, far = self.connected()
        there = RecordingReceiver(far)
        near.write(bytes(128 * 1024))
        self.network.flush()
        self.assertEqual((len(there.data), there.pieces <= 4), (128 * 1024, True))

    def test_one_flush_a_turn(self) -> None:
        """Small writes of one turn leave together, after the turn."""
        near, _ = self.connected()
        for _ in range(10):
            near.write(b"x")
        self.assertEqual(self.near.queued, 0)
        self.network.turn()
        self.assertGreater(self.near.queued, 10)

    def test_protocol(self) -> None:
        """Of what a peer would speak the server's first choice is spoken; without one there is no session."""
        pair = signed()
        server = server_context(pair.certificate, pair.key, protocols=(b"h2", b"http/1.1"))
        for named, spoken in (
            ((b"http/1.1", b"h2"), b"h2"),
            ((b"acme-tls/1", b"http/1.1"), b"http/1.1"),
            ((), b""),
        ):
            self.setUp()
            client = client_context()
            if named:
                client.context.set_alpn_protos(list(named))
            leg, _ = self.connected(client, server)
            assert isinstance(leg, tls.TlsLeg)
            self.assertEqual(leg._connection.get_alpn_proto_negotiated(), spoken)
        self.setUp()
        client = client_context()
        client.context.set_alpn_protos([b"acme-tls/1"])
        near, far = self.shake(client, server)
        self.assertIn("nothing that is spoken here", self.failureResultOf(far).getErrorMessage())
        self.assertIn("no application protocol", self.failureResultOf(near).getErrorMessage())

    def test_session_facts(self) -> None:
        """Both ends export the same secret; the client sees the certificate; it is TLS 1.3 with AES-128."""
        near, far = self.connected()
        label = b"EXPORTER-Channel-Binding"
        self.assertEqual(near.export_keying_material(label, 32), far.export_keying_material(label, 32))
        digest = hashlib.sha256(near.peer_certificate).hexdigest()
        self.assertEqual(f"sha256:{digest}", signed().fingerprint)
        self.assertIsNone(far.peer_certificate)
        self.assertEqual((near.tls_version, far.tls_version), ("TLSv1.3", "TLSv1.3"))

    def test_channel_binding(self) -> None:
        """Both ends get the same, and another one in each session; without TLS there is none."""
        found = set()
        for _ in range(2):
            self.setUp()
            near, far = self.connected()
            self.assertEqual(channel_binding(near), channel_binding(far))
            found.add(channel_binding(near))
        self.assertEqual([len(each) for each in found], [32, 32])
        self.assertEqual(channel_binding(self.near), b"")

    def test_no_channel_binding_before_tls_1_3(self) -> None:
        """Before TLS 1.3 two sessions need not differ in it, so it is not used."""
        client = client_context()
        client.context.set_max_proto_version(SSL.TLS1_2_VERSION)
        near, far = self.connected(client)
        self.assertEqual(
            (near.tls_version, channel_binding(near), channel_binding(far)), ("TLSv1.2", b"", b"")
        )

    def test_half_close(self) -> None:
        """The end of one direction passes; the other goes on; then both legs are gone in order."""
        near, far = self.connected()
        here, there = RecordingReceiver(near), RecordingReceiver(far)
        near.write(b"question")
        near.finish_writing()
        self.network.flush()
        self.assertEqual((there.data, there.ended), (b"question", True))
        far.write(b"answer")
        self.network.flush()
        self.assertEqual(here.data, b"answer")
        far.finish_writing()
        self.network.flush()
        self.assertTrue(here.ended)
        self.assertEqual((here.lost, there.lost), (Ended.FINISHED, Ended.FINISHED))

    def test_close_sends_what_was_written(self) -> None:
        """Closing right after writing loses nothing."""
        near, far = self.connected()
        there = RecordingReceiver(far)
        near.write(bytes(100_000))
        near.close()
        self.network.flush()
        self.assertEqual((len(there.data), there.ended), (100_000, True))

    def test_truncation(self) -> None:
        """A connection that ends without TLS saying so was cut, whoever did it."""
        near, far = self.connected()
        there = RecordingReceiver(far)
        near.write(b"so far")
        self.network.flush()
        self.near.finish_writing()
        self.network.flush()
        self.assertEqual((there.data, there.ended, there.lost), (b"so far", False, Ended.RESET))

    def test_tampering(self) -> None:
        """Bytes that are not of the session end it as a protocol error."""
        near, far = self.connected()
        there = RecordingReceiver(far)
        near.write(b"secret")
        self.network.turn()
        sealed = bytes(self.near._queue[-1])
        self.near._queue[-1] = sealed[:-1] + bytes([sealed[-1] ^ 1])
        self.network.flush()
        self.assertEqual((there.data, there.lost), (b"", Ended.PROTOCOL_ERROR))

    def test_pausing(self) -> None:
        """A paused leg delivers nothing, reads nothing more, and loses nothing."""
        near, far = self.connected()
        there = RecordingReceiver(far)
        far.pauseProducing()
        near.write(bytes(300_000))
        self.network.flush()
        self.assertEqual(there.data, b"")
        self.assertGreater(self.near.queued, 0)
        far.resumeProducing()
        self.network.flush()
        self.assertEqual(len(there.data), 300_000)

    def test_full_output_pauses_the_producer(self) -> None:
        """While the leg below is full the producer rests."""
        near, far = self.connected()
        states: list[str] = []

        @implementer(IPushProducer)
        class Producer:
            def pauseProducing(self) -> None:
                states.append("pause")

            def resumeProducing(self) -> None:
                states.append("resume")

            def stopProducing(self) -> None:
                states.append("stop")

        near.registerProducer(Producer(), True)
        near.write(bytes(100_000))
        self.network.flush()
        self.assertEqual(states, ["pause"])
        RecordingReceiver(far)
        self.network.flush()
        self.assertEqual(states, ["pause", "resume"])

    def test_bytes_before_the_handshake(self) -> None:
        """What was read too early and put back belongs to the handshake."""
        pair = signed()
        near = start_tls(self.network, self.near, client_context(), server_side=False)
        early = RecordingReceiver(self.far)
        self.network.flush()
        self.far.unread(early.data)
        far = start_tls(self.network, self.far, server_context(pair.certificate, pair.key), server_side=True)
        self.network.flush()
        self.successResultOf(near)
        self.successResultOf(far)

    def test_every_portion(self) -> None:
        """Whatever portions bytes come in, down to single ones, handshake and payload are the same."""
        for size in (1, 7, 1000):
            self.near, self.far = self.network.pair()
            self.patch(MemoryLeg, "_take_lent", functools.partialmethod(take_in_portions, size))
            near, far = self.connected()
            there = RecordingReceiver(far)
            near.write(b"payload" * 500)
            near.finish_writing()
            self.network.flush()
            self.assertEqual((there.data, there.ended), (b"payload" * 500, True))

    @given(st.binary(min_size=1, max_size=600))
    @settings(max_examples=50, deadline=None)
    def test_any_junk(self, junk: bytes) -> None:
        """Whatever a client sends first, a server answers by failing the handshake, or waits for more."""
        pair = signed()
        network = MemoryNetwork()
        near, far = network.pair()
        answer = start_tls(network, far, server_context(pair.certificate, pair.key), server_side=True)
        near.write(junk)
        near.finish_writing()
        network.flush()
        self.failureResultOf(answer, TransportSecurityError)

    def test_connection(self) -> None:
        """The connection below is that of the leg below."""
        near, _ = self.connected()
        self.assertIs(near.connection, self.near)

    def test_frp_certificate(self) -> None:
        """A certificate without any name is accepted where nothing is verified, and can be pinned."""
        pair = nameless()
        self.connected(
            client_context(fingerprint=pair.fingerprint), server_context(pair.certificate, pair.key)
        )

    def test_verified_name(self) -> None:
        """A signed certificate for the expected name is accepted, by whatever library it was shown."""
        context = client_context(authorities=authority(), server_name="relay.example")
        self.connected(context)
        context.verify([server_context(signed().certificate, signed().key).shown.der])  # type: ignore[union-attr]

    def test_shown_otherwise(self) -> None:
        """Of what another library was shown, all is verified: its use, what leads to it, that it is one."""
        today = datetime.datetime.now(datetime.UTC)
        valid: Any = {"begins": today - datetime.timedelta(1), "ends": today + datetime.timedelta(1)}
        root = ca(**valid)
        between = ca("between", issuer=root, **valid)
        context = client_context(authorities=root.pem, server_name="relay.example")
        leaf = made("relay.example", issuer=between, **valid)
        context.verify([leaf.der, between.der])
        use = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])
        for chain, reason in (
            ([leaf.der], "not signed by a trusted CA"),
            ([made("relay.example", issuer=root, more=[use], **valid).der], "not made for this use"),
            ([b"junk"], "no certificate that can be read"),
            ([], "no certificate that can be read"),
        ):
            error = self.assertRaises(TransportSecurityError, context.verify, chain)
            self.assertIn(reason, str(error))
        self.assertRaises(TransportSecurityError, client_context(fingerprint=FINGERPRINT).verify, [])
        client_context().verify([])

    def test_alerts(self) -> None:
        """What a peer means by the number of an alert is said as by OpenSSL, and by its number otherwise."""
        self.assertIn("certFile", alert_reason(116))
        self.assertIn("no application protocol", alert_reason(120))
        self.assertIn("alert 7", alert_reason(7))

    def refused(self, client: TlsContext, server: TlsContext | None = None) -> str:
        """What a client says that does not get a session: the same where another library shakes hands."""
        pair = signed()
        server = server or server_context(pair.certificate, pair.key)
        near, far = self.shake(client, server)
        far.addErrback(lambda failure: None)
        text = str(self.failureResultOf(near, TransportSecurityError).value)
        assert server.shown is not None
        error = self.assertRaises(TransportSecurityError, client.verify, [server.shown.der])
        self.assertIn(str(error), text)
        return text

    def test_wrong_name(self) -> None:
        """A certificate for somebody else is refused, and the text says which key to set."""
        text = self.refused(client_context(authorities=authority(), server_name="other.example"))
        self.assertIn("other.example", text)
        self.assertIn("transport.tls.serverName", text)

    def test_impossible_name(self) -> None:
        """A name that no server can have is refused before any connection, and the text says which key."""
        for name in ("a..b", "a" * 64 + ".example", "relay example", "a*b"):
            error = self.assertRaises(TransportSecurityError, client_context, server_name=name)
            self.assertIn(name, str(error))
            self.assertIn("transport.tls.serverName", str(error))

    def test_names_that_differ_in_form(self) -> None:
        """A final dot and letters beyond ASCII are sent and verified without it, in ASCII."""
        context = client_context(authorities=authority(), server_name="büro.example.")
        self.assertEqual(
            (context.asked_name, context.server_name), (b"xn--bro-hoa.example", "xn--bro-hoa.example")
        )
        self.assertIn("xn--bro-hoa.example", self.refused(context))

    def test_number(self) -> None:
        """A name that is a number is asked for, and refused like any wrong one."""
        self.assertIn(
            'not for "123"', self.refused(client_context(authorities=authority(), server_name="123"))
        )

    def test_unknown_authority(self) -> None:
        """A certificate that no trusted authority signed is refused."""
        pair = nameless()
        text = self.refused(
            client_context(authorities=authority(), server_name="relay.example"),
            server_context(pair.certificate, pair.key),
        )
        self.assertIn("trustedCaFile", text)

    def test_trusted_as_such(self) -> None:
        """What is in the file of authorities is trusted, also where it is the server's own certificate."""
        self.connected(client_context(authorities=signed().certificate, server_name="relay.example"))

    def test_no_names(self) -> None:
        """A signed certificate that names nobody but in its subject is refused, and what it lacks is told."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "relay.example")])
        pair = make_pair(key, [], subject, AUTHORITY_NAME, authority_key())
        text = self.refused(
            client_context(authorities=authority(), server_name="relay.example"),
            server_context(pair.certificate, pair.key),
        )
        self.assertIn("it has no subjectAltName", text)

    def test_expired(self) -> None:
        """A signed certificate that has run out is refused for that."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.DNSName("relay.example")
        ended = NOW + datetime.timedelta(days=1)
        pair = make_pair(key, [name], x509.Name([]), AUTHORITY_NAME, authority_key(), until=ended)
        text = self.refused(
            client_context(authorities=authority(), server_name="relay.example"),
            server_context(pair.certificate, pair.key),
        )
        self.assertIn("the peer's certificate has expired", text)

    def test_wrong_fingerprint(self) -> None:
        """Another certificate than the pinned one is refused, and its fingerprint is told."""
        text = self.refused(client_context(fingerprint="sha256:" + "00" * 32))
        self.assertIn(signed().fingerprint, text)

    def test_mutual(self) -> None:
        """A server that trusts an authority lets in who shows a certificate of it, and nobody else."""
        pair = signed()
        server = server_context(pair.certificate, pair.key, authorities=authority())
        _, far = self.connected(client_context(certificate=pair.certificate, key=pair.key), server)
        self.assertIsNotNone(far.peer_certificate)
        self.near, self.far = self.network.pair()
        near, refused = self.shake(client_context(), server)
        self.failureResultOf(refused, TransportSecurityError)
        # In TLS 1.3 the client has finished before the server can say no.
        receiver = RecordingReceiver(self.successResultOf(near))
        self.network.flush()
        self.assertIs(receiver.lost, Ended.PROTOCOL_ERROR)

    def test_no_tls_at_the_other_end(self) -> None:
        """A peer that answers in plain text is told apart from a broken one."""
        near = start_tls(self.network, self.near, client_context(), server_side=False)
        self.far.write(b"SSH-2.0-OpenSSH_9.2\r\n")
        self.network.flush()
        self.assertIn("does not speak TLS", str(self.failureResultOf(near, TransportSecurityError).value))

    def test_junk(self) -> None:
        """A server gives up on junk and closes."""
        pair = signed()
        far = start_tls(self.network, self.far, server_context(pair.certificate, pair.key), server_side=True)
        other = RecordingReceiver(self.near)
        self.near.write(bytes(range(256)) * 4)
        self.network.flush()
        self.failureResultOf(far, TransportSecurityError)
        self.assertTrue(other.ended)

    def test_ends_during_the_handshake(self) -> None:
        """A peer that leaves in the middle fails the handshake."""
        near = start_tls(self.network, self.near, client_context(), server_side=False)
        self.far.close()
        self.network.flush()
        self.failureResultOf(near, TransportSecurityError)

    def test_deadline(self) -> None:
        """A silent peer fails the handshake after its time, and the leg is closed."""
        near = start_tls(self.network, self.near, client_context(), server_side=False)
        self.network.clock.advance(HANDSHAKE_TIMEOUT_S - 0.1)
        self.assertNoResult(near)
        self.network.clock.advance(0.2)
        self.assertIn("10 seconds", str(self.failureResultOf(near, TransportSecurityError).value))
        other = RecordingReceiver(self.far)
        self.network.flush()
        self.assertTrue(other.ended)

    def test_cancelled(self) -> None:
        """Cancelling the handshake drops the leg and its timer."""
        near = start_tls(self.network, self.near, client_context(), server_side=False)
        other = RecordingReceiver(self.far)
        near.cancel()
        self.failureResultOf(near, CancelledError)
        self.network.flush()
        self.assertIs(other.lost, Ended.RESET)
        self.assertEqual(self.network.clock.getDelayedCalls(), [])

    def test_new_keys(self) -> None:
        """Who wants new keys is answered at once, so that answers do not pile up, and not endlessly."""
        lines: list[bytes] = []
        context = client_context()
        context.context.set_keylog_callback(lambda _, line: lines.append(line))
        _, far = self.connected(context)
        there = RecordingReceiver(far)
        (secret,) = [
            bytes.fromhex(line.split()[2].decode())
            for line in lines
            if line.startswith(b"CLIENT_TRAFFIC_SECRET_0 ")
        ]
        times = MOST_ANSWER_BYTES // len(ask_for_new_keys(secret, 1)) + 2
        asked = ask_for_new_keys(secret, times)
        few = len(asked) // times * 100
        answers: list[bytes] = []
        with mock.patch.object(MemoryLeg, "write", lambda _, data: answers.append(bytes(data))):
            self.far._arrived(asked[:few])
            # OpenSSL may keep the last one until it is called again.
            self.assertIn(count_records(b"".join(answers)), (99, 100))
            self.assertIsNone(there.lost)
            self.far._arrived(asked[few:])
            self.network.flush()
        self.assertIs(there.lost, Ended.PROTOCOL_ERROR)

    def test_tls_inside_tls(self) -> None:
        """Sessions nest: deliveries of one do not disturb those of the other."""
        outer_near, outer_far = self.connected()
        pair = signed()
        near = start_tls(self.network, outer_near, client_context(), server_side=False)
        far = start_tls(self.network, outer_far, server_context(pair.certificate, pair.key), server_side=True)
        self.network.flush()
        there = RecordingReceiver(self.successResultOf(far))
        data = bytes(range(251)) * 999
        self.successResultOf(near).write(data)
        self.network.flush()
        self.assertEqual(there.data, data)


class PublicCallsTests(TlsTestCase):
    """Where pyOpenSSL does not let anybody at the library beneath it."""

    def setUp(self) -> None:
        super().setUp()
        self.patch(tls, "read_payload", records._read_publicly)
        self.patch(tls, "take_output", records._take_publicly)
        self.patch(tls, "write_payload", records._write_publicly)
        self.patch(tls, "put_input", records._put_publicly)

    def test_payload_and_end(self) -> None:
        """Bytes and the end arrive as they do otherwise."""
        near, far = self.connected()
        here, there = RecordingReceiver(near), RecordingReceiver(far)
        big = bytes(range(256)) * 2000
        near.write(big)
        far.write(b"small")
        near.finish_writing()
        self.network.flush()
        self.assertEqual((there.data == big, there.ended, here.data), (True, True, b"small"))

    def test_tampering(self) -> None:
        """What was changed on its way is not delivered, and ends the leg."""
        near, far = self.connected()
        there = RecordingReceiver(far)
        near.write(b"first")
        self.network.flush()
        self.far._arrived(b"\x17\x03\x03\x00\x20" + bytes(32))
        self.network.flush()
        self.assertEqual((there.data, there.lost), (b"first", Ended.PROTOCOL_ERROR))


class ContextTests(SynchronousTestCase):
    """What a context is made of."""

    def test_unusable(self) -> None:
        """What is not PEM, not a pair or not a fingerprint is refused when the context is made."""
        pair, other = signed(), nameless()
        self.assertRaises(TransportSecurityError, server_context, b"junk", pair.key)
        self.assertRaises(TransportSecurityError, server_context, pair.certificate, b"junk")
        self.assertRaises(TransportSecurityError, server_context, pair.certificate, other.key)
        no_signer = x25519.X25519PrivateKey.generate().private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        error = self.assertRaises(TransportSecurityError, server_context, pair.certificate, no_signer)
        self.assertIn("is not that of the certificate", str(error))
        locked = serialization.load_pem_private_key(pair.key, None).private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"hush"),
        )
        error = self.assertRaises(TransportSecurityError, server_context, pair.certificate, locked)
        self.assertIn("has a password", str(error))
        self.assertRaises(TransportSecurityError, client_context, authorities=b"junk")
        self.assertRaises(TransportSecurityError, client_context, fingerprint="sha256:abc")

    def test_file_is_named(self) -> None:
        """What has a name is refused by it."""
        pair, other = signed(), nameless()
        certificate, key = Pem(pair.certificate, "/a.crt"), Pem(other.key, "/b.key")
        junk = Pem(b"junk", "/junk")
        for make, said in (
            (lambda: server_context(junk, key), "/junk cannot be read as PEM"),
            (lambda: server_context(certificate, junk), "/junk cannot be read as PEM"),
            (lambda: server_context(certificate, key), "/b.key is not that of the certificate in /a.crt"),
            (lambda: client_context(authorities=junk), "/junk cannot be read as PEM"),
        ):
            self.assertIn(said, str(self.assertRaises(TransportSecurityError, make)))

    def test_weak(self) -> None:
        """A key that OpenSSL takes for too short is refused, with what to do."""
        key = rsa.generate_private_key(65537, 1024)
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "weak")])
        weak = make_pair(key, [], name, name, key)
        error = self.assertRaises(TransportSecurityError, server_context, weak.certificate, weak.key)
        self.assertIn("1024 bits, which is too short for this system's OpenSSL: make one", str(error))
        self.assertEqual(error.problem, "weak-certificate")

    def test_private_parts_are_not_shown(self) -> None:
        """The repr of a context says nothing of its key."""
        pair = signed()
        self.assertNotIn("SSL", repr(server_context(pair.certificate, pair.key)))

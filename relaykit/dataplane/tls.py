"""TLS over any leg: pyOpenSSL between two memory buffers.

The standard library's ``ssl`` has no exporter, and TLS on the socket itself would not do under
WebSocket, behind a first byte, or on a stream of a mux link.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import ipaddress
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from attrs import field, frozen
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID
from OpenSSL import SSL, crypto
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from zope.interface import implementer

from relaykit.certificates.judging import Pem, read_authorities, read_chain, read_key
from relaykit.certificates.own import KeyPair, key_pair
from relaykit.dataplane.records import (
    BUFFERS,
    RECORD_BYTES,
    put_input,
    read_payload,
    take_output,
    write_payload,
)
from relaykit.dataplane.upper_legs import UpperLeg
from relaykit.errors import TransportSecurityError
from relaykit.interfaces import ISecureLeg, ISecureSession, ITlsTerms
from relaykit.sansio.control.channel_binding import EXPORTER_LABEL, EXPORTER_LENGTH
from relaykit.sansio.hostnames import encode_host_name
from relaykit.sansio.sources import source_of_host
from relaykit.values import Ended, host_of

if TYPE_CHECKING:
    from twisted.internet.interfaces import IDelayedCall

    from relaykit.dataplane.poller import Poller
    from relaykit.interfaces import IStreamLeg
    from relaykit.sansio.contract import Buffer

__all__ = [
    "HANDSHAKE_TIMEOUT_S",
    "TlsContext",
    "TlsLeg",
    "alert_reason",
    "channel_binding",
    "client_context",
    "server_context",
    "start_tls",
]

HANDSHAKE_TIMEOUT_S = 10.0
"""How long a peer may take for its half of the handshake; as frp."""

_FLUSH_BYTES = 4 * RECORD_BYTES
"""Output that is sent within a turn: more would leave the processor's cache before it is."""

MOST_ANSWER_BYTES = 64 * 1024
"""What TLS itself answers a peer within a session: that keys are new, in some 30 bytes.  Who wants new keys
does so after millions of records; who wants them endlessly wants work done, or memory filled."""

_TLS12_CIPHERS = b"ECDHE+AESGCM:ECDHE+CHACHA20"
_TLS13_CIPHERS = b"TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_256_GCM_SHA384"
"""AES-128 first: 5 to 10 % less work than AES-256, and no weaker in practice."""

_PARTIAL_WRITE = 0x1
"""``SSL_MODE_ENABLE_PARTIAL_WRITE``, which pyOpenSSL sets and has no name for.  Source: openssl/ssl.h."""

_WITH_BINDING = "TLSv1.3"

_ENDED = "the peer ended the connection during the TLS handshake"


@implementer(ITlsTerms)
@frozen
class TlsContext:
    """What one end demands of TLS sessions and shows to its peers; made by the functions below."""

    context: SSL.Context = field(repr=False)
    server_name: str = ""
    """Whom the peer must prove to be; empty where nothing is verified."""
    asked_name: bytes = b""
    """The name that the peer is asked for (SNI); empty for an address.  Source: RFC 6066 section 3."""
    fingerprint: bytes = b""
    """SHA-256 of the one certificate that the peer may have; empty for any."""
    shown: KeyPair | None = None
    """The chain, and the key of its first certificate, that peers are shown."""
    of_authorities: bool = False
    """Whether peers that connect must have a certificate of an authority."""

    @property
    def verifies(self) -> bool:
        """Whether a peer must prove who it is."""
        return bool(self.server_name or self.fingerprint or self.of_authorities)

    def verify(self, chain: Sequence[bytes]) -> None:
        if self.server_name:
            _verify_chain(self.context, chain)
        self.verify_first(chain[0] if chain else b"")

    def verify_first(self, certificate: bytes) -> None:
        """Checks of a certificate that is good whether it is the pinned one, and whose it is.

        :raises TransportSecurityError: it is not the expected one.
        """
        if self.fingerprint:
            digest = hashlib.sha256(certificate).digest()
            if not hmac.compare_digest(digest, self.fingerprint):
                raise TransportSecurityError(
                    f"the server's certificate is sha256:{digest.hex()}, not the pinned one: either its "
                    "certificate was replaced (then pin the new one) or somebody is in between",
                    problem="other-certificate",
                )
        if self.server_name:
            _verify_name(certificate, self.server_name)


def server_context(
    certificate: bytes | Pem,
    key: bytes | Pem,
    authorities: bytes | Pem | None = None,
    protocols: Sequence[bytes] = (),
) -> TlsContext:
    """For the end that is connected to.

    ``certificate`` (with the chain, if any) and ``key`` are PEM.  With ``authorities`` (PEM) peers must
    have a certificate that one of them signed.  Of a peer that says what it would speak (ALPN), the first of
    ``protocols`` that it named is spoken, or nothing.

    :raises TransportSecurityError: something is not PEM or too weak, or the key is not that of the
        certificate.
    """
    context, shown = _make_context(certificate, key, authorities)
    if authorities is not None:
        context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, _as_verified)
    if protocols:
        context.set_alpn_select_callback(partial(_choose_protocol, protocols))
    return TlsContext(context, shown=shown, of_authorities=authorities is not None)


def client_context(
    certificate: bytes | Pem | None = None,
    key: bytes | Pem | None = None,
    authorities: bytes | Pem | None = None,
    fingerprint: str = "",
    server_name: str = "",
    system_authorities: bool = False,
) -> TlsContext:
    """For the end that connects.

    With ``authorities`` (PEM) the server must prove to be ``server_name`` by a certificate that one of
    them signed.  With ``fingerprint`` (``sha256:`` and hexadecimal digits) its certificate must be this
    very one.  With ``system_authorities`` those that this system trusts are as good as ``authorities``.  With
    none of them nothing is verified.  ``certificate`` and ``key`` (PEM) are shown to a server that asks.

    :raises TransportSecurityError: something is not PEM or too weak, the key is not that of the certificate,
        or the fingerprint or the name makes no sense.
    """
    asked_name = _asked_name(server_name)
    context, shown = _make_context(certificate, key, authorities)
    is_verified = authorities is not None or system_authorities
    if system_authorities:
        context.set_default_verify_paths()
    if is_verified:
        context.set_verify(SSL.VERIFY_PEER, _as_verified)
    return TlsContext(
        context,
        server_name=(asked_name.decode("ascii") or server_name) if is_verified else "",
        asked_name=asked_name,
        fingerprint=_digest(fingerprint),
        shown=shown,
    )


def start_tls(
    poller: Poller,
    leg: IStreamLeg,
    context: TlsContext,
    *,
    server_side: bool,
    timeout_s: float = HANDSHAKE_TIMEOUT_S,
) -> Deferred[ISecureLeg]:
    """Does the handshake over a leg without receiver, which is owned from now on.

    Bytes that were read and put back belong to it.  Fails with
    :class:`relaykit.errors.TransportSecurityError`; the leg is closed then.  Cancelling aborts it.
    """
    return TlsLeg(poller, leg, context, server_side).shake_hands(timeout_s)


def channel_binding(end: object, label: bytes = EXPORTER_LABEL) -> bytes:
    """What tells the TLS session of a leg, or of a path, from any other one; both of its ends get the same.

    Empty without TLS, before TLS 1.3, where it need not differ, and where the peer may be none of its ends.
    What is exported by another ``label`` tells nothing of this.  Source: RFC 9266 section 2 and 4.2.
    """
    if not ISecureSession.providedBy(end) or end.tls_version != _WITH_BINDING:
        return b""
    binding: bytes = end.export_keying_material(label, EXPORTER_LENGTH)
    return binding


@implementer(ISecureLeg)
class TlsLeg(UpperLeg):
    """The payload of a TLS session; see :func:`start_tls`."""

    __slots__ = (
        "_answered_bytes",
        "_close_received",
        "_connection",
        "_context",
        "_deadline",
        "_established",
        "_flush_due",
        "_input_left",
        "_lower_ended",
        "_poller",
        "_server_side",
        "_step_waits",
        "_unsent",
        "broken_by",
        "peer_certificate",
        "tls_version",
    )

    log = Logger()

    def __init__(self, poller: Poller, lower: IStreamLeg, context: TlsContext, server_side: bool) -> None:
        super().__init__(lower)
        self.peer_certificate: bytes | None = None
        self.tls_version = ""
        self.broken_by = ""
        self._poller = poller
        self._context = context
        self._connection = SSL.Connection(context.context, None)
        self._server_side = server_side
        self._step_waits = False
        if server_side:
            self._connection.set_accept_state()
        else:
            self._connection.set_connect_state()
            if context.asked_name:
                self._connection.set_tlsext_host_name(context.asked_name)
        self._established: Deferred[ISecureLeg] | None = None
        self._deadline: IDelayedCall | None = None
        self._flush_due = False
        self._unsent = 0
        self._answered_bytes = 0
        self._input_left = False
        self._close_received = False
        self._lower_ended = False

    @property
    def is_verified(self) -> bool:
        """Whether the peer had to prove who it is; without that there is no session."""
        return self._context.verifies

    def shake_hands(self, timeout_s: float) -> Deferred[ISecureLeg]:
        """Begins; once."""
        established: Deferred[ISecureLeg] = Deferred(self._cancelled)
        self._established = established
        self._deadline = self._poller.reactor.callLater(timeout_s, self._too_late, timeout_s)
        self._handshake_step()
        if self._established is not None:
            self._watch_lower()
        return established

    def export_keying_material(self, label: bytes, length: int) -> bytes:
        return self._connection.export_keying_material(label, length)

    # --- sending --------------------------------------------------------------------------------

    def write(self, data: Buffer) -> None:
        if self._finishing or not len(data):
            return
        try:
            write_payload(self._connection, data)
        except SSL.Error as error:
            self._broken(error)
            return
        self._unsent += len(data)
        self._flush_soon()

    def write_sequence(self, pieces: Sequence[Buffer]) -> None:
        # A record for each small piece would cost more than joining them, and joining large ones more still.
        small: list[Buffer] = []
        small_bytes = 0
        for piece in pieces:
            if len(piece) > RECORD_BYTES:
                if small:
                    rest = memoryview(piece)
                    missing = -small_bytes % RECORD_BYTES
                    small.append(rest[:missing])
                    self.write(b"".join(small))
                    small.clear()
                    small_bytes = 0
                    piece = rest[missing:]
                self.write(piece)
            else:
                small.append(piece)
                small_bytes += len(piece)
        if small:
            self.write(b"".join(small))

    # --- the lower leg's receiver ---------------------------------------------------------------

    def data_received(self, data: Buffer) -> None:
        if self._silent or self._close_received:
            return
        put_input(self._connection, data)
        if self._established is None:
            self._decrypt()
        elif not self._server_side:
            self._handshake_step()
        elif not self._step_waits:
            self._step_waits = True
            self._poller.handshakes.take(self._take_step, source_of_host(host_of(self.peer)))

    def end_received(self) -> None:
        self._lower_ended = True
        if self._established is not None:
            if not self._step_waits:
                self._fail(_ENDED)
        elif not self._close_received and not self._input_left:
            self._cut_off()

    def leg_lost(self, reason: Ended) -> None:
        if self._established is not None:
            self._fail(f"the connection was lost during the TLS handshake ({reason.value})")
        self._finishing = True
        if self._input_left and not self._silent:
            self._decrypt(all_of_it=True)
        self._lower_lost(reason, in_order=self._close_received)

    # --- the handshake --------------------------------------------------------------------------

    def _take_step(self) -> bool:
        """Goes on with the handshake, now that it is its turn; whether it has come any further."""
        self._step_waits = False
        established = self._established
        if established is None:
            return False
        costs = self._handshake_step()
        if self._lower_ended and not established.called:
            self._fail(_ENDED)
        return costs

    def _handshake_step(self) -> bool:
        """Does what can be done with what there is; whether that was more than to wait."""
        try:
            self._connection.do_handshake()
        except SSL.WantReadError:
            return self._send_output() > 0
        except SSL.Error as error:
            self._flush()
            self._fail(_reason_of(error, self._connection.get_app_data()))
            return True
        self._flush()
        certificate = self._connection.get_peer_certificate()
        if certificate is not None:
            self.peer_certificate = crypto.dump_certificate(crypto.FILETYPE_ASN1, certificate)
        self.tls_version = self._connection.get_protocol_version_name()
        try:
            # OpenSSL has verified who signed it.
            self._context.verify_first(self.peer_certificate or b"")
        except TransportSecurityError as error:
            self._fail(str(error), error.problem)
            return True
        established, self._established = self._established, None
        self._stop_deadline()
        # There may be payload in what came with the last of the handshake.
        self._input_left = True
        self._lower.pauseProducing()
        if established is not None:
            established.callback(self)
        return True

    def _fail(self, reason: str, problem: str = "") -> None:
        established, self._established = self._established, None
        self._stop_deadline()
        self._finishing = True
        self._silence()
        self._lower.close()
        if established is not None:
            where = "" if self.peer is None else f" with {self.peer}"
            established.errback(TransportSecurityError(f"TLS{where} failed: {reason}", problem=problem))

    def _too_late(self, timeout_s: float) -> None:
        self._deadline = None
        self._fail(f"no complete handshake within {timeout_s:g} seconds")

    def _cancelled(self, _established: Deferred[ISecureLeg]) -> None:
        self._established = None
        self._stop_deadline()
        self.abort()

    def _stop_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    # --- payload --------------------------------------------------------------------------------

    def _decrypt(self, all_of_it: bool = False) -> None:
        """Delivers what there is, as long as it is wanted (or to be held until it is)."""
        buffer = BUFFERS.acquire()
        self._input_left = more = True
        try:
            while more and (self._reading or all_of_it) and not self._silent:
                try:
                    more = self._input_left = read_payload(self._connection, buffer)
                except SSL.ZeroReturnError:
                    more = self._input_left = False
                    self._close_received = True
                except SSL.Error as error:
                    more = self._input_left = False
                    self._broken(error)
                if not self._unsent and not self._finishing:
                    self._answer()
                if buffer.filled:
                    self._arrived(buffer.view[: buffer.filled])
        finally:
            BUFFERS.release(buffer)
        if self._close_received:
            self._ended()
        elif self._lower_ended and not self._input_left:
            self._cut_off()

    def _decrypt_rest(self) -> None:
        if self._input_left and self._reading:
            self._decrypt()

    def _reading_wanted(self, wanted: bool) -> None:
        if not wanted:
            # After the last payload the lower leg goes on, to find its own end.
            if not self._close_received:
                self._lower.pauseProducing()
            return
        self._lower.resumeProducing()
        if self._input_left:
            self._poller.at_turn_end(self._decrypt_rest)

    def _broken(self, error: SSL.Error) -> None:
        self._finishing = True
        self._flush()
        self.broken_by = _reason_of(error)
        self.log.info(
            "TLS with {peer} broke: {reason}",
            peer=self.peer,
            reason=self.broken_by,
            stranger=host_of(self.peer),
        )
        self._end_broken()

    def _flush_soon(self) -> None:
        if self._unsent >= _FLUSH_BYTES:
            self._flush()
        elif not self._flush_due:
            self._flush_due = True
            self._poller.at_turn_end(self._flush)

    def _flush(self) -> None:
        self._flush_due = False
        self._unsent = 0
        self._send_output()

    def _send_output(self) -> int:
        """Sends all records that there are; how many bytes they have."""
        sent = 0
        buffer = BUFFERS.acquire()
        try:
            more = True
            while more:
                more = take_output(self._connection, buffer)
                if buffer.filled:
                    sent += buffer.filled
                    self._lower.write(buffer.view[: buffer.filled])
        finally:
            BUFFERS.release(buffer)
        return sent

    def _answer(self) -> None:
        """Sends what TLS itself has to say to what came.  Source: RFC 8446 section 4.6.3."""
        self._answered_bytes += self._send_output()
        if self._answered_bytes > MOST_ANSWER_BYTES:
            self._broken(SSL.Error([("", "", "the peer wants new keys again and again")]))

    def _end_output(self) -> None:
        with contextlib.suppress(SSL.Error):
            self._connection.shutdown()
        self._flush()


def _make_context(
    certificate: bytes | Pem | None, key: bytes | Pem | None, authorities: bytes | Pem | None
) -> tuple[SSL.Context, KeyPair | None]:
    """A context, and what it shows to peers."""
    shown = None
    context = SSL.Context(SSL.TLS_METHOD)
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    context.set_cipher_list(_TLS12_CIPHERS)
    context.set_tls13_ciphersuites(_TLS13_CIPHERS)
    context.set_options(SSL.OP_NO_COMPRESSION | SSL.OP_NO_TICKET | getattr(SSL, "OP_NO_RENEGOTIATION", 0))
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    # Output goes to memory, which takes everything: one call writes all records of a piece, not the first.
    context.clear_mode(_PARTIAL_WRITE)
    # An idle session keeps no record buffers: 30 KiB less for each.
    context.set_mode(SSL.MODE_RELEASE_BUFFERS)
    if certificate is not None and key is not None:
        shown = _show(
            context,
            _named(certificate, "the TLS certificate"),
            _named(key, "the TLS private key"),
        )
    if authorities is not None:
        _trust(context, _named(authorities, "the file of trusted CAs"))
    return context, shown


def _named(pem: bytes | Pem, name: str) -> Pem:
    return pem if isinstance(pem, Pem) else Pem(pem, name)


def _show(context: SSL.Context, certificate: Pem, key: Pem) -> KeyPair:
    chain = read_chain(certificate)
    private = read_key(key, chain, certificate.name)
    try:
        context.use_certificate(chain[0])
        for each in chain[1:]:
            context.add_extra_chain_cert(each)
        context.use_privatekey(private)
        context.check_privatekey()
    except (SSL.Error, TypeError) as error:
        # TypeError is for kinds of keys that no certificate of TLS has.
        reason = _reason_of(error) if isinstance(error, SSL.Error) else str(error)
        raise TransportSecurityError(
            f"{certificate.name} cannot be used: {reason}", problem="tls-files"
        ) from error
    return key_pair(chain, private)


def _trust(context: SSL.Context, authorities: Pem) -> None:
    store = context.get_cert_store()
    assert store is not None, "a context without certificate store"
    # Whatever the file holds is trusted, as by Go's programs: an intermediate, or the peer's own certificate.
    store.set_flags(crypto.X509StoreFlags.PARTIAL_CHAIN)
    for each in read_authorities(authorities):
        store.add_cert(crypto.X509.from_cryptography(each))


def _choose_protocol(protocols: Sequence[bytes], _connection: SSL.Connection, named: list[bytes]) -> bytes:
    """What is spoken of what the peer named.  Source: RFC 7301 section 3.2.

    :raises SSL.Error: nothing; OpenSSL tells the peer.
    """
    for each in protocols:
        if each in named:
            return each
    raise SSL.Error([("", "", "the peer would speak nothing that is spoken here (ALPN)")])


def _as_verified(
    connection: SSL.Connection, _certificate: crypto.X509, error: int, _depth: int, verified: int
) -> bool:
    """Decides as OpenSSL does, and keeps why a certificate was refused."""
    if not verified:
        connection.set_app_data(error)
    return bool(verified)


def _verify_chain(context: SSL.Context, chain: Sequence[bytes]) -> None:
    """Checks who signed certificates, as OpenSSL does of the server's in a handshake of its own.

    :raises TransportSecurityError: nobody whom this end trusts, or it is not a server's.
    """
    store = context.get_cert_store()
    assert store is not None, "a context without certificate store"
    try:
        first, *others = [crypto.load_certificate(crypto.FILETYPE_ASN1, each) for each in chain]
        crypto.X509StoreContext(store, first, others).verify_certificate()
        extensions = first.to_cryptography().extensions
        uses = extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except crypto.X509StoreContextError as error:
        raise TransportSecurityError(_why_not_verified(error.errors[0])) from error
    except x509.ExtensionNotFound:
        return
    except (crypto.Error, ValueError) as error:
        raise TransportSecurityError("the peer showed no certificate that can be read") from error
    if not {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE} & set(uses):
        raise TransportSecurityError(_why_not_verified(_WRONG_USE))


def _verify_name(certificate: bytes, name: str) -> None:
    from service_identity import CertificateError, VerificationError
    from service_identity.cryptography import (
        verify_certificate_hostname,
        verify_certificate_ip_address,
    )

    verify = verify_certificate_ip_address if _is_address(name) else verify_certificate_hostname
    try:
        verify(x509.load_der_x509_certificate(certificate), name)
    except CertificateError as error:
        raise TransportSecurityError(
            "the server's certificate is not for any name, because it has no subjectAltName: give the server "
            "a certificate that has one, or pin this one with transport.tls.serverFingerprint",
            problem="certificate-without-names",
        ) from error
    except (VerificationError, ValueError) as error:
        # ValueError is for names, such as numbers, that no certificate can be for.
        raise TransportSecurityError(
            f'the server\'s certificate is not for "{name}": set transport.tls.serverName to a name that '
            "it is for, or give the server a certificate with this name",
            problem="certificate-name",
        ) from error


def _asked_name(server_name: str) -> bytes:
    """The name as it is sent to the server; empty for an address.

    :raises TransportSecurityError: no host can have it.
    """
    if not server_name or _is_address(server_name):
        return b""
    try:
        return encode_host_name(server_name).removesuffix(b".")
    except ValueError as error:
        raise TransportSecurityError(
            f"no server can be asked for by its name: {error}; correct transport.tls.serverName, or "
            "serverAddr where that is empty",
            problem="server-name",
        ) from error


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _digest(fingerprint: str) -> bytes:
    if not fingerprint:
        return b""
    try:
        digest = bytes.fromhex(fingerprint.strip().lower().removeprefix("sha256:").replace(":", ""))
    except ValueError:
        digest = b""
    if len(digest) != hashlib.sha256().digest_size:
        raise TransportSecurityError(
            f'"{fingerprint}" is not a fingerprint: it must be sha256: and 64 hexadecimal digits',
            problem="fingerprint",
        )
    return digest


_NOT_TLS = "the peer does not speak TLS: is TLS on at both ends, and is it the right port?"

_ADVICE = {
    "wrong version number": _NOT_TLS,
    "packet length too long": _NOT_TLS,
    "http request": "the peer speaks HTTP, not TLS",
    "unsupported protocol": "the peer speaks only versions of TLS before 1.2",
    "no shared cipher": "both ends have no cipher in common",
    "peer did not return a certificate": "the peer showed no certificate, and this end demands one",
}
"""What to make of errors of OpenSSL, which tells them in small letters in old versions."""

_ALERT = "alert "
_ALERTS = {
    "certificate required": (
        "the server demands a certificate of this client: set transport.tls.certFile and keyFile"
    ),
    "unknown ca": (
        "the peer does not trust the CA of the certificate that was shown to it: have it made by one that is "
        "in the peer's trustedCaFile, or put it there"
    ),
    "bad certificate": (
        "the peer does not accept the certificate that was shown to it: its log says why; with trustedCaFile "
        "it takes those of its authorities only"
    ),
    "certificate expired": (
        "the certificate that was shown to the peer has expired by its clock: renew it, or correct the clock"
    ),
    "unsupported certificate": (
        "the certificate that was shown to the peer is of a kind that it does not take, or not made for this "
        "use: look at its extendedKeyUsage"
    ),
    "certificate revoked": "the certificate that was shown to the peer has been revoked",
    "certificate unknown": "the peer does not accept the certificate that was shown to it: its log says why",
    "handshake failure": "the peer found no common ground: versions of TLS, ciphers or the kind of key",
    "protocol version": "the peer speaks no version of TLS from 1.2 on",
}
"""What peers say before they leave, by the name that OpenSSL has for it after the word alert; what comes
before depends on its version.  Source: RFC 8446 section 6.2."""


_ALERT_NAMES = {
    40: "handshake failure",
    42: "bad certificate",
    43: "unsupported certificate",
    44: "certificate revoked",
    45: "certificate expired",
    46: "certificate unknown",
    48: "unknown ca",
    70: "protocol version",
    116: "certificate required",
    120: "no application protocol",
}
"""Their numbers, for carriers whose library does TLS itself."""


def alert_reason(number: int) -> str:
    """What a peer means by an alert of TLS, and what to do about it where that is known."""
    name = _ALERT_NAMES.get(number, f"alert {number}")
    return _ALERTS.get(name, f"the peer has ended it: {name}")


_UNTRUSTED = "is not signed by a trusted CA: check trustedCaFile"
_NO_CA = "comes from a certificate that is not that of a CA"
_WRONG_USE = 26
_NOT_VERIFIED = {
    9: "is not valid yet: look at the clocks of both machines",
    10: "has expired, or its CA has: renew it",
    18: _UNTRUSTED,
    19: _UNTRUSTED,
    20: _UNTRUSTED,
    21: _UNTRUSTED,
    24: _NO_CA,
    _WRONG_USE: "is not made for this use: look at its extendedKeyUsage",
    66: "has a key that is too short for this system's OpenSSL: have it made with 2048 bits, or ECDSA",
    67: "comes from a CA whose key is too short for this system's OpenSSL",
    68: "is signed with a digest that this system's OpenSSL takes for broken: have it made with SHA-256",
    79: _NO_CA,
}
"""Why OpenSSL does not accept a certificate.  Source: X509_STORE_CTX_get_error(3)."""


def _why_not_verified(code: int) -> str:
    """Why a certificate was not accepted, in words."""
    return f"the peer's certificate {_NOT_VERIFIED.get(code, f'was refused by OpenSSL (error {code})')}"


def _reason_of(error: SSL.Error, not_verified: int | None = None) -> str:
    """What OpenSSL says, and what to do about it where that is known.

    :param not_verified: why it refused a certificate, if it did.
    """
    if not_verified is not None:
        return _why_not_verified(not_verified)
    if error.args and isinstance(error.args[0], Sequence) and error.args[0]:
        reasons = [entry[-1] for entry in error.args[0] if entry[-1]]
        for reason in reasons:
            said = reason.lower()
            advice = _ADVICE.get(said) or (
                _ALERTS.get(said.rpartition(_ALERT)[2]) if _ALERT in said else None
            )
            if advice is not None:
                return advice
        if reasons:
            return str(reasons[0])
    return "the connection broke off" if isinstance(error, SSL.SysCallError) else "no reason was given"

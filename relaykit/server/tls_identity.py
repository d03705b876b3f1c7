"""What the server shows to its clients in TLS and demands of them: as its files have it at the moment."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from attrs import field, frozen
from twisted.logger import Logger

from relaykit.certificates.files import FileWatch, TlsContents, TlsFiles, WatchedFiles
from relaykit.certificates.own import KeyPair, fingerprint, load_or_create
from relaykit.dataplane.tls import TlsContext, server_context

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime

    from relaykit.config.schema.server import ServerTls
    from relaykit.state import StateDirectory

__all__ = ["TlsIdentity"]


@frozen
class _Made:
    """What was made of the files last."""

    context: TlsContext = field(repr=False)
    fingerprint: str


class TlsIdentity:
    """The certificate of the file, or else one of the server's own, and the authorities of clients.

    Reads the files when it is made, and looks at them again from :meth:`start` to :meth:`stop`.  Connections
    that are there keep what they began with.

    :param now: the time of day.
    :raises TransportSecurityError: a file cannot be used.
    """

    log = Logger()

    def __init__(
        self,
        tls: ServerTls,
        state: StateDirectory | None,
        clock: IReactorTime,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        has_own = not (tls.cert_file and tls.key_file)
        self._own: KeyPair | None = load_or_create(state, now()) if has_own else None
        files = TlsFiles(
            table="transport.tls",
            certificate=tls.cert_file,
            key=tls.key_file,
            authorities=tls.trusted_ca_file,
        )
        self._files = WatchedFiles(files, self._make, now)
        self._files.open()
        self._watch = FileWatch(clock, [self._files], self._changed)

    @property
    def context(self) -> TlsContext:
        """For the next connection."""
        return self._files.made.context

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the certificate that the next client sees."""
        return self._files.made.fingerprint

    def start(self) -> None:
        """Looks at the files from now on."""
        self._watch.start()

    def stop(self) -> None:
        """Looks at them no more."""
        self._watch.stop()

    def _make(self, contents: TlsContents) -> _Made:
        certificate, key = contents.certificate, contents.key
        if certificate is not None and key is not None:
            shown = fingerprint(certificate.content)
            return _Made(server_context(certificate, key, contents.authorities), shown)
        own = self._own
        assert own is not None, "a server without files has a certificate of its own"
        return _Made(server_context(own.certificate, own.key, contents.authorities), own.fingerprint)

    def _changed(self, _: WatchedFiles[_Made]) -> None:
        self.log.info(
            "the files of transport.tls were read again; certificate fingerprint {fingerprint}",
            fingerprint=self.fingerprint,
        )

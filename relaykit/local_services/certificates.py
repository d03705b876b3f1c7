"""What services that end TLS show to users: the certificate in two files, or one that is made."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from relaykit.certificates.files import LOOK_S, TlsContents, TlsFiles, WatchedFiles
from relaykit.certificates.own import self_signed
from relaykit.errors import ConnectionFailed, TransportSecurityError, problem_of

if TYPE_CHECKING:
    from relaykit.interfaces import ILocalHost

__all__ = ["ServiceCertificate"]


def _wall_clock() -> datetime:
    return datetime.now(UTC)


class ServiceCertificate:
    """The certificate of one service, read when the first user comes and looked at again for later ones.

    :param certificate: path of the chain; empty, as ``key``, for a certificate that is made.
    :param protocols: what is spoken, the best first (ALPN); none for whatever the user likes.
    :raises ValueError: only one of the two files is named.
    """

    def __init__(
        self,
        certificate: str = "",
        key: str = "",
        protocols: Sequence[bytes] = (),
        now: Callable[[], datetime] = _wall_clock,
    ) -> None:
        if bool(certificate) is not bool(key):
            raise ValueError("crtPath and keyPath belong together: name both, or none")
        self._files = TlsFiles(
            table="plugin", certificate=certificate, key=key, certificate_key="crtPath", key_key="keyPath"
        )
        self._protocols = protocols
        self._now = now
        self._watched: WatchedFiles[Any] | None = None
        self._next_look = 0.0

    def context(self, host: ILocalHost) -> Any:
        """What :meth:`relaykit.interfaces.ILocalHost.secured` takes.

        Files that have changed are read again; those that cannot be used any more change nothing.

        :raises ConnectionFailed: the files cannot be used, and never could.
        """
        now = host.reactor.seconds()
        if self._watched is None:
            watched = WatchedFiles(self._files, lambda contents: self._made(contents, host), self._now)
            try:
                watched.open()
            except TransportSecurityError as error:
                raise ConnectionFailed(str(error), problem=problem_of(error, "tls-files")) from error
            self._watched = watched
            self._next_look = now + LOOK_S
        elif not self._next_look - LOOK_S <= now < self._next_look:
            # A clock that was set back must not keep anybody from looking.
            self._watched.look()
            self._next_look = now + LOOK_S
        return self._watched.made

    def _made(self, contents: TlsContents, host: ILocalHost) -> Any:
        if contents.certificate is None or contents.key is None:
            pair = self_signed(self._now())
            return host.tls_context(pair.certificate, pair.key, self._protocols)
        return host.tls_context(contents.certificate.content, contents.key.content, self._protocols)

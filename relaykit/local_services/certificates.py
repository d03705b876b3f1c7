"""What TLS of services is made of: files that are read when the first user comes, and read again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from relaykit.certificates.files import LOOK_S, TlsContents, TlsFiles, WatchedFiles
from relaykit.certificates.own import self_signed
from relaykit.errors import ConnectionFailed, TransportSecurityError, problem_of

if TYPE_CHECKING:
    from relaykit.interfaces import ILocalHost

__all__ = ["ServiceCertificate", "ServiceTrust"]

_TABLE = "plugin"


def _wall_clock() -> datetime:
    return datetime.now(UTC)


class _MadeOfFiles:
    """What is made when the first user comes; the files are looked at again for later ones."""

    def __init__(self, files: TlsFiles, now: Callable[[], datetime]) -> None:
        self._files = files
        self._now = now
        self._watched: WatchedFiles[Any] | None = None
        self._next_look = 0.0

    def context(self, host: ILocalHost) -> Any:
        """What the host does TLS by, on this side of a connection.

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

    def problems(self) -> Iterator[str]:
        """Why the files cannot be used at the moment."""
        try:
            self._files.read(self._now())
        except TransportSecurityError as error:
            yield str(error)

    def _made(self, contents: TlsContents, host: ILocalHost) -> Any:
        raise NotImplementedError


class ServiceCertificate(_MadeOfFiles):
    """What users of one service are shown: the certificate in two files, or one that is made.

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
        files = TlsFiles(
            table=_TABLE, certificate=certificate, key=key, certificate_key="crtPath", key_key="keyPath"
        )
        super().__init__(files, now)
        self._protocols = protocols

    def _made(self, contents: TlsContents, host: ILocalHost) -> Any:
        if contents.certificate is None or contents.key is None:
            pair = self_signed(self._now())
            return host.tls_context(pair.certificate, pair.key, self._protocols)
        return host.tls_context(contents.certificate.content, contents.key.content, self._protocols)


class ServiceTrust(_MadeOfFiles):
    """What a service must prove that is asked over TLS.

    :param name: whom it is asked for, and, if there are authorities, must prove to be: a name or an address.
    :param authorities: path of those that may vouch for it; empty: it need not prove anything.
    """

    def __init__(self, name: str, authorities: str = "", now: Callable[[], datetime] = _wall_clock) -> None:
        super().__init__(TlsFiles(table=_TABLE, authorities=authorities), now)
        self._name = name

    def _made(self, contents: TlsContents, host: ILocalHost) -> Any:
        authorities = contents.authorities
        return host.tls_context_to(self._name, None if authorities is None else authorities.content)

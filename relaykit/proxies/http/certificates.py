"""The certificates by which sites are served over TLS, by the names that users ask for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from attrs import field, frozen
from cryptography import x509
from twisted.logger import Logger

from relaykit.certificates.files import FileWatch, TlsContents, TlsFiles, WatchedFiles
from relaykit.certificates.judging import shown_time
from relaykit.errors import TransportSecurityError
from relaykit.sansio.hostnames import ANY, WILDCARD, domain_key

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime

    from relaykit.interfaces import IDataPlane
    from relaykit.proxies.http.options import CertificateFiles

__all__ = ["Certificate", "Certificates"]

PROTOCOLS = (b"h2", b"http/1.1", b"http/1.0")
"""What is spoken within TLS, the best first.  Source: RFC 7301 section 6."""

_KEY = "vhostHTTPSCertificates"


@frozen
class Certificate:
    """What is in a pair of files.

    :ivar names: the domains that it is for, as :func:`relaykit.sansio.hostnames.domain_key` has them.
    :ivar begins: when it becomes valid.
    :ivar ends: when it is so no more.
    :ivar context: what :meth:`relaykit.interfaces.IDataPlane.secured` takes.
    """

    names: frozenset[str]
    begins: datetime
    ends: datetime
    context: Any = field(repr=False)

    def is_valid(self, now: datetime) -> bool:
        """Whether users accept it, as far as time goes."""
        return self.begins <= now < self.ends


class Certificates:
    """All of them.

    ``now()`` is the time of day, which certificates go by.
    """

    log = Logger()

    def __init__(
        self,
        files: Sequence[CertificateFiles],
        data_plane: IDataPlane,
        clock: IReactorTime,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._data_plane = data_plane
        self._now = now
        self._pairs = [
            WatchedFiles(
                TlsFiles(
                    table=f"{_KEY}[{position}]",
                    certificate=each.cert_file,
                    key=each.key_file,
                    for_users=True,
                ),
                self._make,
                now,
            )
            for position, each in enumerate(files)
        ]
        self._watch = FileWatch(clock, self._pairs, self._changed)
        self._by_name: dict[str, list[Certificate]] = {}

    def open(self) -> None:
        """Reads all files, and looks at them from now on.

        :raises TransportSecurityError: some cannot be used; the text names the key and the file.
        """
        for pair in self._pairs:
            pair.open()
            self._tell(pair)
        self._index()
        self._watch.start()

    def close(self) -> None:
        """Looks no more."""
        self._watch.stop()

    def are_for(self, host: str) -> bool:
        """Whether one of them is for a host, given as its key."""
        return any(name in self._by_name for name in _names_for(host))

    def find(self, host: str) -> Certificate | None:
        """The best one for a host, given as its key: valid, for this very name, begun last."""
        now = self._now()
        candidates = [
            (each.is_valid(now), name == host, each.begins, each)
            for name in _names_for(host)
            for each in self._by_name.get(name, ())
        ]
        return max(candidates, key=lambda each: each[:3])[3] if candidates else None

    def _make(self, contents: TlsContents) -> Certificate:
        certificate, key = contents.certificate, contents.key
        assert certificate is not None and key is not None, "an entry has both files"
        names = frozenset(_names_of(contents.chain[0]))
        if not names:
            raise TransportSecurityError(
                f"{certificate.name} has no host in its subjectAltName that users can ask for; have one made "
                "with it",
                problem="tls-files",
            )
        context = self._data_plane.tls_context(certificate.content, key.content, PROTOCOLS)
        return Certificate(names, contents.begins, contents.ends, context)

    def _changed(self, pair: WatchedFiles[Certificate]) -> None:
        self._tell(pair)
        self._index()

    def _tell(self, pair: WatchedFiles[Certificate]) -> None:
        self.log.info(
            "{entry}: {names} by {file}, valid until {until}",
            entry=pair.files.table,
            names=", ".join(sorted(pair.made.names)),
            file=pair.files.certificate,
            until=shown_time(pair.made.ends),
        )

    def _index(self) -> None:
        by_name: dict[str, list[Certificate]] = {}
        for pair in self._pairs:
            for name in pair.made.names:
                by_name.setdefault(name, []).append(pair.made)
        self._by_name = by_name


def _names_for(host: str) -> tuple[str, str]:
    """The names by which a certificate may be for a host.  Source: RFC 9525 section 6.3."""
    return host, WILDCARD + host.partition(".")[2]


def _names_of(certificate: x509.Certificate) -> Iterator[str]:
    """The domains that a certificate is for; those of no form that users compare with are left out."""
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return
    for each in found.value.get_values_for_type(x509.DNSName):
        try:
            name = domain_key(each)
        except ValueError:
            continue
        # An address is none of these names.  Source: RFC 9525 section 6.3.
        if name != ANY and ":" not in name:
            yield name

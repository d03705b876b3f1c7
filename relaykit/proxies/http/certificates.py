"""The certificates by which sites are served over TLS: files that are looked at again and again.

Whoever renews a certificate replaces its two files, one after the other or by one link, and has nothing to
tell.  What cannot be used, yet or ever, changes nothing.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from attrs import field, frozen
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from twisted.logger import Logger

from relaykit.errors import TransportSecurityError
from relaykit.sansio.hostnames import ANY, WILDCARD, domain_key
from relaykit.timer import Timer

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime

    from relaykit.interfaces import IDataPlane
    from relaykit.proxies.http.options import CertificateFiles

__all__ = ["LOOK_S", "MOST_FILE_BYTES", "SOON", "Certificate", "Certificates"]

LOOK_S = 5.0
"""Seconds between two looks at the files, each of which costs a few system calls."""

MOST_FILE_BYTES = 1024 * 1024
"""Most bytes of one file; a chain has some thousands.  Guards against a wrong path."""

SOON = timedelta(days=7)
"""Time before the end of a certificate at which it should long have been renewed; of those that live for less
than six weeks it is a sixth of their life."""

PROTOCOLS = (b"h2", b"http/1.1", b"http/1.0")
"""What is spoken within TLS, the best first.  Source: RFC 7301 section 6."""

_UNREADABLE = (ValueError, UnsupportedAlgorithm, x509.DuplicateExtension, x509.InvalidVersion)
"""What a certificate that is none makes its reader raise."""

_KEY = "vhostHTTPSCertificates"
_SHORT_LIFE_PART = 6


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


_Mark: TypeAlias = tuple[tuple[int, ...], ...]
"""What tells one state of the two files from any other; a part is empty where a file is not there."""


class _Pair:
    """One entry of the configuration, and what its files held when they could be used last."""

    log = Logger()

    def __init__(self, files: CertificateFiles, position: int, data_plane: IDataPlane) -> None:
        self._files = files
        self._entry = f"{_KEY}[{position}]"
        self._data_plane = data_plane
        self._seen: _Mark = ()
        """The files as they were used, or given up."""
        self._unusable: _Mark = ()
        """The files as they could not be used at the last look."""
        self._warned = ""
        self.certificate: Certificate

    def open(self, now: datetime) -> None:
        """Reads the files for the first time.

        :raises TransportSecurityError: they cannot be used; the text names the entry and the file.
        """
        self._seen = self._mark()
        self._use(self._read(), now)
        if os.stat(self._files.key_file).st_mode & stat.S_IRWXO:
            self.log.warn(
                "{entry}: everybody on this machine may use the key {file}; take that away: chmod o= {file}",
                entry=self._entry,
                file=self._files.key_file,
                problem="open-key-file",
            )

    def look(self, now: datetime) -> bool:
        """Looks whether the files have changed; answers whether there is a new certificate.

        Who writes them has time until the next look before anything is said of files that cannot be used.
        """
        mark = self._mark()
        if mark == self._seen:
            self._warn_of_end(now)
            return False
        try:
            certificate = self._read()
        except TransportSecurityError as error:
            if mark == self._unusable:
                self._seen = mark
                self.log.warn(
                    "{reason}; the certificate from before goes on being used",
                    reason=str(error),
                    problem="site-certificate",
                )
            self._unusable = mark
            return False
        self._seen = mark
        self._use(certificate, now)
        return True

    def _use(self, certificate: Certificate, now: datetime) -> None:
        self.certificate = certificate
        self._warned = ""
        self.log.info(
            "{entry}: {names} by {file}, valid until {until}",
            entry=self._entry,
            names=", ".join(sorted(certificate.names)),
            file=self._files.cert_file,
            until=_shown(certificate.ends),
        )
        self._warn_of_end(now)

    def _warn_of_end(self, now: datetime) -> None:
        begins, ends = self.certificate.begins, self.certificate.ends
        if now >= ends:
            what, at = "has expired", ends
        elif now >= ends - min(SOON, (ends - begins) / _SHORT_LIFE_PART):
            what, at = "expires soon", ends
        elif now < begins:
            what, at = "is not valid yet", begins
        else:
            return
        if what != self._warned:
            self._warned = what
            self.log.warn(
                "{entry}: the certificate {file} {what}: {at}",
                entry=self._entry,
                file=self._files.cert_file,
                what=what,
                at=_shown(at),
                problem="certificate-time",
            )

    def _mark(self) -> _Mark:
        return tuple(map(_mark_of, (self._files.cert_file, self._files.key_file)))

    def _read(self) -> Certificate:
        """What is in the files now.

        :raises TransportSecurityError: it cannot be used.
        """
        files = self._files
        try:
            chain = _content(files.cert_file)
            key = _content(files.key_file)
            context = self._data_plane.tls_context(chain, key, PROTOCOLS)
            first = x509.load_pem_x509_certificates(chain)[0]
            names = frozenset(_names_of(first))
        except (*_UNREADABLE, OSError, TransportSecurityError) as error:
            reason = f"{error.filename}: {error.strerror}" if isinstance(error, OSError) else str(error)
            where = f"{self._entry} ({files.cert_file}, {files.key_file})"
            raise TransportSecurityError(f"{where}: {reason}", problem="site-certificate") from error
        return Certificate(
            names,
            first.not_valid_before_utc,
            first.not_valid_after_utc,
            context,
        )


class Certificates:
    """All of them, by the names that users ask for.

    ``now()`` is the time of day, which certificates go by.
    """

    def __init__(
        self,
        files: Sequence[CertificateFiles],
        data_plane: IDataPlane,
        clock: IReactorTime,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._pairs = [_Pair(each, position, data_plane) for position, each in enumerate(files)]
        self._clock = clock
        self._now = now
        self._timer = Timer(clock, self._look)
        self._by_name: dict[str, list[Certificate]] = {}

    def open(self) -> None:
        """Reads all files, and looks at them from now on.

        :raises TransportSecurityError: some cannot be used; the text names the entry and the file.
        """
        now = self._now()
        for pair in self._pairs:
            pair.open(now)
        self._index()
        self._look_again()

    def close(self) -> None:
        """Looks no more."""
        self._timer.set(None)

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

    def _look(self) -> None:
        self._look_again()
        now = self._now()
        if any([pair.look(now) for pair in self._pairs]):
            self._index()

    def _look_again(self) -> None:
        self._timer.set(self._clock.seconds() + LOOK_S)

    def _index(self) -> None:
        by_name: dict[str, list[Certificate]] = {}
        for pair in self._pairs:
            for name in pair.certificate.names:
                by_name.setdefault(name, []).append(pair.certificate)
        self._by_name = by_name


def _names_for(host: str) -> tuple[str, str]:
    """The names by which a certificate may be for a host.  Source: RFC 9525 section 6.3."""
    return host, WILDCARD + host.partition(".")[2]


def _names_of(certificate: x509.Certificate) -> Iterator[str]:
    """The domains that a certificate is for; those of no form that users compare with are left out.

    :raises ValueError: there is none.
    """
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        said = found.value.get_values_for_type(x509.DNSName)
    except x509.ExtensionNotFound:
        said = []
    is_empty = True
    for each in said:
        try:
            name = domain_key(each)
        except ValueError:
            continue
        # An address is none of these names.  Source: RFC 9525 section 6.3.
        if name != ANY and ":" not in name:
            is_empty = False
            yield name
    if is_empty:
        raise ValueError(
            "the certificate has no host in its subjectAltName, and so it is for none; have one made with it"
        )


def _content(file: str) -> bytes:
    with Path(file).open("rb") as opened:
        content = opened.read(MOST_FILE_BYTES + 1)
    if len(content) > MOST_FILE_BYTES:
        raise ValueError(f"{file} has more than {MOST_FILE_BYTES} bytes: is it the right file?")
    return content


def _mark_of(file: str) -> tuple[int, ...]:
    try:
        found = os.stat(file)
        # A server that began as root finds out soon what its user may not read, rather than at a renewal.
        is_readable = os.access(file, os.R_OK)
    except OSError:
        return ()
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, is_readable


def _shown(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"

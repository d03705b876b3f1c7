"""The files that TLS is made of: read and judged at the start, and looked at again and again.

Whoever renews a certificate replaces its files, one after the other or by one link, and has nothing to tell.
What cannot be used, yet or ever, changes nothing: what was read last serves on.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Generic, TypeAlias, TypeVar

from attrs import evolve, field, frozen
from cryptography import x509
from twisted.logger import Logger

from relaykit.certificates.judging import (
    Pem,
    is_named,
    read_authorities,
    read_chain,
    read_key,
    shown_time,
    time_id,
    time_problem,
)
from relaykit.errors import TransportSecurityError, problem_of
from relaykit.timer import Timer

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime

__all__ = ["LOOK_S", "MOST_FILE_BYTES", "SOON", "FileWatch", "TlsContents", "TlsFiles", "WatchedFiles"]

LOOK_S = 5.0
"""Seconds between two looks at the files, each of which costs a few system calls."""

MOST_FILE_BYTES = 1024 * 1024
"""Most bytes of one file; a chain has some thousands, and all public authorities have 200,000.  Guards
against a wrong path."""

SOON = timedelta(days=7)
"""Time before the end of a certificate at which it should long have been renewed; of those that live for less
than six weeks it is a sixth of their life."""

_SHORT_LIFE_PART = 6

MadeT = TypeVar("MadeT")

_Mark: TypeAlias = tuple[tuple[int, ...], ...]
"""What tells one state of the files from any other; a part is empty where a file is not there."""


def _wall_clock() -> datetime:
    return datetime.now(UTC)


@frozen(kw_only=True)
class TlsContents:
    """What is in the files, judged; None for what is not named."""

    certificate: Pem | None = None
    key: Pem | None = None
    authorities: Pem | None = None
    chain: Sequence[x509.Certificate] = field(default=(), repr=False)

    @property
    def begins(self) -> datetime:
        """When the certificate is valid."""
        return self.chain[0].not_valid_before_utc

    @property
    def ends(self) -> datetime:
        """When it is so no more."""
        return self.chain[0].not_valid_after_utc


@frozen(kw_only=True)
class TlsFiles:
    """The files that one table of a configuration names; empty for those that it does not.

    :ivar table: how errors call it, such as ``transport.tls``.
    :ivar for_users: whether the certificate is one of many, and for whoever asks for its hosts: it must name
        some then, and may be outside its time, which must not stop all the others.
    :ivar shown_to_verifiers: whether who gets to see the certificate may look for a name in it.
    :ivar certificate_key: how the table calls the file of the certificate.
    :ivar key_key: how it calls that of the key.
    """

    table: str
    certificate: str = ""
    key: str = ""
    authorities: str = ""
    for_users: bool = False
    shown_to_verifiers: bool = True
    certificate_key: str = "certFile"
    key_key: str = "keyFile"

    def read(self, now: datetime) -> TlsContents:
        """What is in them now; the certificate counts with its key alone.

        :raises TransportSecurityError: something cannot be used; the text names the key and the file.
        """
        contents = TlsContents()
        if self.certificate and self.key:
            certificate = self._pem(self.certificate_key, self.certificate)
            key = self._pem(self.key_key, self.key)
            chain = read_chain(certificate)
            read_key(key, chain, self.certificate)
            self._judge(certificate, chain, now)
            contents = TlsContents(certificate=certificate, key=key, chain=tuple(chain))
        if self.authorities:
            authorities = self._pem("trustedCaFile", self.authorities)
            read_authorities(authorities, now)
            contents = evolve(contents, authorities=authorities)
        return contents

    def warnings(self, contents: TlsContents, now: datetime) -> Iterator[tuple[str, str]]:
        """What to say of files that can be used: each with the id of the known problem that it is."""
        if contents.certificate is not None:
            name = contents.certificate.name
            if end := end_warning(contents, now):
                yield f"{name} {end}", "certificate-time"
            for position, each in enumerate(contents.chain[1:], 2):
                # Some that nobody needs any more are in chains for years.
                if why := time_problem(each, now):
                    yield f"{name}: certificate {position}, of the chain, {why}", "certificate-time"
            if self.shown_to_verifiers and not is_named(contents.chain[0]):
                yield (
                    f"{name} has no subjectAltName: who verifies names cannot accept it, as the "
                    "name in its subject does not count; have it made with one (openssl req -addext "
                    "subjectAltName=DNS:HOST)",
                    "certificate-without-names",
                )
        if contents.key is not None and _is_open(self.key):
            yield (
                f"{contents.key.name} can be read by everybody on this machine: chmod o= {self.key}",
                "open-key-file",
            )

    def mark(self) -> _Mark:
        """What changes when the files do; empty if none is named."""
        return tuple(_mark_of(each) for each in (self.certificate, self.key, self.authorities) if each)

    def _judge(self, certificate: Pem, chain: Sequence[x509.Certificate], now: datetime) -> None:
        if self.for_users:
            if not is_named(chain[0], hosts_only=True):
                raise TransportSecurityError(
                    f"{certificate.name} has no host in its subjectAltName, and so it is for none; have one "
                    "made with it",
                    problem="tls-files",
                )
        elif why := time_problem(chain[0], now):
            raise TransportSecurityError(f"{certificate.name} {why}", problem=time_id(chain[0], now))

    def _pem(self, key: str, path: str) -> Pem:
        name = f"{self.table}.{key}: {path}"
        try:
            return Pem(_content(path), name)
        except OSError as error:
            what = (error.strerror or str(error)).lower()
            remedy = "let the user of this program read it" if error.errno in _DENIED else "correct the path"
            raise TransportSecurityError(
                f"{name} cannot be read: {what}; {remedy}", problem="tls-files"
            ) from error
        except ValueError as error:
            raise TransportSecurityError(f"{name} {error}", problem="tls-files") from error


class WatchedFiles(Generic[MadeT]):
    """What is made of files, and made again when they have changed.

    :param make: makes it of their contents; raises :class:`relaykit.errors.TransportSecurityError` where that
        cannot be.
    :param now: the time of day, which certificates go by.
    :ivar made: what was made last; from :meth:`open` on.
    """

    log = Logger()
    made: MadeT

    def __init__(
        self,
        files: TlsFiles,
        make: Callable[[TlsContents], MadeT],
        now: Callable[[], datetime] = _wall_clock,
    ) -> None:
        self.files = files
        self._make = make
        self._now = now
        self._contents = TlsContents()
        self._used: _Mark = ()
        """The files as they were read last."""
        self._unusable: _Mark = ()
        """The files as they could not be used at the last look."""
        self._refused: tuple[_Mark, str] = ((), "")
        """The files, and why they could not be used, as was said last."""
        self._warned_of_end = ""

    def open(self) -> None:
        """Reads the files for the first time.

        :raises TransportSecurityError: they cannot be used; the text names the key and the file.
        """
        mark = self.files.mark()
        self._use(*self._read(), mark)

    def look(self) -> bool:
        """Looks whether the files have changed; answers whether there is something new of them.

        Who writes them has time until the next look before anything is said of files that cannot be used.
        """
        mark = self.files.mark()
        if mark == self._used:
            self._warn_of_end()
            return False
        try:
            contents, made = self._read()
            self._keep_valid(contents)
        except TransportSecurityError as error:
            if mark == self._unusable and self._refused != (mark, str(error)):
                self._refused = mark, str(error)
                self.log.warn(
                    "{reason}; what was read before goes on being used",
                    reason=str(error),
                    problem=problem_of(error, "tls-files"),
                )
            self._unusable = mark
            return False
        self._use(contents, made, mark)
        return True

    def _read(self) -> tuple[TlsContents, MadeT]:
        contents = self.files.read(self._now())
        return contents, self._make(contents)

    def _keep_valid(self, contents: TlsContents) -> None:
        """Refuses a certificate outside its time in place of a valid one."""
        now = self._now()
        if contents.certificate is None or not self._contents.chain:
            return
        if self._contents.begins <= now < self._contents.ends and (why := end_problem(contents, now)):
            raise TransportSecurityError(
                f"{contents.certificate.name} {why}", problem=time_id(contents.chain[0], now)
            )

    def _use(self, contents: TlsContents, made: MadeT, mark: _Mark) -> None:
        self._contents, self.made, self._used = contents, made, mark
        self._refused = (), ""
        self._warned_of_end = end_warning(contents, self._now())
        for text, problem in self.files.warnings(contents, self._now()):
            self.log.warn("{what}", what=text, problem=problem)

    def _warn_of_end(self) -> None:
        warning = end_warning(self._contents, self._now())
        if warning and warning != self._warned_of_end and self._contents.certificate is not None:
            self.log.warn(
                "{file} {what}",
                file=self._contents.certificate.name,
                what=warning,
                problem="certificate-time",
            )
        self._warned_of_end = warning


class FileWatch:
    """Looks at files again and again, from the start to the stop.

    :param changed: is told of each of them of which there is something new.
    """

    def __init__(
        self,
        clock: IReactorTime,
        files: Sequence[WatchedFiles[MadeT]],
        changed: Callable[[WatchedFiles[MadeT]], None],
    ) -> None:
        self._clock = clock
        self._files = [each for each in files if each.files.mark()]
        self._changed = changed
        self._timer = Timer(clock, self._look)

    def start(self) -> None:
        """Looks from now on, for the first time after :data:`LOOK_S`, if there is any file."""
        if self._files:
            self._timer.set(self._clock.seconds() + LOOK_S)

    def stop(self) -> None:
        """Looks no more."""
        self._timer.set(None)

    def _look(self) -> None:
        self.start()
        for each in self._files:
            if each.look():
                self._changed(each)


def end_warning(contents: TlsContents, now: datetime) -> str:
    """What to say of the time of a certificate; empty as long as all is well."""
    if not contents.chain:
        return ""
    begins, ends = contents.begins, contents.ends
    if now < ends and now >= ends - min(SOON, (ends - begins) / _SHORT_LIFE_PART):
        return f"expires soon ({shown_time(ends)}): renew it"
    return end_problem(contents, now)


def end_problem(contents: TlsContents, now: datetime) -> str:
    """Why a certificate is not valid at this time; empty if it is."""
    return time_problem(contents.chain[0], now)


_DENIED = (errno.EACCES, errno.EPERM)


def _content(path: str) -> bytes:
    # A pipe that nobody writes to would be waited for.
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise ValueError("is no regular file: correct the path")
    with open(path, "rb") as file:
        content = file.read(MOST_FILE_BYTES + 1)
    if len(content) > MOST_FILE_BYTES:
        raise ValueError(f"has more than {MOST_FILE_BYTES} bytes: is it the right file?")
    return content


def _mark_of(path: str) -> tuple[int, ...]:
    try:
        found = os.stat(path)
        # A server that began as root finds out soon what its user may not read, rather than at a renewal.
        is_readable = os.access(path, os.R_OK)
    except OSError:
        return ()
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns, is_readable


def _is_open(path: str) -> bool:
    """Whether everybody may use a file, where modes tell it."""
    try:
        return os.name == "posix" and bool(os.stat(path).st_mode & stat.S_IRWXO)
    except OSError:
        return False

"""The local service ``static_file``: the files of a folder, for browsers and downloads."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from attrs import define, field
from zope.interface import implementer

from relaykit.blocking import call_in_thread
from relaykit.interfaces import ILocalService
from relaykit.local_services.static_file.folder import Folder
from relaykit.local_services.static_file.site import FolderSite
from relaykit.sansio.http.credentials import Credentials

if TYPE_CHECKING:
    from collections.abc import Callable

    from relaykit.interfaces import ILocalHost, IStreamLeg
    from relaykit.values import Origin

__all__ = ["StaticFile", "local_service"]


@implementer(ILocalService)
@define(eq=False)
class StaticFile:
    """Serves a folder below a prefix; ``expected`` are the credentials that users need, if any."""

    folder: Folder
    prefix: str = ""
    expected: Credentials | None = field(default=None, repr=False)
    in_thread: Callable[[Any, Callable[[], Any]], Any] = field(default=call_in_thread, repr=False)
    _site: FolderSite | None = field(default=None, init=False, repr=False)

    def serve(self, leg: IStreamLeg, origin: Origin, host: ILocalHost) -> None:
        if self._site is None:
            in_thread = partial(self.in_thread, host.reactor)
            self._site = FolderSite(self.folder, self.prefix, self.expected, host.reactor, in_thread)
        host.speak(leg, self._site)


def local_service(
    localPath: str, stripPrefix: str = "", httpUser: str = "", httpPassword: str = ""
) -> StaticFile:
    """The folder at ``localPath``; for everybody, if neither a user nor a password is given."""
    expected = None
    if httpUser or httpPassword:
        expected = Credentials(httpUser.encode(), httpPassword.encode())
    return StaticFile(Folder(localPath), stripPrefix, expected)

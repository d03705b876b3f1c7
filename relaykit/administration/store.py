"""frp's API of a client's store: what is kept beside the files, changed while the client runs.

A change is on the disk before it counts, and is taken back where it cannot count.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import evolve, frozen
from twisted.internet.defer import TimeoutError as DeadlinePassed
from twisted.logger import Logger

from relaykit.administration.calls import Answer, Call, CallFailed, json_answer
from relaykit.administration.definition_objects import definition_object, read_definition
from relaykit.administration.routes import Route
from relaykit.blocking import BlockingCall
from relaykit.config.definitions import LISTS
from relaykit.config.problems import ConfigurationProblem
from relaykit.config.store import MOST_BYTES, FileState, Store, file_state, stored
from relaykit.errors import RelaykitError
from relaykit.escaping import shown
from relaykit.replacing import remove_drafts, replace_file

if TYPE_CHECKING:
    from relaykit.client.service import RelayClient
    from relaykit.config.store import StoredDefinition

__all__ = ["MOST_DEFINITIONS", "WRITE_S", "store_routes"]

MOST_DEFINITIONS = 2000
"""Proxies and visitors that are kept, all together: each change writes them all, and reads none again."""

WRITE_S = 30.0
"""Seconds for writing the file: a disk that does not answer must not keep callers waiting for ever."""

_FOLDER_MODE = 0o755


def store_routes(client: RelayClient, reactor: Any) -> Iterator[Route]:
    """What the store of a client can be asked and told; nothing where it has none.

    :param reactor: an IReactorFromThreads.
    """
    if client.store is None:
        return
    write = _Writer(BlockingCall(reactor, WRITE_S))
    for list_name in LISTS:
        api = _StoreApi(client, write, list_name)
        path = f"/api/store/{list_name}"
        route = partial(Route, is_private=True)
        yield route(method="GET", path=path, handler=api.all)
        yield route(method="POST", path=path, handler=api.create)
        yield route(method="GET", path=f"{path}/{{name}}", handler=api.one)
        yield route(method="PUT", path=f"{path}/{{name}}", handler=api.replace)
        yield route(method="DELETE", path=f"{path}/{{name}}", handler=api.delete)


@frozen
class _Writer:
    """Writes the file of a store, and overwrites nothing that somebody else has written meanwhile."""

    _write: BlockingCall

    log = Logger()

    async def __call__(self, store: Store, seen: FileState | None) -> FileState:
        """Has a store be on the disk, in place of the file that is known so, and nothing else changed.

        :raises CallFailed: the file is as it was.
        """
        content = store.encode()
        if len(content) > MOST_BYTES:
            raise CallFailed(
                HTTPStatus.INTERNAL_SERVER_ERROR,
                f"failed to persist: the store would have more than {MOST_BYTES} bytes",
            )
        try:
            return await self._write(partial(_replace, Path(store.path), content, seen))
        except _ChangedByOthers as error:
            raise self._failed(
                store,
                "another program has changed it, or another client has the same store: relaykit reload has "
                "this client go on with what is there; give each client a store of its own",
            ) from error
        except OSError as error:
            raise self._failed(store, (error.strerror or str(error)).lower()) from error
        except DeadlinePassed as error:
            raise self._failed(store, f"not within {WRITE_S:g} seconds") from error

    def _failed(self, store: Store, reason: str) -> CallFailed:
        self.log.warn(
            "store: {path} cannot be written: {reason}; nothing was changed",
            path=store.path,
            reason=reason,
            problem="store-file",
        )
        text = f"failed to persist: {store.path}: {reason}"
        return CallFailed(HTTPStatus.INTERNAL_SERVER_ERROR, text)


@frozen
class _StoreApi:
    """The calls for one list."""

    _client: RelayClient
    _write: _Writer
    _list_name: str

    log = Logger()

    def all(self, call: Call) -> Answer:
        """All of them, by name."""
        kept = self._kept()
        return json_answer({self._list_name: [definition_object(kept[each].table) for each in sorted(kept)]})

    def one(self, call: Call) -> Answer:
        """One of them."""
        name = call.names["name"]
        found = self._kept().get(name)
        if found is None:
            raise CallFailed(HTTPStatus.NOT_FOUND, f"not found: {self._named(name)}")
        return json_answer(definition_object(found.table))

    async def create(self, call: Call) -> Answer:
        """Keeps one more."""
        definition = self._definition(call)

        def change(store: Store) -> Store:
            if definition.name in store.lists[self._list_name]:
                raise CallFailed(
                    HTTPStatus.CONFLICT, f"conflict: already exists: {self._named(definition.name)}"
                )
            if len(store) >= MOST_DEFINITIONS:
                raise CallFailed(
                    HTTPStatus.BAD_REQUEST, f"invalid argument: the store has {MOST_DEFINITIONS} at most"
                )
            return store.having(self._list_name, definition)

        await self._change(change)
        return self._changed("created", definition)

    async def replace(self, call: Call) -> Answer:
        """Keeps another one of a name."""
        definition = self._definition(call, call.names["name"])

        def change(store: Store) -> Store:
            self._check_kept(store, definition.name)
            return store.having(self._list_name, definition)

        await self._change(change)
        return self._changed("updated", definition)

    async def delete(self, call: Call) -> Answer:
        """Keeps one no more."""
        name = call.names["name"]

        def change(store: Store) -> Store:
            self._check_kept(store, name)
            return store.without(self._list_name, name)

        await self._change(change)
        self._log("deleted", name)
        return Answer()

    def _kept(self) -> Mapping[str, StoredDefinition]:
        store = self._client.store
        return {} if store is None else store.lists[self._list_name]

    async def _change(self, change: Callable[[Store], Store]) -> None:
        try:
            await self._client.keeping.change(change, self._write)
        except RelaykitError as error:
            raise CallFailed(
                HTTPStatus.INTERNAL_SERVER_ERROR, f"apply config failed: failed to apply config: {error}"
            ) from error

    def _definition(self, call: Call, name: str | None = None) -> StoredDefinition:
        """What the body defines, checked as an entry of the files is.

        :param name: that it must have.
        """
        definitions = self._client.definitions
        assert definitions is not None
        table = read_definition(call.body, self._list_name, definitions.types, name)
        checked = definitions.check(self._list_name, table, strict=False)
        if checked.unread or checked.entry is None:
            raise _bad(f"parse JSON error: {_joined(checked.unread)}")
        if checked.problems:
            raise _bad(f"invalid argument: validation error: {_joined(checked.problems)}")
        return stored(definitions, table, checked.entry)

    def _check_kept(self, store: Store, name: str) -> None:
        if name not in store.lists[self._list_name]:
            raise CallFailed(HTTPStatus.NOT_FOUND, f"not found: not found: {self._named(name)}")

    def _changed(self, what: str, definition: StoredDefinition) -> Answer:
        self._log(what, definition.name)
        return json_answer(definition_object(definition.table))

    def _log(self, what: str, name: str) -> None:
        self.log.info(
            'store: {what} {kind} "{name}"', what=what, kind=LISTS[self._list_name], name=shown(name)
        )

    def _named(self, name: str) -> str:
        return f'{LISTS[self._list_name]} "{name}"'


class _ChangedByOthers(Exception):
    """The file is not the one that was read, or written, last."""


def _replace(path: Path, content: bytes, seen: FileState | None) -> FileState:
    """Writes the file, and the folders around it; answers what it is known by from now on.

    What a link leads to is replaced, not the link.  A file that is gone is made anew.

    :raises _ChangedByOthers: it is another one than ``seen``; it is as it was.
    """
    path = path.resolve()
    with contextlib.suppress(FileNotFoundError):
        if file_state(path.stat()) != seen:
            raise _ChangedByOthers
    path.parent.mkdir(_FOLDER_MODE, parents=True, exist_ok=True)
    remove_drafts(path)
    replace_file(path, content)
    return file_state(path.stat())


def _joined(problems: tuple[ConfigurationProblem, ...]) -> str:
    """Problems in one line; the name of the proxy or visitor is known."""
    return "; ".join(str(evolve(each, subject="")) for each in problems)


def _bad(text: str) -> CallFailed:
    return CallFailed(HTTPStatus.BAD_REQUEST, text)

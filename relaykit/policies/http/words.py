"""What policies are asked, in the words of frp's plugins, and what may be changed, back in relaykit's."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from attrs import evolve, frozen

from relaykit.policy_requests import (
    HeartbeatRequest,
    LoginRequest,
    ProxyClosed,
    ProxyRequest,
    UserRequest,
    WorkConnectionRequest,
)
from relaykit.sansio.http_plugins import (
    User,
    changed_login,
    changed_proxy,
    to_close_proxy,
    to_login,
    to_new_proxy,
    to_new_user_connection,
    to_new_work_connection,
    to_ping,
)
from relaykit.sansio.wire.messages import Login, NewWorkConn, Ping
from relaykit.values import Origin

__all__ = ["Operation", "operations"]

Content = Mapping[str, Any]


def _nothing(request: Any, content: Content) -> Any:
    """Changes nothing, as frp does not either."""
    return request


@frozen
class Operation:
    """How one class of requests is asked about.

    :ivar name: frp's name of it, as in ``ops``.
    :ivar content: what is told of a request.
    :ivar changed: the request that an answer's content makes of one; raises MalformedMessage.
    """

    name: str
    content: Callable[[Any], Content]
    changed: Callable[[Any, Content], Any] = _nothing


def operations(names: Collection[str]) -> dict[type, Operation]:
    """The operations of these names, by the class of request that they are for."""
    return {kind: each for kind, each in _OPERATIONS.items() if each.name in names}


def _user(request: Any) -> User:
    return User.of(request.client.user, request.metas, request.client.run_id)


def _source(origin: Origin) -> str:
    return "" if origin.source is None else str(origin.source)


def _login(request: LoginRequest) -> Content:
    login = Login(
        version=request.version,
        hostname=request.hostname,
        os=request.os,
        arch=request.arch,
        user=request.user,
        run_id=request.client.run_id,
        client_id=request.client.client_id,
        metas=dict(request.metas),
        pool_count=request.pool_count,
    )
    return to_login(login, _source(request.origin))


def _login_changed(request: LoginRequest, content: Content) -> LoginRequest:
    login = changed_login(content)
    return evolve(request, user=login.user, metas=login.metas, pool_count=login.pool_count)


def _proxy(request: ProxyRequest) -> Content:
    return to_new_proxy(_user(request), request.name, request.type, request.fields)


def _proxy_changed(request: ProxyRequest, content: Content) -> ProxyRequest:
    return evolve(request, fields=changed_proxy(content, request.name, request.type))


def _closed(request: ProxyClosed) -> Content:
    return to_close_proxy(_user(request), request.name)


def _user_connection(request: UserRequest) -> Content:
    return to_new_user_connection(_user(request), request.proxy, request.type, _source(request.origin))


def _heartbeat(request: HeartbeatRequest) -> Content:
    return to_ping(_user(request), Ping())


def _work_connection(request: WorkConnectionRequest) -> Content:
    return to_new_work_connection(_user(request), NewWorkConn(run_id=request.client.run_id))


_OPERATIONS: Mapping[type, Operation] = {
    LoginRequest: Operation("Login", _login, _login_changed),
    ProxyRequest: Operation("NewProxy", _proxy, _proxy_changed),
    ProxyClosed: Operation("CloseProxy", _closed),
    UserRequest: Operation("NewUserConn", _user_connection),
    HeartbeatRequest: Operation("Ping", _heartbeat),
    WorkConnectionRequest: Operation("NewWorkConn", _work_connection),
}

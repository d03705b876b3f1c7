"""Users with tokens of their own, each with some ports, for a relay server."""

from __future__ import annotations

import hmac
import json
import sys
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import serverFromString
from twisted.internet.task import react
from twisted.python.log import startLogging
from twisted.web.resource import Resource
from twisted.web.server import Request, Site

USERS = {"ann": ("apple", range(6000, 6010)), "bob": ("pear", range(6010, 6020))}

Answer = dict[str, Any]

AS_IT_IS: Answer = {"reject": False, "unchange": True}


def reject(reason: str) -> Answer:
    """No, and why: the client's log has that."""
    return {"reject": True, "reject_reason": reason}


def login(content: Answer) -> Answer:
    """Only those whom it knows, with their own ``metadatas.token``."""
    token, _ = USERS.get(content.get("user", ""), ("", ()))
    given = (content.get("metas") or {}).get("token", "")
    if token and hmac.compare_digest(token.encode(), given.encode()):
        return AS_IT_IS
    return reject("no such user, or another token: see user and metadatas.token")


def new_proxy(content: Answer) -> Answer:
    """Each has its own ports, of which one without ``remotePort`` gets the first."""
    _, ports = USERS[content["user"]["user"]]
    port = content.setdefault("remote_port", ports[0])
    if content["proxy_type"] != "tcp" or port not in ports:
        return reject(f"you may have proxies of type tcp, on the ports {ports[0]} to {ports[-1]}")
    return {"reject": False, "unchange": False, "content": content}


DECIDE = {"Login": login, "NewProxy": new_proxy}


class Plugin(Resource):
    """Answers each question."""

    isLeaf = True

    def render_POST(self, request: Request) -> bytes:
        """A body with what is asked about, and one with the answer."""
        assert request.content is not None
        asked = json.load(request.content)
        request.setHeader("content-type", "application/json")
        return json.dumps(DECIDE[asked["op"]](asked["content"])).encode()


async def run(reactor: Any, port: str = "9000") -> None:
    """Until it is ended."""
    startLogging(sys.stdout)
    await serverFromString(reactor, f"tcp:{port}:interface=127.0.0.1").listen(Site(Plugin()))
    await Deferred()


if __name__ == "__main__":
    react(lambda *arguments: Deferred.fromCoroutine(run(*arguments)), sys.argv[1:])

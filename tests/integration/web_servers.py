"""Web servers of different make that tell which requests they have seen, each with its whole body."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from attrs import frozen
from twisted.trial.unittest import SkipTest

from tests.integration.programs import Program, ProgramFailed, free_port, free_ports
from tests.integration.traffic import LOOPBACK
from tests.integration.walkthrough import need, path_of

__all__ = ["WEB_SERVERS", "Make", "WebServer"]

_SEEN = "seen "

_ABSOLUTE = re.compile("^https?://[^/]*")
"""What goes before the path of an absolute target, which nginx does not tell."""

_NGINX = """\
daemon off;
user root;
pid {folder}/nginx.pid;
error_log stderr notice;
events {{}}
http {{
    log_format seen 'seen $request_method $request_uri $http_content_length';
    access_log off;
    client_body_temp_path {folder}/bodies;
    proxy_temp_path {folder}/answers;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    # The outer one reads the whole body before the inner one sees the request.
    server {{
        listen {host}:{port};
        location / {{ proxy_pass http://{host}:{inner}; }}
    }}
    server {{
        listen {host}:{inner};
        access_log /dev/stdout seen;
        location / {{ return 200 ok; }}
    }}
}}
"""

_NODE = """\
require("http").createServer((request, response) => {{
    let size = 0;
    request.on("data", (data) => size += data.length);
    request.on("end", () => {{
        console.log(`seen ${{request.method}} ${{request.url}} ${{size}}`);
        response.end("ok");
    }});
}}).listen({port}, "{host}", () => console.log("ready"));
"""

_TWISTED = """\
import sys
from twisted.internet import reactor
from twisted.web.resource import Resource
from twisted.web.server import Site

class Page(Resource):
    isLeaf = True

    def render(self, request):
        if request.method == b"CONNECT":
            request.setResponseCode(405)
            return b""
        size = len(request.content.read())
        print("seen", request.method.decode(), request.uri.decode("latin-1"), size, flush=True)
        return b"ok"

reactor.listenTCP({port}, Site(Page()), interface="{host}")
reactor.callWhenRunning(print, "ready", flush=True)
reactor.run()
"""


_GO = """\
package main

import (
    "fmt"
    "io"
    "net"
    "net/http"
)

func main() {{
    listener, err := net.Listen("tcp", "{host}:{port}")
    if err != nil {{
        panic(err)
    }}
    fmt.Println("ready")
    http.Serve(listener, http.HandlerFunc(func(answer http.ResponseWriter, request *http.Request) {{
        if request.Method == "CONNECT" {{
            answer.WriteHeader(http.StatusMethodNotAllowed)
            return
        }}
        size, err := io.Copy(io.Discard, request.Body)
        if err == nil {{
            fmt.Println("seen", request.Method, request.RequestURI, size)
            io.WriteString(answer, "ok")
        }}
    }}))
}}
"""


@frozen
class WebServer:
    """One that runs.

    :ivar port: where it listens.
    """

    program: Program
    port: int

    def stop_and_tell(self) -> Sequence[str]:
        """Ends it; answers the requests that it has seen: method, target and the length of the body."""
        self.program.stop()
        lines = [line.split() for line in self.program.output.splitlines() if line.startswith(_SEEN)]
        return [
            " ".join((method, _ABSOLUTE.sub("", target), "0" if size == "-" else size))
            for _, method, target, size in lines
        ]


def _wait_for(program: Program, text: str) -> None:
    """Waits until a program of others is ready, or skips the test where it does not run."""
    try:
        program.wait_for(text)
    except ProgramFailed as why:
        program.stop()
        raise SkipTest(f"it does not run on this machine: {why}") from why


def _start_nginx(folder: Path) -> WebServer:
    nginx = path_of("nginx")
    port, inner = free_ports(2)
    configuration = folder / "nginx.conf"
    configuration.write_text(_NGINX.format(folder=folder, host=LOOPBACK, port=port, inner=inner))
    program = Program((nginx, "-c", str(configuration)), folder)
    # It listens by then.
    _wait_for(program, "start worker process")
    return WebServer(program, port)


def _start_node(folder: Path) -> WebServer:
    need("node")
    port = free_port()
    program = Program(("node", "-e", _NODE.format(host=LOOPBACK, port=port)), folder)
    _wait_for(program, "ready")
    return WebServer(program, port)


def _start_go(folder: Path) -> WebServer:
    need("go")
    port = free_port()
    (folder / "main.go").write_text(_GO.format(host=LOOPBACK, port=port))
    # In the user's own environment, which says where Go keeps what it has compiled.
    built = subprocess.run(
        ["go", "build", "-o", "web", "main.go"], cwd=folder, capture_output=True, text=True, check=False
    )
    if built.returncode:
        raise SkipTest(f"Go builds no program on this machine: {built.stderr[:200]}")
    program = Program((str(folder / "web"),), folder)
    program.wait_for("ready")
    return WebServer(program, port)


def _start_twisted(folder: Path) -> WebServer:
    port = free_port()
    program = Program((sys.executable, "-c", _TWISTED.format(host=LOOPBACK, port=port)), folder)
    program.wait_for("ready")
    return WebServer(program, port)


@frozen
class Make:
    """Whose web server it is; ``start(folder)`` skips the test where there is none on the machine."""

    name: str
    start: Callable[[Path], WebServer]


WEB_SERVERS = (
    Make("nginx", _start_nginx),
    Make("node", _start_node),
    Make("twisted", _start_twisted),
    Make("go", _start_go),
)
"""All of them."""

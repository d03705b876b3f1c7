"""Tests for :mod:`relaykit.config.legacy.writing`."""

from __future__ import annotations

import tomllib

from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from relaykit.config.legacy.converting import read_legacy
from relaykit.config.legacy.writing import as_toml
from relaykit.config.text.documents import FormatError
from tests.config.legacy.cases import CLIENT_INI, CLIENT_TOML, SERVER_INI, SERVER_TOML
from tests.config.tables import ConfigurationTestCase

_SERVER = '[common]\nbind_port = 7001\nallow_ports = 1-5,8\nvhost_http_port = 80\ntoken = a "b" \\c\n'
_CLIENT = """
[common]
server_addr = relay.example
token = s3cret
user = anna
meta_ä b = "#1"
start = ssh, web, v, socks, files, forward, socket, on_0, on_1, on_2

[ssh]
local_port = 22
remote_port = 6000
bandwidth_limit = 1MB
[web]
type = http
custom_domains = a.example
header_X-A = b
local_port = 80
health_check_type = tcp
[range:off]
type = udp
local_port = 1-3
remote_port = 1-3
[socks]
plugin = socks5
plugin_user = u
plugin_passwd = p #;\\"p
remote_port = 6001
[files]
plugin = static_file
plugin_local_path = .
plugin_strip_prefix = pre
plugin_http_user = u
plugin_http_passwd = p
remote_port = 6002
[forward]
plugin = http_proxy
plugin_http_user = u
plugin_http_passwd = p
remote_port = 6003
[socket]
plugin = unix_domain_socket
plugin_unix_path = /run/app.sock
remote_port = 6004
[range:on]
local_port = 1-2,9
remote_port = 11-13
[v]
type = stcp
role = visitor
sk = x
server_name = s
bind_port = -1
"""

_SERVICES = ["socks", "files", "forward", "socket"]
_STARTED = ["ssh", "web", *_SERVICES, "on_0", "on_1", "on_2"]


class WritingTests(ConfigurationTestCase):
    """Tests for old files that are written anew."""

    maxDiff = None

    def test_all(self) -> None:
        """Comments and order are kept; keys have their names of today."""
        self.assertEqual(as_toml(SERVER_INI), SERVER_TOML)
        self.assertEqual(as_toml(CLIENT_INI), CLIENT_TOML)

    def test_options(self) -> None:
        """The new file gives the options that the old one gives."""
        server = self.server(_SERVER, name="frps.ini"), self.server(as_toml(_SERVER))
        client = self.client(_CLIENT, name="frpc.ini"), self.client(as_toml(_CLIENT))
        for old, new in (server, client):
            self.assertEqual(evolve(old, warnings=()), evolve(new, warnings=()))
        self.assertEqual([each.common.name for each in client[1].proxies], _STARTED)
        self.assertTrue(all(each.common.local for each in client[1].proxies if each.common.name in _SERVICES))

    def test_template(self) -> None:
        """What a template puts in stays in its words, quoted where it stands for a text."""
        text = as_toml(
            "[common]\nserver_addr = {{ .Envs.H }}\nserver_port = {{ .Envs.P }}\nuser = it's {{ .Envs.U }}\n"
        )
        self.assertEqual(
            text, "serverAddr = '{{ .Envs.H }}'\nserverPort = {{ .Envs.P }}\nuser = \"it's {{ .Envs.U }}\"\n"
        )
        loaded = self.client(text, environ={"H": "h.example", "P": "7", "U": "u"})
        self.assertEqual((loaded.config.server_port, loaded.config.user), (7, "it's u"))

    def test_statements(self) -> None:
        """Statements of a template cannot be written anew, nor lists that one makes."""
        for text, line in (
            ("[common]\n{{ if eq 1 = 2 }}\n", 2),
            ("[common]\n[{{ .Envs.NAME }}]\n", 2),
            ("[common]\nstart = {{ .Envs.S }}\n", 2),
            ("[common]\n[range:a]\nlocal_port = {{ .Envs.S }}\nremote_port = 1\n", 3),
        ):
            self.assertEqual(self.assertRaises(FormatError, as_toml, text, "client").line, line, text)

    def test_unknown(self) -> None:
        """What had no effect is named at the end, and its comment is kept."""
        text = "[common]\n# why\nfoo = 1\nbind_port = 1\n# end"
        self.assertEqual(
            as_toml(text, "server"),
            "bindPort = 1\n\n# why\n# not known, and without effect: common.foo\n# end\n",
        )
        self.assertEqual(as_toml("[common]"), "")

    @given(st.text(st.characters(exclude_characters="\n\r", exclude_categories=["Cs"]), max_size=12))
    def test_any(self, value: str) -> None:
        """Any value is the same text in the new file."""
        text = f"[common]\ntoken = {value}\nmeta_x = {value}\n"
        try:
            expected = read_legacy(text, role="client").value
            today = as_toml(text, "client")
        except FormatError:
            return
        self.assertEqual(tomllib.loads(today), expected)

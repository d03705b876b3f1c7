"""Tests for :mod:`relaykit.config.legacy.converting`."""

from __future__ import annotations

import tomllib
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from relaykit.config.legacy import converting
from relaykit.config.legacy.converting import Role, read_legacy
from relaykit.config.text.documents import Format, FormatError, dotted
from tests.config.legacy.cases import CLIENT_INI, CLIENT_TOML, SERVER_INI, SERVER_TOML
from tests.config.tables import ConfigurationTestCase

_WORDS = "[common]|[a]|[range:b]|[plugin.c]|role = visitor|type = stcp|local_port = 1-3|remote_port = 2,4,5"


class ConvertingTests(ConfigurationTestCase):
    """Tests for what old files are today."""

    def refused(self, text: str, role: Role | None = None) -> str:
        """Why a text cannot be converted."""
        error = self.assertRaises(FormatError, read_legacy, text, role=role)
        return f"{error.line}: {error.key}: {error.reason}"

    def test_all(self) -> None:
        """Every key has its value of today, and whose file it is shows in its keys."""
        for text, today in ((SERVER_INI, SERVER_TOML), (CLIENT_INI, CLIENT_TOML)):
            document = read_legacy(text)
            self.assertEqual(document.value, tomllib.loads(today))
            self.assertIs(document.format, Format.INI)
            self.assertEqual(document.ignored, ())

    def test_lines(self) -> None:
        """Errors have the line, and the name that the file has for a key."""
        text = "[common]\nserver_port = 70000\n[ssh]\nlocal_port = x\n"
        self.assertEqual(
            self.client_problems(text, name="frpc.ini"),
            [
                "frpc.ini:2: common.server_port: must be in the range 0..65535, not 70000",
                'frpc.ini:4: ssh.local_port (proxy "ssh"): must be a whole number, not the text "x"',
            ],
        )

    def test_old_format(self) -> None:
        """A file is used, and said to be old; what is not known is ignored, which is said."""
        text = "x = 1\n[common]\nbind_port = 7009\nfoo = 2\n[ssh]\n"
        loaded = self.server(text, name="frps.ini")
        self.assertEqual(loaded.config.bind_port, 7009)
        told = [str(each) for each in loaded.warnings if each.key != "auth.token"]
        self.assertEqual(
            told,
            [
                "frps.ini:1: before the first section.x: is not known here, and is ignored",
                "frps.ini:4: common.foo: is not known here, and is ignored",
                "frps.ini:5: ssh: is not known here, and is ignored",
                "frps.ini: this is an INI file of an old frp version, which frp is going to give up "
                "(relaykit migrate frps.ini prints it as TOML)",
            ],
        )

    def test_other_type(self) -> None:
        """A key of another type of proxy is ignored, too, which is said."""
        loaded = self.client(
            "[common]\n[a]\ntype = stcp\nsk = s\nlocal_port = 1\nremote_port = 2\n", name="a.ini"
        )
        self.assertEqual(
            [str(each) for each in loaded.warnings if each.line == 6],
            ['a.ini:6: a.remote_port (proxy "a"): is ignored: it is no key of this type'],
        )

    def test_included(self) -> None:
        """What an old file includes is old, too, and has proxies without a common section."""
        self.write("more/b.ini", "[b]\nlocal_port = 23\nremote_port = 24\n")
        self.write("more/c.ini", "[c]\nlocal_port = 25\nremote_port = 26\nlocal_ip\n")
        loaded = self.client(
            "[common]\nincludes = ./more/*.ini\n[a]\nlocal_port = 22\nremote_port = 1\n", name="a.ini"
        )
        self.assertEqual([each.common.name for each in loaded.proxies], ["a", "b", "c"])

    def test_template(self) -> None:
        """The template of a file is rendered before."""
        loaded = self.server("[common]\nbind_port = {{ .Envs.P }}\n", name="a.ini", environ={"P": "7003"})
        self.assertEqual(loaded.config.bind_port, 7003)

    def test_dashboard(self) -> None:
        """The dashboard of old was open to all hosts, and its certificate counted where its mode was on."""
        tls = "dashboard_tls_cert_file = c\npprof_enable = true\n"
        for text, web_server in (
            ("dashboard_port = 1\n", {"port": 1, "addr": "0.0.0.0"}),
            (f"dashboard_addr = ::1\n{tls}", {"addr": "::1"}),
            (f"dashboard_tls_mode = true\n{tls}", {"tls": {"certFile": "c"}, "pprofEnable": True}),
            ("dashboard_tls_mode = true\n", {"tls": {}}),
        ):
            value = read_legacy(f"[common]\n{text}", role="server").value
            self.assertEqual(value, {"webServer": web_server}, text)

    def test_values(self) -> None:
        """What cannot be read stays the text that it is; nothing at all is no number, list or flag."""
        for text, value in (
            ("tcp_mux = TRUE", True),
            ("tcp_mux = off", False),
            ("tcp_mux = maybe", "maybe"),
            ("tcp_mux", True),
            ("server_port = -1", -1),
            ("server_port = 0x10", "0x10"),
        ):
            found: Any = read_legacy(f"[common]\n{text}\n", role="client").value
            self.assertEqual(found.get("serverPort", found.get("transport", {}).get("tcpMux")), value, text)
        for text, names in (("a, b", ["a", "b"]), ("a,", ["a"]), ("a,,b", ["a", "", "b"])):
            found = read_legacy(f"[common]\nstart = {text}\n", role="client").value
            self.assertEqual(found, {"start": names})
        nothing = "[common]\nserver_port =\nstart =\ntcp_mux =\ntoken =\n"
        self.assertEqual(read_legacy(nothing, role="client").value, {"auth": {"token": ""}})

    def test_ranges(self) -> None:
        """Ranges of ports are of one size, and not more than there are ports."""
        ports = "[range:a]\nlocal_port = {}\nremote_port = {}\n"
        for local, remote, reason in (
            ("1-3", "1-2", "3: range:a.remote_port: has 2 ports, and local_port has 3: they must be as many"),
            ("3-1", "1", '2: range:a.local_port: the text "3-1" is not such as 6000-6010,7000'),
            ("1", "65536", '3: range:a.remote_port: the text "65536" is not such as 6000-6010,7000'),
            ("", "1", "1: range:a.local_port: must be given"),
            ("1-9,1-9", "1", "2: range:a.local_port: ranges of a file stand for 12 proxies at most"),
        ):
            self.patch(converting, "MOST_RANGED_PROXIES", 12)
            self.assertEqual(self.refused(ports.format(local, remote)), reason)

    def test_refused(self) -> None:
        """What says who may come in, or what a section is, is not guessed."""
        self.assertEqual(
            self.refused("[common]\n[a]\nrole = zz\n"),
            '3: a.role: role must be "server" or "visitor", not the text "zz"',
        )
        self.assertEqual(
            self.refused("[common]\nallow_ports = x\n", "server"),
            '2: common.allow_ports: the text "x" is not such as 6000-6010,7000',
        )

    @given(st.lists(st.sampled_from(_WORDS.split("|")), max_size=12))
    def test_any(self, lines: list[str]) -> None:
        """Sections in any order are converted, or refused with a line; every key of today has its line."""
        for role in (None, "server", "client"):
            try:
                document = read_legacy("\n".join(lines), role=role)
            except FormatError as error:
                self.assertIsNotNone(error.line)
                continue
            for path in document.lines:
                self.assertGreater(document.line_of(path) or 0, 0, dotted(path))

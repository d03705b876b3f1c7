from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relaykit.config.text.legacy import is_legacy


class LegacyTests(SynchronousTestCase):
    """Tests for the recognition of INI files."""

    def test_recognized(self) -> None:
        """INI throughout with a section [common] is an INI file, whatever else it could be."""
        for text in (
            "[common]\n",
            "[common]\r\nbind_port = 7000\r\n",
            "; comment\n# comment\n  [common]\nbind_port: 7000\n",
            'bindPort = 7000\n[common]\nx = "a"\n',
            '{"a": 1}\n[common]\n',
            "a = one \\\n two without delimiter\n[common]\n",
            'a = """one\ntwo\n"""\n[common]\n',
            '"a:b" = 1\n[common]\n',
            "[ssh]\ntype = tcp\n[common]\n",
        ):
            self.assertTrue(is_legacy(text), text)

    def test_not_recognized(self) -> None:
        """Another section, a commented one, or one line that is no INI makes it none."""
        for text in (
            "",
            "bindPort = 7000\n",
            "[ common ]\nzz = 1\n",
            "[Common]\n",
            "[common.sub]\n",
            "[[common]]\n",
            "# [common]\nbindPort = 1\n",
            "x\n[common]\n",
            "= 5\n[common]\n",
            'start = [\n"a:b",\n"c" ]\n[common]\n',
            "allowPorts = [\n]\n[common]\n",
            'bindAddr = """\n[common]\n"""\n',
            'a = """never ends\n[common]\n',
            "common:\n  a: 1\n",
            "[common\n",
            '"""a = b\n[common]\n',
            '"open = 1\n[common]\n',
        ):
            self.assertFalse(is_legacy(text), text)

    @given(st.text(alphabet='[]common="`\\\n :#;a', max_size=40))
    def test_junk(self, text: str) -> None:
        """Any text is one or the other."""
        self.assertIn(is_legacy(text), (True, False))

"""Tests for :mod:`relaykit.config.store`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from relaykit.config.definitions import Source
from relaykit.config.problems import ConfigurationProblems
from relaykit.config.store import MOST_BYTES, Store, read_store, store_path, stored
from relaykit.plugins import ProxyTypes
from tests.config.tables import ConfigurationTestCase
from tests.config.test_canonical import definitions

_FILE = 'auth.token = "s"\nstore.path = "store.json"\n'
_SSH = {"name": "ssh", "type": "tcp", "localPort": 22, "remotePort": 6000}
_VISITOR = {"name": "v", "type": "stcp", "serverName": "s", "secretKey": "hush", "bindPort": 9}


class StoreTests(ConfigurationTestCase):
    """Tests for what is kept beside the files."""

    types = ProxyTypes.installed()

    def kept(self, value: Any) -> str:
        """Writes the file of the store."""
        return self.write("store.json", value if isinstance(value, bytes) else json.dumps(value))

    def problem(self, value: Any) -> tuple[str, str]:
        """Where it is wrong, and how."""
        path = self.kept(value)
        error = self.assertRaises(ConfigurationProblems, read_store, path, definitions())
        (problem,) = error.problems
        self.assertEqual(problem.file, path)
        self.assertTrue(problem.hint)
        return problem.key, problem.what

    def test_missing(self) -> None:
        """Where there is no file yet, nor its folder, nothing is kept."""
        store = read_store(str(Path(self.directory, "no", "store.json")), definitions())
        self.assertEqual((len(store), store.encode()), (0, b"{}"))

    def test_read(self) -> None:
        """Proxies and visitors are read, of all types; unknown keys are not minded."""
        bell = {"name": "b", "type": "knock", "secretKey": "s", "zz": 1}
        store = read_store(
            self.kept({"proxies": [_SSH, bell], "visitors": [_VISITOR], "z": 1}), definitions()
        )
        self.assertEqual(len(store), 3)
        self.assertEqual([each.common.name for each in store.proxies(definitions().config)], ["ssh", "b"])
        (visitor,) = store.visitors(definitions().config)
        self.assertIs(visitor.source, Source.STORE)
        self.assertNotIn("hush", repr(store))

    def test_written(self) -> None:
        """It is written in frp's form, and read the same again."""
        store = read_store(self.kept({"visitors": [_VISITOR], "proxies": [_SSH]}), definitions())
        written = store.encode()
        self.assertTrue(written.startswith(b'{\n  "proxies": [\n    {\n      "name": "ssh",'))
        self.assertEqual(list(json.loads(written)), ["proxies", "visitors"])
        again = read_store(self.kept(written), definitions())
        self.assertEqual(again.encode(), written)

    def test_damaged(self) -> None:
        """A file that makes no sense is told of, with where and what to do."""
        self.assertIn("is no JSON", self.problem(b"")[1])
        self.assertIn("is no JSON", self.problem(b'{"proxies": [{"na')[1])
        self.assertIn("is no JSON", self.problem(b"[" * 100_000)[1])
        self.assertIn("must be an object", self.problem([])[1])
        self.assertIn("more than", self.problem(b" " * (MOST_BYTES + 1))[1])
        for value, key, what in (
            ({"proxies": 5}, "proxies", "must be a list"),
            ({"proxies": [5]}, "proxies[0]", "must be an object"),
            ({"proxies": [_SSH, {"type": "tcp"}]}, "proxies[1].name", "must be given"),
            ({"proxies": [{**_SSH, "type": "zzz"}]}, "proxies[0].type", 'unknown proxy type "zzz"'),
            (
                {"visitors": [{**_VISITOR, "bindPort": 0}]},
                "visitors[0].bindPort",
                "must be given; -1 opens no port",
            ),
            (
                {"proxies": [{**_SSH, "localPort": "x"}]},
                "proxies[0].localPort",
                'must be a whole number, not the text "x"',
            ),
        ):
            self.assertEqual(self.problem(value), (key, what))

    def test_unreadable(self) -> None:
        """So is one that cannot be read."""
        error = self.assertRaises(ConfigurationProblems, read_store, self.directory, definitions())
        self.assertIn("cannot be read", str(error))

    def test_switched_off(self) -> None:
        """What is off, or not among those that are to be started, is kept and need not be right."""
        off = {"name": "off", "type": "http", "enabled": False}
        store = read_store(self.kept({"proxies": [_SSH, off]}), definitions())
        self.assertEqual(len(store), 2)
        self.assertEqual([each.common.name for each in store.proxies(definitions().config)], ["ssh"])
        self.write("frpc.toml", "")
        self.kept({"proxies": [{"name": "http", "type": "http"}]})
        loaded = self.client('start = ["other"]\n' + _FILE)
        self.assertEqual(loaded.proxies, ())

    def test_twice(self) -> None:
        """Of two with one name the last counts."""
        store = read_store(self.kept({"proxies": [_SSH, {**_SSH, "remotePort": 1}]}), definitions())
        self.assertEqual(json.loads(store.encode())["proxies"][0]["remotePort"], 1)

    def test_changes(self) -> None:
        """A change makes another store."""
        read = definitions()
        checked = read.check("proxies", _SSH)
        assert checked.entry is not None
        empty = Store("/store.json")
        store = empty.having("proxies", stored(read, _SSH, checked.entry))
        self.assertEqual((len(empty), len(store), len(store.without("proxies", "ssh"))), (0, 1, 0))
        self.assertEqual(len(store.without("visitors", "ssh")), 1)

    def test_path(self) -> None:
        """Its path is relative to the folder of the configuration."""
        self.assertEqual(store_path("/etc/relaykit/frpc.toml", "s.json"), "/etc/relaykit/s.json")
        self.assertEqual(store_path("/etc/relaykit/frpc.toml", "/var/s.json"), "/var/s.json")

    def test_merged(self) -> None:
        """What is kept is started beside the files' own, and comes before those of the same name."""
        self.kept({"proxies": [_SSH, {"name": "b", "type": "tcp", "localPort": 1}], "visitors": [_VISITOR]})
        text = (
            '[[proxies]]\nname = "ssh"\ntype = "udp"\nlocalPort = 53\n[[proxies]]\nname = "c"\ntype = "tcp"\n'
        )
        loaded = self.client(_FILE + text)
        found = {each.common.name: (each.type_name, each.source) for each in loaded.proxies}
        self.assertEqual(
            found, {"ssh": ("tcp", Source.STORE), "c": ("tcp", Source.FILE), "b": ("tcp", Source.STORE)}
        )
        self.assertEqual([each.common.name for each in loaded.visitors], ["v"])
        assert loaded.store is not None
        back = loaded.with_store(loaded.store.without("proxies", "ssh"))
        self.assertEqual(
            {each.common.name: each.type_name for each in back.proxies},
            {"ssh": "udp", "c": "tcp", "b": "tcp"},
        )
        bare = self.client(_FILE + text, stored=False)
        self.assertEqual((len(bare.proxies), bare.store), (2, None))

    def test_switched_off_hides_nothing(self) -> None:
        """One that is off does not take the place of the file's."""
        self.kept({"proxies": [{**_SSH, "enabled": False}]})
        (proxy,) = self.client(_FILE + '[[proxies]]\nname = "ssh"\ntype = "udp"\nlocalPort = 53\n').proxies
        self.assertEqual(proxy.type_name, "udp")

    def test_named_visitors(self) -> None:
        """A visitor of the file may fall back to one of the store."""
        text = '[[visitors]]\nname = "x"\ntype = "xtcp"\nserverName = "s"\nsecretKey = "k"\nbindPort = 8\n'
        text += 'fallbackTo = "v"\n'
        self.assertEqual(
            [each.key for each in self.client(_FILE + text).warnings], ["visitors[0].fallbackTo"]
        )
        self.assertEqual(self.client(_FILE + text, stored=False).warnings, (), "nobody can tell")
        self.kept({"visitors": [_VISITOR]})
        self.assertEqual(self.client(_FILE + text).warnings, ())

    def test_problems(self) -> None:
        """What is wrong with the file and with the store is told at once."""
        self.kept({"proxies": [{**_SSH, "localPort": -5}]})
        problems = self.client_problems(_FILE + "nope = 1\n")
        self.assertEqual(["nope" in problems[0], "localPort" in problems[1], len(problems)], [True, True, 2])

    def test_warnings_stay(self) -> None:
        """Where it is damaged, the file is warned of all the same."""
        self.kept(b"")
        error = self.assertRaises(
            ConfigurationProblems, self.client, "webServer.pprofEnable = true\n" + _FILE
        )
        self.assertEqual([each.key for each in error.warnings], ["webServer.pprofEnable"])

    def test_read_again(self) -> None:
        """Beside other files, what is kept is read as they say; what cannot be started then is told of."""
        store = read_store(self.kept({"proxies": [_SSH]}), definitions())
        other = definitions()
        other = evolve(other, config=self.client('auth.token = "s"\nstart = ["b"]\n').config)
        self.assertEqual(list(store.read_again(other).proxies(other.config)), [])

    @given(st.binary(max_size=300))
    def test_junk(self, content: bytes) -> None:
        """Whatever the file has, it is a store, or told of."""
        path = self.kept(content)
        try:
            self.assertEqual(len(read_store(path, definitions())), 0)
        except ConfigurationProblems as error:
            self.assertTrue(all(each.file == path for each in error.problems))

    def test_cut(self) -> None:
        """A file that was cut anywhere is told of, never taken for less than was kept."""
        whole = read_store(self.kept({"proxies": [_SSH], "visitors": [_VISITOR]}), definitions()).encode()
        for end in range(0, len(whole) - 2, 7):
            self.assertRaises(ConfigurationProblems, read_store, self.kept(whole[:end]), definitions())

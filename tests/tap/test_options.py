"""Tests for the options of the daemons."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from twisted.python.usage import UsageError
from twisted.scripts._twistd_unix import ServerOptions
from twisted.trial.unittest import SynchronousTestCase

from relaykit.assembly import RoleFiles, ServerAssembly, with_absolute_paths
from relaykit.config.load import server_from_table
from relaykit.config.problems import ConfigurationProblem, ConfigurationProblems
from relaykit.plugins import ProxyTypes
from relaykit.tap.options import RoleOptions
from relaykit.values import Secret


class Options(RoleOptions):
    """Options of a server; ``files`` are what was read, ``error`` is raised then."""

    files: RoleFiles
    error: Exception | None = None

    def read(self, files: RoleFiles) -> ServerAssembly:
        self.files = files
        if self.error is not None:
            raise self.error
        types = ProxyTypes.installed()
        loaded = server_from_table(
            {
                "auth": {"token": "s"},
                "transport": {"tls": {"certFile": "a.crt", "keyFile": "/k"}},
                "vhostHTTPSPort": 8443,
                "vhostHTTPSCertificates": [{"certFile": "b.crt", "keyFile": "/k"}],
                "stateDir": "kept",
            },
            types=types,
        )
        return ServerAssembly(loaded=loaded, token=Secret("s"), types=types, state=None)


class RoleOptionsTests(SynchronousTestCase):
    """Tests for :class:`RoleOptions`."""

    def options(self, line: str) -> Options:
        """The options that these words are."""
        options = Options()
        options.parseOptions(line.split())
        return options

    def files(self, line: str) -> RoleFiles:
        """What these words read."""
        return self.options(line).files

    def refusal(self, line: str, error: Exception | None = None) -> str:
        """Why these words are refused."""
        options = Options()
        options.error = error
        return str(self.assertRaises(UsageError, options.parseOptions, line.split()))

    def test_defaults(self) -> None:
        """A configuration file is read strictly, and nothing else is said."""
        files = self.files("-c relay.toml")
        self.assertEqual(
            (files.config, files.strict, list(files.allow_unsafe), files.state_dir, files.token_file),
            ("relay.toml", True, [], "", ""),
        )

    def test_all(self) -> None:
        """Each option has its place."""
        files = self.files(
            "--config relay.toml --strict-config=false --allow-unsafe TokenSourceExec,X "
            "--state-dir s --token-file t"
        )
        self.assertEqual(
            (files.config, files.strict, list(files.allow_unsafe), files.state_dir, files.token_file),
            ("relay.toml", False, ["TokenSourceExec", "X"], "s", "t"),
        )

    def test_paths(self) -> None:
        """Files that are read later are named from the root: a daemon changes its folder."""
        options = Options()
        options.parseOptions(["-c", "relay.toml"])
        tls = options["assembly"].loaded.config.transport.tls
        self.assertEqual((tls.cert_file, tls.key_file), (os.path.abspath("a.crt"), "/k"))
        http: Any = options["assembly"].loaded.ingress_options["http"]
        (pair,) = http.vhost_https_certificates
        self.assertEqual((pair.cert_file, pair.key_file), (os.path.abspath("b.crt"), "/k"))
        self.assertEqual(options["assembly"].loaded.config.state_dir, "kept")

    def test_log(self) -> None:
        """Under twistd the log of the file is opened; a file that cannot be is told on the terminal."""
        self.assertIsNone(self.options("-c relay.toml")["log"])
        program = ServerOptions()
        path = Path(self.mktemp()).absolute()
        program.update({"nodaemon": True, "logfile": str(path)})
        options = Options()
        options.parent = program
        options.parseOptions(["-c", "relay.toml"])
        self.assertTrue(path.exists())
        program["logfile"] = "/dev/null/x.log"
        error = self.assertRaises(UsageError, options.parseOptions, ["-c", "relay.toml"])
        self.assertIn("cannot log to /dev/null", str(error))

    def test_strictness(self) -> None:
        """Whether unknown keys are refused is said as on the command line of relaykit."""
        self.assertTrue(self.files("-c relay.toml --strict-config=true").strict)
        self.assertIn("true or false", self.refusal("-c relay.toml --strict-config=maybe"))

    def test_nothing_named(self) -> None:
        """A configuration without files is as it was."""
        loaded = server_from_table({"auth": {"token": "s"}}, types=ProxyTypes.installed())
        self.assertEqual(with_absolute_paths(loaded, os.getcwd()), loaded)

    def test_no_file(self) -> None:
        """A configuration file is needed."""
        self.assertEqual(self.refusal(""), "a configuration file is needed: -c FILE")

    def test_problems(self) -> None:
        """Every problem of the files is told before anything becomes a daemon."""
        problems = [ConfigurationProblem(what=what, key="k") for what in ("is odd", "is bad")]
        text = self.refusal("-c relay.toml", ConfigurationProblems(problems))
        self.assertEqual(text, "k: is odd\nk: is bad")

"""The configuration files of which it was recorded what frp says to them."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import frozen
from twisted.trial.unittest import SynchronousTestCase

from relaykit.config.problems import ConfigurationProblem
from tests.config.cases import Case, Verdict, blames, builtin_types, cases


@frozen
class Deviation:
    """A rule by which relaykit refuses files that frp takes: why, how it is worded, and which they are.

    ``key`` is the end of the path of the key that relaykit blames.
    """

    reason: str
    what: str
    key: str
    ids: str

    def explains(self, problem: ConfigurationProblem) -> bool:
        """Whether it is why there is this problem."""
        before, _, after = self.what.partition("{}")
        return before in problem.what and problem.what.endswith(after) and problem.key.endswith(self.key)


DEVIATIONS = (
    Deviation(
        "numbers that cannot work are mistakes; frp finds that out once they are used, if ever",
        "must be in the range {}",
        "",
        "c427 c429 c454 c455 c508 c509 c521 c611",
    ),
    Deviation(
        "so are those beyond the greatest, where less than nothing means off",
        "must be at most {}",
        "",
        "c150 c627 c617 c622",
    ),
    Deviation("so are ranges of ports that allow none", "{}", "", "c127"),
    Deviation(
        "in INI files, frp takes what is no number for the default, and with it ports that nobody meant",
        "must be a whole number, not the text {}",
        "_port",
        "c078 c093 c686 c710",
    ),
    Deviation(
        "there it allows all ports, where it cannot read which",
        "{} is not such as 6000-6010,7000",
        "allow_ports",
        "c691 c692",
    ),
    Deviation(
        "there it leaves out a plugin that it does not know", "unknown plugin type {}", "plugin", "c703"
    ),
    Deviation(
        "a secret service without a key is open to everybody",
        "must be given, and not be empty{}",
        "secretKey",
        "c218 c234 c247 c248 c249 c587 c588 c589 c616 c617 c621 c622 c626 c627 c630 c631",
    ),
    Deviation(
        "a host that cannot be one would fail at its first use", "must be a host", "", "c536 c569 c574"
    ),
    Deviation(
        "a plugin that is nowhere would be found out when the first client comes",
        "names no host{}",
        "].addr",
        "c171",
    ),
    Deviation(
        "a gate that is not there would be found out at the start",
        "unrecognized feature gate: {}",
        "featureGates",
        "c475",
    ),
    Deviation(
        "a visitor that leads nowhere would be found out once it runs",
        "destinationIP is required{}",
        "plugin.destinationIP",
        "c218 c248",
    ),
    Deviation(
        "so would one that leads to no address",
        "invalid destination IP address {}",
        "plugin.destinationIP",
        "c631",
    ),
    Deviation(
        "nobody could log in, and frps ends at its start",
        "must be the URL of the provider{}",
        "auth.oidc.issuer",
        "c418",
    ),
    Deviation(
        "a proxy that cannot be used would be found out when the server is dialed",
        "must begin with one of {}",
        "transport.proxyURL",
        "c476",
    ),
    Deviation(
        "a name server that is named cannot be asked, not even for its own name",
        '"nonsense" must be an IP address{}',
        "dnsServer",
        "c477",
    ),
    Deviation(
        "the server would be dialed from another address than the file says",
        '"x" must be an IP address{}',
        "transport.connectServerLocalIP",
        "c478",
    ),
)
"""Every case in which frp takes a file and relaykit does not."""

TAKEN = ("c040", "c474", "c653", "c697")
"""Files that frp refuses and relaykit takes: TOML after a byte-order mark, a virtual network whose gate is
open, an INI file that one of TOML includes, and functions in the template of an INI file.
"""


class CaseTests(SynchronousTestCase):
    """Tests for the verdict on each recorded file, and for who is blamed."""

    cases: Mapping[str, Case] = {case.id: case for case in cases()}
    verdicts: Mapping[str, Verdict] = {}

    def setUp(self) -> None:
        """Asks relaykit once for all tests."""
        if not self.verdicts:
            types = builtin_types()
            verdicts = {}
            for case in self.cases.values():
                directory = self.mktemp()
                case.write(directory)
                verdicts[case.id] = case.ask(types, directory)
            type(self).verdicts = verdicts

    def test_count(self) -> None:
        """None of the recorded cases is missing."""
        self.assertEqual(len(self.cases), 817)

    def test_verdicts(self) -> None:
        """Every file gets frp's verdict, except for those in the table of deviations."""
        different = {
            id for id, verdict in self.verdicts.items() if verdict.exit_status != self.cases[id].exit_status
        }
        allowed = {id for deviation in DEVIATIONS for id in deviation.ids.split()}
        self.assertEqual(different, allowed | set(TAKEN))

    def test_deviations(self) -> None:
        """A file that frp takes and relaykit does not is refused for the reasons in the table alone."""
        reasons: dict[str, list[Deviation]] = {}
        for deviation in DEVIATIONS:
            for id in deviation.ids.split():
                reasons.setdefault(id, []).append(deviation)
        for id, deviations in reasons.items():
            self.assertEqual(self.cases[id].exit_status, 0, id)
            problems = self.verdicts[id].problems
            for problem in problems:
                self.assertTrue(any(each.explains(problem) for each in deviations), f"{id}: {problem}")

    def test_blamed(self) -> None:
        """What frp's words blame in a refused file is blamed by relaykit too, every line of them."""
        missed: list[str] = []
        asked = 0
        for case in self.cases.values():
            if case.exit_status == 0 or case.id in TAKEN:
                continue
            problems = self.verdicts[case.id].problems
            for blame in blames(case):
                asked += 1
                if not any(blame.fits(problem, case.main) for problem in problems):
                    told = "\n    ".join(str(problem) for problem in problems)
                    missed.append(f"{case.id}: {blame.text}\n    {told}")
        self.assertEqual(missed, [])
        self.assertGreater(asked, 500)

    def test_warnings(self) -> None:
        """What frp warns about is warned about, key by key."""
        for case in self.cases.values():
            for line in case.output.partition("WARNING: ")[2].splitlines():
                key, invalid, _ = line.partition(" is invalid when ")
                if invalid:
                    warned = [warning.key for warning in self.verdicts[case.id].warnings]
                    self.assertIn(key, warned, case.id)

    def test_places(self) -> None:
        """Every problem names its file, and a line wherever the text could be parsed and has one."""
        for case in self.cases.values():
            for problem in self.verdicts[case.id].problems:
                self.assertNotEqual(problem.file, "", case.id)
                if problem.key:
                    self.assertIsNotNone(problem.line, f"{case.id}: {problem}")

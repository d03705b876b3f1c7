"""Tests for the command line grammar."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relaykit.flags.flag_types import BOOLEAN, INTEGER, LIST, MAPPING, TEXT
from relaykit.flags.grammar import (
    Call,
    Command,
    CommandLineError,
    Flag,
    Help,
    UnknownCommand,
    flags_of,
    parse,
    path_text,
)

LEAF = Command("visitor", "a leaf", action="m:leaf", flags=(Flag("bind_port", INTEGER, "", default=0),))
PUBLISH = Command(
    "publish",
    "one with a child",
    action="m:publish",
    flags=(
        Flag("names", LIST, "", default=("x",)),
        Flag("labels", MAPPING, "", default={}),
        Flag("proxy_name", TEXT, "", default="", short="n"),
    ),
    persistent=(Flag("server_addr", TEXT, "", default="127.0.0.1", short="s"),),
    children=(LEAF,),
)
STRICT = Command("strictly", "takes one word", action="m:strictly", most_arguments=1)
GROUP = Command("group", "only a group", children=(Command("inner", "", action="m:inner"),))
ROOT = Command(
    "tool",
    "the tool",
    action="m:root",
    persistent=(
        Flag("config", TEXT, "", default="./tool.ini", short="c"),
        Flag("version", BOOLEAN, "", default=False, short="v"),
        Flag("quiet", BOOLEAN, "", default=True, short="q"),
    ),
    children=(PUBLISH, STRICT, GROUP, Command("help", "")),
)


class ParseTests(SynchronousTestCase):
    """Tests for :func:`parse`."""

    def call(self, *words: str) -> Call:
        """The call that these words are."""
        found = parse(ROOT, words)
        assert isinstance(found, Call), found
        return found

    def refusal(self, *words: str) -> str:
        """Why these words are refused."""
        with self.assertRaises(CommandLineError) as caught:
            parse(ROOT, words)
        return str(caught.exception)

    def test_nothing(self) -> None:
        """Without words the root is called, with the defaults."""
        call = self.call()
        self.assertEqual(path_text(call.path), "tool")
        self.assertEqual((call["config"], call["version"], call["quiet"]), ("./tool.ini", False, True))
        self.assertEqual(call.given, frozenset())

    def test_forms_of_a_value(self) -> None:
        """A value is the next word, or follows an equals sign, or the letter itself."""
        for words in (["--config", "f"], ["--config=f"], ["-c", "f"], ["-cf"], ["-c=f"]):
            call = self.call(*words)
            self.assertEqual(call["config"], "f", words)
            self.assertEqual(call.given, frozenset({"config"}))

    def test_equals_sign_alone(self) -> None:
        """``-c=`` is the value ``=``, while ``--config=`` is an empty one."""
        self.assertEqual(self.call("-c=")["config"], "=")
        self.assertEqual(self.call("--config=")["config"], "")

    def test_booleans_take_no_word(self) -> None:
        """A boolean flag leaves the next word alone."""
        call = self.call("strictly", "--quiet", "false")
        self.assertIs(call["quiet"], True)
        self.assertEqual(call.arguments, ("false",))
        self.assertIs(self.call("--quiet=false")["quiet"], False)

    def test_letters_together(self) -> None:
        """Boolean letters can be joined, and a last one may take a value."""
        call = self.call("strictly", "-vqc", "f")
        self.assertEqual((call["version"], call["quiet"], call["config"]), (True, True, "f"))

    def test_underscores_are_dashes(self) -> None:
        """A name is the same with underscores and with dashes."""
        for name in ("--server_addr", "--server-addr"):
            self.assertEqual(self.call("publish", name, "h")["server-addr"], "h")

    def test_flags_anywhere(self) -> None:
        """Flags of the root and of the command stand before and after its name."""
        for words in (
            ["-n", "a", "publish", "-c", "f"],
            ["publish", "-c", "f", "-n", "a"],
            ["-c", "f", "publish", "-n", "a"],
        ):
            call = self.call(*words)
            self.assertEqual(
                (path_text(call.path), call["proxy-name"], call["config"]), ("tool publish", "a", "f")
            )

    def test_children(self) -> None:
        """A child takes the persistent flags of its parents, not their own ones."""
        call = self.call("publish", "visitor", "-s", "h", "--bind_port", "5", "-c", "f")
        self.assertEqual(path_text(call.path), "tool publish visitor")
        self.assertEqual((call["server-addr"], call["bind-port"], call["config"]), ("h", 5, "f"))
        self.assertEqual(
            self.refusal("publish", "visitor", "--proxy_name", "a"), "unknown flag: --proxy_name"
        )

    def test_values_are_no_commands(self) -> None:
        """The value of a flag is not taken for a command, even where it has a command's name."""
        call = self.call("-c", "publish", "strictly")
        self.assertEqual((path_text(call.path), call["config"]), ("tool strictly", "publish"))

    def test_end_of_flags(self) -> None:
        """After ``--`` every word is an argument."""
        call = self.call("strictly", "--", "-c")
        self.assertEqual(call.arguments, ("-c",))
        self.assertEqual(call["config"], "./tool.ini")

    def test_a_dash_is_a_word(self) -> None:
        """A single dash is an argument."""
        self.assertEqual(self.call("strictly", "-").arguments, ("-",))

    def test_repeated(self) -> None:
        """The last of several values counts, lists are joined, maps merged."""
        self.assertEqual(self.call("-c", "a", "-c", "b")["config"], "b")
        call = self.call(
            "publish", "--names", "a,b", "--names", "c", "--labels", "k=1,l=2", "--labels", "k=3"
        )
        self.assertEqual(call["names"], ("a", "b", "c"))
        self.assertEqual(call["labels"], {"k": "3", "l": "2"})
        self.assertEqual(self.call("publish")["names"], ("x",))

    def test_refusals(self) -> None:
        """What does not fit is told in frp's words."""
        for words, text in (
            (["--foo_bar=1"], "unknown flag: --foo_bar"),
            (["--CONFIG", "f"], "unknown flag: --CONFIG"),
            (["--conf", "f"], "unknown flag: --conf\n\nDid you mean this?\n\t--config\n"),
            (["-vx"], "unknown shorthand flag: 'x' in -x"),
            (["--config"], "flag needs an argument: --config"),
            (["-c"], "flag needs an argument: 'c' in -c"),
            (["-vc"], "flag needs an argument: 'c' in -c"),
            (["---x"], "bad flag syntax: ---x"),
            (["--=x"], "bad flag syntax: --=x"),
            (
                ["--quiet=maybe"],
                'invalid argument "maybe" for "-q, --quiet" flag: it is neither true nor false',
            ),
            (
                ["publish", "visitor", "--bind_port", "x"],
                'invalid argument "x" for "--bind-port" flag: it is not a whole number',
            ),
        ):
            self.assertEqual(self.refusal(*words), text, words)

    def test_words_after_joined_letters(self) -> None:
        """On the root, the word after joined letters is taken for a command, as frp does."""
        self.assertEqual(self.refusal("-vc", "f"), 'unknown command "f" for "tool"')

    def test_first_bad_value_is_told(self) -> None:
        """A good value later does not repair a bad one."""
        self.assertIn('"x"', self.refusal("publish", "visitor", "--bind_port", "x", "--bind_port", "1"))

    def test_unknown_command(self) -> None:
        """A word that names no command of the root is refused, and what is close is suggested."""
        self.assertEqual(self.refusal("foo"), 'unknown command "foo" for "tool"')
        self.assertEqual(
            self.refusal("publsh", "-c", "f"),
            'unknown command "publsh" for "tool"\n\nDid you mean this?\n\tpublish\n',
        )
        self.assertIn("\tstrictly\n", self.refusal("stricly"))
        self.assertRaises(UnknownCommand, parse, ROOT, ["--version", "foo"])

    def test_help_is_never_suggested(self) -> None:
        """The command ``help`` is not offered for a typing error."""
        self.assertNotIn("mean", self.refusal("hepl"))

    def test_words_beside_commands(self) -> None:
        """Below the root, further words are arguments, as many as the command takes."""
        self.assertEqual(self.call("publish", "foo", "visitor").arguments, ("foo", "visitor"))
        self.assertEqual(self.refusal("strictly", "a", "b"), 'unexpected argument "b" for "tool strictly"')

    def test_help(self) -> None:
        """Help is asked for by flag, by command, or by naming a mere group."""
        for words, path in (
            (["-h"], (ROOT,)),
            (["publish", "--help"], (ROOT, PUBLISH)),
            (["-h", "publish"], (ROOT, PUBLISH)),
            (["help"], (ROOT,)),
            (["help", "publish", "visitor"], (ROOT, PUBLISH, LEAF)),
            (["help", "publish", "nosuch"], (ROOT, PUBLISH)),
            (["group"], (ROOT, GROUP)),
            (["group", "nosuch"], (ROOT, GROUP)),
        ):
            self.assertEqual(parse(ROOT, words), Help(path), words)

    def test_help_for_nothing(self) -> None:
        """A topic that is no command is told."""
        self.assertEqual(parse(ROOT, ["help", "nosuch"]), Help((ROOT,), unknown=("nosuch",)))

    def test_errors_before_help(self) -> None:
        """A flag that does not exist is refused, help wanted or not."""
        for words in (["-h", "--foo"], ["--foo", "-h"]):
            self.assertEqual(self.refusal(*words), "unknown flag: --foo")

    @given(
        st.lists(
            st.one_of(
                st.sampled_from(
                    ["publish", "visitor", "help", "group", "--", "-", "-c", "-vc", "--quiet", "-h"]
                ),
                st.text(max_size=4),
                st.text(max_size=4).map("--".__add__),
            ),
            max_size=6,
        )
    )
    def test_junk(self, words: list[str]) -> None:
        """Any words are a call, a wish for help, or refused."""
        try:
            self.assertIsInstance(parse(ROOT, words), (Call, Help))
        except CommandLineError as error:
            self.assertTrue(str(error))


class FlagsOfTests(SynchronousTestCase):
    """Tests for :func:`flags_of`."""

    def test_order_and_owner(self) -> None:
        """Own flags, help among them, and inherited ones are apart, by name."""
        own, inherited = flags_of((ROOT, PUBLISH, LEAF))
        self.assertEqual([flag.name for flag in own], ["bind_port", "help"])
        self.assertEqual([flag.name for flag in inherited], ["config", "quiet", "server_addr", "version"])

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relaykit.config.template.lexing import Kind, tokens
from relaykit.config.template.source import Source, TemplateError


def lex(text: str) -> list[tuple[Kind, str]]:
    """The kinds and texts of a template's tokens."""
    return [(token.kind, token.text) for token in tokens(Source(text))]


class LexingTests(SynchronousTestCase):
    """Tests for the tokens of a template."""

    def test_kinds(self) -> None:
        """Every kind of token is recognized, fields with what they belong to."""
        self.assertEqual(
            lex('a{{ if $x.B := .A.B | f `r` "s" -15 . (nil).First }}b'),
            [
                (Kind.TEXT, "a"),
                (Kind.LEFT, "{{"),
                (Kind.NAME, "if"),
                (Kind.VARIABLE, "$x.B"),
                (Kind.MARK, ":="),
                (Kind.FIELD, ".A.B"),
                (Kind.MARK, "|"),
                (Kind.NAME, "f"),
                (Kind.STRING, "`r`"),
                (Kind.STRING, '"s"'),
                (Kind.NUMBER, "-15"),
                (Kind.MARK, "."),
                (Kind.MARK, "("),
                (Kind.NAME, "nil"),
                (Kind.CLOSE, ").First"),
                (Kind.RIGHT, "}}"),
                (Kind.TEXT, "b"),
                (Kind.END, ""),
            ],
        )

    def test_offsets(self) -> None:
        """Each token knows where it begins in the text, also after white space was left out."""
        text = 'a \n {{- "x" -}} \n b{{/* c */}}{{ .D }}'
        for token in tokens(Source(text)):
            if token.kind is not Kind.END:
                self.assertEqual(text[token.start : token.end], token.text)

    def test_trimming(self) -> None:
        """``{{-`` and ``-}}`` leave out white space beside them, but only with a space inside."""
        self.assertEqual(lex("a \n{{- 1 -}}\t b")[0], (Kind.TEXT, "a"))
        self.assertEqual(lex("a \n{{- 1 -}}\t b")[-2], (Kind.TEXT, "b"))
        self.assertEqual(lex("a \n{{- 1  -}}\t b")[-2], (Kind.TEXT, "b"))
        self.assertEqual(lex("a {{-1}}")[:3], [(Kind.TEXT, "a "), (Kind.LEFT, "{{"), (Kind.NUMBER, "-1")])

    def test_comments(self) -> None:
        """Comments leave nothing, and may trim."""
        self.assertEqual(lex("a{{/* }} */}}b"), [(Kind.TEXT, "a"), (Kind.TEXT, "b"), (Kind.END, "")])
        self.assertEqual(lex("a {{- /* c */ -}} b"), [(Kind.TEXT, "a"), (Kind.TEXT, "b"), (Kind.END, "")])

    def test_errors(self) -> None:
        """What is no token is told with its place."""
        for text, column, words in (
            ("{{ .Envs.A-B }}", 11, "bad character U+002D '-'"),
            ("{{ .Envs.PORT'", 14, "bad character U+0027"),
            ('{{ "a }}', 4, "unterminated quoted string"),
            ("{{ `a }}", 4, "unterminated quoted string"),
            ("{{ : }}", 4, "bad character"),
            ("{{ 1", 5, "unclosed action"),
            ("{{/* a", 1, "a comment must end with"),
            ("{{/* a */ }}", 1, "a comment must end with"),
            ("{{ /* a */ }}", 4, "bad character"),
            ("{{ \u20ac }}", 4, "bad character U+20AC"),
        ):
            error = self.assertRaises(TemplateError, lex, text)
            self.assertEqual((error.line, error.column), (1, column), text)
            self.assertIn(words, error.reason)

    @given(st.text(alphabet="{}-/*\"'`.$|:=()ab1 \n", max_size=30))
    def test_junk(self, text: str) -> None:
        """Any text has tokens that end, or an error with a place in the text."""
        try:
            found = lex(text)
        except TemplateError as error:
            self.assertLessEqual(error.line, text.count("\n") + 1)
            return
        self.assertIs(found[-1][0], Kind.END)

"""Reads the token from where the configuration says, once, when a program starts."""

from __future__ import annotations

import math
import os
import string
import subprocess
from collections.abc import Mapping
from itertools import pairwise

from relaykit.config.problems import ConfigurationProblem, ConfigurationProblems
from relaykit.config.schema.auth import Auth, TokenCommand, TokenFile, TokenSource
from relaykit.values import Secret

__all__ = ["WEAK_BITS", "read_token", "resolve_token", "strength_bits"]

COMMAND_TIMEOUT_S = 30
"""Seconds that a command may take: as long as a slow vault, and no start hangs for ever."""

MOST_BYTES = 64 * 1024
"""Bytes of a token: far more than any has, so that a wrong path does not fill the memory."""

WEAK_BITS = 64
"""A token that seems to have less is worth a warning.  At scrypt's price for each guess, what really has
64 bits is safe; what only seems to is not."""

_KEY = "auth.tokenSource"

_ALPHABETS = (string.digits, string.ascii_lowercase, string.ascii_uppercase)
_OTHER_CHARACTERS = 33
"""Characters of a keyboard that are no letters and no digits."""


def resolve_token(auth: Auth, *, environ: Mapping[str, str] | None = None, cwd: str = "") -> Secret:
    """The token: ``auth.token``, or the content of the file or the output of the command that stands for it.

    White space around it is left out.  ``environ`` is the environment of a command, None for the process's
    own; relative paths are resolved against ``cwd``, empty for the process's own.
    Blocks until a command has ended, at most :data:`COMMAND_TIMEOUT_S`.

    :raises ConfigurationProblems: the file cannot be read, or the command failed, or there is no token
        where there must be one.
    """
    token = _resolved(auth, environ, cwd)
    if auth.bound == "require" and not token:
        what = 'is "require", which needs a token, and that is empty'
        raise ConfigurationProblems((ConfigurationProblem(what=what, key="auth.bound"),))
    return token


def strength_bits(token: Secret) -> float:
    """How many bits of chance a token seems to have, at most: a crude guess that knows no words.

    Each character counts as one of its alphabets; one that repeats its neighbor, or is the next one to
    it, counts nothing.
    """
    text = token.reveal()
    if set(text) <= set(string.hexdigits):
        size = 16
    else:
        size = sum(len(each) for each in _ALPHABETS if not set(each).isdisjoint(text))
        size += _OTHER_CHARACTERS if set(text) - set("".join(_ALPHABETS)) else 0
    counted = sum(abs(ord(this) - ord(before)) > 1 for before, this in pairwise(text)) + bool(text)
    return counted * math.log2(size)


def _resolved(auth: Auth, environ: Mapping[str, str] | None, cwd: str) -> Secret:
    if auth.token_source is None or auth.token_source.chosen() is None or auth.method != "token":
        return auth.token
    token = read_token(auth.token_source, _KEY, environ=environ, cwd=cwd)
    if not token:
        what = 'there is nothing where the token should be; for none, write auth.token = "" in its place'
        raise _failed(_KEY, what)
    return token


def read_token(
    source: TokenSource, key: str, *, environ: Mapping[str, str] | None = None, cwd: str = ""
) -> Secret:
    """What a source has now, without white space around it; ``key`` is that of the source, for errors.

    The rest as with :func:`resolve_token`.

    :raises ConfigurationProblems: it has nothing that could be a token.
    """
    chosen = source.chosen()
    if isinstance(chosen, TokenFile):
        content = _from_file(os.path.join(cwd, chosen.path), key)
    elif chosen is not None:
        content = _from_command(chosen, os.environ if environ is None else environ, cwd, key)
    else:
        raise _failed(key, "it names neither a file nor a command")
    if len(content) > MOST_BYTES:
        raise _failed(key, f"the token has more than {MOST_BYTES} bytes")
    try:
        return Secret(content.decode("utf-8").strip())
    except UnicodeDecodeError:
        raise _failed(key, "the token is not text in UTF-8") from None


def _from_file(path: str, key: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(MOST_BYTES + 1)
    except OSError as error:
        raise _failed(key, f"{path} cannot be read: {(error.strerror or str(error)).lower()}") from None


def _from_command(source: TokenCommand, environ: Mapping[str, str], cwd: str, key: str) -> bytes:
    command = source.command
    variables = {**environ, **{each.name: each.value.reveal() for each in source.env}}
    try:
        finished = subprocess.run(
            [command, *source.args],
            env=variables,
            cwd=cwd or None,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=COMMAND_TIMEOUT_S,
            check=True,
        )
    except subprocess.TimeoutExpired:
        raise _failed(key, f"the command {command} did not end within {COMMAND_TIMEOUT_S} s") from None
    except subprocess.CalledProcessError as error:
        raise _failed(key, f"the command {command} ended with status {error.returncode}") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise _failed(key, f"the command {command} cannot be run: {reason.lower()}") from None
    return finished.stdout


def _failed(key: str, reason: str) -> ConfigurationProblems:
    return ConfigurationProblems((ConfigurationProblem(what=reason, key=key),))

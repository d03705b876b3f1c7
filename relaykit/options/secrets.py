"""The one rule for secrets of every kind: none is missing, empty or blank, unless that was asked for."""

from __future__ import annotations

from collections.abc import Iterator

from relaykit.options.fields import OptionField, Options, Problem, option_fields
from relaykit.values import Secret

__all__ = ["secret_problems"]

BLANK = "is blank: leave the white space out, or make one with relaykit token"

FORGOTTEN = (
    'must be given; relaykit token makes one, and who wants none says so in a file (-c FILE): {key} = ""'
)

MISSING = "must be given, and not be empty; relaykit token makes one"


def secret_problems(options: Options, prefix: str = "", *, as_sent: bool = False) -> Iterator[Problem]:
    """What is wrong with the secrets in options and in those inside them, by key from the outermost.

    :param as_sent: the options have come over the wire, which does not tell what is empty on purpose from
        what was forgotten: both pass where one may be empty.
    """
    for each in option_fields(type(options)):
        value, key = getattr(options, each.name), f"{prefix}{each.file_key or each.key}"
        if isinstance(value, Secret):
            if reason := _reason(each, value, options, as_sent):
                yield Problem(key, reason.format(key=key))
        elif isinstance(value, Options):
            yield from secret_problems(value, f"{key}.", as_sent=as_sent)
        elif isinstance(value, tuple):
            for position, item in enumerate(value):
                if isinstance(item, Options):
                    yield from secret_problems(item, f"{key}[{position}].", as_sent=as_sent)


def _reason(field: OptionField, value: Secret, options: Options, as_sent: bool) -> str:
    if value:
        return BLANK if not value.reveal().strip() else ""
    rule = field.secret
    if rule.optional or (rule.needed_with and not getattr(options, rule.needed_with)):
        return ""
    if not rule.may_be_empty:
        return MISSING
    return FORGOTTEN if value is field.default and not as_sent else ""

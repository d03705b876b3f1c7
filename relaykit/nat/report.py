"""``relaykit nat``: what kind of network this is, in words, and what will work towards whom."""

from __future__ import annotations

import enum
import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from relaykit.nat.detection import (
    BehaviorFound,
    DetectionStep,
    NamesFound,
    NatDetector,
    NatReport,
    PortMappingReport,
    places_of,
)
from relaykit.sansio.nat.behavior import Filtering, NatBehavior, PortAllocation
from relaykit.sansio.nat.behavior import Mapping as NatMapping
from relaykit.sansio.nat.candidates import is_internet
from relaykit.sansio.nat.pairing import NAT_WORDS, NatType, NatView, Strategy, nat_type_of, strategy_for
from relaykit.values import Address, PathProtocol

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime

    from relaykit.nat.network import HostNetwork

__all__ = ["Reach", "expectations", "run", "step_words", "to_json", "words"]

_MAPPING = {
    NatMapping.UNKNOWN: "not known: a second server would tell",
    NatMapping.ENDPOINT_INDEPENDENT: "one external port for all peers (good)",
    NatMapping.ADDRESS_DEPENDENT: "another external port for each peer's address (symmetric)",
    NatMapping.ADDRESS_AND_PORT_DEPENDENT: "another external port for each peer (symmetric)",
    NatMapping.NOT_PORT_DEPENDENT: "one external port for all ports of a peer; a second server tells more",
    NatMapping.DEPENDENT: "another external port for each peer (symmetric)",
}

_FILTERING = {
    Filtering.UNKNOWN: "not known: no server could answer from another port",
    Filtering.ENDPOINT_INDEPENDENT: "anybody may send to an open port (good)",
    Filtering.ADDRESS_DEPENDENT: "whoever was sent to may answer from any port (good)",
    Filtering.ADDRESS_AND_PORT_DEPENDENT: "only the very port that was sent to may answer",
    Filtering.NOT_PORT_DEPENDENT: "whoever was sent to may answer from any port, at least (good)",
}

_PORTS = {
    PortAllocation.UNKNOWN: "not known",
    PortAllocation.PRESERVED: "kept: the external port is the machine's own",
    PortAllocation.STEPPED: "counted: each new one is {step:+d} from the one before",
    PortAllocation.BLOCK: "drawn from a block, about {low} to {high}",
    PortAllocation.RANDOM: "drawn from all ports",
}


class Reach(enum.Enum):
    """How a peer will be reached; the values are those of JSON."""

    CHECK = "check"
    PREDICT = "predict"
    GUESS = "guess"
    SPREAD = "spread"
    SCATTER = "scatter"
    TCP = "tcp"
    RELAY = "give up"


_REACHED = {
    Reach.CHECK: "direct, at once",
    Reach.PREDICT: "direct, at once, by predicting ports",
    Reach.GUESS: "direct within seconds, by guessing ports",
    Reach.SPREAD: "direct within seconds, by opening many ports",
    Reach.SCATTER: "direct within seconds, mostly, by guessing on both sides",
    Reach.TCP: "direct by TCP, mostly",
    Reach.RELAY: "through the relay",
}

_BEST: dict[tuple[Strategy, Strategy], Strategy] = {(Strategy.CHECK, Strategy.PREDICT): Strategy.PREDICT}
"""(own strategy, the peer's strategy): the one that says what happens, where it is not the own one."""

_PUNCHED_BY_TCP = frozenset((NatType.OPEN, NatType.STEADY, NatType.BLOCKED))
"""Networks whose ports of TCP are found: those that keep their ports, and those whose NAT is hidden by a
firewall, which mostly do."""


def expectations(behavior: NatBehavior, protocols: Collection[PathProtocol]) -> dict[NatType, Reach]:
    """How a peer of each type will be reached, by paths that are made of one of these protocols."""
    own = nat_type_of(NatView.of(behavior))
    return {other: _reach(own, other, protocols) for other in NAT_WORDS}


def _reach(own: NatType, other: NatType, protocols: Collection[PathProtocol]) -> Reach:
    strategy = strategy_for(own, other)
    if PathProtocol.UDP in protocols and strategy is not Strategy.GIVE_UP:
        return Reach(_BEST.get((strategy, strategy_for(other, own)), strategy).value)
    if PathProtocol.TCP in protocols and _PUNCHED_BY_TCP.issuperset((own, other)):
        return Reach.TCP
    return Reach.RELAY


def words(report: NatReport, direct: Mapping[str, Collection[PathProtocol]]) -> str:
    """The report for a person.

    ``direct`` are the installed proxy types that take direct paths, and what these are made of.
    """
    six = [each for each in report.servers if ":" in each.host]
    four = [each for each in report.servers if each not in six]
    lines = [*_family("IPv4", report.four, four), *_family("IPv6", report.six, six)]
    lines.append(_line("Port mapping", _port_mapping(report.port_mapping)))
    if report.unknown_names:
        lines.append(_line("Not found", ", ".join(report.unknown_names)))
    lines += ["", *_conclusion(report, direct)]
    return "\n".join(lines)


def to_json(report: NatReport, direct: Mapping[str, Collection[PathProtocol]]) -> str:
    """The report for programs; ``direct`` as for :func:`words`."""
    table: dict[str, Any] = msgspec.to_builtins(report)
    table["works"] = report.works
    table["direct_types"] = {name: sorted(each.value for each in paths) for name, paths in direct.items()}
    for family, behavior in (("four", report.four), ("six", report.six)):
        if behavior is not None:
            table[family]["is_translated"] = behavior.udp_works and behavior.is_translated
            table[family]["type"] = nat_type_of(NatView.of(behavior)).value
            table[family]["peers"] = {
                nat_type.value: reach.value
                for nat_type, reach in expectations(behavior, _all(direct)).items()
            }
    return json.dumps(table, indent=2)


def step_words(step: DetectionStep) -> str:
    """What has come out, for a person who waits for the rest; empty if that is nothing new."""
    if isinstance(step, NamesFound):
        found = ", ".join(dict.fromkeys(each.host for each in step.addresses))
        missing = f"no address of {', '.join(step.unknown)}" if step.unknown else ""
        return f"names: {', '.join(filter(None, (found, missing)))}"
    if isinstance(step, PortMappingReport):
        return f"port mapping: {_port_mapping(step)}"
    family = "IPv6" if step.is_six else "IPv4"
    if isinstance(step, BehaviorFound):
        return f"{family}: done" if step.behavior.udp_works else f"{family}: no answer"
    return f"{family}: {step.servers[0]} answers; looking at the NAT" if step.servers else ""


async def run(
    reactor: IReactorTime,
    network: HostNetwork,
    say: Callable[[str], None],
    servers: Sequence[str],
    direct: Mapping[str, Collection[PathProtocol]],
    lifetime: bool = False,
    as_json: bool = False,
    live: bool = False,
) -> int:
    """Looks at the network, and prints who is asked and what was found; the status is 1 if nobody answered.

    ``direct`` as for :func:`words`.  ``live`` also prints what comes out meanwhile.

    :raises ValueError: a server is not written as one, or there are too many.
    """
    places = [str(Address(*place)) for each in servers for place in places_of(each)]

    def on_step(step: DetectionStep) -> None:
        text = step_words(step)
        if live and not as_json and text:
            say(f"  {text}")

    if not as_json:
        say(f"Asking {', '.join(places)} and the router.")
    report = await NatDetector(reactor, network, on_step=on_step).report(servers, lifetime)
    if not as_json:
        say("")
    say(to_json(report, direct) if as_json else words(report, direct))
    return 0 if report.works else 1


# --- parts of the words --------------------------------------------------------------------------


def _line(title: str, text: str) -> str:
    return f"{title + ':':<20} {text}"


def _family(name: str, behavior: NatBehavior | None, asked: Sequence[Address]) -> Iterator[str]:
    if behavior is None:
        yield _line(name, "not asked: no server has such an address")
        return
    if not behavior.udp_works:
        yield _line(name, f"no answer over UDP from {', '.join(map(str, asked)) or 'anybody'}")
        return
    yield _line(name, f"seen as {behavior.mapped}")
    if not behavior.is_translated:
        yield _line("  NAT", "none: the address is this machine's own")
    else:
        assert behavior.local is not None
        yield _line("  NAT", f"yes: this machine is {behavior.local.host}")
        yield _line("  Mapping", _MAPPING[behavior.mapping])
        yield _line("  Ports", _ports(behavior))
    yield _line("  Filter", _FILTERING[behavior.filtering])
    if behavior.is_translated and behavior.hairpin is not None:
        hairpin = "yes: machines behind it reach each other by their outer addresses"
        yield _line("  Hairpin", hairpin if behavior.hairpin else "no")
    if behavior.lifetime is not None:
        least, less = behavior.lifetime.at_least_s, behavior.lifetime.less_than_s
        until = f" and less than {less:g} s" if less is not None else ""
        yield _line("  Idle mappings", f"live at least {least:g} s{until}")


def _ports(behavior: NatBehavior) -> str:
    ports = behavior.ports
    text = _PORTS[ports.allocation].format(step=ports.step, low=ports.low, high=ports.high)
    if behavior.preserved is not None and 0 < behavior.preserved[0] < behavior.preserved[1]:
        text += f" ({behavior.preserved[0]} of {behavior.preserved[1]} were kept)"
    return text


def _port_mapping(mapping: PortMappingReport) -> str:
    if not mapping.protocol:
        return "the router offers none (PCP, NAT-PMP, UPnP)"
    if not mapping.works:
        return f"the router speaks {mapping.protocol}, but maps no port"
    text = f"the router offers {mapping.protocol}"
    if mapping.external_host:
        text += f", its outer address is {mapping.external_host}"
        if not is_internet(mapping.external_host):
            text += " (not public: there is another NAT behind it)"
    return text


def _all(direct: Mapping[str, Collection[PathProtocol]]) -> frozenset[PathProtocol]:
    return frozenset().union(*direct.values())


def _conclusion(report: NatReport, direct: Mapping[str, Collection[PathProtocol]]) -> Iterator[str]:
    """How peers are reached, and what would make that better."""
    protocols = _all(direct)
    if not report.works:
        yield from _nobody_answered(report)
    if not direct:
        yield "Peers are reached through the relay: no installed proxy type takes direct paths."
    elif report.works:
        yield from _table(report, direct)
    else:
        by_tcp = "by TCP where their networks keep ports, else " if PathProtocol.TCP in protocols else ""
        yield f"Peers are reached {by_tcp}through the relay."


def _nobody_answered(report: NatReport) -> Iterator[str]:
    if report.unknown_names and not report.servers:
        yield "No server has an address: is its name right, and does the name server of this network answer?"
        return
    yield "Nobody answered: this network lets no UDP out, or there is no STUN server at these ports.  A relay"
    yield "server has one, unless its stunPort is negative or a firewall is in front of it; frp's has none."


def _table(report: NatReport, direct: Mapping[str, Collection[PathProtocol]]) -> Iterator[str]:
    by_four = report.four is not None and report.four.udp_works
    behavior = report.four if by_four else report.six
    assert behavior is not None
    is_sure = not behavior.is_translated or NatView.of(behavior).is_sure
    who = "A peer whose network ..." if by_four else "A peer with IPv6, whose network ..."
    yield f"{who:<62} {'is reached' if is_sure else 'is probably reached'}"
    for nat_type, reach in expectations(behavior, _all(direct)).items():
        yield f"  {NAT_WORDS[nat_type]:<60} {_REACHED[reach]}"
    yield ""
    if not is_sure:
        yield "One address of a server does not show whether each peer sees another port: name a second one."
    yield from _advice(report, behavior)
    yield f"This is for users of the proxy types that take direct paths: {', '.join(direct)}."


def _advice(report: NatReport, behavior: NatBehavior) -> Iterator[str]:
    """What would make it better, where it is not good."""
    if nat_type_of(NatView.of(behavior)) in (NatType.OPEN, NatType.STEADY):
        return
    if report.port_mapping.works:
        yield f"The router maps ports by {report.port_mapping.protocol}: all peers are reached by that."
    else:
        yield "To be reached by all peers: switch on UPnP or PCP in the router, or use IPv6."

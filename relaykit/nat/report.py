"""``relaykit nat``: what kind of network this is, in words, and what will work towards whom."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from relaykit.nat.detection import NatDetector, NatReport, places_of
from relaykit.sansio.nat.behavior import Filtering, Mapping, NatBehavior, PortAllocation
from relaykit.sansio.nat.candidates import is_internet
from relaykit.sansio.nat.pairing import NatType, NatView, Strategy, nat_type_of, strategy_for
from relaykit.values import Address

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime

    from relaykit.nat.network import HostNetwork

__all__ = ["expectations", "run", "to_json", "words"]

_MAPPING = {
    Mapping.UNKNOWN: "not known: a second server would tell",
    Mapping.ENDPOINT_INDEPENDENT: "one external port for all peers (good)",
    Mapping.ADDRESS_DEPENDENT: "another external port for each peer's address (symmetric)",
    Mapping.ADDRESS_AND_PORT_DEPENDENT: "another external port for each peer (symmetric)",
    Mapping.NOT_PORT_DEPENDENT: "one external port for all ports of a peer; a second server tells more",
    Mapping.DEPENDENT: "another external port for each peer (symmetric)",
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

_PEERS = {
    NatType.OPEN: "lets others in (public address, full or restricted cone)",
    NatType.STEADY: "keeps its port (port-restricted cone, firewall)",
    NatType.STEPPED: "counts its ports (symmetric)",
    NatType.BLOCK: "draws its ports from a small block (carrier)",
    NatType.RANDOM: "draws its ports from all (symmetric)",
    NatType.BLOCKED: "lets no UDP out",
}

_OUTCOMES = {
    Strategy.CHECK: "direct, at once",
    Strategy.PREDICT: "direct, at once, by predicting ports",
    Strategy.GUESS: "direct within seconds, by guessing ports",
    Strategy.SPREAD: "direct within seconds, by opening many ports",
    Strategy.SCATTER: "direct within seconds, mostly, by guessing on both sides",
    Strategy.GIVE_UP: "through the relay",
}

_NO_TYPE_YET = (
    "No proxy type of relaykit uses direct paths yet (xtcp is not available): users go through the relay."
)

_BEST: dict[tuple[Strategy, Strategy], Strategy] = {(Strategy.CHECK, Strategy.PREDICT): Strategy.PREDICT}
"""(own strategy, the peer's strategy): the one that says what happens, where it is not the own one."""


def expectations(behavior: NatBehavior) -> dict[NatType, Strategy]:
    """How a peer of each type will be reached."""
    own = nat_type_of(NatView.of(behavior))
    found = {}
    for other in _PEERS:
        strategy = strategy_for(own, other)
        found[other] = _BEST.get((strategy, strategy_for(other, own)), strategy)
    return found


def words(report: NatReport) -> str:
    """The report for a person."""
    six = [each for each in report.servers if ":" in each.host]
    four = [each for each in report.servers if each not in six]
    lines = [*_family("IPv4", report.four, four), *_family("IPv6", report.six, six)]
    lines.append(_line("Port mapping", _port_mapping(report)))
    if report.unknown_names:
        lines.append(_line("Not found", ", ".join(report.unknown_names)))
    best = report.four if report.four is not None else report.six
    if best is not None and best.udp_works:
        lines += ["", "A peer whose network ...                                       is reached"]
        for nat_type, strategy in expectations(best).items():
            lines.append(f"  {_PEERS[nat_type]:<60} {_OUTCOMES[strategy]}")
        lines += [*_advice(report, best), "", _NO_TYPE_YET]
    elif not report.works:
        lines += [
            "",
            "Nobody answered: this network lets no UDP out, or there is no STUN server at these ports (a",
            "relay server has one, unless its stunPort is negative or a firewall is in front of it).",
            "Peers are reached through the relay.",
        ]
    return "\n".join(lines)


def to_json(report: NatReport) -> str:
    """The report for programs."""
    table: dict[str, Any] = msgspec.to_builtins(report)
    table["works"] = report.works
    for family, behavior in (("four", report.four), ("six", report.six)):
        if behavior is not None:
            table[family]["is_translated"] = behavior.udp_works and behavior.is_translated
            table[family]["type"] = nat_type_of(NatView.of(behavior)).value
            table[family]["peers"] = {
                nat_type.value: strategy.value for nat_type, strategy in expectations(behavior).items()
            }
    return json.dumps(table, indent=2)


async def run(
    reactor: IReactorTime,
    network: HostNetwork,
    say: Callable[[str], None],
    servers: Sequence[str],
    lifetime: bool = False,
    as_json: bool = False,
) -> int:
    """Looks at the network, and prints who is asked and what was found; the status is 1 if nobody answered.

    :raises ValueError: a server is not written as one.
    """
    places = [str(Address(*place)) for each in servers for place in places_of(each)]
    if not as_json:
        say(f"Asking {', '.join(places)} and the router.\n")
    report = await NatDetector(reactor, network).report(servers, lifetime)
    say(to_json(report) if as_json else words(report))
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


def _port_mapping(report: NatReport) -> str:
    mapping = report.port_mapping
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


def _advice(report: NatReport, behavior: NatBehavior) -> Iterator[str]:
    """What would make it better, where it is not good."""
    if nat_type_of(NatView.of(behavior)) in (NatType.OPEN, NatType.STEADY):
        return
    yield ""
    if report.port_mapping.works:
        yield f"The router maps ports by {report.port_mapping.protocol}: all peers are reached by that."
    else:
        yield "To be reached by all peers: switch on UPnP or PCP in the router, or use IPv6."

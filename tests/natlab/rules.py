"""The nftables rules that make a Linux router each kind of NAT."""

from __future__ import annotations

from collections.abc import Iterator

from attrs import evolve, frozen

__all__ = ["BAN_S", "KINDS", "NatKind", "parse_kind", "ruleset"]

BAN_S = 60
"""How long a firewall that bans lets nothing in from who sent unasked."""

_SEED = 0x5EED
_COUNTED = "map { " + ", ".join(f"{each} : {20000 + each}" for each in range(4096)) + " }"
"""Ports that ``numgen`` and ``jhash`` count through.  nft 1.0 writes their results into the port field
in the host's byte order; through a map they come out right."""


@frozen(kw_only=True)
class NatKind:
    """What a router does to traffic of its LAN."""

    source: str = ""
    """The statement that translates; empty for a router without a NAT."""
    lets_in: str = "answers"
    """Who may send inwards: answers only, ``known`` addresses on any port, or ``anybody``."""
    keeps_towards: tuple[int, ...] = ()
    """Ports of peers towards which the sockets' own ports are kept, whatever ``source`` says."""
    is_routed: bool = False
    """Whether the LAN has public addresses."""
    forbids: str = ""
    """``udp``, ``udp but stun``, that is but to the ports of the STUN servers, or ``all`` but TCP to ports 80
    and 443."""
    bans: bool = False
    """Whether who sends unasked is not let in any more at all, for a while."""
    hairpin: bool = False
    input: str = "drop"
    """What the router itself does with what is for nobody inside: drop, reject, accept."""
    timeout_s: int = 300
    six: str = "stateful"
    """IPv6: stateful, open or off."""


_PLAIN = NatKind(source="masquerade")
_SHARED = "map { " + ", ".join(f"{n} : {(n // 16 + 1) * 4096 + 0x5A0 + n % 16}" for n in range(240)) + " }"
"""The ports of one of the households that share an address: 15 ranges of 16.  Source: RFC 7597 5.1."""

KINDS = {
    "none": NatKind(is_routed=True, lets_in="anybody"),
    "fw": NatKind(is_routed=True),
    "full": NatKind(source="snat to WAN", lets_in="anybody"),
    "addr": NatKind(source="snat to WAN", lets_in="known"),
    "port": _PLAIN,
    "portshift": NatKind(source="snat to WAN : th sport ^ 0x1555"),
    "fullshift": NatKind(source="snat to WAN : th sport ^ 0x1555", lets_in="anybody"),
    "symaddr": NatKind(
        source=f"snat to WAN : jhash ip saddr . th sport . ip daddr mod 4096 seed {_SEED} {_COUNTED}"
    ),
    "symseq": NatKind(source=f"snat to WAN : numgen inc mod 4096 {_COUNTED}"),
    "symblk": NatKind(source="snat to WAN:20480-21503 random,fully-random"),
    "symrnd": NatKind(source="masquerade random,fully-random"),
    "blk64": NatKind(source="snat to WAN:20480-20543 random,fully-random"),
    "mape": NatKind(source=f"snat to WAN : numgen random mod 240 {_SHARED}"),
    "presym": NatKind(source="masquerade random,fully-random", keeps_towards=(3478,)),
    "stunonly": evolve(_PLAIN, forbids="udp but stun"),
    "udpblock": evolve(_PLAIN, forbids="udp"),
    "tcp443": evolve(_PLAIN, forbids="all"),
}
"""By name: none and fw have public addresses behind them; full, addr, port are cones of growing
strictness that keep ports, the -shift ones give others; the sym- ones take a port for each
destination: by its address, counted up, from a block, at random.  Behind blk64 and mape there are 64 and 240
ports, and at random; presym keeps ports towards one STUN port and draws others; stunonly lets no UDP out but
to STUN servers."""


def parse_kind(text: str) -> NatKind:
    """A kind with its modifiers, such as ``port+hairpin+input=accept+timeout=5+six=off``."""
    name, *modifiers = text.split("+")
    kind = KINDS[name]
    for each in modifiers:
        key, _, value = each.partition("=")
        if key == "hairpin":
            kind = evolve(kind, hairpin=True)
        elif key == "input":
            kind = evolve(kind, input=value)
        elif key == "timeout":
            kind = evolve(kind, timeout_s=int(value))
        elif key == "ban":
            kind = evolve(kind, bans=True)
        elif key == "six":
            kind = evolve(kind, six=value)
        else:
            raise ValueError(f"no modifier {key}")
    return kind


def ruleset(kind: NatKind, wan: str) -> str:
    """What to feed ``nft -f`` in the router: ``wan0`` is outside, ``lan0`` inside."""
    return "\n".join(["flush ruleset", *_translation(kind, wan), *_filter(kind)]) + "\n"


def _translation(kind: NatKind, wan: str) -> Iterator[str]:
    yield "table ip translation {"
    timeout = f"flags dynamic,timeout; timeout {kind.timeout_s}s; size 65535;"
    for protocol in ("udp", "tcp"):
        yield f" map inside_{protocol} {{ type inet_service : ipv4_addr . inet_service; {timeout} }}"
        yield f" set known_{protocol} {{ type inet_service . ipv4_addr; {timeout} }}"
    if kind.source:
        yield from _outwards(kind, kind.source.replace("WAN", wan), wan)
        yield from _remembering(kind, wan)
        yield from _inwards(kind, wan)
    yield "}"


def _outwards(kind: NatKind, source: str, wan: str) -> Iterator[str]:
    yield " chain outwards { type nat hook postrouting priority srcnat; policy accept;"
    for port in kind.keeps_towards:
        yield f'  oifname "wan0" udp dport {port} masquerade'
    yield f'  oifname "wan0" meta l4proto {{ tcp, udp }} {source}'
    yield '  oifname "wan0" masquerade'
    if kind.hairpin:
        turned = source.replace("masquerade", f"snat to {wan}")
        yield f'  oifname "lan0" iifname "lan0" ct status dnat meta l4proto {{ tcp, udp }} {turned}'
    yield " }"


def _remembering(kind: NatKind, wan: str) -> Iterator[str]:
    """Which inside socket each external port belongs to; written behind the translation, so that
    every datagram refreshes it and it times out as a mapping does.
    """
    yield " chain remembering { type filter hook postrouting priority 150; policy accept;"
    out = '{ "wan0", "lan0" }' if kind.hairpin else '"wan0"'
    for protocol in ("udp", "tcp"):
        port = f"{protocol} sport"
        yield (
            f"  oifname {out} ct direction original ip saddr {wan} "
            f"update @inside_{protocol} {{ {port} : ct original ip saddr . ct original proto-src }}"
        )
        yield (
            '  oifname "wan0" ct direction reply ct status dnat '
            f"update @inside_{protocol} {{ {port} : ct reply ip saddr . ct reply proto-src }}"
        )
        yield f'  oifname "wan0" update @known_{protocol} {{ {port} . ip daddr }}'
    yield " }"


def _inwards(kind: NatKind, wan: str) -> Iterator[str]:
    yield " chain inwards { type nat hook prerouting priority dstnat; policy accept;"
    for protocol in ("udp", "tcp"):
        target = f"dnat ip to {protocol} dport map @inside_{protocol}"
        if kind.lets_in == "anybody":
            yield f'  iifname "wan0" {target}'
        elif kind.lets_in == "known":
            yield f'  iifname "wan0" {protocol} dport . ip saddr @known_{protocol} {target}'
        if kind.hairpin:
            yield f'  iifname "lan0" ip daddr {wan} {target}'
    yield " }"


def _filter(kind: NatKind) -> Iterator[str]:
    yield "table inet firewall {"
    yield f" set banned {{ type ipv4_addr; flags dynamic,timeout; timeout {BAN_S}s; }}"
    yield " chain through { type filter hook forward priority filter; policy drop;"
    if kind.forbids == "all":
        yield '  iifname "lan0" oifname "wan0" tcp dport != { 80, 443 } reject with tcp reset'
    if kind.forbids == "udp but stun":
        yield '  iifname "lan0" oifname "wan0" udp dport != { 3478, 3479, 7000, 7001 } drop'
    elif kind.forbids:
        yield "  meta l4proto udp drop"
    if kind.six == "stateful":
        yield '  meta nfproto ipv6 iifname "wan0" ct state new drop'
    elif kind.six == "off":
        yield "  meta nfproto ipv6 drop"
    if kind.bans:
        yield '  iifname "wan0" ip saddr @banned drop'
    yield "  ct state established,related accept"
    yield '  iifname "lan0" accept'
    yield "  ct status dnat accept"
    if kind.is_routed and kind.lets_in == "anybody":
        yield "  accept"
    if kind.six != "off":
        yield "  meta nfproto ipv6 accept"
    yield " }"
    yield " chain itself { type filter hook input priority filter; policy accept;"
    yield '  iifname "lo" accept'
    yield '  iifname "wan0" ct state established,related accept'
    yield "  meta l4proto { icmp, ipv6-icmp } accept"
    if kind.bans:
        yield '  iifname "wan0" meta l4proto udp add @banned { ip saddr } drop'
    if kind.input == "drop":
        yield '  iifname "wan0" drop'
    elif kind.input == "reject":
        yield '  iifname "wan0" meta l4proto tcp reject with tcp reset'
        yield '  iifname "wan0" reject'
    yield " }"
    yield "}"

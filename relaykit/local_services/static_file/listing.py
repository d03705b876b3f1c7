"""The page that shows what is in a folder: without scripts, and with all names escaped."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from html import escape
from typing import Final
from urllib.parse import quote

from relaykit.local_services.static_file.folder import Entry, Listed

__all__ = ["LISTING_POLICY", "link_to", "listing_page", "written_size"]

_STYLE: Final = """
:root { color-scheme: light dark; --ink: #1c2530; --soft: #5d6b7a; --line: #e3e8ee; --paper: #fff;
  --link: #0b5cad; --over: #f3f7fb; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e9ef; --soft: #93a1b0; --line: #2a333d;
  --paper: #12171c; --link: #7db8f5; --over: #1a222a; } }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 60rem; margin: 0 auto; padding: 2rem 1rem 4rem; }
h1 { font-size: 1.25rem; font-weight: 600; overflow-wrap: anywhere; }
table { width: 100%; border-collapse: collapse; }
th { color: var(--soft); font-size: .8rem; font-weight: 500; text-align: left; }
th, td { padding: .45rem .5rem; border-bottom: 1px solid var(--line); }
td:first-child { overflow-wrap: anywhere; }
.size, .date { color: var(--soft); text-align: right; white-space: nowrap;
  font-variant-numeric: tabular-nums; }
tbody tr:hover { background: var(--over); }
a { color: var(--link); text-decoration: none; }
a:hover, a:focus-visible { text-decoration: underline; }
p { color: var(--soft); }
@media (max-width: 36rem) { .date { display: none; } }
"""

_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()

LISTING_POLICY: Final = f"default-src 'none'; style-src 'sha256-{_HASH}'; base-uri 'none'; form-action 'none'"
"""What browsers may do with the page (Content-Security-Policy): use its own style."""

_UNITS: Final = ("KB", "MB", "GB", "TB", "PB", "EB")


def listing_page(path: str, listed: Listed, *, has_parent: bool) -> bytes:
    """The page, in HTML; ``path`` is what the user asked for."""
    title = escape(_shown(path))
    rows = "".join(_rows(listed, has_parent))
    more = f"<p>Only {len(listed.entries)} names are shown; there are more.</p>" if listed.is_cut else ""
    nothing = "" if listed.entries else "<p>This folder is empty.</p>"
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{_STYLE}</style>
</head>
<body>
<main>
<h1>{title}</h1>
<table>
<thead><tr><th scope="col">Name</th><th scope="col" class="size">Size</th>\
<th scope="col" class="date">Changed (UTC)</th></tr></thead>
<tbody>
{rows}</tbody>
</table>
{nothing}{more}
</main>
</body>
</html>
""".encode()


def link_to(name: str) -> str:
    """A name as a relative link that cannot be taken for another host, a scheme, or a query."""
    return quote(os.fsencode(name), safe="")


def written_size(size: int) -> str:
    """A number of bytes as people read it."""
    if size < 1000:
        return f"{size} B"
    value, units = size / 1000, list(_UNITS)
    while value >= 999.95 and len(units) > 1:
        value /= 1000
        del units[0]
    return f"{value:.1f} {units[0]}"


def _rows(listed: Listed, has_parent: bool) -> Iterator[str]:
    if has_parent:
        yield _row("../", "..", "", "")
    for each in listed.entries:
        end = "/" if each.is_folder else ""
        size = "" if each.is_folder else written_size(each.size)
        yield _row(link_to(each.name) + end, escape(_shown(each.name)) + end, size, _changed(each))


def _row(link: str, name: str, size: str, date: str) -> str:
    return (
        f'<tr><td><a href="{link}">{name}</a></td><td class="size">{size}</td>'
        f'<td class="date">{date}</td></tr>\n'
    )


def _changed(entry: Entry) -> str:
    try:
        return datetime.fromtimestamp(entry.modified, UTC).strftime("%Y-%m-%d %H:%M")
    except (OverflowError, ValueError, OSError):
        return ""


def _shown(name: str) -> str:
    return os.fsencode(name).decode("utf-8", "replace")

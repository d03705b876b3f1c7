// All proxies and visitors of the client.

import { html, useState } from "../vendor/htm-preact.js";
import { OWN, ask } from "../api.js";
import { count } from "../format.js";
import { Badge, Empty, Loading, Pager, Problem, Search, Table } from "../parts.js";
import { to, useAnswer } from "../state.js";

const SIZE = 100;

const source = (each) => (each.source === "store" ? "edited here" : "file");

const why = (each) => each.reason && html`<span class="note">${each.reason}</span>`;

const PROXIES = [
  { title: "Name", show: (each) => html`<a href=${to("entry", "proxies", each.name)}>${each.name}</a>` },
  { title: "Type", show: (each) => each.type },
  { title: "State", show: (each) => html`<span><${Badge} state=${each.health === "unhealthy" ? "unhealthy" : each.state} />${why(each)}</span>` },
  { title: "Users reach it at", show: (each) => html`<code>${each.address || "–"}</code>` },
  { title: "Path", show: (each) => each.path || "relay" },
  { title: "From", show: source },
  { title: "Users", show: (each) => count(each.users), kind: "number" },
];

const VISITORS = [
  { title: "Name", show: (each) => html`<a href=${to("entry", "visitors", each.name)}>${each.name}</a>` },
  { title: "Type", show: (each) => each.type },
  { title: "Port", show: (each) => html`<span><code>${each.listening || each.local || "–"}</code>${why(each)}</span>` },
  { title: "Path", show: (each) => each.path || "relay" },
  { title: "From", show: source },
  { title: "Users", show: (each) => count(each.users), kind: "number" },
];

export function Entries() {
  const [q, search] = useState("");
  const [page, turn] = useState(1);
  const [told, error, again] = useAnswer((signal) => ask(`${OWN}/proxies`, { signal }), 3000);
  const [overview] = useAnswer((signal) => ask(`${OWN}/overview`, { signal }), 0);
  const fits = (each) => each.name.toLowerCase().includes(q.toLowerCase());
  const keyed = (all) => all.filter(fits).map((each) => ({ ...each, key: each.name }));
  const head = html`<div class="head"><h1>Proxies and visitors</h1><div class="actions">
      <${Search} label="Search by name" value=${q} change=${(text) => { search(text); turn(1); }} />
      ${overview?.isStored && html`<a class="button" href=${to("edit", "visitors")}>Add a visitor</a><a class="button primary" href=${to("edit", "proxies")}>Add a proxy</a>`}
    </div></div>`;
  if (!told) return html`${head}${error ? html`<${Problem} error=${error} retry=${again} />` : html`<${Loading} />`}`;
  const proxies = keyed(told.proxies);
  const visitors = keyed(told.visitors);
  return html`${head}
    ${overview && !overview.isStored && html`<p class="note">To add and change entries here, give the client a store: <code>store.path</code> in its file.</p>`}
    <section class="card" aria-label="Proxies"><header><h2>Proxies</h2><p class="note">Services of this machine that others reach</p></header>
      <${Table} name="Proxies" columns=${PROXIES} rows=${proxies.slice((page - 1) * SIZE, page * SIZE)} empty=${html`<${Empty} title=${q ? "Nothing fits" : "No proxy"} />`} />
      ${proxies.length > SIZE && html`<${Pager} page=${page} size=${SIZE} total=${proxies.length} go=${turn} />`}
    </section>
    <section class="card" aria-label="Visitors"><header><h2>Visitors</h2><p class="note">Ports of this machine that lead to services elsewhere</p></header>
      <${Table} name="Visitors" columns=${VISITORS} rows=${visitors.slice(0, SIZE)} empty=${html`<${Empty} title=${q ? "Nothing fits" : "No visitor"} />`} />
    </section>`;
}

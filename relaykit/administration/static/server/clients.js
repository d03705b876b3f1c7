// All clients, and one of them.

import { html, useState } from "../vendor/htm-preact.js";
import { OWN, ask, askFrp } from "../api.js";
import { ago, moment } from "../format.js";
import { Badge, Card, Choice, Confirm, Empty, Facts, Loading, Pager, Problem, Search, Table } from "../parts.js";
import { to, useAnswer } from "../state.js";
import { Past } from "../traffic.js";
import { COLUMNS as PROXY_COLUMNS } from "./proxies.js";

const SIZE = 50;

const COLUMNS = [
  { title: "Client", show: (each) => html`<a href=${to("clients", each.key)}>${each.key}</a>` },
  { title: "State", show: (each) => html`<${Badge} state=${each.online ? "online" : "offline"} />` },
  { title: "Machine", show: (each) => each.hostname || "–" },
  { title: "Address", show: (each) => html`<code>${each.clientIP || "–"}</code>` },
  { title: "Version", show: (each) => each.version || "–" },
  { title: "Since", show: (each) => ago(each.online ? each.lastConnectedAt : each.disconnectedAt), kind: "number" },
];

export function Clients({ parts }) {
  return parts.length && parts[0] ? html`<${Client} name=${parts.join("/")} />` : html`<${All} />`;
}

function All() {
  const [wanted, want] = useState({ q: "", status: "", page: 1 });
  const change = (part) => want((former) => ({ ...former, page: 1, ...part }));
  const [told, error, again] = useAnswer(() => askFrp("clients", { ...wanted, pageSize: SIZE }), 5000, JSON.stringify(wanted));
  return html`
    <div class="head"><h1>Clients</h1>
      <div class="actions">
        <${Search} label="Search name, machine, address" value=${wanted.q} change=${(q) => change({ q })} />
        <${Choice} label="State" value=${wanted.status} options=${[["", "All states"], ["online", "Online"], ["offline", "Offline"]]} change=${(status) => change({ status })} />
      </div>
    </div>
    <section class="card" aria-label="Clients">
      ${error && !told ? html`<${Problem} error=${error} retry=${again} />`
        : !told ? html`<${Loading} />`
        : html`<${Table} name="Clients" columns=${COLUMNS} rows=${told.items} empty=${wanted.q || wanted.status
            ? html`<${Empty} title="Nothing fits">No client has all that was asked for.<//>`
            : html`<${Empty} title="No client yet">Start one on the machine with the service: it appears as soon as it has logged in.<//>`} />
          <${Pager} page=${wanted.page} size=${SIZE} total=${told.total} go=${(page) => want((former) => ({ ...former, page }))} />`}
    </section>`;
}

function Client({ name }) {
  const [told, error, again] = useAnswer(() => askFrp(`clients/${encodeURIComponent(name)}`), 3000, name);
  const [page, turn] = useState(1);
  const get = () => told ? askFrp("proxies", { user: told.user, clientID: told.clientID, page, pageSize: SIZE }) : null;
  const [proxies] = useAnswer(get, 5000, told?.key, page);
  const [mine] = useAnswer((signal) => ask(`${OWN}/clients`, { query: { q: name }, signal }), 5000, name);
  const crumb = html`<p class="crumb"><a href=${to("clients")}>Clients</a></p>`;
  if (!told) return html`<div class="head"><div>${crumb}<h1>${name}</h1></div></div>${error ? html`<${Problem} error=${error} retry=${again} />` : html`<${Loading} />`}`;
  const own = mine?.items.find((each) => each.key === told.key);
  const end = () => ask(`${OWN}/clients/${encodeURIComponent(told.runID)}`, { method: "DELETE" });
  return html`
    <div class="head"><div>${crumb}<h1>${told.key}</h1></div>
      <div class="actions"><${Badge} state=${told.online ? "online" : "offline"} />
        ${told.online && html`<${Confirm} label="End the session" title="End this session?" act=${end} done=${again}>
          Its proxies close and their users are cut off. The client may log in again at once.<//>`}
      </div>
    </div>
    <div class="grid">
      <${Card} title="Who it is" wide><${Facts} facts=${[
        ["Machine", told.hostname],
        ["Address", told.clientIP],
        ["Version", told.version],
        ["Wire", told.wireProtocol],
        ["User", told.user],
        ["Client id", told.clientID],
        ["First seen", moment(told.firstConnectedAt)],
        ["Carrier", own?.carrier],
        ["Round trip", own?.roundTripS != null && `${(own.roundTripS * 1000).toFixed(1)} ms`],
        ["The last session ended", own?.lastEnd],
        [told.online ? "Logged in" : "Gone since", moment(told.online ? told.lastConnectedAt : told.disconnectedAt)],
      ]} /><//>
      <${Past} client=${told.key} />
      <section class="card wide" aria-label="Its proxies"><header><h2>Its proxies</h2></header>
        ${!proxies ? html`<${Loading} />` : html`
          <${Table} name="Its proxies" columns=${PROXY_COLUMNS.filter((each) => each.title !== "Client")} rows=${proxies.items.map((each) => ({ ...each, key: each.name }))}
            empty=${html`<${Empty} title="It has no proxy" />`} />
          ${proxies.total > SIZE && html`<${Pager} page=${page} size=${SIZE} total=${proxies.total} go=${turn} />`}`}
      </section>
    </div>`;
}

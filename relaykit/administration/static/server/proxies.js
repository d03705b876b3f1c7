// All proxies, and one of them.

import { html, useState } from "../vendor/htm-preact.js";
import { OWN, ask, askFrp } from "../api.js";
import { ago, bytes, count, moment } from "../format.js";
import { Badge, Card, Choice, Empty, Facts, Figure, Loading, Pager, Problem, Search, Table } from "../parts.js";
import { to, useAnswer } from "../state.js";
import { Past } from "../traffic.js";
import { Users } from "../users.js";

const SIZE = 50;
const TYPES = ["tcp", "udp", "http", "https", "tcpmux", "stcp", "sudp", "xtcp"];

export const COLUMNS = [
  { title: "Name", show: (each) => html`<a href=${to("proxies", each.name)}>${each.name}</a>` },
  { title: "Type", show: (each) => each.spec.type },
  { title: "Client", show: (each) => owner(each) },
  { title: "State", show: (each) => html`<${Badge} state=${each.status.phase} />` },
  { title: "Users", show: (each) => count(each.status.curConns), kind: "number" },
  { title: "In today", show: (each) => bytes(each.status.todayTrafficIn), kind: "number" },
  { title: "Out today", show: (each) => bytes(each.status.todayTrafficOut), kind: "number" },
];

const owner = (each) => [each.user, each.clientID].filter(Boolean).join(".") || "–";

export function Proxies({ parts }) {
  return parts.length && parts[0] ? html`<${Proxy} name=${parts.join("/")} />` : html`<${All} />`;
}

function All() {
  const [wanted, want] = useState({ q: "", type: "", status: "", page: 1 });
  const change = (part) => want((former) => ({ ...former, page: 1, ...part }));
  const get = (signal) => askFrp("proxies", { ...wanted, pageSize: SIZE, signal });
  const [told, error, again] = useAnswer(get, 5000, JSON.stringify(wanted));
  const filtered = wanted.q || wanted.type || wanted.status;
  return html`
    <div class="head"><h1>Proxies</h1>
      <div class="actions">
        <${Search} label="Search name, client, port" value=${wanted.q} change=${(q) => change({ q })} />
        <${Choice} label="Type" value=${wanted.type} options=${[["", "All types"], ...TYPES.map((each) => [each, each])]} change=${(type) => change({ type })} />
        <${Choice} label="State" value=${wanted.status} options=${[["", "All states"], ["online", "Online"], ["offline", "Offline"]]} change=${(status) => change({ status })} />
      </div>
    </div>
    <section class="card" aria-label="Proxies">
      ${error && !told ? html`<${Problem} error=${error} retry=${again} />`
        : !told ? html`<${Loading} />`
        : html`<${Table} name="Proxies" columns=${COLUMNS} rows=${told.items.map((each) => ({ ...each, key: each.name }))} empty=${filtered
            ? html`<${Empty} title="Nothing fits">No proxy has all that was asked for.<//>`
            : html`<${Empty} title="No proxy yet">A client brings them with it: the first one that logs in with a proxy appears here.<//>`} />
          <${Pager} page=${wanted.page} size=${SIZE} total=${told.total} go=${(page) => want((former) => ({ ...former, page }))} />`}
    </section>`;
}

// Nested tables become keys with dots.
function* flat(table, before = "") {
  for (const [key, value] of Object.entries(table)) {
    if (value && typeof value === "object" && !Array.isArray(value)) yield* flat(value, `${before}${key}.`);
    else yield [before + key, value];
  }
}

const shown = (value) => (Array.isArray(value) ? value.join(", ") : String(value));

function Proxy({ name }) {
  const path = `proxies/${encodeURIComponent(name)}`;
  const [told, error, again] = useAnswer(() => askFrp(path), 3000, name);
  const [refusals] = useAnswer((signal) => ask(`${OWN}/refusals`, { signal }), 10_000, name);
  const crumb = html`<p class="crumb"><a href=${to("proxies")}>Proxies</a></p>`;
  if (!told) return html`<div class="head"><div>${crumb}<h1>${name}</h1></div></div>${error ? html`<${Problem} error=${error} retry=${again} />` : html`<${Loading} />`}`;
  const { status, spec } = told;
  const refused = refusals?.items.find((each) => each.proxy === name);
  const block = [...flat(spec[spec.type] || {})].filter(([, value]) => value != null && value !== false && shown(value) !== "");
  return html`
    <div class="head"><div>${crumb}<h1>${name}</h1></div><${Badge} state=${status.phase} /></div>
    ${refused && html`<div class="problem" role="alert"><p><strong>The last registration was refused:</strong> ${refused.reason}${refused.problem && html`, see <code>${refused.problem}</code> in the page on troubleshooting`}</p></div>`}
    <div class="figures">
      <${Figure} label="Users" value=${count(status.curConns)} />
      <${Figure} label="In today" value=${bytes(status.todayTrafficIn)} />
      <${Figure} label="Out today" value=${bytes(status.todayTrafficOut)} />
      <${Figure} label=${status.phase === "online" ? "Open since" : "Closed"} value=${ago(status.phase === "online" ? status.lastStartAt : status.lastCloseAt)} />
    </div>
    <div class="grid">
      <${Past} proxy=${name} />
      <${Users} proxy=${name} />
      <${Card} title="What it is" wide><${Facts} facts=${[
        ["Type", spec.type],
        ["Client", html`<a href=${to("clients", owner(told))}>${owner(told)}</a>`],
        ["Opened last", moment(status.lastStartAt)],
        ["Closed last", moment(status.lastCloseAt)],
        ...block.map(([key, value]) => [key, shown(value)]),
      ]} /><//>
    </div>`;
}

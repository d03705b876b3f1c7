// All proxies, and one of them.

import { html, useState } from "../vendor/htm-preact.js";
import { OWN, ask, askFrp } from "../api.js";
import { ago, bytes, count, moment } from "../format.js";
import { Badge, Card, Choice, Empty, Facts, Figure, Loading, Pager, Problem, Search, Table } from "../parts.js";
import { to, useAnswer } from "../state.js";
import { Wrong } from "../remedies.js";
import { Past } from "../traffic.js";
import { Users } from "../users.js";

const SIZE = 50;
const TYPES = ["tcp", "udp", "http", "https", "tcpmux", "stcp", "sudp", "xtcp"];

export const COLUMNS = [
  { title: "Name", show: (each) => html`<a href=${to("proxies", each.name)}>${each.name}</a>` },
  { title: "Type", show: (each) => each.spec.type },
  { title: "Client", show: (each) => owner(each) },
  { title: "State", show: (each) => html`<${Badge} state=${standing(each)} />` },
  { title: "Users", show: (each) => count(each.status.curConns), kind: "number" },
  { title: "In today", show: (each) => bytes(each.status.todayTrafficIn), kind: "number" },
  { title: "Out today", show: (each) => bytes(each.status.todayTrafficOut), kind: "number" },
];

// That it is open says that its client has registered it: whether users are served is another matter.
const standing = (each) => (each.status.phase === "online" ? "open" : "closed");

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
        <${Choice} label="State" value=${wanted.status} options=${[["", "All states"], ["online", "Open"], ["offline", "Closed"]]} change=${(status) => change({ status })} />
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

const FAR = {
  nobody: "It got to nobody: the client did not answer.",
  client: "It got to the client.",
  service: "It got to the local service, which took a connection.",
  answer: "It got to the local service, which answered.",
};

// Whether users are served: what was seen last, and a look on request.
function Served({ name, isOpen }) {
  const path = `${OWN}/proxies/${encodeURIComponent(name)}`;
  const [told, error, again] = useAnswer((signal) => ask(path, { signal }), 5000, name);
  const [looking, look] = useState(false);
  const [failure, fail] = useState(null);
  const go = async () => {
    look(true);
    fail(null);
    try {
      await ask(`${path}/probe`, { method: "POST" });
      again();
    } catch (problem) {
      fail(problem);
    }
    look(false);
  };
  const probe = told?.probe;
  const actions = isOpen && html`<button type="button" onClick=${go} disabled=${looking}>${looking ? "Looking" : "Look now"}</button>`;
  return html`<${Card} title="Are users served?" note="Over the way that they take" actions=${actions} wide>
    ${failure && html`<p class="problem" role="alert">${failure.message}</p>`}
    ${error && !told ? html`<${Problem} error=${error} retry=${again} />` : !told ? html`<${Loading} />` : html`
      ${probe && !probe.online && html`<${Wrong} title="No." text=${probe.error} id=${probe.problem} />`}
      <${Facts} facts=${[
        ["The last look", probe ? html`<${Badge} state=${probe.online ? "online" : "failed"} /> ${ago(probe.at)}, ${(probe.seconds * 1000).toFixed(0)} ms` : "Nobody has looked since it was opened"],
        ["How far it got", probe && FAR[probe.reached]],
        ["Last user", told.lastUserAt ? `${told.lastUser || "unknown"}, ${ago(told.lastUserAt)}` : "nobody yet"],
        ["Not served last", told.lastError && `${told.lastError}, ${ago(told.lastErrorAt)}`],
      ]} />`}
  <//>`;
}

function Proxy({ name }) {
  const path = `proxies/${encodeURIComponent(name)}`;
  const [told, error, again] = useAnswer(() => askFrp(path), 3000, name);
  const [refusals] = useAnswer((signal) => ask(`${OWN}/refusals`, { signal }), 10_000, name);
  const crumb = html`<p class="crumb"><a href=${to("proxies")}>Proxies</a></p>`;
  const refused = refusals?.items.find((each) => each.proxy === name);
  const head = (state) => html`<div class="head"><div>${crumb}<h1>${name}</h1></div>${state && html`<${Badge} state=${state} />`}</div>`;
  if (!told && refused) return html`${head("refused")}<${Wrong} text=${refused.reason} id=${refused.problem} />
    <${Card} title="What it is"><${Facts} facts=${[["Type", refused.type], ["Client", html`<a href=${to("clients", refused.client)}>${refused.client}</a>`], ["Refused", ago(refused.at)]]} /><//>`;
  if (!told) return html`${head()}${error ? html`<${Problem} error=${error} retry=${again} />` : html`<${Loading} />`}`;
  const { status, spec } = told;
  const block = [...flat(spec[spec.type] || {})].filter(([, value]) => value != null && value !== false && shown(value) !== "");
  return html`
    ${head(standing(told))}
    ${refused && html`<${Wrong} title="The last registration was refused:" text=${refused.reason} id=${refused.problem} />`}
    <div class="figures">
      <${Figure} label="Users" value=${count(status.curConns)} />
      <${Figure} label="In today" value=${bytes(status.todayTrafficIn)} />
      <${Figure} label="Out today" value=${bytes(status.todayTrafficOut)} />
      <${Figure} label=${status.phase === "online" ? "Open since" : "Closed"} value=${ago(status.phase === "online" ? status.lastStartAt : status.lastCloseAt)} />
    </div>
    <div class="grid">
      <${Past} proxy=${name} />
      <${Served} name=${name} isOpen=${status.phase === "online"} />
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

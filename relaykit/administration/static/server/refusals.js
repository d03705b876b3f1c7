// Proxies that are not up because the server said no, and what to do.

import { html } from "../vendor/htm-preact.js";
import { OWN, ask } from "../api.js";
import { ago } from "../format.js";
import { Empty, Loading, Problem, Table } from "../parts.js";
import { Remedy } from "../remedies.js";
import { to, useAnswer } from "../state.js";

const COLUMNS = [
  { title: "Proxy", show: (each) => html`<a href=${to("proxies", each.proxy)}>${each.proxy}</a>`, kind: "name" },
  { title: "Type", show: (each) => each.type },
  { title: "Client", show: (each) => each.client, kind: "name" },
  { title: "Why", show: (each) => html`<span>${each.reason}<${Remedy} id=${each.problem} /></span>`, kind: "text" },
  { title: "When", show: (each) => ago(each.at), kind: "number" },
];

export function Refusals() {
  const [told, error, again] = useAnswer((signal) => ask(`${OWN}/refusals`, { signal }), 5000);
  return html`
    <div class="head"><h1>Refused proxies</h1></div>
    <section class="card" aria-label="Refused proxies">
      ${error && !told ? html`<${Problem} error=${error} retry=${again} />`
        : !told ? html`<${Loading} />`
        : html`<${Table} name="Refused proxies" columns=${COLUMNS} rows=${told.items.map((each) => ({ ...each, key: `${each.client} ${each.proxy}` })).reverse()}
            empty=${html`<${Empty} title="Nothing is refused">Every proxy that a client asked for is open.<//>`} />`}
    </section>`;
}

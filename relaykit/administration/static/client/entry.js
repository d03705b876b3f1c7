// One proxy or visitor: how it fares, who uses it, and what it was told.

import { html } from "../vendor/htm-preact.js";
import { OWN, ask } from "../api.js";
import { ago, count, moment, span } from "../format.js";
import { Badge, Card, Confirm, Facts, Figure, Loading, Problem } from "../parts.js";
import { Wrong } from "../remedies.js";
import { to, useAnswer } from "../state.js";
import { Past } from "../traffic.js";
import { Users } from "../users.js";

const SECRET = /password|secret|key|token/i;

// Whoever looks over a shoulder is not to learn what opens the service.
const hidden = (key, value) => (SECRET.test(key) && value && typeof value === "string" ? "••••••" : value);

export function Entry({ parts }) {
  const [list, ...words] = parts;
  const name = words.join("/");
  const [told, error, again] = useAnswer((signal) => ask(`${OWN}/proxies`, { signal }), 3000, list, name);
  const kind = list === "visitors" ? "visitor" : "proxy";
  const [definition] = useAnswer((signal) => ask(`../api/${kind}/${encodeURIComponent(name)}/config`, { signal }), 0, list, name);
  const found = told && (told[list] || []).find((each) => each.name === name);
  const crumb = html`<p class="crumb"><a href=${to("proxies")}>Proxies and visitors</a></p>`;
  const head = (rest) => html`<div class="head"><div>${crumb}<h1>${name}</h1></div>${rest}</div>`;
  if (!told) return html`${head()}${error ? html`<${Problem} error=${error} retry=${again} />` : html`<${Loading} />`}`;
  if (!found) return html`${head()}<${Problem} error=${new Error("There is none of this name: it is switched off, or was taken away.")} />
    <div class="actions"><a class="button" href=${to("edit", list, name)}>Edit it</a></div>`;
  const isStored = found.source === "store";
  const path = `../api/store/${list}/${encodeURIComponent(name)}`;
  const actions = html`<div class="actions"><${Badge} state=${found.state || (found.listening || (found.local && found.users) ? "online" : "offline")} />
    ${isStored && html`<a class="button" href=${to("edit", list, name)}>Edit</a>
      <${Confirm} label="Delete" title=${`Delete this ${kind}?`} act=${() => ask(path, { method: "DELETE" })} done=${() => { location.hash = to("proxies"); }}>
        It is taken out of the store, and its users are let go.<//>`}</div>`;
  const block = definition && definition[definition.type];
  return html`
    ${head(actions)}
    ${found.reason && html`<${Wrong} text=${`${found.reason}${found.nextTryS != null ? `; tried again in ${span(found.nextTryS)}` : ""}`} id=${found.problem} />`}
    <div class="figures">
      <${Figure} label="Users" value=${count(found.users)} />
      <${Figure} label=${kind === "proxy" ? "Users reach it at" : "Port"} value=${html`<code>${found.address || found.listening || found.local || "–"}</code>`} />
      <${Figure} label="Path" value=${found.path || "relay"} />
      <${Figure} label="From" value=${isStored ? "edited here" : "the file"} />
    </div>
    <div class="grid">
      ${kind === "proxy" && html`<${Past} proxy=${name} />`}
      <${Card} title="What was seen last" wide><${Facts} facts=${[
        ["So since", found.since && `${moment(found.since)}, ${ago(found.since)}`],
        ["Last user", found.lastUserAt ? `${found.lastUser || "unknown"}, ${ago(found.lastUserAt)}` : "nobody yet"],
        ["Not served last", found.lastError && `${found.lastError}, ${ago(found.lastErrorAt)}`],
      ]} /><//>
      <${Users} proxy=${name} />
      ${block && html`<${Card} title="What it was told" note="With defaults filled in" wide><div class="body"><pre><code>${JSON.stringify(block, (key, value) => hidden(key, value), 2)}</code></pre></div><//>`}
    </div>`;
}

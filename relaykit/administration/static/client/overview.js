// The client as a whole: its session, its traffic, and what is not up.

import { html } from "../vendor/htm-preact.js";
import { OWN, ask } from "../api.js";
import { ago, bytes, count, number, span } from "../format.js";
import { Badge, Card, Empty, Facts, Figure, Loading, Problem } from "../parts.js";
import { to, useAnswer } from "../state.js";
import { Live, Past, useRates } from "../traffic.js";
import { Users } from "../users.js";

const isDown = (each) => (each.state ? each.state !== "running" : each.reason && !each.listening);

export function Overview() {
  const [told, error, again] = useAnswer((signal) => ask(`${OWN}/overview`, { signal }), 2000);
  const [entries] = useAnswer((signal) => ask(`${OWN}/proxies`, { signal }), 5000);
  const rates = useRates(told);
  if (!told) return error ? html`<${Problem} error=${error} retry=${again} />` : html`<${Loading} />`;
  const down = entries ? [...entries.proxies, ...entries.visitors].filter(isDown) : [];
  return html`
    <div class="head"><h1>Overview</h1><${Badge} state=${told.connected ? "connected" : "offline"} /></div>
    ${!told.connected && html`<p class="problem" role="alert">There is no session with ${told.server}: users do not get here. The client goes on trying.</p>`}
    <div class="figures">
      <${Figure} label="Proxies up" value=${`${told.proxiesUp} of ${told.proxies}`} href=${to("proxies")} />
      <${Figure} label="Visitors up" value=${`${told.visitorsUp} of ${told.visitors}`} href=${to("proxies")} />
      <${Figure} label="Users" value=${count(told.users)} />
      <${Figure} label="Moved since the start" value=${bytes(told.bytesIn + told.bytesOut)} note=${number(told.connections, "connection")} />
      <${Figure} label="Round trip" value=${told.roundTripS == null ? "–" : `${(told.roundTripS * 1000).toFixed(told.roundTripS < 0.01 ? 1 : 0)} ms`} />
    </div>
    <div class="grid">
      <${Live} points=${rates} />
      <${Card} title="Not up" wide>
        ${!entries ? html`<${Loading} />` : down.length === 0
          ? html`<${Empty} title="All is up">Every proxy is open to users, and every visitor has its port.<//>`
          : html`<ul class="events">${down.map((each) => html`<li key=${each.name}><a href=${to("entry", each.listening == null ? "proxies" : "visitors", each.name)}>${each.name}</a>
              <span class="bad">${each.reason || each.state}${each.nextTryS != null ? `; tried again in ${span(each.nextTryS)}` : ""}</span></li>`)}</ul>`}
      <//>
      <${Past} />
      <${Users} proxy="" />
      <${Card} title="This client" wide><${Facts} facts=${[
        ["Version", told.version],
        ["Server", told.server],
        [told.connected ? "Connected" : "Lost", ago(told.since)],
        ["Reached by", told.path],
      ]} /><//>
    </div>`;
}

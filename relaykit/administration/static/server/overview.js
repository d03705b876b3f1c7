// The server as a whole: figures, traffic, and what happened last.

import { html, useEffect, useState } from "../vendor/htm-preact.js";
import { OWN, ask } from "../api.js";
import { bytes, clock, count, moment, number } from "../format.js";
import { Badge, Card, Copy, Empty, Facts, Figure, Loading, Problem } from "../parts.js";
import { to, useAnswer } from "../state.js";
import { Live, Past, useRates } from "../traffic.js";

const MOST_EVENTS = 60;

const WORDS = {
  "client-connected": (told) => `${told.client} logged in from ${told.origin}`,
  "client-disconnected": (told) => `${told.client} is gone: ${told.reason || told.why}`,
  "login-refused": (told) => `A login from ${told.origin} was refused: ${told.reason}`,
  "proxy-exposed": (told) => `${told.name} is open${told.address ? ` at ${told.address}` : ""}`,
  "proxy-refused": (told) => `${told.name} of ${told.client} was refused: ${told.reason}`,
  "proxy-closed": (told) => `${told.name} is closed: ${told.why}`,
  "visit-refused": (told) => `A visit of ${told.proxy} was refused: ${told.reason}`,
  "proxy-probed": (told) => told.isNews && (told.error ? `Users of ${told.proxy} would not be served: ${told.error}` : `Users of ${told.proxy} would be served`),
  "user-unserved": (told) => `A user of ${told.proxy} was not served: ${told.error}`,
};

function Events() {
  const [events, set] = useState([]);
  useEffect(() => {
    const source = new EventSource(`${OWN}/events`);
    let number = 0;
    for (const [kind, words] of Object.entries(WORDS)) {
      source.addEventListener(kind, ({ data }) => {
        const told = JSON.parse(data);
        const text = words(told);
        if (!text) return;
        const event = { key: (number += 1), at: told.at, text, bad: /refused|unserved/.test(kind) || Boolean(told.error) };
        set((former) => [event, ...former].slice(0, MOST_EVENTS));
      });
    }
    return () => source.close();
  }, []);
  return html`<${Card} title="Events" note="As they happen">
    ${events.length === 0
      ? html`<${Empty} title="Nothing has happened yet">Logins, proxies and refusals appear here from now on.<//>`
      : html`<ol class="events" aria-live="polite">${events.map((each) => html`
          <li key=${each.key}><time>${clock(each.at)}</time><span class=${each.bad ? "bad" : ""}>${each.text}</span></li>`)}</ol>`}
  <//>`;
}

export function Overview() {
  const [told, error, again] = useAnswer((signal) => ask(`${OWN}/overview`, { signal }), 2000);
  const rates = useRates(told);
  if (!told) return error ? html`<${Problem} error=${error} retry=${again} />` : html`<${Loading} />`;
  const types = Object.entries(told.types).map(([type, number]) => `${number} ${type}`).join(", ");
  return html`
    <div class="head"><h1>Overview</h1><${Badge} state=${told.state} /></div>
    <div class="figures">
      <${Figure} label="Clients" value=${count(told.clients)} href=${to("clients")} />
      <${Figure} label="Proxies" value=${count(told.proxies)} note=${types} href=${to("proxies")} />
      <${Figure} label="Users" value=${count(told.users)} note=${told.usersWaiting ? `${told.usersWaiting} wait` : ""} />
      <${Figure} label="Moved since the start" value=${bytes(told.bytesIn + told.bytesOut)} note=${number(told.connections, "connection")} />
      <${Figure} label="Refused proxies" value=${count(told.refused)} href=${to("refusals")} />
    </div>
    <div class="grid">
      <${Live} points=${rates} />
      <${Past} />
      <${Events} />
      <${Card} title="This server"><${Facts} facts=${[
        ["Version", told.version],
        ["Since", moment(told.since)],
        ["Port for clients", told.port],
        ["Fingerprint of its certificate", told.fingerprint && html`<${Copy} text=${told.fingerprint} />`],
      ]} /><//>
    </div>`;
}

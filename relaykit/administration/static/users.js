// Who uses a proxy at the moment.

import { html } from "./vendor/htm-preact.js";
import { OWN, ask } from "./api.js";
import { ago, bytes, rate } from "./format.js";
import { Card, Confirm, Empty, Loading, Problem, Table } from "./parts.js";
import { useAnswer } from "./state.js";

const SIZE = 50;

export function Users({ proxy }) {
  const get = (signal) => ask(`${OWN}/users`, { query: { proxy, pageSize: SIZE }, signal });
  const [told, error, again] = useAnswer(get, 2000, proxy);
  if (!told) return html`<${Card} title="Users" wide>${error ? html`<${Problem} error=${error} retry=${again} />` : html`<${Loading} />`}<//>`;
  const end = (user) => () => ask(`${OWN}/users`, { method: "DELETE", query: { proxy: user.proxy, address: user.address } });
  const columns = [
    { title: "Address", show: (user) => html`<code>${user.address || "unknown"}</code>` },
    ...(proxy ? [] : [{ title: "Proxy", show: (user) => user.proxy }]),
    { title: "Path", show: (user) => (user.isWaiting ? "waits for a work connection" : user.path) },
    { title: "Since", show: (user) => (user.since ? ago(user.since) : "–"), kind: "number" },
    { title: "In", show: (user) => bytes(user.bytesIn), kind: "number" },
    { title: "Out", show: (user) => bytes(user.bytesOut), kind: "number" },
    { title: "Average", show: (user) => (user.rateIn == null ? "–" : rate(user.rateIn + user.rateOut)), kind: "number" },
    { title: "", kind: "actions", show: (user) => user.address && html`<${Confirm} label="Cut off" title="Cut off this user?" act=${end(user)} done=${again}>
        All connections of ${user.address} to ${user.proxy} end at once. The user may come again.<//>` },
  ];
  const rows = told.items.map((user, index) => ({ ...user, key: `${user.proxy} ${user.address} ${index}` }));
  return html`<${Card} title="Users" note=${told.total > SIZE ? `${SIZE} of ${told.total}` : `${told.total} at the moment`} wide>
    <${Table} name="Users" columns=${columns} rows=${rows} empty=${html`<${Empty} title="Nobody is here">Whoever connects appears at once.<//>`} />
  <//>`;
}

// Traffic as it is now, and as it was.

import { html, useEffect, useRef, useState } from "./vendor/htm-preact.js";
import { OWN, ask } from "./api.js";
import { bytes, number, rate } from "./format.js";
import { Card, Empty, Loading, Problem, Tabs } from "./parts.js";
import { Plot } from "./plot.js";
import { useAnswer } from "./state.js";

const MOST_POINTS = 150;

// The rates of the last minutes, made of totals that are asked for again and again.
export function useRates(overview) {
  const [points, set] = useState([[], [], []]);
  const last = useRef(null);
  useEffect(() => {
    if (!overview) return;
    const now = Date.now() / 1000;
    const before = last.current;
    last.current = { now, to: overview.bytesIn, from: overview.bytesOut };
    if (!before || now - before.now < 0.5) return;
    const gone = now - before.now;
    const added = [now, Math.max(0, overview.bytesIn - before.to) / gone, Math.max(0, overview.bytesOut - before.from) / gone];
    set((former) => former.map((column, index) => [...column, added[index]].slice(-MOST_POINTS)));
  }, [overview]);
  return points;
}

const NAMES = ["To the services", "To the users"];

export const Live = ({ points }) => {
  const length = points[0].length;
  const note = length ? `${rate(points[1][length - 1])} in, ${rate(points[2][length - 1])} out` : "Measuring";
  return html`<${Card} title="Traffic now" note=${note} wide>
    ${length < 2 ? html`<${Loading} />` : html`<${Plot} data=${points} format=${rate} names=${NAMES} label="Traffic of the last minutes" seconds=${120} />`}
  <//>`;
};

const SPANS = { hour: ["minute", 3600, "Last hour"], day: ["hour", 86400, "Day"], week: ["hour", 7 * 86400, "Week"], quarter: ["day", 90 * 86400, "90 days"] };
const SECONDS = { minute: 60, hour: 3600, day: 86400 };

export function Past({ proxy = "", client = "" }) {
  const [chosen, choose] = useState("day");
  const [grain, length] = SPANS[chosen];
  const get = (signal) => ask(`${OWN}/history`, { query: { proxy, client, grain, from: Math.floor(Date.now() / 1000 - length) }, signal });
  const [told, error, again] = useAnswer(get, 60_000, chosen, proxy, client);
  const tabs = html`<${Tabs} label="Span" value=${chosen} options=${Object.entries(SPANS).map(([key, each]) => [key, each[2]])} change=${choose} />`;
  const sums = told && [told.bytesIn, told.bytesOut, told.connections].map((column) => column.reduce((sum, value) => sum + value, 0));
  const note = sums && `${bytes(sums[0])} in, ${bytes(sums[1])} out, ${number(sums[2], "connection")}`;
  const missing = error?.status === 404;
  return html`<${Card} title="History" note=${note} actions=${tabs} wide>
    ${missing ? html`<${Empty} title="No history is kept">It needs a state directory, and keepHistory must not be false.<//>`
      : error && !told ? html`<${Problem} error=${error} retry=${again} />`
      : !told ? html`<${Loading} />`
      : html`<${Plot} key=${chosen} data=${[told.times, told.bytesIn.map((each) => each / SECONDS[told.grain]), told.bytesOut.map((each) => each / SECONDS[told.grain])]}
          format=${rate} names=${NAMES} label=${`Traffic, ${SPANS[chosen][2]}`} />`}
  <//>`;
}

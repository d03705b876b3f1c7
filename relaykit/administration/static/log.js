// The last lines of the program's log, and those that come.

import { html, useEffect, useRef, useState } from "./vendor/htm-preact.js";
import { OWN, ask } from "./api.js";
import { clock } from "./format.js";
import { Choice, Empty, Loading, Problem, Search } from "./parts.js";
import { Remedy } from "./remedies.js";

const MOST = 1000;
const FIRST = 300;
const LEVELS = [["debug", "All levels"], ["info", "Info and above"], ["warn", "Warnings and errors"], ["error", "Errors"]];
const BAD = ["warn", "error", "critical"];

export function Log() {
  const [level, choose] = useState("debug");
  const [q, search] = useState("");
  const [lines, set] = useState(null);
  const [error, fail] = useState(null);
  const [paused, pause] = useState(false);
  const [late, wait] = useState(0);
  const kept = useRef([]);
  const isPaused = useRef(false);
  useEffect(() => {
    let source = null;
    let over = false;
    set(null);
    fail(null);
    ask(`${OWN}/log`, { query: { limit: FIRST, level } }).then((told) => {
      if (over) return;
      set(told.items);
      source = new EventSource(`${OWN}/log/stream?after=${told.last}&level=${level}`);
      source.addEventListener("line", ({ data }) => {
        const line = JSON.parse(data);
        if (isPaused.current) {
          kept.current = [...kept.current, line].slice(-MOST);
          wait(kept.current.length);
        } else set((former) => [...former, line].slice(-MOST));
      });
    }, fail);
    return () => {
      over = true;
      source?.close();
    };
  }, [level]);
  const hold = () => {
    isPaused.current = !paused;
    pause(!paused);
    if (paused) {
      const came = kept.current;
      kept.current = [];
      wait(0);
      set((former) => [...former, ...came].slice(-MOST));
    }
  };
  const words = q.toLowerCase();
  const shown = lines?.filter((each) => `${each.text} ${each.source}`.toLowerCase().includes(words)).reverse();
  return html`
    <div class="head"><h1>Log</h1><div class="actions">
      <${Search} label="Search the lines" value=${q} change=${search} />
      <${Choice} label="Level" value=${level} options=${LEVELS} change=${choose} />
      <button type="button" aria-pressed=${paused} onClick=${hold}>${paused ? `Go on${late ? ` (${late} new)` : ""}` : "Pause"}</button>
    </div></div>
    <section class="card" aria-label="Lines, the latest first">
      ${error ? html`<${Problem} error=${error} />`
        : !shown ? html`<${Loading} />`
        : shown.length === 0 ? html`<${Empty} title=${q ? "Nothing fits" : "No line yet"}>${q ? "No line that is remembered has this in it." : "What the program says appears here at once."}<//>`
        : html`<ol class="log" tabindex="0" aria-label="Lines">${shown.map((each) => html`
            <li key=${each.number} class=${BAD.includes(each.level) ? "bad" : ""}><time>${clock(each.at)}</time><span class="level">${each.level}</span>
              <div><pre>${each.text}</pre>${each.problem && BAD.includes(each.level) && html`<${Remedy} id=${each.problem} />`}</div></li>`)}</ol>`}
    </section>`;
}

// The configuration file: looked at as verify does while it is written, then saved and read again.

import { html, useEffect, useRef, useState } from "../vendor/htm-preact.js";
import { OWN, ask } from "../api.js";
import { Card, Loading, Problem } from "../parts.js";

export function File() {
  const [saved, keep] = useState(null);
  const [text, write] = useState("");
  const [found, find] = useState({ problems: [], warnings: [] });
  const [error, fail] = useState(null);
  const [said, say] = useState("");
  const turn = useRef(0);
  const load = () => ask("../api/config").then((told) => {
    const file = typeof told === "string" ? told : JSON.stringify(told, null, 2);
    keep(file);
    write(file);
    fail(null);
  }, fail);
  useEffect(() => void load(), []);
  useEffect(() => {
    if (saved === null) return undefined;
    const mine = (turn.current += 1);
    const timer = setTimeout(async () => {
      try {
        const told = await ask(`${OWN}/check`, { method: "POST", body: JSON.stringify({ text }) });
        if (mine === turn.current) find(told);
      } catch (problem) {
        if (mine === turn.current) fail(problem);
      }
    }, 300);
    return () => clearTimeout(timer);
  }, [text, saved]);
  if (saved === null) return html`<div class="head"><h1>Configuration file</h1></div>${error ? html`<${Problem} error=${error} retry=${load} />` : html`<${Loading} />`}`;
  const save = async (event) => {
    event.preventDefault();
    say("");
    try {
      await ask("../api/config", { method: "PUT", body: text });
      keep(text);
      await ask("../api/reload", { query: { strictConfig: "true" } });
      fail(null);
      say("Saved, and read again.");
    } catch (problem) {
      fail(problem);
    }
  };
  const where = (each) => (each.line ? `line ${each.line}: ` : "");
  return html`
    <div class="head"><h1>Configuration file</h1></div>
    <form onSubmit=${save}><${Card} title="" wide><div class="body">
      <label for="file">The file as it is, secrets included</label>
      <textarea class="file" id="file" spellcheck="false" value=${text} onInput=${(event) => { write(event.target.value); say(""); }}></textarea>
      <div role="status">
        ${found.problems.map((each) => html`<p class="problem">${where(each)}${each.text}</p>`)}
        ${found.warnings.map((each) => html`<p class="note">${where(each)}${each.text}</p>`)}
        ${said && html`<p class="note">${said}</p>`}
      </div>
      ${error && html`<p class="problem" role="alert">${error.message}</p>`}
      <div class="actions"><button class="primary" type="submit" disabled=${text === saved || found.problems.length > 0}>Save and read again</button>
        <button type="button" disabled=${text === saved} onClick=${() => write(saved)}>Undo</button></div>
    </div><//></form>`;
}

// The parts that pages are made of.

import { html, useEffect, useRef, useState } from "./vendor/htm-preact.js";

export const Card = ({ title, note, actions, children, wide }) => html`
  <section class=${"card" + (wide ? " wide" : "")} aria-label=${title}>
    ${title && html`<header><h2>${title}</h2>${note && html`<p class="note">${note}</p>`}${actions && html`<div class="actions">${actions}</div>`}</header>`}
    ${children}
  </section>`;

export const Figure = ({ label, value, note, href }) => html`
  <${href ? "a" : "div"} class="figure" href=${href}>
    <span class="label">${label}</span><strong>${value}</strong>${note && html`<span class="note">${note}</span>`}
  <//>`;

const TONES = {
  online: "good", open: "good", running: "good", ready: "good", connected: "good",
  offline: "still", closed: "still", waiting: "still", stopped: "still",
  refused: "bad", failed: "bad", unhealthy: "bad",
};

export const Badge = ({ state }) => html`<span class=${"badge " + (TONES[state] || "still")}>${state}</span>`;

export const Empty = ({ title, children }) => html`<div class="empty"><p class="title">${title}</p>${children && html`<p>${children}</p>`}</div>`;

export const Problem = ({ error, retry }) => html`
  <div class="problem" role="alert"><p><strong>${error.message}</strong></p>
  ${retry && html`<button type="button" onClick=${retry}>Try again</button>`}</div>`;

export const Loading = () => html`<div class="loading" role="status"><span class="visually-hidden">Loading</span></div>`;

// Rows as a table; on a narrow screen each becomes a card, with the titles of its cells.
export const Table = ({ columns, rows, name, empty }) => rows.length === 0 ? empty : html`
  <div class="table" role="region" aria-label=${name} tabindex="0"><table>
    <caption class="visually-hidden">${name}</caption>
    <thead><tr>${columns.map((each) => html`<th scope="col" class=${each.kind}>${each.title}</th>`)}</tr></thead>
    <tbody>${rows.map((row) => html`<tr key=${row.key}>${columns.map((each) => html`
      <td class=${each.kind} data-title=${each.title}>${each.show(row)}</td>`)}</tr>`)}</tbody>
  </table></div>`;

export const Pager = ({ page, size, total, go }) => {
  const last = Math.max(1, Math.ceil(total / size));
  return html`<nav class="pager" aria-label="Pages">
    <span>${total ? `${(page - 1) * size + 1} to ${Math.min(total, page * size)} of ${total.toLocaleString("en")}` : "none"}</span>
    <button type="button" disabled=${page <= 1} onClick=${() => go(page - 1)} aria-label="Previous page">←</button>
    <button type="button" disabled=${page >= last} onClick=${() => go(page + 1)} aria-label="Next page">→</button>
  </nav>`;
};

export function Search({ label, value, change }) {
  const [text, set] = useState(value);
  const timer = useRef(0);
  const typed = (event) => {
    set(event.target.value);
    clearTimeout(timer.current);
    timer.current = setTimeout(() => change(event.target.value), 200);
  };
  return html`<label class="field search"><span class="visually-hidden">${label}</span>
    <input type="search" placeholder=${label} value=${text} onInput=${typed} /></label>`;
}

export const Choice = ({ label, value, options, change }) => html`
  <label class="field"><span class="visually-hidden">${label}</span>
    <select value=${value} onChange=${(event) => change(event.target.value)} aria-label=${label}>
      ${options.map(([key, text]) => html`<option value=${key} selected=${key === value}>${text}</option>`)}
    </select></label>`;

export const Tabs = ({ label, value, options, change }) => html`
  <div class="tabs" role="group" aria-label=${label}>
    ${options.map(([key, text]) => html`<button type="button" aria-pressed=${key === value} onClick=${() => change(key)}>${text}</button>`)}
  </div>`;

// Asks before it does what cannot be undone, and tells what came of it.
export function Confirm({ label, title, children, act, done }) {
  const dialog = useRef(null);
  const [error, fail] = useState(null);
  const go = async () => {
    try {
      await act();
      dialog.current.close();
      done?.();
    } catch (problem) {
      fail(problem);
    }
  };
  return html`
    <button type="button" class="danger" onClick=${() => { fail(null); dialog.current.showModal(); }}>${label}</button>
    <dialog ref=${dialog} aria-label=${title}>
      <h2>${title}</h2><p>${children}</p>
      ${error && html`<p class="problem" role="alert">${error.message}</p>`}
      <div class="actions"><button type="button" onClick=${() => dialog.current.close()}>Cancel</button>
      <button type="button" class="danger" onClick=${go}>${label}</button></div>
    </dialog>`;
}

export const Facts = ({ facts }) => html`<dl class="facts">
  ${facts.filter(([, value]) => value !== "" && value != null).map(([name, value]) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`)}
</dl>`;

export function Copy({ text }) {
  const [copied, set] = useState(false);
  useEffect(() => {
    if (!copied) return undefined;
    const timer = setTimeout(() => set(false), 1500);
    return () => clearTimeout(timer);
  }, [copied]);
  const copy = async () => {
    await navigator.clipboard?.writeText(text);
    set(true);
  };
  return html`<code class="long">${text}</code> <button type="button" class="small" onClick=${copy}>${copied ? "Copied" : "Copy"}</button>`;
}

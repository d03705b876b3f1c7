// Makes, changes, switches off and deletes what is in the store, by forms that the types describe themselves.

import { html, useEffect, useRef, useState } from "../vendor/htm-preact.js";
import { OWN, ask } from "../api.js";
import { Confirm, Loading, Problem } from "../parts.js";
import { to, useAnswer } from "../state.js";

const get = (block, key) => key.split(".").reduce((value, part) => value?.[part], block);

function set(block, key, value) {
  const [first, ...rest] = key.split(".");
  const copy = { ...block };
  if (rest.length) copy[first] = set(copy[first] || {}, rest.join("."), value);
  else if (value === undefined) delete copy[first];
  else copy[first] = value;
  if (rest.length && Object.keys(copy[first]).length === 0) delete copy[first];
  return copy;
}

const lines = (text) => text.split("\n").map((each) => each.trim()).filter(Boolean);
const asMap = (text) => Object.fromEntries(lines(text).map((each) => {
  const at = each.indexOf("=");
  return at < 0 ? [each, ""] : [each.slice(0, at).trim(), each.slice(at + 1).trim()];
}));

// For each kind that is no single word: how it is written in a field, and read from one.
const KINDS = {
  texts: { write: (value) => (value || []).join("\n"), read: lines, hint: "One in each line" },
  map: { write: (value) => Object.entries(value || {}).map((each) => each.join(" = ")).join("\n"), read: asMap, hint: "name = value, one in each line" },
  tables: { write: (value) => (value?.length ? JSON.stringify(value, null, 2) : ""), read: (text) => (text.trim() ? JSON.parse(text) : []), hint: "A list, as JSON" },
};
const NUMBERS = ["number", "port", "duration"];

function Key({ field, value, change, problem }) {
  const id = `key-${field.key}`;
  const many = KINDS[field.kind];
  const [text, type] = useState(many ? many.write(value ?? field.default) : null);
  const note = html`<p class="note" id=${`${id}-note`}>${field.doc}${many ? ` ${many.hint}.` : ""}</p>`;
  // Nobody has done anything wrong by not having come to it yet.
  const [touched, mark] = useState(false);
  const touch = () => mark(true);
  if (field.required && value === undefined && !touched) problem = null;
  const wrong = problem && html`<p class="wrong" id=${`${id}-wrong`} role="alert">${problem}</p>`;
  const common = { id, "aria-describedby": `${id}-note${problem ? ` ${id}-wrong` : ""}`, "aria-invalid": problem ? "true" : null };
  if (field.kind === "boolean") {
    return html`<div class="key switch"><input type="checkbox" ...${common} checked=${value ?? field.default} onChange=${(event) => change(event.target.checked === field.default ? undefined : event.target.checked)} />
      <label for=${id}>${field.label}</label>${note}${wrong}</div>`;
  }
  let input;
  if (field.kind === "choice") {
    input = html`<select ...${common} onChange=${(event) => change(event.target.value === field.default ? undefined : event.target.value)}>
      ${field.choices.map((each) => html`<option value=${each} selected=${(value ?? field.default) === each}>${each || "none"}</option>`)}</select>`;
  } else if (many) {
    const typed = (event) => {
      type(event.target.value);
      try {
        const read = many.read(event.target.value);
        event.target.setCustomValidity("");
        change(Object.keys(read).length ? read : undefined);
      } catch {
        event.target.setCustomValidity("This is no JSON.");
      }
    };
    input = html`<textarea rows="3" ...${common} value=${text} onInput=${typed}></textarea>`;
  } else {
    const isNumber = NUMBERS.includes(field.kind);
    const typed = (event) => {
      const given = event.target.value;
      change(given === "" ? undefined : isNumber ? Number(given) : given);
    };
    input = html`<input ...${common} type=${isNumber ? "number" : field.kind === "secret" ? "password" : "text"} autocomplete="off" spellcheck="false"
      required=${field.required} min=${field.least} max=${field.greatest} placeholder=${field.default ?? ""} value=${value ?? ""} onInput=${typed} />`;
  }
  return html`<div class="key" onInput=${touch} onFocusOut=${touch}><label for=${id}>${field.label}${field.required ? html`<span class="note"> required</span>` : ""}</label>${input}${note}${wrong}</div>`;
}

function Section({ section, block, change, problems }) {
  const keys = (fields) => html`<div class="keys">${fields.map((field) => html`
    <${Key} key=${field.key} field=${field} value=${get(block, field.key)} problem=${problems[field.key]} change=${(value) => change(field.key, value)} />`)}</div>`;
  const plain = section.fields.filter((each) => !each.advanced);
  const more = section.fields.filter((each) => each.advanced);
  const isUsed = section.fields.some((each) => get(block, each.key) !== undefined || problems[each.key]);
  const inside = html`${section.doc && section.name && html`<p class="note">${section.doc.replaceAll("``", "")}</p>`}${plain.length > 0 && keys(plain)}
    ${more.length > 0 && html`<details open=${more.some((each) => get(block, each.key) !== undefined || problems[each.key])}><summary>More</summary>${keys(more)}</details>`}`;
  if (!section.advanced) return html`<fieldset><legend>${section.label || "In general"}</legend>${inside}</fieldset>`;
  return html`<details open=${isUsed}><summary>${section.label}</summary><fieldset><legend class="visually-hidden">${section.label}</legend>${inside}</fieldset></details>`;
}

function Plugin({ form, block, change, problems }) {
  if (form.plugins.length === 0) return null;
  const chosen = block.plugin?.type || "";
  const plugin = form.plugins.find((each) => each.type === chosen);
  const choose = (event) => change("plugin", event.target.value ? { type: event.target.value } : undefined);
  return html`<details open=${Boolean(chosen)}><summary>In place of a local service</summary><fieldset><legend class="visually-hidden">In place of a local service</legend>
    <div class="keys"><div class="key"><label for="plugin">Plugin</label><select id="plugin" onChange=${choose}>
      <option value="" selected=${!chosen}>none</option>${form.plugins.map((each) => html`<option value=${each.type} selected=${each.type === chosen}>${each.type}</option>`)}</select>
      <p class="note">${plugin?.doc || "What answers users without a program of its own."}</p></div>
      ${plugin?.fields.map((field) => html`<${Key} key=${field.key} field=${field} value=${get(block, field.key)} problem=${problems[field.key]} change=${(value) => change(field.key, value)} />`)}
    </div></fieldset></details>`;
}

export function Edit({ parts }) {
  const [list, ...words] = parts;
  const name = words.join("/");
  const kind = list === "visitors" ? "visitor" : "proxy";
  const path = `../api/store/${list}`;
  const [forms, error, again] = useAnswer((signal) => ask(`${OWN}/forms`, { signal }), 0);
  const [type, choose] = useState(list === "visitors" ? "stcp" : "tcp");
  const [block, write] = useState(name ? null : {});
  const [found, find] = useState({ problems: [], warnings: [] });
  const [failure, fail] = useState(null);
  const turn = useRef(0);
  useEffect(() => {
    if (!name) return;
    ask(`${path}/${encodeURIComponent(name)}`).then((told) => {
      choose(told.type);
      write(told[told.type]);
    }, fail);
  }, [name, list]);
  const definition = block && { name: block.name || "", type, [type]: block };
  // Looks at what is written as verify does, while it is written.
  useEffect(() => {
    if (!block) return undefined;
    const mine = (turn.current += 1);
    const timer = setTimeout(async () => {
      try {
        const told = await ask(`${OWN}/check`, { method: "POST", query: { list }, body: JSON.stringify(definition) });
        if (mine === turn.current) find(told);
      } catch (problem) {
        if (mine === turn.current) fail(problem);
      }
    }, 250);
    return () => clearTimeout(timer);
  }, [block, type]);
  if (error) return html`<${Problem} error=${error} retry=${again} />`;
  if (failure && !block) return html`<${Problem} error=${failure} />`;
  if (!forms || !block) return html`<${Loading} />`;
  const form = forms[list].find((each) => each.type === type);
  const problems = Object.fromEntries(found.problems.map((each) => [each.key, `${each.what}${each.hint ? `; ${each.hint}` : ""}`]));
  const keys = new Set([...form.sections, ...form.plugins].flatMap((each) => each.fields.map((field) => field.key)));
  const others = found.problems.filter((each) => !keys.has(each.key));
  const change = (key, value) => write((former) => set(former, key, value));
  const save = async (event) => {
    event.preventDefault();
    fail(null);
    try {
      await ask(name ? `${path}/${encodeURIComponent(name)}` : path, { method: name ? "PUT" : "POST", body: JSON.stringify(definition) });
      location.hash = block.enabled === false ? to("proxies") : to("entry", list, block.name);
    } catch (problem) {
      fail(problem);
    }
  };
  const remove = () => ask(`${path}/${encodeURIComponent(name)}`, { method: "DELETE" });
  const pick = html`<div class="keys"><div class="key"><label for="type">Type</label>
    <select id="type" disabled=${Boolean(name)} onChange=${(event) => choose(event.target.value)}>${forms[list].map((each) => html`<option value=${each.type} selected=${each.type === type}>${each.type}</option>`)}</select>
    <p class="note">${form.doc}</p></div></div>`;
  return html`
    <div class="head"><div><p class="crumb"><a href=${to("proxies")}>Proxies and visitors</a></p><h1>${name || `A new ${kind}`}</h1></div></div>
    <form class="card" onSubmit=${save} aria-label=${name || `A new ${kind}`}><div class="body">
      ${pick}
      ${form.sections.filter((each) => !each.advanced).map((section) => html`<${Section} key=${type + section.name} section=${section} block=${block} change=${change} problems=${problems} />`)}
      <${Plugin} form=${form} block=${block} change=${change} problems=${problems} />
      ${form.sections.filter((each) => each.advanced).map((section) => html`<${Section} key=${type + section.name} section=${section} block=${block} change=${change} problems=${problems} />`)}
      ${others.map((each) => html`<p class="problem" role="alert">${each.text}</p>`)}
      ${found.warnings.map((each) => html`<p class="note" role="status">${each.text}</p>`)}
      ${failure && html`<p class="problem" role="alert">${failure.message}</p>`}
      <div class="actions"><button class="primary" type="submit" disabled=${found.problems.length > 0}>Save</button><a class="button" href=${to("proxies")}>Cancel</a>
        ${name && html`<${Confirm} label="Delete" title=${`Delete this ${kind}?`} act=${remove} done=${() => { location.hash = to("proxies"); }}>It is taken out of the store, and its users are let go.<//>`}
      </div>
    </div></form>`;
}

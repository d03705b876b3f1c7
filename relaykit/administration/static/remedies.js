// What is known of a problem, and what to do about it.

import { html, useEffect, useState } from "./vendor/htm-preact.js";
import { OWN, ask } from "./api.js";

// There are some hundred, and they stay the same while the program runs.
const known = new Map();

export function Remedy({ id }) {
  const [told, tell] = useState(null);
  useEffect(() => {
    if (!id) return undefined;
    let over = false;
    if (!known.has(id)) known.set(id, ask(`${OWN}/problems/${encodeURIComponent(id)}`).catch(() => null));
    known.get(id).then((found) => over || tell(found));
    return () => { over = true; };
  }, [id]);
  return told && told.id === id && html`<p class="remedy">${told.cause} <strong>${told.isForClient && document.documentElement.dataset.role !== "client" ? "At the client: " : ""}${told.remedy}</strong></p>`;
}

// What went wrong, in the words of who saw it, and how to mend it.
export const Wrong = ({ title, text, id, children }) => html`
  <div class="problem" role="alert"><div><p>${title && html`<strong>${title} </strong>`}${text}</p><${Remedy} id=${id} /></div>${children}</div>`;

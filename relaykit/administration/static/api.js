// Asks the API of the role; everything is relative to these pages, so that a proxy may put a path before them.

export const OWN = "../api/relaykit/v1";

export class Failed extends Error {
  constructor(status, text) {
    super(text);
    this.status = status;
  }
}

export async function ask(path, { method = "GET", query = {}, body, signal } = {}) {
  const given = Object.entries(query).filter(([, value]) => value !== "" && value != null);
  const target = path + (given.length ? "?" + new URLSearchParams(given) : "");
  let answer;
  try {
    answer = await fetch(target, { method, body, signal });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Failed(0, "The program does not answer.");
  }
  const text = await answer.text();
  let told = null;
  if ((answer.headers.get("Content-Type") || "").startsWith("application/json")) told = JSON.parse(text);
  if (!answer.ok) throw new Failed(answer.status, told?.error || told?.Msg || told?.msg || text.trim() || answer.statusText);
  return told ?? text;
}

// frp's second API wraps what it tells.
export const askFrp = async (path, query) => (await ask("../api/v2/" + path, { query })).data;

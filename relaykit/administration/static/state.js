// What components share: following an answer again and again, the address, and the colours that were chosen.

import { useEffect, useRef, useState } from "./vendor/htm-preact.js";

// Asks at once and each so many milliseconds, while the page is seen: the last answer, the last failure, and a
// function that asks at once.
export function useAnswer(get, every, ...parts) {
  const [told, tell] = useState({ value: null, error: null });
  const again = useRef(() => {});
  useEffect(() => {
    let timer = 0;
    let control = null;
    let over = false;
    const next = () => {
      if (every && !over) timer = setTimeout(look, every);
    };
    async function look() {
      clearTimeout(timer);
      if (document.hidden) return next();
      control?.abort();
      const mine = (control = new AbortController());
      try {
        const value = await get(mine.signal);
        if (!over) tell({ value, error: null });
      } catch (error) {
        if (error.name === "AbortError") return;
        if (!over) tell((former) => ({ value: former.value, error }));
      }
      next();
    }
    const seen = () => document.hidden || look();
    again.current = look;
    look();
    document.addEventListener("visibilitychange", seen);
    return () => {
      over = true;
      clearTimeout(timer);
      control?.abort();
      document.removeEventListener("visibilitychange", seen);
    };
  }, [every, ...parts]);
  return [told.value, told.error, () => again.current()];
}

export function useHash() {
  const [hash, set] = useState(location.hash);
  useEffect(() => {
    const changed = () => set(location.hash);
    addEventListener("hashchange", changed);
    return () => removeEventListener("hashchange", changed);
  }, []);
  return hash.replace(/^#\/?/, "").split("/").map(decodeURIComponent);
}

export const to = (...parts) => "#/" + parts.map(encodeURIComponent).join("/");

const THEME = "relaykit-theme";

export function theme() {
  try {
    return localStorage.getItem(THEME) || "auto";
  } catch {
    return "auto";
  }
}

export function choose(which) {
  document.documentElement.dataset.theme = which;
  try {
    localStorage.setItem(THEME, which);
  } catch {
    // It counts for this page then.
  }
  dispatchEvent(new Event("themechange"));
}

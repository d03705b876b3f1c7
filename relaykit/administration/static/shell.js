// The frame around every page: where one is, whether the program answers, and the colours.

import { html, render, useEffect, useState } from "./vendor/htm-preact.js";
import { choose, theme, to, useHash } from "./state.js";

const NEXT = { auto: "light", light: "dark", dark: "auto" };

function Shell({ role, pages, lost }) {
  const [first, ...rest] = useHash();
  const page = pages.find((each) => each.path === first) || pages[0];
  const [colours, set] = useState(theme());
  const switchColours = () => {
    choose(NEXT[colours]);
    set(NEXT[colours]);
  };
  useEffect(() => {
    document.title = `${page.title} · relaykit ${role}`;
  }, [page]);
  const skip = (event) => {
    event.preventDefault();
    document.getElementById("content").focus();
  };
  return html`
    <a class="skip" href="#content" onClick=${skip}>Skip to the content</a>
    <header class="top">
      <a class="brand" href=${to()}><img src="icon.svg" alt="" width="24" height="24" /><span>relaykit</span> <span class="role">${role}</span></a>
      <nav aria-label="Pages of the ${role}">
        ${pages.filter((each) => !each.under).map((each) => html`
          <a href=${to(each.path)} aria-current=${each === page ? "page" : each.path === page.under ? "true" : null}>${each.title}</a>`)}
      </nav>
      <button type="button" class="theme" onClick=${switchColours} aria-label=${`Colours: ${colours}`}>${{ auto: "Auto", light: "Light", dark: "Dark" }[colours]}</button>
    </header>
    ${lost && html`<p class="lost" role="alert">The program does not answer. What you see is from before.</p>`}
    <main id="content" tabindex="-1"><${page.show} key=${[first, ...rest].join("/")} parts=${rest} /></main>`;
}

// Looks whether the program is there, on behalf of all pages.
function Watched(props) {
  const [lost, set] = useState(false);
  useEffect(() => {
    const timer = setInterval(async () => {
      if (document.hidden) return;
      try {
        set(!(await fetch("../healthz")).ok);
      } catch {
        set(true);
      }
    }, 5000);
    return () => clearInterval(timer);
  }, []);
  return html`<${Shell} ...${props} lost=${lost} />`;
}

export function show(role, pages) {
  document.documentElement.dataset.theme = theme();
  document.documentElement.dataset.role = role;
  render(html`<${Watched} role=${role} pages=${pages} />`, document.body);
}

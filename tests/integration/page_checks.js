// What a test looks at and does in a page, as a person would.
window.checks = (() => {
  const channels = (text) => (text.match(/[\d.]+/g) || []).map(Number);
  const linear = (value) => (value <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
  const light = ([red, green, blue]) => 0.2126 * linear(red / 255) + 0.7152 * linear(green / 255) + 0.0722 * linear(blue / 255);
  const ground = (node) => {
    for (let each = node; each; each = each.parentElement) {
      const colour = channels(getComputedStyle(each).backgroundColor);
      if (colour.length && (colour.length < 4 || colour[3] > 0.99)) return colour;
    }
    return [255, 255, 255];
  };
  const unseen = ":disabled, .visually-hidden, .skip, script, noscript";

  return {
    // Texts that stand out less than WCAG 2.2, 1.4.3, demands.
    faint() {
      const found = [];
      const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
      while (walker.nextNode()) {
        const text = walker.currentNode.textContent.trim();
        const node = walker.currentNode.parentElement;
        if (!text || node.closest(unseen) || !node.getClientRects().length) continue;
        const [more, less] = [light(channels(getComputedStyle(node).color)), light(ground(node))].sort((a, b) => b - a);
        const ratio = (more + 0.05) / (less + 0.05);
        if (ratio < 4.5) found.push([text, ratio.toFixed(2)]);
      }
      return found;
    },

    // What can be used and has no name for who does not see it.
    nameless: () => [...document.querySelectorAll("button, input, select, textarea, a, dialog, section")]
      .filter((each) => !(each.getAttribute("aria-label") || each.textContent.trim() || each.labels?.length || each.querySelector("img[alt]")))
      .map((each) => each.outerHTML.slice(0, 200)),

    press(text, within) {
      const found = [...(document.querySelector(within)?.querySelectorAll("button, a") || [])].find((each) => each.innerText.trim() === text);
      found?.click();
      return Boolean(found);
    },

    type(selector, text) {
      const field = document.querySelector(selector);
      if (!field) return false;
      field.value = text;
      field.dispatchEvent(new Event("input", { bubbles: true }));
      return true;
    },

    // What has the focus, and whether that is seen.
    focused() {
      const each = document.activeElement;
      return [each.innerText || each.getAttribute("aria-label") || each.placeholder, getComputedStyle(each).outlineStyle !== "none"];
    },
  };
})();

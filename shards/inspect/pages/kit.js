// What all pages share. Text becomes text nodes and attributes only: no HTML is ever parsed from it.

/** The value of a block of the page (`json_block` of page.py), parsed when it is asked for. */
export function data(name) {
  const block = document.getElementById(`data-${name}`);
  return block && JSON.parse(block.textContent);
}

/** An element. `props`: `class`, `on` (listeners by event), `style` (by CSS name), `dataset`, and
    attributes; true is an empty attribute, null or false none. Children: elements and texts. */
export function el(tag, props = {}, ...children) {
  const element = tag.startsWith("svg:")
    ? document.createElementNS("http://www.w3.org/2000/svg", tag.slice(4))
    : document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "on") {
      for (const [event, listener] of Object.entries(value)) {
        element.addEventListener(event, listener);
      }
    } else if (name === "style") {
      for (const [rule, setting] of Object.entries(value)) element.style.setProperty(rule, setting);
    } else if (name === "dataset") {
      Object.assign(element.dataset, value);
    } else {
      element.setAttribute(name, value === true ? "" : String(value));
    }
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
  return element;
}

/** Puts children in place of those an element has. */
export function fill(element, ...children) {
  element.replaceChildren(...children.flat(Infinity).filter((child) => child !== null));
  return element;
}

export const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

/** A number as people read it: `digits` that matter, no exponent for what is common. */
export function number(value, digits = 3) {
  if (value === null || value === undefined || Number.isNaN(value)) return "";
  if (Number.isInteger(value)) return value.toLocaleString("en-US");
  const size = Math.abs(value);
  return size >= 1e-4 && size < 1e6 ? String(Number(value.toPrecision(digits)))
    : value.toExponential(digits - 1);
}

/** 1 clip, 1,200 clips. */
export const counted = (count, what) => `${number(count)} ${what}${count === 1 ? "" : "s"}`;

/** 1.4 MB: powers of 1000. */
export function bytes(size) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let unit = 0;
  while (size >= 1000 && unit < units.length - 1) {
    size /= 1000;
    unit += 1;
  }
  return `${unit ? size.toFixed(1) : size} ${units[unit]}`;
}

/** Calls `f` once, `wait` milliseconds after the last of many calls. */
export function debounced(f, wait) {
  let timer = 0;
  return (...args) => {
    clearTimeout(timer);
    timer = setTimeout(() => f(...args), wait);
  };
}

/** Says a text to screen readers without moving the focus. */
export function announce(text) {
  let region = document.getElementById("announcements");
  if (!region) {
    region = el("div", { id: "announcements", class: "sr-only", "aria-live": "polite" });
    document.body.append(region);
  }
  region.textContent = text;
}

export const still = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

/** A button that switches between the system's colours, light ones and dark ones. */
export function themeButton() {
  const themes = ["system", "light", "dark"];
  const button = el("button", { class: "button plain", type: "button" });
  const apply = (theme) => {
    if (theme === "system") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
    button.textContent = { system: "◐", light: "☀", dark: "☾" }[theme];
    button.setAttribute("aria-label", `Colours: ${theme}`);
    button.title = `Colours: ${theme}`;
    button.dataset.theme = theme;
  };
  button.addEventListener("click", () => {
    apply(themes[(themes.indexOf(button.dataset.theme) + 1) % themes.length]);
    announce(button.title);
  });
  apply(document.documentElement.dataset.theme || "system");
  return button;
}

/** The page's address after `#`: a state that can be sent to others. Empty values are left out. */
export const readHash = () => Object.fromEntries(new URLSearchParams(location.hash.slice(1)));

export function writeHash(state, { push = false } = {}) {
  const kept = Object.entries(state).filter(([, v]) => v !== "" && v !== null && v !== undefined);
  const hash = `#${new URLSearchParams(kept)}`;
  if (hash === (location.hash || "#")) return;
  history[push ? "pushState" : "replaceState"](null, "", hash === "#" ? location.pathname
    + location.search : hash);
}

/** Tabs as ARIA has them: `names` by id; arrows move, `chosen(id)` is told. Returns the list and
    a function that selects. Panels have the ids `panel-{id}`. */
export function tabs(names, chosen, label) {
  const ids = Object.keys(names);
  const buttons = ids.map((id) => el("button", {
    class: "tab", role: "tab", type: "button", id: `tab-${id}`, "aria-controls": `panel-${id}`,
    on: { click: () => choose(id, true) },
  }, names[id]));
  const list = el("div", { class: "tabs", role: "tablist", "aria-label": label }, buttons);
  list.addEventListener("keydown", (event) => {
    const at = buttons.indexOf(document.activeElement);
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: ids.length - 1 }[event.key];
    if (to === undefined || at < 0) return;
    event.preventDefault();
    const id = ids[(to + ids.length) % ids.length];
    choose(id, true);
    document.getElementById(`tab-${id}`).focus();
  });
  function choose(id, byUser = false) {
    ids.forEach((other, i) => {
      const selected = other === id;
      buttons[i].setAttribute("aria-selected", selected);
      buttons[i].tabIndex = selected ? 0 : -1;
      const panel = document.getElementById(`panel-${other}`);
      if (panel) panel.hidden = !selected;
    });
    chosen(id, byUser);
  }
  return [list, choose];
}

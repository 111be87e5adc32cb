// One clip, opened: its panels in step with a scrubber, curves over time, and who made what.
import { announce, bytes, clamp, el, fill, number } from "./kit.js";
import { drawFrame } from "./grid.js";

/** A word as a shell takes it. */
export function quoted(word) {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\"'\"'")}'`;
}

function pairs(rows) {
  return el("table", {}, el("tbody", {}, rows.filter(([, text]) => text).map(([label, text]) =>
    el("tr", {}, el("th", { scope: "row" }, label), el("td", {}, text)))));
}

function section(title, ...children) {
  return el("section", { class: "card" }, el("h3", {}, title), children);
}

export class ClipView {
  /** `move(step)` opens a neighbour, `closed()` is told, `seen(t)` which frame is shown. */
  constructor(source, about, { move, closed, seen }) {
    Object.assign(this, { source, about, move, closed, seen });
    this.n = this.told = this.before = null;
    this.turn = 0; // answers to earlier ones come too late
    this.t = 0;
    this.timer = 0;
    this.heading = el("h2", { id: "clip-title", tabindex: "-1" });
    this.place = el("span", { class: "dim" });
    this.body = el("div");
    const button = (text, label, act, key) => el("button", {
      class: "button", type: "button", "aria-label": label, title: `${label} (${key})`,
      on: { click: act },
    }, text);
    const head = el("div", { class: "row clip-head" },
      el("div", { class: "grow" }, this.heading, this.place),
      button("‹", "Previous clip", () => move(-1), "left arrow"),
      button("›", "Next clip", () => move(1), "right arrow"),
      button("✕", "Close", () => this.close(), "Esc"));
    this.dialog = el("dialog", { class: "clip", "aria-labelledby": "clip-title" }, head, this.body);
    // The browser tells that it has closed a dialog a frame later, when much may have happened.
    this.dialog.addEventListener("cancel", () => this.close());
    this.dialog.addEventListener("close", () => this.left());
    this.dialog.addEventListener("keydown", (event) => this.pressed(event));
    document.body.append(this.dialog);
  }

  async show(n, key, place, t = 0) {
    this.told = null; // until it is here there is nothing to play
    this.pause();
    this.turn += 1;
    const { turn } = this;
    this.n = n;
    this.heading.textContent = key;
    this.place.textContent = place;
    if (!this.dialog.open) {
      this.before = document.activeElement;
      this.dialog.showModal();
      this.heading.focus({ preventScroll: true });
    }
    let told;
    try {
      told = await this.source.clip(n);
    } catch (error) {
      if (this.turn !== turn) return;
      fill(this.body, el("p", { class: "fault", role: "alert" }, error.message));
      this.keepFocus();
      return;
    }
    if (this.turn !== turn) return;
    this.told = told;
    this.draw();
    this.dialog.scrollTop = 0;
    this.keepFocus();
    announce(`${key}, ${place}`);
    this.seek(clamp(t, 0, Math.max(told.frames.length - 1, 0)));
  }

  /** What had the focus may be gone; who is at a button above stays there. */
  keepFocus() {
    if (!this.dialog.contains(document.activeElement)) this.heading.focus({ preventScroll: true });
  }

  close() {
    this.dialog.close();
    this.left();
  }

  /** Once for each time that it was closed, unless it is open again by now. */
  left() {
    if (this.n === null || this.dialog.open) return;
    this.n = this.told = null;
    this.pause();
    this.turn += 1;
    this.closed();
  }

  draw() {
    const { told, n } = this;
    this.drawn = [];
    const figures = told.panels.map((panel) => this.panel(panel));
    this.scrubber = el("input", {
      type: "range", min: 0, max: Math.max(told.frames.length - 1, 0), step: 1, value: 0,
      "aria-label": "Frame", on: { input: () => this.seek(Number(this.scrubber.value)) },
    });
    this.output = el("output");
    this.button = el("button", {
      class: "button", type: "button", title: "Space", on: { click: () => this.toggle() },
    });
    this.traces = told.traces.map((trace) => this.trace(trace));
    fill(this.body, el("div", { class: "clip-body" },
      el("div", {},
        told.faults.map((fault) => el("p", { class: "fault" }, fault)),
        el("div", { class: "panels" }, figures),
        told.frames.length > 1
          ? el("div", { class: "row player" }, this.button, this.scrubber, this.output) : null,
        el("div", { class: "traces" }, this.traces.map(({ element }) => element))),
      el("div", { class: "side" },
        told.chosen ? el("p", { class: "dim" }, `Shown as ${told.chosen}.`) : null,
        section("About", pairs(told.facts)),
        told.scores.length ? section("Scores", pairs(told.scores)) : null,
        told.made_by.length ? this.provenance() : null,
        this.downloads(n),
        told.json ? el("details", { class: "card" }, el("summary", {}, "All that its json says"),
          el("pre", { tabindex: "0" }, told.json)) : null)));
    this.label();
  }

  panel(panel) {
    const canvas = el("canvas", {
      width: panel.width, height: panel.height, role: "img", "aria-label": panel.title,
    });
    const figure = el("figure", { class: "panel", "aria-busy": "true" },
      el("button", {
        type: "button", "aria-pressed": "false", "aria-label": `Enlarge ${panel.title}`,
        on: {
          click: ({ currentTarget }) => {
            const large = figure.classList.toggle("large");
            currentTarget.setAttribute("aria-pressed", large);
          },
        },
      }, canvas),
      el("figcaption", {}, el("strong", {}, panel.title),
        panel.notes.map((note) => el("span", { class: "dim" }, `${note} `))));
    const image = new Image();
    const drawn = { panel, canvas, image, ready: false };
    image.src = this.source.strip(this.n, panel);
    image.decode().then(() => {
      drawn.ready = true;
      drawFrame(canvas, image, panel, panel.still ? 0 : this.t);
    }, () => figure.append(el("p", { class: "alert" }, "This picture cannot be shown.")))
      .then(() => figure.removeAttribute("aria-busy"));
    this.drawn.push(drawn);
    return figure;
  }

  trace({ title, unit, low, high }) {
    const values = [...low, ...(high ?? [])].filter((value) => value !== null);
    const [least, most] = [Math.min(...values), Math.max(...values)];
    const span = most - least || 1;
    const x = (t) => (low.length > 1 ? (t / (low.length - 1)) * 100 : 50);
    const y = (value) => 38 - ((value - least) / span) * 36;
    const paths = high ? band(low, high, x, y) : line(low, x, y);
    const cursor = el("svg:line", { y1: 0, y2: 40 });
    const svg = el("svg:svg", {
      viewBox: "0 0 100 40", preserveAspectRatio: "none", role: "img",
      "aria-label": `${title} over time, from ${number(least)} to ${number(most)} ${unit}`,
    }, el("svg:path", { class: high ? "band" : "", d: paths }), cursor);
    svg.addEventListener("click", (event) => {
      const box = svg.getBoundingClientRect();
      this.seek(Math.round(((event.clientX - box.left) / box.width) * (low.length - 1)));
    });
    const now = el("span", { class: "dim" });
    const element = el("div", { class: "trace" },
      el("h3", {}, title), svg,
      el("div", { class: "row ends dim" }, el("span", {}, `${number(least)} to ${number(most)}`),
        el("span", {}, unit)), now);
    const shown = (values_, t) => (values_[t] === null ? "none" : number(values_[t]));
    return {
      element,
      seek: (t) => {
        cursor.setAttribute("x1", x(t));
        cursor.setAttribute("x2", x(t));
        now.textContent = high ? `here ${shown(low, t)} to ${shown(high, t)}` : `here ${shown(low, t)}`;
      },
    };
  }

  provenance() {
    return section("Made by", this.told.made_by.map(({ what, name, version, weights }) =>
      el("details", {}, el("summary", {}, `${what}: ${name} ${version}`),
        weights.length
          ? el("ul", {}, weights.map(([file, digest, licence]) => el("li", {},
            file, licence ? ` (${licence})` : "",
            digest ? el("div", { class: "mono dim" }, digest) : null)))
          : el("p", { class: "dim" }, "no files of weights"))));
  }

  downloads(n) {
    const { told, source } = this;
    const command = `idol-shards extract ${quoted(this.about.url)} ${quoted(told.key)} .`;
    const parts = [];
    if (source.served) {
      const link = (path, asked, text) => el("a", {
        class: "button", href: source.address(path, asked), download: true,
      }, text);
      parts.push(el("div", { class: "row" }, link("sample", { n }, "Sample (.tar)"),
        told.json ? link("member", { n, name: `${told.key}.json` }, "json") : null));
      parts.push(el("details", {}, el("summary", {}, `${told.members.length} files`),
        el("ul", { class: "members" }, told.members.map(([name, size]) => el("li", {},
          el("a", { href: source.address("member", { n, name }), download: true }, name),
          el("span", { class: "dim" }, ` ${bytes(size)}`))))));
    } else {
      const save = (name, text, kind) => el("button", {
        class: "button", type: "button",
        on: {
          click: () => {
            const href = URL.createObjectURL(new Blob([text], { type: kind }));
            el("a", { href, download: name }).click();
            setTimeout(() => URL.revokeObjectURL(href), 1000);
          },
        },
      }, name);
      parts.push(el("div", { class: "row" },
        told.json ? save(`${told.key}.json`, told.json, "application/json") : null,
        told.panels.map((panel) => el("a", {
          class: "button", href: panel.src, download: `${told.key}.${panel.name}.webp`,
        }, panel.title))));
    }
    parts.push(el("p", { class: "dim" }, "As files, from the dataset:"),
      el("pre", { tabindex: "0" }, command));
    return section("Downloads", parts);
  }

  seek(t) {
    if (!this.told) return;
    const last = this.told.frames.length - 1;
    this.t = clamp(t, 0, Math.max(last, 0));
    for (const { panel, canvas, image, ready } of this.drawn) {
      if (ready && !panel.still) drawFrame(canvas, image, panel, this.t);
    }
    if (!this.scrubber) return;
    const label = this.told.frames[this.t] ?? "";
    this.scrubber.value = this.t;
    this.scrubber.setAttribute("aria-valuetext", label);
    this.output.textContent = label;
    this.traces.forEach((trace) => trace.seek(this.t));
    if (!this.timer) this.seen(this.t);
  }

  toggle() {
    if (this.timer) this.pause();
    else this.play();
  }

  play() {
    const count = this.told?.frames.length ?? 0;
    if (count < 2) return;
    const wait = 1000 / clamp(this.told.fps ?? 10, 1, 60);
    this.timer = setInterval(() => this.seek((this.t + 1) % count), wait);
    this.label();
  }

  pause() {
    clearInterval(this.timer);
    this.timer = 0;
    if (this.button) this.label();
    if (this.told) this.seen(this.t);
  }

  label() {
    this.button.textContent = this.timer ? "❚❚ Pause" : "▶ Play";
  }

  pressed(event) {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const inRange = event.target === this.scrubber;
    const act = {
      ArrowLeft: () => this.move(-1),
      ArrowRight: () => this.move(1),
      ",": () => this.seek(this.t - 1),
      ".": () => this.seek(this.t + 1),
    }[event.key];
    if (event.key === " " && !event.target.closest("button, summary, a")) {
      event.preventDefault();
      this.toggle();
    } else if (act && !(inRange && event.key.startsWith("Arrow"))) {
      event.preventDefault();
      act();
    }
  }
}

/** The path of a line that breaks off where there is no value. */
function line(values, x, y) {
  let path = "";
  let drawing = false;
  values.forEach((value, t) => {
    if (value !== null) {
      path += `${drawing ? "L" : "M"}${x(t).toFixed(2)} ${y(value).toFixed(2)}`;
      // A value with none beside it is a dot.
      if (!drawing && (values[t + 1] ?? null) === null) path += "h0.5";
    }
    drawing = value !== null;
  });
  return path;
}

/** The path around all that lies between a lowest and a highest value, piece by piece. */
function band(low, high, x, y) {
  let path = "";
  let from = null;
  for (let t = 0; t <= low.length; t += 1) {
    const known = t < low.length && low[t] !== null && high[t] !== null;
    if (known && from === null) from = t;
    if (!known && from !== null) {
      const at = Array.from({ length: t - from }, (_, i) => from + i);
      const points = [...at.map((i) => `${x(i).toFixed(2)} ${y(high[i]).toFixed(2)}`),
        ...at.reverse().map((i) => `${x(i).toFixed(2)} ${y(low[i]).toFixed(2)}`)];
      path += `M${points.join("L")}Z`;
      from = null;
    }
  }
  return path;
}

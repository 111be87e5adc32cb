// A grid of any number of clips, of which only those in sight exist, and only those load pictures.
import { el, number, still } from "./kit.js";

const GAP = 10;
const CAPTION = 44;
const LOADING = 6; // at once: as many as a browser opens connections
const PLAYED = 8; // frames a second

/** Draws frame `t` of a strip that has loaded. */
export function drawFrame(canvas, image, strip, t) {
  const columns = strip.columns;
  const rows = Math.ceil(strip.count / columns);
  const w = image.naturalWidth / columns;
  const h = image.naturalHeight / rows;
  if (canvas.width !== w || canvas.height !== h) {
    canvas.width = w;
    canvas.height = h;
  }
  const x = (t % columns) * w;
  const y = Math.floor(t / columns) * h;
  canvas.getContext("2d").drawImage(image, x, y, w, h, 0, 0, w, h);
}

export class Grid {
  /** `describe(n)` gives the texts of clip n: `key`, `label`, `note`, `frames`. */
  constructor(host, source, describe, open) {
    Object.assign(this, { host, source, describe, open });
    this.order = [];
    this.cells = new Map(); // by place in the order
    this.spare = [];
    this.current = 0; // the place that Tab reaches
    this.queue = [];
    this.loading = 0;
    this.playing = null;
    this.columns = 1;
    host.setAttribute("role", "list");
    host.addEventListener("keydown", (event) => this.pressed(event));
    let asked = false;
    const later = () => {
      if (asked) return;
      asked = true;
      requestAnimationFrame(() => {
        asked = false;
        this.update();
      });
    };
    addEventListener("scroll", later, { passive: true });
    new ResizeObserver(() => this.layout()).observe(host);
    addEventListener("resize", () => this.layout());
  }

  show(order) {
    const focused = this.host.contains(document.activeElement);
    this.order = order;
    this.current = Math.min(this.current, Math.max(order.length - 1, 0));
    // What stays where it is keeps its picture, as when more clips become known.
    for (const [place, cell] of [...this.cells]) {
      if (order[place] !== cell.n) this.release(place);
      else this.tell(cell);
    }
    this.layout(focused);
  }

  empty() {
    for (const place of [...this.cells.keys()]) this.release(place);
  }

  /** Draws anew what another width or order moves; the place that had the focus keeps it. */
  layout(focused = this.host.contains(document.activeElement)) {
    const width = this.host.clientWidth;
    if (!width) return;
    const least = width < 500 ? 150 : 170;
    const columns = Math.max(1, Math.floor((width + GAP) / (least + GAP)));
    const size = (width - (columns - 1) * GAP) / columns;
    if (columns !== this.columns || size !== this.size) this.empty();
    Object.assign(this, { columns, size, step: size + CAPTION + GAP });
    const rows = Math.ceil(this.order.length / columns);
    this.host.style.height = `${Math.max(rows * this.step - GAP, 0)}px`;
    this.update();
    if (focused && !this.host.contains(document.activeElement)) {
      this.cells.get(this.current)?.button.focus({ preventScroll: true });
    }
  }

  update() {
    if (!this.size || !this.host.clientWidth) return;
    const top = -this.host.getBoundingClientRect().top;
    const first = Math.max(Math.floor(top / this.step) - 1, 0) * this.columns;
    const end = Math.min(
      (Math.ceil((top + innerHeight) / this.step) + 1) * this.columns, this.order.length);
    const focused = this.host.contains(document.activeElement);
    for (const place of [...this.cells.keys()]) {
      const kept = focused && place === this.current;
      if ((place < first || place >= end) && !kept) this.release(place);
    }
    for (let place = first; place < end; place += 1) {
      if (!this.cells.has(place)) this.take(place);
    }
    // Tab reaches what is in sight.
    if (!this.cells.has(this.current) && end > first) {
      this.current = Math.min(first + this.columns, end - 1);
      this.cells.get(this.current).button.tabIndex = 0;
    }
    this.next();
  }

  take(place) {
    const cell = this.spare.pop() ?? this.make();
    Object.assign(cell, { place, n: this.order[place], strip: null, image: null });
    const { style } = cell.item;
    style.width = `${this.size}px`;
    style.height = `${this.size + CAPTION}px`;
    style.transform = `translate(${(place % this.columns) * (this.size + GAP)}px, ${
      Math.floor(place / this.columns) * this.step}px)`;
    cell.canvas.style.height = `${this.size}px`;
    cell.say.textContent = "";
    this.tell(cell);
    this.cells.set(place, cell);
    this.host.append(cell.item);
    this.queue.push(cell);
  }

  /** Writes what a cell says, which depends on how many clips there are and on what sorts them. */
  tell(cell) {
    const told = this.describe(cell.n);
    cell.frames = told.frames;
    cell.item.setAttribute("aria-posinset", cell.place + 1);
    cell.item.setAttribute("aria-setsize", this.order.length);
    cell.button.setAttribute("aria-label", told.label);
    cell.button.tabIndex = cell.place === this.current ? 0 : -1;
    cell.button.title = told.key;
    cell.key.textContent = told.key;
    cell.note.textContent = told.note;
  }

  make() {
    const canvas = el("canvas", { "aria-hidden": "true", width: 1, height: 1 });
    const key = el("span", { class: "tile-key" });
    const note = el("span", { class: "tile-note dim" });
    const say = el("span", { class: "tile-say badge" });
    const button = el("button", { class: "tile", type: "button" }, canvas, say, key, note);
    const cell = { canvas, key, note, say, button };
    cell.item = el("div", { role: "listitem", class: "tile-place" }, button);
    button.addEventListener("click", (event) => this.clicked(cell, event));
    button.addEventListener("pointerenter", (event) => {
      if (event.pointerType === "mouse") this.play(cell);
    });
    button.addEventListener("pointerleave", (event) => {
      if (event.pointerType === "mouse") this.stop(cell);
    });
    button.addEventListener("focus", () => {
      this.current = cell.place;
      for (const other of this.cells.values()) other.button.tabIndex = other === cell ? 0 : -1;
      if (!still() && button.matches(":focus-visible")) this.play(cell);
    });
    button.addEventListener("blur", () => this.stop(cell));
    return cell;
  }

  release(place) {
    const cell = this.cells.get(place);
    this.cells.delete(place);
    this.stop(cell);
    if (cell.pending) cell.pending.src = ""; // whatever has not come is not waited for
    cell.cancel?.();
    cell.strip = cell.image = cell.pending = null;
    cell.n = -1;
    cell.canvas.width = cell.canvas.height = 1;
    cell.item.remove();
    this.spare.push(cell);
  }

  /** Loads the pictures of cells in sight, the latest asked first, a few at once. */
  next() {
    this.queue = this.queue.filter((cell) => this.cells.get(cell.place) === cell && !cell.image
      && !cell.pending);
    while (this.loading < LOADING && this.queue.length) this.load(this.queue.shift());
  }

  async load(cell) {
    if (cell.image || cell.pending || this.cells.get(cell.place) !== cell) return;
    const { n } = cell;
    const image = new Image();
    // Browsers do not settle the decoding of a picture whose address was taken away.
    const cancelled = new Promise((resolve) => { cell.cancel = resolve; });
    cell.pending = image;
    this.loading += 1;
    try {
      const strip = await this.source.thumb(n, cell.frames);
      if (cell.n !== n || cell.pending !== image) return;
      if (!strip) throw new Error("nothing to draw");
      image.src = strip.src;
      await Promise.race([image.decode(), cancelled]);
      if (cell.n !== n || cell.pending !== image) return;
      Object.assign(cell, { strip, image });
      if (this.playing?.cell !== cell) drawFrame(cell.canvas, image, strip, 0);
    } catch {
      if (cell.n === n && cell.pending === image) cell.say.textContent = "cannot be drawn";
    } finally {
      if (cell.pending === image) cell.pending = null;
      this.loading -= 1;
      this.next();
    }
  }

  clicked(cell, event) {
    // A finger cannot hover: its first tap plays, the second opens.
    if (event.pointerType === "touch" && this.playing?.cell !== cell && cell.image) {
      this.play(cell);
      cell.say.textContent = "tap again to open";
      return;
    }
    this.open(cell.n);
  }

  play(cell) {
    if (this.playing) this.stop(this.playing.cell);
    let t = 0;
    const timer = setInterval(() => {
      if (!cell.image) return;
      t = (t + 1) % cell.strip.count;
      drawFrame(cell.canvas, cell.image, cell.strip, t);
    }, 1000 / PLAYED);
    this.playing = { cell, timer };
    cell.button.classList.add("playing");
  }

  stop(cell) {
    if (this.playing?.cell !== cell) return;
    clearInterval(this.playing.timer);
    this.playing = null;
    cell.button.classList.remove("playing");
    if (cell.say.textContent === "tap again to open") cell.say.textContent = "";
    if (cell.image) drawFrame(cell.canvas, cell.image, cell.strip, 0);
  }

  pressed(event) {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const page = Math.max(Math.floor(innerHeight / this.step) - 1, 1) * this.columns;
    const last = this.order.length - 1;
    const to = {
      ArrowRight: this.current + 1,
      ArrowLeft: this.current - 1,
      ArrowDown: this.current + this.columns,
      ArrowUp: this.current - this.columns,
      PageDown: Math.min(this.current + page, last),
      PageUp: Math.max(this.current - page, 0),
      Home: 0,
      End: last,
    }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    if (to >= 0 && to <= last) this.focus(to);
  }

  /** Moves to a place, and the window if it is out of sight. */
  focus(place) {
    this.current = place;
    const row = Math.floor(place / this.columns);
    const top = this.host.getBoundingClientRect().top + row * this.step;
    const head = document.querySelector(".bar")?.getBoundingClientRect().bottom ?? 0;
    if (top < head) scrollBy(0, top - head - GAP);
    else if (top + this.step > innerHeight) scrollBy(0, top + this.step - innerHeight);
    this.update();
    if (!this.cells.has(place)) this.take(place);
    this.cells.get(place).button.focus({ preventScroll: true });
  }
}

/** The note below a clip's picture: its value of what the grid is sorted by. */
export function noteOf(title, value, score) {
  if (value === null || value === undefined) return "";
  const shown = typeof value === "number" ? number(value * (score?.factor ?? 1)) : value;
  return `${title} ${shown} ${score?.unit ?? ""}`.trim();
}

// The page: all clips in a grid, filtered and sorted; those that failed; what the dataset is.
import { announce, counted, debounced, el, fill, number, readHash, tabs, themeButton, writeHash } from "./kit.js";
import { openSource } from "./sources.js";
import { Grid, noteOf } from "./grid.js";
import { Histogram } from "./histogram.js";
import { ClipView } from "./clip.js";
import { Quarantine, drawAbout } from "./lists.js";

const source = openSource();
const store = { count: 0, columns: {}, scores: {}, places: new Map() };
const state = { tab: "clips", q: "", split: "", sort: "", ranges: {}, clip: "", t: "" };
let shown = [];
let view = null;
let about = null;
let grid = null;
let filters = {};

function append({ count, columns, scores }) {
  for (const [name, values] of Object.entries(columns)) {
    store.columns[name] = (store.columns[name] ?? []).concat(values);
  }
  for (const name of new Set([...Object.keys(store.scores), ...Object.keys(scores)])) {
    const before = store.scores[name] ?? new Array(store.count).fill(null);
    store.scores[name] = before.concat(scores[name] ?? new Array(count).fill(null));
  }
  for (let n = store.count; n < store.count + count; n += 1) {
    store.places.set(store.columns.key[n], n);
  }
  store.count += count;
}

// The address: `#q=walk&split=train&sort=-keypoint_score&r.keypoint_score=..0.6&clip=KEY&t=3`.
function stateFromAddress() {
  const said = readHash();
  for (const name of ["tab", "q", "split", "sort", "clip", "t"]) state[name] = said[name] ?? "";
  state.tab ||= "clips";
  state.ranges = {};
  for (const [name, text] of Object.entries(said)) {
    if (!name.startsWith("r.")) continue;
    const ends = text.split("..").map((end) => (end === "" ? null : Number(end)));
    if (ends.length === 2 && ends.every((end) => end === null || Number.isFinite(end))) {
      state.ranges[name.slice(2)] = ends;
    }
  }
}

function toAddress(push = false) {
  const ranges = Object.entries(state.ranges).map(([name, [low, high]]) =>
    [`r.${name}`, `${low ?? ""}..${high ?? ""}`]);
  const { tab, q, split, sort, clip, t } = state;
  writeHash({
    tab: tab === "clips" ? "" : tab, q, split, sort, ...Object.fromEntries(ranges), clip,
    t: clip && t ? t : "",
  }, { push });
}

function matching(without) {
  const { key, video, subject, split } = store.columns;
  const words = state.q.toLowerCase().split(/\s+/).filter(Boolean);
  const ranges = Object.entries(state.ranges).filter(([name]) => name !== without
    && store.scores[name]);
  const found = [];
  for (let n = 0; n < store.count; n += 1) {
    if (state.split && split[n] !== state.split) continue;
    if (words.length) {
      const text = `${key[n]} ${video[n] ?? ""} ${subject[n] ?? ""}`.toLowerCase();
      if (!words.every((word) => text.includes(word))) continue;
    }
    if (ranges.every(([name, [low, high]]) => {
      const value = store.scores[name][n];
      return value !== null && (low === null || value >= low) && (high === null || value <= high);
    })) found.push(n);
  }
  return found;
}

const sortable = { key: "key", video: "video", frames: "frames", length: "bytes" };

function sorted(found) {
  const down = state.sort.startsWith("-");
  const name = down ? state.sort.slice(1) : state.sort;
  const values = store.scores[name] ?? (name in sortable ? store.columns[name] : null);
  if (!values) return found;
  return found.sort((a, b) => {
    const [x, y] = [values[a], values[b]];
    if (x === y) return a - b;
    if (x === null) return 1; // those without come last, either way
    if (y === null) return -1;
    return (x < y) === down ? 1 : -1;
  });
}

function describe(n) {
  const { columns, scores } = store;
  const name = state.sort.replace("-", "");
  const score = about.scores[name];
  const note = score ? noteOf(score.title, scores[name]?.[n], score)
    : noteOf("", columns.video[n]);
  return {
    key: columns.key[n],
    frames: columns.frames[n],
    note,
    label: `${columns.key[n]}, ${columns.frames[n]} frames${note ? `, ${note}` : ""}`,
  };
}

const find = el("input", {
  type: "search", id: "find", placeholder: "Key, video or subject", "aria-label": "Search clips",
  on: { input: () => { state.q = find.value; applySoon(); } },
});
const split = el("select", { "aria-label": "Split", on: { change: () => set({ split: split.value }) } });
const status = el("p", { class: "dim", id: "status" });
const chips = el("div", { class: "row chips" });
const histograms = el("div", { class: "histograms" });
const narrowing = el("details", { class: "filters", open: innerWidth > 620 });
const nothing = el("div", { class: "card nothing", hidden: true });

function apply() {
  shown = sorted(matching(null));
  const all = source.served ? store.total : store.count;
  const loading = store.count < all ? `, ${number(store.count)} of ${number(all)} read` : "";
  status.textContent = shown.length === store.count
    ? `${counted(shown.length, "clip")}${loading}`
    : `${number(shown.length)} of ${counted(store.count, "clip")}${loading}`;
  for (const [name, histogram] of Object.entries(filters)) {
    const chosen = state.ranges[name] ? matching(name) : shown;
    histogram.update(store.scores[name] ?? [], chosen, state.ranges[name] ?? null);
  }
  // Where all clips are alike there is nothing to tell them apart by.
  narrowing.hidden = Object.values(filters).every(({ element }) => element.hidden);
  drawChips();
  drawNothing();
  grid.show(shown);
}

/** What is said in place of an empty grid. */
function drawNothing() {
  const stays = !nothing.hidden && nothing.querySelector("button"); // somebody may be pressing it
  nothing.hidden = shown.length > 0;
  if (shown.length || stays) return;
  const failed = about.totals.quarantined;
  fill(nothing, store.count
    ? [el("p", {}, "No clip is found by this search and these filters."),
      el("button", { class: "button", type: "button", on: { click: showAll } }, "Show all clips")]
    : el("p", {}, store.total ? "Clips are being read." : `This dataset holds no clips${
      failed ? `: ${counted(failed, "clip")} failed, and the tab above says why` : ""}.`));
}

function showAll() {
  set({ q: "", split: "", ranges: {} });
  find.value = split.value = "";
  grid.focus(0);
}

const applySoon = debounced(() => {
  toAddress();
  apply();
  announce(status.textContent);
}, 120);

function set(changes) {
  Object.assign(state, changes);
  toAddress();
  apply();
  announce(status.textContent);
}

function setRange(name, range) {
  const { [name]: _, ...others } = state.ranges;
  set({ ranges: range ? { ...others, [name]: range } : others });
}

function drawChips() {
  const drawn = JSON.stringify(state.ranges);
  if (drawn === chips.dataset.drawn) return; // somebody may be pressing one
  chips.dataset.drawn = drawn;
  const chip = (text, clear) => el("span", { class: "chip" }, text,
    el("button", { type: "button", "aria-label": `Remove the filter: ${text}`, on: { click: clear } }, "✕"));
  const made = Object.entries(state.ranges).map(([name, [low, high]]) => {
    const score = about.scores[name] ?? { title: name, factor: 1, unit: "" };
    const end = (value) => `${number(value * score.factor)} ${score.unit}`.trim();
    const words = [low === null ? "" : `at least ${end(low)}`, high === null ? "" : `at most ${end(high)}`];
    return chip(`${score.title} ${words.filter(Boolean).join(", ")}`, () => setRange(name, null));
  });
  fill(chips, made);
  chips.hidden = !made.length;
}

function openClip(n, t = 0) {
  const at = shown.indexOf(n);
  const known = at >= 0 ? `${number(at + 1)} of ${number(shown.length)} clips` : "";
  state.clip = store.columns.key[n];
  view.show(n, state.clip, known, t);
}

function userOpens(n) {
  openClip(n);
  state.t = "";
  toAddress(true);
}

function move(step) {
  const at = shown.indexOf(view.n);
  const next = at < 0 ? (step > 0 ? 0 : -1) : at + step;
  if (next < 0 || next >= shown.length) {
    announce(step > 0 ? "This is the last clip" : "This is the first clip");
    return;
  }
  openClip(shown[next]);
  state.t = "";
  toAddress();
}

function closed() {
  const n = store.places.get(state.clip);
  state.clip = state.t = "";
  toAddress();
  const at = shown.indexOf(n);
  // The browser has given the focus back by now; a reader quick enough to have moved on keeps it.
  const moved = ![document.body, view.before].includes(document.activeElement);
  if (at >= 0 && state.tab === "clips" && !moved) grid.focus(at);
}

/** Opens the clip that the address names, once it is known. */
function openNamed() {
  if (!state.clip) {
    if (view.dialog.open) view.close();
    return true;
  }
  const n = store.places.get(state.clip);
  if (n === undefined) return false;
  if (view.n !== n) openClip(n, Number(state.t) || 0);
  return true;
}

function build() {
  const [list, choose] = tabs({
    clips: "Clips", quarantined: `Quarantined (${number(about.totals.quarantined)})`, about: "About",
  }, (id, byUser) => {
    state.tab = id;
    if (byUser) toAddress();
    if (id === "clips") grid?.layout();
  }, "Parts of the dataset");
  const option = (value, text) => el("option", { value }, text);
  fill(split, option("", "All splits"), Object.keys(about.totals.splits).filter(Boolean).map((name) =>
      option(name, name)));
  const sort = el("select", { "aria-label": "Sort by", on: { change: () => set({ sort: sort.value }) } },
    option("", "In order"),
    Object.entries(about.scores).map(([name, score]) => option(
      score.worst === "lowest" ? name : `-${name}`, `Worst ${score.title}`)),
    Object.entries(sortable).flatMap(([name, title]) => [option(name, `${title}, up`),
      option(`-${name}`, `${title}, down`)]));
  const goToAbout = () => {
    choose("about", true);
    document.getElementById("tab-about").focus();
  };
  const host = el("div", { class: "grid", "aria-label": "Clips" });
  const panel = (id, ...children) => el("div", {
    id: `panel-${id}`, role: "tabpanel", "aria-labelledby": `tab-${id}`,
  }, children);
  fill(document.getElementById("app"),
    el("a", { class: "skip", href: "#", on: { click: (event) => {
      event.preventDefault();
      (host.querySelector('[tabindex="0"]') ?? find).focus();
    } } }, "Skip to the clips"),
    el("header", { class: "bar" },
      el("div", { class: "row" }, el("div", { class: "title" }, el("h1", { title: about.url }, about.name),
        about.status === "building" ? el("span", { class: "chip" }, "being built") : null), themeButton()),
      list),
    el("main", {},
      panel("clips",
        el("div", { class: "row controls" }, find, split, sort),
        fill(narrowing, el("summary", {}, "Filter by score"), histograms,
          source.served ? el("p", { class: "dim" }, "Scores are those that the shards' manifests "
            + "hold. Those that need a clip read are shown when it is opened.") : null),
        chips, status,
        about.ignored.length ? el("p", { class: "fault", role: "status" },
          `${counted(about.ignored.length, "shard")} cannot be used, and ${
            about.ignored.length === 1 ? "its clips are" : "their clips are"} not shown: `,
          el("button", { class: "reason", type: "button", on: { click: goToAbout } },
            "why"), ".") : null,
        source.leftOut.length ? el("p", { class: "dim" }, "Some is left out of this page: ",
          el("button", { class: "reason", type: "button", on: { click: goToAbout } },
            "what"), ".") : null,
        nothing, host),
      panel("quarantined"), panel("about")));
  filters = Object.fromEntries(Object.entries(about.scores).map(([name, score]) =>
    [name, new Histogram(name, score, (range) => setRange(name, range))]));
  fill(histograms, Object.values(filters).map(({ element }) => element));
  grid = new Grid(host, source, describe, userOpens);
  view = new ClipView(source, about, {
    move, closed, seen: (t) => { state.t = t ? String(t) : ""; toAddress(); },
  });
  const sync = () => {
    stateFromAddress();
    find.value = state.q;
    split.value = state.split;
    sort.value = state.sort;
    choose(state.tab in { clips: 1, quarantined: 1, about: 1 } ? state.tab : "clips");
  };
  sync();
  addEventListener("popstate", () => {
    sync();
    apply();
    openNamed();
  });
}

async function start() {
  about = await source.overview();
  store.total = about.totals.clips;
  build();
  const failed = new Quarantine(document.getElementById("panel-quarantined"), about.totals.quarantined);
  failed.draw();
  drawAbout(document.getElementById("panel-about"), about, source.leftOut);
  let opened = false;
  for await (const page of source.facts()) {
    append(page);
    apply();
    opened = openNamed(); // by now the address may name one that was not known
  }
  if (!opened) {
    announce(`There is no clip ${state.clip} in this page`);
    status.textContent += `; there is no clip ${state.clip} in this page`;
    state.clip = "";
  }
  for await (const page of source.quarantined()) failed.add(page);
}

start().catch((error) => {
  fill(document.getElementById("app"),
    el("main", {}, el("p", { class: "fault", role: "alert" }, error.message)));
});

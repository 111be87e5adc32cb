// How a score is spread over the clips; a click on a bar keeps the clips from there to the near end.
import { clamp, el, fill, number } from "./kit.js";

const BARS = 24;

/** `{low, width, counts}` of the finite values; null when there is nothing to tell apart. */
export function binned(values) {
  let low = Infinity;
  let high = -Infinity;
  for (const value of values) {
    if (value === null) continue;
    if (value < low) low = value;
    if (value > high) high = value;
  }
  if (!(high > low)) return null;
  const width = (high - low) / BARS;
  return { low, high, width };
}

function barsOf(values, chosen, { low, width }) {
  const counts = new Array(BARS).fill(0);
  for (const n of chosen) {
    const value = values[n];
    if (value !== null) counts[clamp(Math.floor((value - low) / width), 0, BARS - 1)] += 1;
  }
  return counts;
}

export class Histogram {
  /** `changed(range)` is told what was clicked: `[low, high]`, either may be null; or null. */
  constructor(name, score, changed) {
    Object.assign(this, { name, score, changed });
    this.at = 0;
    this.title = el("h3", {}, score.title,
      score.unit ? el("span", { class: "unit dim" }, ` ${score.unit}`) : null);
    this.bars = Array.from({ length: BARS }, (_, i) => el("button", {
      class: "bar-button", type: "button", tabindex: i ? -1 : 0,
      on: { click: () => this.clicked(i), focus: () => this.reach(i) },
    }, el("span", { class: "bar-fill" })));
    const group = el("div", { class: "bars", role: "group", "aria-label": `Filter by ${score.title}` },
      this.bars);
    group.addEventListener("keydown", (event) => {
      const to = { ArrowRight: this.at + 1, ArrowLeft: this.at - 1, Home: 0, End: BARS - 1 }[
        event.key];
      if (to === undefined) return;
      event.preventDefault();
      event.stopPropagation();
      this.bars[clamp(to, 0, BARS - 1)].focus();
    });
    this.ends = el("div", { class: "row ends dim" });
    this.element = el("div", { class: "histogram" }, this.title, group, this.ends);
  }

  reach(i) {
    this.at = i;
    this.bars.forEach((bar, j) => { bar.tabIndex = j === i ? 0 : -1; });
  }

  /** The range that bar `i` stands for: from it to the nearer end. */
  rangeOf(i) {
    const { low, width } = this.bins;
    return i < BARS / 2 ? [null, low + (i + 1) * width] : [low + i * width, null];
  }

  clicked(i) {
    const range = this.rangeOf(i);
    const same = this.range && this.range[0] === range[0] && this.range[1] === range[1];
    this.changed(same ? null : range);
  }

  shown(value) {
    return `${number(value * this.score.factor)} ${this.score.unit}`.trim();
  }

  /** What it says after a change: values of all clips, those that pass the other filters. */
  update(values, chosen, range) {
    this.bins = binned(values);
    this.range = range;
    this.element.hidden = !this.bins;
    if (!this.bins) return;
    const counts = barsOf(values, chosen, this.bins);
    const most = Math.max(...counts, 1);
    const { low, high, width } = this.bins;
    counts.forEach((count, i) => {
      const [from, to] = this.rangeOf(i);
      const inside = !range || ((range[0] === null || low + (i + 1) * width > range[0] + width / 1e6)
        && (range[1] === null || low + i * width < range[1] - width / 1e6));
      const bar = this.bars[i];
      const words = from === null ? `at most ${this.shown(to)}` : `at least ${this.shown(from)}`;
      bar.setAttribute("aria-label", `${this.score.title} ${words}; ${count} clips in this bar`);
      bar.setAttribute("aria-pressed", Boolean(range) && inside);
      bar.title = `${words}: ${count} in this bar`;
      bar.classList.toggle("outside", !inside);
      bar.firstChild.style.height = count ? `${Math.max((count / most) * 100, 6)}%` : "0";
    });
    const worse = this.score.worst === "lowest" ? "‹ worse" : "worse ›";
    const [from, to] = [low, high].map((value) => number(value * this.score.factor));
    fill(this.ends, [from, worse, to].map((text) => el("span", {}, text)));
  }
}

// What is said in tables: the clips that failed and why, and what the dataset is.
import { announce, bytes, counted, el, fill, number } from "./kit.js";

const SHOWN = 200; // rows at once

/** A reason without its numbers, so that reasons of one kind are counted together. */
export const kindOf = (reason) => reason.replace(/\d+(\.\d+)?/g, "N");

export class Quarantine {
  constructor(host, total) {
    Object.assign(this, { host, total });
    this.clips = [];
    this.kind = null;
    this.shown = SHOWN;
  }

  add(clips) {
    this.clips.push(...clips);
    const pressed = this.host.contains(document.activeElement)
      && document.activeElement.closest(".reason")?.textContent;
    this.draw();
    this.focus(pressed);
  }

  draw() {
    if (!this.total) {
      fill(this.host, el("p", {}, "No clip is quarantined."));
      return;
    }
    const kinds = new Map();
    for (const { reason } of this.clips) {
      kinds.set(kindOf(reason), (kinds.get(kindOf(reason)) ?? 0) + 1);
    }
    const counts = [...kinds].sort((a, b) => b[1] - a[1]);
    const listed = this.clips.filter(({ reason }) => !this.kind || kindOf(reason) === this.kind);
    fill(this.host, el("div", { class: "stack" },
      el("section", { class: "card" },
        el("h2", {}, `${counted(this.total, "clip")} failed, for ${counted(counts.length, "reason")}`),
        this.clips.length < this.total
          ? el("p", { class: "dim" }, `${number(this.clips.length)} of them are listed here.`) : null,
        el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Reasons" }, el("table", {},
          el("thead", {}, el("tr", {}, el("th", { class: "number", scope: "col" }, "clips"),
            el("th", { scope: "col" }, "reason"))),
          el("tbody", {}, counts.map(([kind, count]) => el("tr", {},
            el("td", { class: "number" }, number(count)),
            el("td", {}, el("button", {
              class: "reason", type: "button", "aria-pressed": String(kind === this.kind),
              on: { click: () => this.choose(kind === this.kind ? null : kind) },
            }, kind)))))))),
      el("section", { class: "card list" },
        el("div", { class: "row" },
          el("h2", { class: "grow" }, this.kind ? `${counted(listed.length, "clip")}: ${this.kind}`
            : "Each of them"),
          this.kind ? el("button", {
            class: "button", type: "button", on: { click: () => this.choose(null) },
          }, "Show all") : null),
        el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Quarantined clips" },
          el("table", {},
            el("thead", {}, el("tr", {}, ["clip", "video", "split", "reason"].map((name) =>
              el("th", { scope: "col" }, name)))),
            el("tbody", {}, listed.slice(0, this.shown).map((clip) => this.row(clip))))),
        listed.length > this.shown ? el("button", {
          class: "button", type: "button",
          on: { click: () => { this.shown += SHOWN; this.draw(); } },
        }, `Show more of ${number(listed.length)}`) : null)));
  }

  /** All that the manifest says: whatever is neither key, video nor reason comes below it. */
  row({ key, video, reason, split, shard, ...more }) {
    const said = Object.entries(more).filter(([, value]) => value !== null && value !== "");
    return el("tr", {}, el("td", { class: "mono" }, key), el("td", {}, video),
      el("td", { title: shard }, split),
      el("td", {}, reason, said.map(([name, value]) => {
        const text = typeof value === "string" ? value : JSON.stringify(value, null, 2);
        return text.length < 80 && !text.includes("\n")
          ? el("div", { class: "dim" }, `${name}: ${text}`)
          : el("details", {}, el("summary", {}, name), el("pre", { tabindex: "0" }, text));
      })));
  }

  /** What had the focus is another button now. */
  focus(reason) {
    [...this.host.querySelectorAll(".reason")].find((one) => one.textContent === reason)?.focus();
  }

  choose(kind) {
    const pressed = kind ?? this.kind;
    this.kind = kind;
    this.shown = SHOWN;
    this.draw();
    this.focus(pressed);
    announce(kind ? `Clips that failed by ${kind}` : "All quarantined clips");
  }
}

/** The tab that tells of the dataset, and of what this page leaves out. */
export function drawAbout(host, about, leftOut) {
  const { splits, ...all } = about.totals;
  // Kinds and reasons of what is quarantined have a tab of their own.
  const names = Object.keys(all).filter((name) => typeof all[name] === "number");
  const row = (name, counts) => el("tr", {}, el("th", { scope: "row" }, name), names.map((of) =>
    el("td", { class: "number" }, of === "bytes" ? bytes(counts[of]) : number(counts[of]))));
  const listed = (title, said) => (Object.keys(said).length
    ? el("details", { class: "card" }, el("summary", {}, title),
      el("pre", { tabindex: "0" }, JSON.stringify(said, null, 2))) : null);
  fill(host, el("div", { class: "stack" },
    leftOut.length ? el("section", { class: "card" }, el("h2", {}, "Left out of this page"),
      el("ul", {}, leftOut.map((line) => el("li", {}, line)))) : null,
    el("section", { class: "card" }, el("h2", {}, "What it holds"),
      el("p", {}, about.url, about.status ? `: ${about.status}` : ""),
      el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Counts" }, el("table", {},
        el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "split"), names.map((name) =>
          el("th", { class: "number", scope: "col" }, name)))),
        el("tbody", {}, Object.entries(splits).map(([name, counts]) => row(name || "(the tar)", counts)),
          Object.keys(splits).length > 1 ? row("all", all) : null)))),
    about.ignored.length ? el("section", { class: "card" },
      el("h2", {}, `${counted(about.ignored.length, "shard")} could not be used`),
      el("ul", {}, about.ignored.map((line) => el("li", {}, line)))) : null,
    Object.keys(about.weights).length ? el("section", { class: "card" },
      el("h2", {}, "Files of weights"),
      el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Files of weights" },
        el("table", {},
          el("thead", {}, el("tr", {}, ["file", "licence", "SHA-256"].map((name) =>
            el("th", { scope: "col" }, name)))),
          el("tbody", {}, Object.entries(about.weights).map(([file, said]) => el("tr", {},
            el("td", {}, file), el("td", {}, said?.licence ?? ""),
            el("td", { class: "mono" }, said?.sha256 ?? ""))))))) : null,
    listed(`Recipe ${about.fingerprint.slice(0, 12)}`, about.recipe),
    listed("Software", about.software),
    el("section", { class: "card" }, el("h2", {}, "Keys"),
      el("p", {}, "In the grid arrows move, Enter opens. In a clip ", el("kbd", {}, "←"), " ",
        el("kbd", {}, "→"), " go to its neighbours, ", el("kbd", {}, ","), " ", el("kbd", {}, "."),
        " step a frame, ", el("kbd", {}, "Space"), " plays, ", el("kbd", {}, "Esc"), " closes. The address holds what is shown and can be sent to others."))));
}

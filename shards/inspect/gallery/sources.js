// Where the page takes its clips from: the file that it is, or the server that sent it. Both give
// the same things, so that nothing else knows which it is.
import { data } from "./kit.js";

/** Everything is in the page, a block a clip. */
class FileSource {
  constructor() {
    this.parsed = new Map();
    this.leftOut = data("left_out");
    this.served = false;
  }

  async overview() {
    return data("overview");
  }

  async *facts() {
    yield data("facts");
  }

  async *quarantined() {
    yield data("quarantined");
  }

  async clip(n) {
    if (!this.parsed.has(n)) this.parsed.set(n, data(`clip-${n}`));
    return this.parsed.get(n);
  }

  async thumb(n) {
    const { panels } = await this.clip(n);
    const panel = panels.find(({ name }) => name === "rgb") ?? panels[0];
    return panel ?? null;
  }

  strip(n, panel) {
    return panel.src;
  }
}

/** The server is asked, page by page. */
class ServerSource {
  constructor(told) {
    this.told = told;
    this.served = true;
    this.leftOut = [];
    this.edition = "";
  }

  address(path, asked = {}) {
    const edition = this.edition ? { edition: this.edition } : {};
    return `${path}?${new URLSearchParams({ ...asked, ...edition })}`;
  }

  async ask(path, asked) {
    const answer = await fetch(this.address(path, asked));
    if (!answer.ok) throw new Error((await answer.text()).trim());
    return answer.json();
  }

  async overview() {
    const found = await this.ask("overview");
    this.edition = found.edition;
    return found;
  }

  async *facts() {
    let from = 0;
    while (from < this.told.clips || !from) {
      const page = await this.ask("facts", { from });
      yield page;
      if (!page.count) return;
      from += page.count;
    }
  }

  async *quarantined() {
    for (let from = 0; from < this.told.failed;) {
      const page = await this.ask("quarantined", { from });
      if (!page.length) return;
      yield page;
      from += page.length;
    }
  }

  clip(n) {
    return this.ask("clip", { n });
  }

  async thumb(n, frames) {
    const count = Math.max(Math.min(frames, 8), 1);
    return { src: this.address("thumb", { n }), count, columns: count };
  }

  strip(n, panel) {
    return this.address("strip", { n, modality: panel.name });
  }
}

export function openSource() {
  const served = data("served");
  return served ? new ServerSource(served) : new FileSource();
}

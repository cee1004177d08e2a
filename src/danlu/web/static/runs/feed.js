// The metrics of a run as they grow: what is behind the place that was read last.

import { call } from "../common.js";

export const pathOf = (name) => name.split("/").map(encodeURIComponent).join("/");

export class Feed {
  constructor(run) {
    this.run = run;
    this.files = new Map();
  }

  /** The lines of a file, those that have come since the last time included. */
  async lines(file) {
    const seen = this.files.get(file) ?? { lines: [], next: 0 };
    const query = new URLSearchParams({ file, after: String(seen.next) });
    const found = await call("GET", `/api/runs/${pathOf(this.run)}/metrics?${query}`);
    const now = { lines: found.reset ? found.lines : [...seen.lines, ...found.lines], next: found.next };
    this.files.set(file, now);
    return now.lines;
  }
}

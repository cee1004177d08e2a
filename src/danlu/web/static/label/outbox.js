// What was submitted and is not yet known to be kept: in the browser's storage until the server has said so.

import { call, complain, keep, kept } from "../common.js";

const KEY = "label-outbox";

export class Outbox {
  /** @param changed is told how many are waiting. */
  constructor(owner, changed) {
    this.key = `${KEY}-${owner}`;
    this.changed = changed;
    this.items = JSON.parse(kept(this.key, "[]"));
    this.wait = 500;
    this.running = null;
  }

  add(method, path, body) {
    this.items.push({ method, path, body });
    this.save();
    return this.flush();
  }

  /** Send what waits, in order. An answer sent twice is kept once, so to try again is safe. */
  flush() {
    this.running ??= this.send().finally(() => {
      this.running = null;
    });
    return this.running;
  }

  async send() {
    while (this.items.length) {
      const { method, path, body } = this.items[0];
      try {
        await call(method, path, body);
        this.wait = 500;
      } catch (error) {
        const refused = error.status >= 400 && error.status < 500 && ![401, 408, 429].includes(error.status);
        if (!refused) {
          await new Promise((resolve) => setTimeout(resolve, this.wait));
          this.wait = Math.min(this.wait * 2, 30000);
          continue;
        }
        complain(error); // said in full; sending it again would change nothing
      }
      this.items.shift();
      this.save();
    }
  }

  /** The tasks that were answered here, as far as the server may not know it yet. */
  leases() {
    return this.items.map(({ body }) => body.lease).filter(Boolean);
  }

  save() {
    keep(this.key, JSON.stringify(this.items));
    this.changed(this.items.length);
  }
}

// A conversation is a tree: an edit or another answer is a sibling, and nothing is ever deleted.

export class Tree {
  /** @param messages as the server has them; @param choices which child is shown, by its parent's id. */
  constructor(messages, choices = {}) {
    this.byId = new Map();
    this.below = new Map();
    this.choices = choices;
    for (const message of messages) this.add(message);
  }

  add(message) {
    this.byId.set(message.id, message);
    const siblings = this.below.get(message.parent) ?? [];
    siblings.push(message);
    this.below.set(message.parent, siblings);
  }

  /** The messages that answer, or begin, at the same place. */
  siblings(message) {
    return this.below.get(message.parent);
  }

  /** Have the branch with this message shown. */
  choose(id) {
    for (let message = this.byId.get(id); message; message = this.byId.get(message.parent)) this.choices[message.parent] = message.id;
  }

  /** The shown branch, from its beginning to its leaf. The newest child is shown where none was chosen. */
  path() {
    const found = [];
    for (let parent = ""; this.below.get(parent)?.length; parent = found.at(-1).id) {
      const children = this.below.get(parent);
      found.push(children.find((child) => child.id === this.choices[parent]) ?? children.at(-1));
    }
    return found;
  }
}

/** What different models say to the same message, the newest of each: for a look side by side. */
export function compared(siblings) {
  const newest = new Map();
  for (const message of siblings) newest.set(message.model, message);
  return [...newest.values()];
}

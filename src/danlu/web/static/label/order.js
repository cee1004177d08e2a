// The order a person is giving: groups of answers, the best first, those of one group tied.

export class Order {
  constructor(count) {
    this.count = count;
    this.groups = [];
  }

  get isWhole() {
    return this.groups.flat().length === this.count;
  }

  /** Place an answer behind the others, or into the last group. Placed already: it is moved. */
  place(answer, tied) {
    if (answer < 0 || answer >= this.count) return;
    this.remove(answer);
    if (tied && this.groups.length) this.groups.at(-1).push(answer);
    else this.groups.push([answer]);
  }

  /** Move an answer into a group, tied with what is there. */
  into(answer, place) {
    this.groups = this.groups.map((group, number) => [...group.filter((each) => each !== answer), ...(number === place ? [answer] : [])]).filter((group) => group.length);
  }

  /** Move an answer to a place of its own, in front of the group of that number as the groups are now. */
  between(answer, place) {
    this.groups = [...this.without(answer, this.groups.slice(0, place)), [answer], ...this.without(answer, this.groups.slice(place))];
  }

  remove(answer) {
    this.groups = this.without(answer, this.groups);
  }

  without(answer, groups) {
    return groups.map((group) => group.filter((each) => each !== answer)).filter((group) => group.length);
  }

  /** Take back the last placement. */
  back() {
    this.groups.at(-1)?.pop();
    this.groups = this.groups.filter((group) => group.length);
  }

  /** The rank of each answer in the order shown (0 is best), or null where it has none yet. */
  ranks() {
    return Array.from({ length: this.count }, (_, answer) => {
      const rank = this.groups.findIndex((group) => group.includes(answer));
      return rank < 0 ? null : rank;
    });
  }
}

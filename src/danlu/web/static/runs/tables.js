// Tables of words and numbers, and the sections that they stand in.

import { element, formatNumber, say } from "../common.js";
import { plain } from "../text.js";

export const section = (title, ...children) => element("section", {}, element("h2", { textContent: say(title) }), ...children);

/** A table whose first column names its rows; it scrolls by itself where the page is narrow. A cell is words or nodes. */
export function table(heads, rows) {
  const head = element("tr", {}, heads.map((text) => element("th", { scope: "col", textContent: text })));
  const cell = (value) => (typeof value === "string" ? plain(value) : value);
  const body = rows.map(([first, ...rest]) => element("tr", {}, element("th", { scope: "row" }, cell(first)), rest.map((value) => element("td", {}, cell(value)))));
  return element("div", { className: "scroll", tabIndex: 0 }, element("table", {}, element("thead", {}, head), element("tbody", {}, body)));
}

export const seconds = (value) => {
  if (value === null || value === undefined) return "–";
  if (value < 90) return say("time.seconds", { value: formatNumber(value) });
  if (value < 5400) return say("time.minutes", { value: formatNumber(value / 60) });
  return say("time.hours", { value: formatNumber(value / 3600) });
};

export const megabytes = (value) => (value === null || value === undefined ? "–" : say("size.megabytes", { value: formatNumber(value / 2 ** 20) }));

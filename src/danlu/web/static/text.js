// Text that somebody else wrote, drawn as nodes: a small part of Markdown, and nothing that could run or load.

import { element, say } from "./common.js";

const LONGEST_LINE = 20000; // a longer one is drawn as it is
const LINK = /^https?:\/\/[^\s<>"'`]+$/;
// Characters that are not seen but change what is: directions, zero width, and controls.
const HIDDEN = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]/g;

/** Plain text as nodes; hidden characters are shown by their number. */
export function plain(text) {
  const nodes = [];
  let last = 0;
  for (const found of text.matchAll(HIDDEN)) {
    const code = `U+${found[0].codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}`;
    nodes.push(text.slice(last, found.index), element("span", { className: "hidden", title: say("text.hidden"), textContent: code }));
    last = found.index + found[0].length;
  }
  nodes.push(text.slice(last));
  return nodes.filter((node) => node !== "");
}

/** Markdown as nodes: headings, lists, quotes, code, tables, rules, emphasis and links to http(s); no HTML, no images. */
export function markdown(text) {
  const made = document.createDocumentFragment();
  made.append(...blocks(text.split(/\r?\n/), 0));
  return made;
}

function blocks(lines, depth) {
  if (depth > 8) return [element("p", { dir: "auto" }, plain(lines.join("\n")))];
  const made = [];
  let at = 0;
  const take = (test) => {
    const first = at;
    while (at < lines.length && test(lines[at], at - first)) at += 1;
    return lines.slice(first, at);
  };
  while (at < lines.length) {
    const line = lines[at];
    const fence = /^ {0,3}(`{3,}|~{3,})[^`]*$/.exec(line.slice(0, 200));
    const title = /^ {0,3}(#{1,6})\s+(.*)$/.exec(line.slice(0, LONGEST_LINE));
    if (!line.trim()) at += 1;
    else if (fence) {
      at += 1;
      const code = take((each) => !each.trim().startsWith(fence[1]) || each.trim() !== fence[1][0].repeat(each.trim().length));
      at += 1;
      made.push(element("pre", { dir: "ltr", tabIndex: 0 }, element("code", {}, plain(code.join("\n")))));
    } else if (title) {
      at += 1;
      made.push(element(`h${Math.min(6, title[1].length + 2)}`, { dir: "auto" }, inline(title[2])));
    } else if (/^ {0,3}([-*_])( *\1){2,} *$/.test(line.slice(0, 200))) {
      at += 1;
      made.push(element("hr"));
    } else if (/^ {0,3}>/.test(line)) {
      const quoted = take((each) => /^ {0,3}>/.test(each)).map((each) => each.replace(/^ {0,3}> ?/, ""));
      made.push(element("blockquote", {}, blocks(quoted, depth + 1)));
    } else if (marker(line)) made.push(list(take((each, index) => index === 0 || marker(each) || /^\s+\S/.test(each) || (!each.trim() && index > 0)), depth));
    else if (line.includes("|") && /^[\s|:-]*-[\s|:-]*$/.test((lines[at + 1] ?? "").slice(0, 500)) && (lines[at + 1] ?? "").includes("|")) {
      made.push(table(take((each) => each.includes("|"))));
    } else {
      const part = take((each, index) => each.trim() && (index === 0 || !/^ {0,3}(#{1,6}\s|>|`{3}|~{3})/.test(each)) && (index === 0 || !marker(each)));
      const children = part.flatMap((each, index) => (index ? [element("br"), ...inline(each)] : inline(each)));
      made.push(element("p", { dir: "auto" }, children));
    }
  }
  return made;
}

const marker = (line) => /^(\s*)([-*+]|\d{1,9}[.)])\s+/.exec(line.slice(0, 500));

function list(lines, depth) {
  const first = marker(lines[0]);
  const ordered = /\d/.test(first[2]);
  const made = element(ordered ? "ol" : "ul", ordered ? { start: Number.parseInt(first[2], 10) } : {});
  let item = [];
  const flush = () => {
    if (item.length) made.append(element("li", { dir: "auto" }, tight(blocks(item, depth + 1))));
    item = [];
  };
  for (const line of lines) {
    const found = marker(line);
    if (found && found[1].length <= first[1].length) {
      flush();
      item = [line.slice(found[0].length)];
    } else item.push(line.replace(/^( {1,4}|\t)/, ""));
  }
  flush();
  return made;
}

/** A list item that is one paragraph needs none around it. */
const tight = (nodes) => (nodes.length && nodes[0].tagName === "P" ? [...nodes[0].childNodes, ...nodes.slice(1)] : nodes);

function table(lines) {
  const cells = (line) => line.trim().replace(/^\||\|$/g, "").split("|").slice(0, 50).map((cell) => cell.trim());
  const row = (name, line) => element("tr", {}, cells(line).map((cell) => element(name, { dir: "auto" }, inline(cell))));
  const body = lines.slice(2).map((line) => row("td", line));
  return element("div", { className: "scroll", tabIndex: 0 }, element("table", {}, element("thead", {}, row("th", lines[0])), element("tbody", {}, body)));
}

const MARKS = [["**", "strong"], ["__", "strong"], ["~~", "del"], ["*", "em"], ["_", "em"]];

function inline(text, depth = 0) {
  if (text.length > LONGEST_LINE || depth > 6) return plain(text);
  const nodes = [];
  let from = 0;
  let at = 0;
  let tries = 0; // unmatched marks must not make a long line slow
  const put = (node, next) => {
    nodes.push(...plain(text.slice(from, at)), node);
    at = from = next;
  };
  while (at < text.length && tries < 500) {
    const rest = text[at];
    if (rest === "\\" && /[\\`*_~[\]()#>|!-]/.test(text[at + 1] ?? "")) {
      put(text[at + 1], at + 2);
      continue;
    }
    if (rest === "`") {
      const ticks = /^`+/.exec(text.slice(at, at + 20))[0];
      const end = text.indexOf(ticks, at + ticks.length);
      tries += 1;
      if (end > 0) {
        put(element("code", { dir: "ltr" }, plain(text.slice(at + ticks.length, end))), end + ticks.length);
        continue;
      }
    } else if (rest === "[" || (rest === "!" && text[at + 1] === "[")) {
      const open = rest === "!" ? at + 1 : at;
      const middle = text.indexOf("](", open);
      const end = middle < 0 ? -1 : text.indexOf(")", middle);
      tries += 1;
      if (end > 0 && !text.slice(open + 1, middle).includes("[")) {
        const target = text.slice(middle + 2, end).trim().split(/\s/)[0];
        if (LINK.test(target)) {
          put(link(target, inline(text.slice(open + 1, middle), depth + 1)), end + 1);
          continue;
        }
      }
    } else if (rest === "h" && /^https?:\/\//.test(text.slice(at, at + 8)) && !/\w/.test(text[at - 1] ?? "")) {
      const found = /^https?:\/\/[^\s<>"'`\u3000-\u303f\uff00-\uffef]+/.exec(text.slice(at, at + 2000))[0].replace(/[.,;:!?)\]]+$/, "");
      if (LINK.test(found)) {
        put(link(found, [found]), at + found.length);
        continue;
      }
    } else {
      const mark = MARKS.find(([sign]) => text.startsWith(sign, at));
      if (mark && /\S/.test(text[at + mark[0].length] ?? "") && !(mark[0][0] === "_" && /\w/.test(text[at - 1] ?? ""))) {
        const end = text.indexOf(mark[0], at + mark[0].length + 1);
        tries += 1;
        if (end > 0 && /\S/.test(text[end - 1])) {
          put(element(mark[1], {}, inline(text.slice(at + mark[0].length, end), depth + 1)), end + mark[0].length);
          continue;
        }
      }
    }
    at += 1;
  }
  nodes.push(...plain(text.slice(from)));
  return nodes;
}

const link = (target, children) => element("a", { href: target, rel: "noopener noreferrer nofollow", target: "_blank", title: target }, children);

// Line charts from nodes: a few series over one axis, with bands and marks, on linear or logarithmic scales.

import { formatNumber } from "../common.js";

const SPACE = "http://www.w3.org/2000/svg";
const WIDTH = 560;
const HEIGHT = 260;
const EDGE = { left: 58, right: 14, top: 10, bottom: 34 };

function node(name, attributes, ...children) {
  const made = document.createElementNS(SPACE, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, String(value));
  made.append(...children);
  return made;
}

/** Round places on an axis between two values. */
export function ticks(low, high, isLog, count = 5) {
  if (!(high > low)) return [low];
  if (isLog && high / low > 20) {
    const found = [];
    for (let power = Math.ceil(Math.log10(low)); power <= Math.floor(Math.log10(high)); power += Math.max(1, Math.round(Math.log10(high / low) / count))) found.push(10 ** power);
    if (found.length > 1) return found;
  }
  const raw = (high - low) / count;
  const unit = 10 ** Math.floor(Math.log10(raw));
  const step = unit * [1, 2, 5, 10].find((each) => each * unit >= raw);
  const found = [];
  for (let at = Math.ceil(low / step) * step; at <= high + step * 1e-9; at += step) found.push(Number(at.toPrecision(12)));
  return found;
}

/**
 * @param series [{name, points: [[x, y]]}]
 * @param options label (what it shows), xLabel, logX, logY, bands: [{low, high, middle}]
 */
export function chart(series, { label, xLabel, logX = false, logY = false, bands = [] }) {
  const usable = series.map(({ name, points }) => ({ name, points: points.filter(([x, y]) => Number.isFinite(x) && Number.isFinite(y) && (!logX || x > 0) && (!logY || y > 0)) })).filter(({ points }) => points.length);
  const all = usable.flatMap(({ points }) => points);
  if (!all.length) return null;
  let [x0, x1, y0, y1] = [Infinity, -Infinity, Infinity, -Infinity];
  for (const [x, y] of all) [x0, x1, y0, y1] = [Math.min(x0, x), Math.max(x1, x), Math.min(y0, y), Math.max(y1, y)];
  for (const band of bands) [y0, y1] = [Math.min(y0, band.low), Math.max(y1, band.high)];
  const pad = logY ? 0 : (y1 - y0 || Math.abs(y1) || 1) * 0.05;
  [y0, y1] = logY ? [y0 / 1.02, y1 * 1.02] : [y0 - pad, y1 + pad];
  if (x0 === x1) x1 = x0 + (x0 || 1);
  const scale = (low, high, isLog, from, to) => {
    const f = isLog ? Math.log : (value) => value;
    return (value) => from + ((f(value) - f(low)) / (f(high) - f(low))) * (to - from);
  };
  const toX = scale(x0, x1, logX, EDGE.left, WIDTH - EDGE.right);
  const toY = scale(y0, y1, logY, HEIGHT - EDGE.bottom, EDGE.top);
  const picture = node("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": said(label, usable), class: "chart" });
  for (const at of ticks(y0, y1, logY)) picture.append(node("line", { x1: EDGE.left, x2: WIDTH - EDGE.right, y1: toY(at), y2: toY(at), class: "grid" }), node("text", { x: EDGE.left - 6, y: toY(at) + 4, "text-anchor": "end" }, formatNumber(at)));
  for (const at of ticks(x0, x1, logX)) picture.append(node("text", { x: toX(at), y: HEIGHT - EDGE.bottom + 16, "text-anchor": "middle" }, compact(at)));
  picture.append(node("text", { x: (WIDTH + EDGE.left) / 2, y: HEIGHT - 2, "text-anchor": "middle" }, xLabel));
  for (const band of bands) {
    picture.append(node("rect", { x: EDGE.left, width: WIDTH - EDGE.left - EDGE.right, y: toY(band.high), height: Math.max(1, toY(band.low) - toY(band.high)), class: "band" }));
    picture.append(node("line", { x1: EDGE.left, x2: WIDTH - EDGE.right, y1: toY(band.middle), y2: toY(band.middle), class: "middle" }));
  }
  usable.forEach(({ points }, number) => {
    const path = points.map(([x, y], index) => `${index ? "L" : "M"}${toX(x).toFixed(1)} ${toY(y).toFixed(1)}`).join("");
    picture.append(node("path", { d: path, class: `series s${number % 6}` }));
    if (points.length < 30) for (const [x, y] of points) picture.append(node("circle", { cx: toX(x), cy: toY(y), r: 2.5, class: `dot s${number % 6}` }));
  });
  return picture;
}

const compact = (value) => new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3 }).format(value);
const said = (label, series) => `${label}: ${series.map(({ name, points }) => `${name} ${formatNumber(points.at(-1)[1], 4)}`).join(", ")}`;

// What every page needs: strings, the session, calls with the CSRF token, and elements made from nodes alone.

const kept = (key, fallback) => {
  try {
    return localStorage.getItem(key) ?? fallback;
  } catch {
    return fallback; // storage is switched off: settings last as long as the page
  }
};
const keep = (key, value) => {
  try {
    localStorage.setItem(key, value);
  } catch {
    // as above
  }
};

export const language = kept("language", navigator.language.startsWith("zh") ? "zh" : "en");
document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
applyTheme(kept("theme", "auto"));
const fetched = async (file) => (await fetch(`/static/strings/${file}.json`)).json();
const strings = await fetched(language);
const refusals = language === "zh" ? Object.entries(await fetched("refusals.zh")).map(([said, meant]) => [pattern(said), meant]) : [];
let csrf = "";

export { keep, kept };

export const forget = (key) => {
  try {
    localStorage.removeItem(key);
  } catch {
    // as above
  }
};

/** A string of the page's language; {name} in it is replaced by values.name. */
export function say(key, values = {}) {
  return (strings[key] ?? key).replace(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name]) : whole));
}

function pattern(words) {
  return new RegExp(`^${words.split("{}").map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")).join("(.*?)")}$`, "s");
}

/** What the server says, in the page's language as far as that is known; each {} of a translation is what stood there. */
export function translated(words) {
  for (const [said, meant] of refusals) {
    const found = said.exec(words);
    if (found) {
      const parts = found.slice(1).map(translated);
      return meant.replace(/\{\}/g, () => parts.shift() ?? "");
    }
  }
  return words;
}

/** An element with properties (`on` holds listeners, `data` the dataset) and children; never from markup. */
export function element(name, { on = {}, data = {}, ...properties } = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  for (const [event, listener] of Object.entries(on)) made.addEventListener(event, listener);
  Object.assign(made.dataset, data);
  made.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return made;
}

/** A button that says what it does. With an icon, the words are its label. */
export function button(words, act, { icon, ...properties } = {}) {
  const made = element("button", { type: "button", on: { click: act }, ...properties }, icon ?? words);
  if (icon) Object.assign(made, { ariaLabel: words, title: words });
  return made;
}

export async function session() {
  let found;
  try {
    found = await call("GET", "/api/session");
  } catch (error) {
    if (error.status === 401) location.assign("/login");
    throw error;
  }
  csrf = found.csrf;
  return found;
}

export async function call(method, path, body, options = {}) {
  const answer = await request(method, path, body, options);
  return answer.json();
}

/** The response itself; throws an Error with `message`, `remedy` and `status` where it is none of 2xx. */
export async function request(method, path, body, options = {}) {
  const headers = { "X-CSRF-Token": csrf };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const payload = body === undefined ? undefined : JSON.stringify(body);
  const answer = await fetch(path, { method, headers, body: payload, ...options }).catch((error) => {
    throw error instanceof TypeError ? new Error(say("error.network")) : error;
  });
  if (!answer.ok) {
    const said = await answer.json().catch(() => ({}));
    const error = said.error ?? { message: say("error.status", { status: answer.status }) };
    throw Object.assign(new Error(translated(error.message)), { remedy: translated(error.remedy ?? ""), status: answer.status });
  }
  return answer;
}

/** Have the browser keep what stands at a path as a file of that name. */
export async function download(path, name) {
  const link = element("a", { href: URL.createObjectURL(await (await request("GET", path)).blob()), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}

export const newId = () => crypto.randomUUID?.() ?? Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");

/** Whether a key belongs to an input method that is composing: Enter then chooses a word and sends nothing. */
export const composing = (event) => event.isComposing || event.keyCode === 229;

const notices = element("div", { id: "notices", role: "status" });
document.body.append(notices);

/** Say something for a while; errors stay until they are dismissed. */
export function notify(words, kind = "note") {
  const notice = element("p", { className: `notice ${kind}` }, words);
  if (kind === "error") notice.append(" ", button(say("close"), () => notice.remove(), { icon: "×" }));
  else setTimeout(() => notice.remove(), 6000);
  notices.append(notice);
}

export const complain = (error) => {
  if (error.name !== "AbortError") notify([error.message, error.remedy].filter(Boolean).join(" "), "error");
};

/** The bar on top of every page. */
export function header(here, who) {
  const pages = who.role === "admin" ? ["chat", "label", "runs"] : ["label"];
  const paths = { chat: "/", label: "/label", runs: "/runs" };
  const links = pages.map((page) => {
    const link = element("a", { href: paths[page], textContent: say(`nav.${page}`) });
    if (page === here) link.ariaCurrent = "page";
    return link;
  });
  const other = language === "zh" ? "en" : "zh";
  const change = () => {
    keep("language", other);
    location.reload();
  };
  const themes = ["auto", "light", "dark"];
  const theme = button(say(`theme.${kept("theme", "auto")}`), () => {
    const next = themes[(themes.indexOf(kept("theme", "auto")) + 1) % themes.length];
    keep("theme", next);
    applyTheme(next);
    theme.textContent = say(`theme.${next}`);
  }, { className: "quiet" });
  const leave = async () => {
    await call("POST", "/api/logout").catch(complain);
    location.assign("/login");
  };
  return element(
    "header",
    { className: "bar" },
    element("nav", { ariaLabel: say("nav.pages") }, element("b", { textContent: "danlu 丹炉" }), ...links),
    element(
      "div",
      { className: "tools" },
      theme,
      button(other === "zh" ? "中文" : "English", change, { className: "quiet", lang: other === "zh" ? "zh-CN" : "en" }),
      element("span", { className: "dim", textContent: who.name }),
      button(say("nav.leave"), leave, { className: "quiet" }),
    ),
  );
}

function applyTheme(theme) {
  if (theme === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
}

export const formatNumber = (value, digits = 3) =>
  new Intl.NumberFormat(language === "zh" ? "zh-CN" : "en", { maximumSignificantDigits: digits }).format(value);

export const formatTime = (seconds) =>
  new Intl.DateTimeFormat(language === "zh" ? "zh-CN" : "en", { dateStyle: "medium", timeStyle: "short" }).format(seconds * 1000);

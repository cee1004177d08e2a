// What every page needs: strings, the session, calls with the CSRF token, and elements made from nodes alone.

const language = localStorage.getItem("language") ?? (navigator.language.startsWith("zh") ? "zh" : "en");
document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
const strings = await (await fetch(`/static/strings/${language}.json`)).json();
let csrf = "";

export const say = (key) => strings[key] ?? key;

export function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

export async function session() {
  const found = await call("GET", "/api/session");
  csrf = found.csrf;
  return found;
}

export async function call(method, path, body) {
  const headers = { "X-CSRF-Token": csrf };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const answer = await fetch(path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
  const value = await answer.json();
  if (!answer.ok) throw Object.assign(new Error(value.error.message), value.error, { status: answer.status });
  return value;
}

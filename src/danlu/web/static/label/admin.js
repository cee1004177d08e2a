// For administrators: bring in tasks, invite people, watch agreement and leanings, settle conflicts, export.

import { button, call, complain, download, element, formatNumber, notify, say } from "../common.js";
import { plain } from "../text.js";
import { name } from "./task.js";
import { Order } from "./order.js";

export async function administration(who, refresh) {
  const panel = element("details", { className: "admin" }, element("summary", { textContent: say("admin.title") }));
  const body = element("div");
  panel.append(body);
  const draw = async () => {
    const [figures, conflicts, accounts] = await Promise.all([call("GET", "/api/label/figures"), call("GET", "/api/label/conflicts"), call("GET", "/api/accounts")]);
    body.replaceChildren(importing(who, refresh), people(accounts, draw), agreement(figures), settling(conflicts, draw), exports());
  };
  panel.addEventListener("toggle", () => panel.open && draw().catch(complain));
  return panel;
}

const part = (title, ...children) => element("section", {}, element("h2", { textContent: say(title) }), ...children);

function importing(who, refresh) {
  const prompts = element("textarea", { rows: 4, id: "import-prompts", dir: "auto" });
  const kind = element("select", { id: "import-kind" }, element("option", { value: "demonstrate", textContent: say("admin.kind.demonstrate") }), who.models.map((model) => element("option", { value: `model:${model}`, textContent: say("admin.kind.sample", { model }) })));
  const count = element("input", { type: "number", id: "import-count", min: 2, max: 9, value: 4 });
  const wanted = element("input", { type: "number", id: "import-wanted", min: 1, max: 9, value: 1 });
  const shared = element("input", { type: "number", id: "import-shared", min: 0, max: 100, value: 100 });
  const share = () => Math.min(100, Math.max(0, Number(shared.value))) / 100;
  const file = element("input", { type: "file", id: "import-file", accept: ".jsonl,.json,.txt" });
  const told = async (work) => {
    try {
      const { added, known } = await work();
      notify(say("admin.added", { added, known }));
      prompts.value = "";
      file.value = "";
      refresh();
    } catch (error) {
      complain(error);
    }
  };
  const take = () => told(async () => {
    const texts = prompts.value.split(/\n\s*\n/).map((text) => text.trim()).filter(Boolean);
    if (!texts.length) throw new Error(say("admin.no-prompts"));
    if (kind.value === "demonstrate") return call("POST", "/api/label/tasks", { tasks: texts.map((content) => ({ kind: "demonstrate", prompt: [{ role: "user", content }], wanted: Number(wanted.value) })), shared: share() });
    return call("POST", "/api/label/sample", { model: kind.value.slice("model:".length), prompts: texts, completions: Number(count.value), wanted: Number(wanted.value), shared: share() });
  });
  const fill = async () => {
    const more = await call("GET", "/api/label/run-prompts?count=20");
    prompts.value = [prompts.value.trim(), ...more].filter(Boolean).join("\n\n");
    prompts.focus();
  };
  const upload = () => told(async () => {
    if (!file.files.length) throw new Error(say("admin.no-file"));
    const lines = (await file.files[0].text()).split("\n").filter((line) => line.trim());
    const tasks = lines.map((line, number) => {
      try {
        return asTask(JSON.parse(line), Number(wanted.value));
      } catch (error) {
        throw new Error(say("admin.bad-line", { line: number + 1, why: error.message }));
      }
    });
    return call("POST", "/api/label/tasks", { tasks, shared: share() });
  });
  const field = (input, key) => element("div", {}, element("label", { htmlFor: input.id, textContent: say(key) }), input);
  return part(
    "admin.import",
    field(prompts, "admin.prompts"),
    who.run && element("div", { className: "row" }, button(say("admin.run-prompts", { run: who.run.name }), () => fill().catch(complain))),
    element("div", { className: "row" }, field(kind, "admin.kind"), field(count, "admin.count"), field(wanted, "admin.wanted"), field(shared, "admin.shared"), button(say("admin.make"), take, { className: "main" })),
    element("div", { className: "row" }, field(file, "admin.file"), button(say("admin.upload"), upload)),
    element("small", { className: "dim", textContent: say("admin.file.help") }),
    who.run && element("p", { className: "dim" }, say("admin.learn"), " ", element("code", {}, plain(who.run.command))),
  );
}

/** A line of a file as a task: a task itself, or {prompt, completions?} with a prompt in words or messages. */
export function asTask(line, wanted) {
  if (line === null || typeof line !== "object" || !line.prompt) throw new Error('"prompt" is missing');
  const prompt = typeof line.prompt === "string" ? [{ role: "user", content: line.prompt }] : line.prompt;
  const completions = line.completions ?? [];
  const kind = line.kind ?? (completions.length ? (completions.length === 2 ? "pair" : "rank") : "demonstrate");
  return { ...line, kind, prompt, completions, wanted: line.wanted ?? wanted };
}

function people(accounts, draw) {
  const input = element("input", { id: "invite-name", autocomplete: "off" });
  const invite = async () => {
    const { path } = await call("POST", "/api/accounts/invite", { name: input.value.trim(), role: "labeler" });
    const link = new URL(path, location.href).href;
    await draw();
    notify(say("admin.invited", { link }), "error");
  };
  const rows = accounts.map((each) => element("tr", {}, element("td", {}, plain(each.name)), element("td", { textContent: say(`role.${each.role}`) })));
  return part("admin.people", element("table", {}, element("tbody", {}, rows)), element("div", { className: "row" }, element("div", {}, element("label", { htmlFor: input.id, textContent: say("admin.name") }), input), button(say("admin.invite"), () => invite().catch(complain))));
}

const share = (value) => (value === null || value === undefined ? "–" : `${formatNumber(100 * value)}%`);
const leaning = (found) => (found.share === null ? "–" : say("admin.leaning", { share: share(found.share), low: share(found.low), high: share(found.high), pairs: found.pairs }));

const known = (value) => (value === null ? "–" : formatNumber(value));
const estimated = ({ value, low, high, items }) => (value === null ? "–" : say("admin.estimate", { value: known(value), low: known(low), high: known(high), items }));

function agreement(figures) {
  const rows = Object.entries(figures.agreement).filter(([, found]) => found && typeof found === "object" && "value" in found).map(([key, found]) => {
    return element("tr", {}, element("th", { scope: "row", textContent: say(`agreement.${key}`) }), element("td", { textContent: estimated(found) }));
  });
  rows.push(element("tr", {}, element("th", { scope: "row", textContent: say("admin.position") }), element("td", { textContent: leaning(figures.position) })), element("tr", {}, element("th", { scope: "row", textContent: say("admin.length") }), element("td", { textContent: leaning(figures.length) })));
  const heads = ["admin.name", "admin.answers", "admin.skips", "admin.seconds", "admin.others", "admin.gold", "admin.repeats", "admin.position", "admin.length"];
  const each = Object.entries(figures.annotators).map(([who, one]) =>
    element("tr", {}, element("td", {}, plain(who)), [one.answers, one.skips, one.median_seconds === null ? "–" : formatNumber(one.median_seconds), share(one.others.agreement), share(one.gold.agreement), share(one.repeats.agreement), leaning(one.position), leaning(one.length)].map((text) => element("td", { textContent: String(text) }))),
  );
  const table = element("div", { className: "scroll", tabIndex: 0 }, element("table", {}, element("thead", {}, element("tr", {}, heads.map((key) => element("th", { scope: "col", textContent: say(key) })))), element("tbody", {}, each)));
  const two = figures.kappas.map(({ annotators: [one, other], ...found }) => element("tr", {}, element("th", { scope: "row" }, plain(one), " – ", plain(other)), element("td", { textContent: estimated(found) })));
  const pairs = two.length ? element("div", {}, element("p", { className: "dim", textContent: say("admin.kappas") }), element("div", { className: "scroll", tabIndex: 0 }, element("table", { ariaLabel: "Cohen's kappa" }, element("tbody", {}, two)))) : null;
  return part("admin.agreement", element("table", {}, element("tbody", {}, rows)), element("small", { className: "dim", textContent: say("admin.yardstick") }), table, pairs);
}

function settling(conflicts, draw) {
  if (!conflicts.length) return part("admin.conflicts", element("p", { className: "dim", textContent: say("admin.conflicts.none") }));
  const conflict = conflicts[0];
  const order = new Order(conflict.completions.length);
  const places = conflict.completions.map(() => element("b"));
  const redraw = () => order.ranks().forEach((rank, number) => (places[number].textContent = rank === null ? "" : ` ${rank + 1}`));
  const cards = conflict.completions.map((text, number) => {
    const said = Object.entries(conflict.ranks).map(([who, ranks]) => `${who}: ${ranks[number] + 1}`).join(" · ");
    return element("div", { className: "card" }, element("h3", {}, name(number, false), places[number]), element("div", { className: "plain" }, plain(text)), element("small", { className: "dim" }, plain(said)), element("footer", {}, button(say("label.next"), () => (order.place(number, false), redraw())), button(say("label.tie"), () => (order.place(number, true), redraw()))));
  });
  const settle = async () => {
    if (!order.isWhole) throw new Error(say("label.place-all"));
    await call("POST", "/api/label/adjudications", { prompt: conflict.prompt, completions: conflict.completions, ranks: order.ranks(), note: "" });
    await draw();
  };
  return part("admin.conflicts", element("p", { textContent: say("admin.conflicts.left", { number: conflicts.length }) }), element("div", { className: "plain" }, plain(conflict.prompt.at(-1).content)), element("div", { className: "cards side" }, cards), button(say("admin.settle"), () => settle().catch(complain), { className: "main" }));
}

const FORMS = ["rankings", "preference", "preference-implicit", "hh-rlhf", "demonstrations", "messages", "prompt-completion", "unpaired"];

/** Every format by one click, and what is in each: its manifest. `danlu label export` writes the same bytes. */
function exports() {
  const choice = (id, values) => element("select", { id }, values.map(([value, textContent]) => element("option", { value, textContent })));
  const file = choice("export-file", ["jsonl", "parquet"].map((kind) => [kind, say(`export.file.${kind}`)]));
  const style = choice("export-style", ["conversation", "text"].map((kind) => [kind, say(`export.style.${kind}`)]));
  const field = (input, key) => element("div", {}, element("label", { htmlFor: input.id, textContent: say(key) }), input);
  const flagged = element("input", { type: "checkbox", id: "export-flagged" });
  const get = (format, name, part = "data") => {
    const query = new URLSearchParams({ format, part, file: file.value, style: style.value, flagged: flagged.checked ? "1" : "0" });
    download(`/api/label/export?${query}`, name(file.value)).catch(complain);
  };
  const rows = FORMS.map((form) => {
    const what = say(`export.${form}`);
    const data = button(say("export.get"), () => get(form, (kind) => `${form}.${kind}`), { ariaLabel: `${say("export.get")}: ${what}` });
    const manifest = button(say("export.manifest"), () => get(form, (kind) => `${form}.${kind}.manifest.json`, "manifest"), { className: "quiet", ariaLabel: `${say("export.manifest")}: ${what}` });
    return element("tr", {}, element("th", { scope: "row", textContent: what }), element("td", {}, data), element("td", {}, manifest));
  });
  return part(
    "admin.export",
    element("div", { className: "row" }, field(file, "export.file"), field(style, "export.style"), element("label", {}, flagged, " ", say("export.flagged"))),
    element("table", { className: "exports" }, element("tbody", {}, rows)),
    element("p", {}, button(say("export.all"), () => get("all", () => "feedback.zip"), { className: "main" })),
    element("small", { className: "dim", textContent: say("export.help") }),
  );
}

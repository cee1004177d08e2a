import { call, element, say } from "./common.js";

const query = new URLSearchParams(location.search);
const invite = query.get("invite");
const notice = element("p", { role: "status", textContent: say(query.has("refused") ? "login.refused" : invite ? "login.invited" : "login.link") });
const name = element("input", { autocomplete: "username", required: true });
const password = element("input", { type: "password", autocomplete: invite ? "new-password" : "current-password", required: true });
const form = element("form", {}, element("label", {}, say("login.password"), " ", password), element("button", { textContent: say("login.submit") }));
if (!invite) form.prepend(element("label", {}, say("login.name"), " ", name));
form.addEventListener("submit", async (event) => {
  event.preventDefault();
  try {
    if (invite) await call("POST", "/api/join", { token: invite, password: password.value });
    else await call("POST", "/api/login", { name: name.value, password: password.value });
    location.assign("/");
  } catch (error) {
    notice.textContent = `${error.message} ${error.remedy ?? ""}`;
  }
});
document.getElementById("main").append(element("h1", { textContent: say("login.title") }), notice, form);

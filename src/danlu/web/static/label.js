import { element, say, session } from "./common.js";

await session();
document.getElementById("main").append(element("h1", { textContent: say("nav.label") }));

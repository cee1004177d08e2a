(function () {
  "use strict";
  var root = document.documentElement;
  var key = "danlu-language";

  function remembered() {
    try { return localStorage.getItem(key); } catch (error) { return null; }
  }

  function choose(language) {
    root.dataset.language = language;
    root.lang = language === "zh" ? "zh-CN" : "en";
    document.querySelectorAll("button[data-choose]").forEach(function (button) {
      button.setAttribute("aria-pressed", String(button.dataset.choose === language));
    });
  }

  var browser = (navigator.languages && navigator.languages[0]) || navigator.language || "en";
  var start = remembered();
  choose(start === "en" || start === "zh" ? start : browser.toLowerCase().indexOf("zh") === 0 ? "zh" : "en");

  document.addEventListener("DOMContentLoaded", function () {
    choose(root.dataset.language);
    document.addEventListener("click", function (event) {
      var button = event.target.closest("button[data-choose]");
      if (!button) { return; }
      choose(button.dataset.choose);
      try { localStorage.setItem(key, button.dataset.choose); } catch (error) { /* private window: not remembered */ }
    });

    var tip = document.createElement("div");
    tip.className = "tip";
    tip.hidden = true;
    document.body.appendChild(tip);
    document.addEventListener("pointerover", function (event) {
      var mark = event.target.closest("[data-tip]");
      tip.hidden = !mark;
      if (!mark) { return; }
      tip.textContent = mark.dataset.tip;
      var box = mark.getBoundingClientRect();
      var left = box.left + box.width / 2 - tip.offsetWidth / 2;
      tip.style.left = Math.max(8, Math.min(left, root.clientWidth - tip.offsetWidth - 8)) + scrollX + "px";
      var above = box.top - tip.offsetHeight - 10;
      tip.style.top = (above > 8 ? above : box.bottom + 10) + scrollY + "px";
    });
  });
})();

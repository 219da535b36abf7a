"use strict";
(function () {
  var box = document.getElementById("switches");
  box.hidden = false;
  document.getElementById("key").hidden = true; // the switches say it too
  box.addEventListener("change", function (event) {
    var what = event.target.value;
    document.querySelectorAll("." + what).forEach(function (e) {
      e.classList.toggle("off", !event.target.checked);
    });
  });
  window.addEventListener("beforeprint", function () {
    document.querySelectorAll("details").forEach(function (d) { d.open = true; });
  });
})();

// Targets of a route can be put in order by dragging; these buttons do the same from the keyboard.
(() => {
  "use strict";

  // The cheap model stands outside the order.
  const isSimple = (row) => row.querySelector("input[name$=-simple]")?.checked;
  const rowsOf = (list) => [...list.querySelectorAll(":scope > .form-group.original")].filter((row) => !isSimple(row));
  const titleOf = (row) => row.querySelector("h3 strong").textContent.trim();

  function number(list) {
    rowsOf(list).forEach((row, index) => {
      const input = row.querySelector(`input[name$=-${list.dataset.orderingField}]`);
      if (input.value === String(index)) return;
      input.value = index;
      input.dispatchEvent(new Event("change", { bubbles: true })); // the page then asks before it is left unsaved
    });
  }

  function move(list, row, step) {
    const rows = rowsOf(list);
    const other = rows[rows.indexOf(row) + step];
    if (!other) return;
    if (step < 0) other.before(row);
    else other.after(row);
    number(list);
    enable(list);
    const place = rowsOf(list).indexOf(row) + 1;
    list.announcer.textContent = `${titleOf(row)} is now number ${place} of ${rows.length}; save to keep it.`;
  }

  function button(list, row, step) {
    const made = document.createElement("button");
    made.type = "button";
    made.className = "lo-move material-symbols-outlined";
    made.textContent = step < 0 ? "arrow_upward" : "arrow_downward";
    made.ariaLabel = `Move ${titleOf(row)} ${step < 0 ? "up" : "down"}`;
    made.title = made.ariaLabel;
    made.dataset.step = step;
    made.addEventListener("click", () => {
      move(list, row, step);
      const again = made.disabled ? row.querySelector(".lo-move:not(:disabled)") : made;
      if (again) again.focus();
    });
    return made;
  }

  function enable(list) {
    const rows = rowsOf(list);
    rows.forEach((row, index) => {
      for (const one of row.querySelectorAll(".lo-move")) {
        one.disabled = !rows[index + Number(one.dataset.step)];
      }
    });
  }

  function furnish(list) {
    list.announcer = document.createElement("p");
    list.announcer.className = "lo-hidden";
    list.announcer.setAttribute("aria-live", "polite");
    list.before(list.announcer);
    for (const row of rowsOf(list)) {
      row.querySelector("h3 > span:not(.material-symbols-outlined) > strong").after(button(list, row, -1), button(list, row, 1));
    }
    enable(list);
    list.addEventListener("dragend", () => enable(list));
    list.addEventListener("end", () => enable(list));
  }

  document.addEventListener("DOMContentLoaded", () => {
    const list = document.getElementById("targets-data");
    if (list) furnish(list);
  });
})();

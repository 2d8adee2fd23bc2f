// The panels beside the conversation, of which one at most is open. On a narrow screen it covers the conversation.

import { byId } from "./dom.js";
import { facts } from "./place.js";

const WIDE = matchMedia("(min-width: 60rem)");

/** Have the buttons open and close the panels. */
export function panels() {
  const buttons = [...document.querySelectorAll("nav button")];
  let open = "";

  function show(name) {
    open = name;
    for (const button of buttons) {
      const isOpen = button.dataset.panel === name;
      button.setAttribute("aria-expanded", isOpen);
      byId(button.getAttribute("aria-controls")).hidden = !isOpen;
    }
    document.body.dataset.panel = name;
    byId("log").tabIndex = name && !WIDE.matches ? -1 : 0;
    document.dispatchEvent(new CustomEvent("panel", { detail: name }));
  }

  for (const button of buttons) {
    button.addEventListener("click", () => show(open === button.dataset.panel ? "" : button.dataset.panel));
    if (button.dataset.panel === "wire") button.hidden = !facts.hasWireView;
  }
  WIDE.addEventListener("change", () => show(open));
  show(WIDE.matches ? "session" : "");

  /** Show the conversation, where a panel hides it. */
  const makeRoom = () => WIDE.matches || show("");
  return { makeRoom };
}

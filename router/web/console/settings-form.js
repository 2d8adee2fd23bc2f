// The settings panel.

import { byId } from "./dom.js";
import * as place from "./place.js";
import * as settings from "./settings.js";
import { SNIPPETS } from "./snippets.js";

export class SettingsForm {
  #form = byId("settings");
  #where;

  /** `where` returns the backend and the endpoint. */
  constructor(where) {
    this.#where = where;
    this.#fill(settings.load());
    this.#form.addEventListener("submit", (event) => event.preventDefault());
    this.#form.addEventListener("input", () => this.#changed());
    byId("token").addEventListener("input", () => settings.saveToken(this.#host(), byId("token").value));
    byId("example").addEventListener("click", () => this.#addExample());
    byId("defaults").addEventListener("click", () => {
      this.#fill(settings.DEFAULTS);
      this.#changed();
    });
    for (const button of document.querySelectorAll("[data-copy]")) {
      button.addEventListener("click", () => this.#copy(button.dataset.copy, button.textContent));
    }
    this.#form.elements.model.placeholder = place.facts.model;
    this.#showProblem();
  }

  /** Return what the fields hold. */
  values() {
    return Object.fromEntries(Object.keys(settings.DEFAULTS).map((name) => [name, this.#form.elements[name].value.trim()]));
  }

  token() {
    return byId("token").value;
  }

  /** Show the token of the host that is connected to. */
  showToken() {
    const host = this.#host();
    byId("token-host").textContent = host;
    byId("token").value = settings.loadToken(host);
  }

  #fill(values) {
    for (const [name, value] of Object.entries(values)) this.#form.elements[name].value = value;
  }

  #changed() {
    settings.save(this.values());
    this.#showProblem();
  }

  #showProblem() {
    let problem = "";
    try {
      settings.parseFunctions(this.#form.elements.functions.value);
    } catch (error) {
      problem = error.message;
    }
    byId("functions-problem").textContent = problem;
    this.#form.elements.functions.setAttribute("aria-invalid", Boolean(problem));
  }

  #addExample() {
    const field = this.#form.elements.functions;
    let list;
    try {
      list = JSON.parse(field.value || "[]");
    } catch {
      list = [];
    }
    const others = Array.isArray(list) ? list.filter((each) => each?.name !== settings.EXAMPLE[0].name) : [];
    field.value = JSON.stringify([...others, ...settings.EXAMPLE], null, 2);
    this.#changed();
  }

  #host() {
    try {
      return place.target(this.#where()).host;
    } catch {
      return "";
    }
  }

  async #copy(kind, name) {
    const box = byId("copy-text");
    box.hidden = true;
    try {
      const text = SNIPPETS[kind](this.values(), place.target(this.#where(), this.values().turnDetection));
      try {
        await navigator.clipboard.writeText(text);
        byId("copied").textContent = `${name.replace("Copy", "Copied")}.`;
      } catch {
        // Without permission, or over plain http: the text is there to be copied by hand.
        box.hidden = false;
        box.value = text;
        box.select();
        byId("copied").textContent = "This browser does not let the page copy: here is the text.";
      }
    } catch (error) {
      byId("copied").textContent = error.message;
    }
  }
}

// Tables that are updated in place: a row keeps its elements, so that the focus and a selection stay.

import { make, setText } from "./dom.js";

/**
 * A table of rows by key.
 *
 * `columns` are `{name, of}`, where `of` writes the text of a row. `actions` are `{name, label, run, isOffered}`.
 */
export class Table {
  constructor({ label, columns, actions = [], key, empty, mark = () => "" }) {
    Object.assign(this, { columns, actions, key, empty, mark });
    this.rows = new Map();
    this.body = make("tbody");
    const heads = columns.map(({ name }) => make("th", { scope: "col", text: name }));
    if (actions.length) heads.push(make("th", { scope: "col" }, make("span", { class: "hidden-text", text: "Actions" })));
    this.note = make("p", { class: "empty" });
    this.table = make("table", { "aria-label": label }, make("thead", {}, make("tr", {}, ...heads)), this.body);
    this.element = make("div", {}, this.table, this.note);
  }

  /** Show these rows, in this order. */
  show(rows) {
    const keys = new Set(rows.map((row) => String(this.key(row))));
    for (const [key, shown] of this.rows) {
      if (!keys.has(key)) {
        shown.element.remove();
        this.rows.delete(key);
      }
    }
    rows.forEach((row, at) => this.place(row, at));
    this.table.hidden = !rows.length;
    setText(this.note, rows.length ? "" : this.empty);
  }

  place(row, at) {
    const key = String(this.key(row));
    const shown = this.rows.get(key) ?? this.add(key);
    shown.row = row;
    this.columns.forEach(({ of, title }, column) => {
      setText(shown.cells[column], of(row));
      if (title) shown.cells[column].title = title(row);
    });
    shown.buttons.forEach((button, action) => {
      const { isOffered = () => true, label } = this.actions[action];
      button.hidden = !isOffered(row);
      button.setAttribute("aria-label", label(row));
    });
    shown.element.dataset.mark = this.mark(row);
    // Moving an element takes the focus from it: only where the order changed.
    if (this.body.children[at] !== shown.element) this.body.insertBefore(shown.element, this.body.children[at] ?? null);
  }

  add(key) {
    const cells = this.columns.map(({ name }, at) => make(at ? "td" : "th", { "data-label": name, scope: at ? null : "row" }));
    const shown = { cells };
    shown.buttons = this.actions.map(({ name, run }) => make("button", { type: "button", text: name, click: () => run(shown.row) }));
    const last = shown.buttons.length ? [make("td", { class: "actions" }, ...shown.buttons)] : [];
    shown.element = make("tr", {}, ...cells, ...last);
    this.rows.set(key, shown);
    return shown;
  }
}

// The conversation as it is kept for a reload of this tab, and sent as context with the next connection.

const KEY = "switchboard.conversation";
const MOST_MESSAGES = 50;

/** What was said and called so far, in order. */
export class Conversation {
  /**
   * Each entry is `{role, content}` of the user or the assistant, or `{role: "function", call, response}`.
   * `isUnsent` marks a message that no connection has carried yet.
   */
  entries = restored();

  /** Add an entry, at the end or at an index; returns it. */
  add(entry, at = this.entries.length) {
    this.entries.splice(at, 0, entry);
    this.keep();
    return entry;
  }

  /** Forget everything. */
  clear() {
    this.entries = [];
    this.keep();
  }

  /** Keep it for a reload of this tab. */
  keep() {
    try {
      sessionStorage.setItem(KEY, JSON.stringify(this.entries));
    } catch {
      // Storage is full or forbidden: a reload starts an empty conversation.
    }
  }

  /** Return the messages that no connection has carried yet. */
  unsent() {
    return this.entries.filter((entry) => entry.isUnsent);
  }

  /** Return the entries as `agent.context.messages`: the latest ones, and calls only with their answers. */
  messages() {
    return this.entries
      .filter((entry) => !entry.isUnsent && (entry.role === "function" ? entry.response !== undefined : entry.content))
      .slice(-MOST_MESSAGES)
      .map((entry) =>
        entry.role === "function"
          ? { type: "History", function_calls: [{ ...entry.call, response: entry.response }] }
          : { type: "History", role: entry.role, content: entry.content },
      );
  }
}

function restored() {
  try {
    const kept = JSON.parse(sessionStorage.getItem(KEY));
    return Array.isArray(kept) ? kept.filter((entry) => entry?.role) : [];
  } catch {
    return [];
  }
}

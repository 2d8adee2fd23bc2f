"""The conversation as the client knows it, and as each upstream received it: invariants viii and ix."""

from typing import Any

from tests.explore.violation import require

OWN = "Own"
"""The first word of an item of the client's own. The client writes it itself, and gets no ConversationText of it."""


class Knowledge:
    """The texts that the client received, and the items and ids that each upstream received or gave."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []
        """The role and the text of each ConversationText."""
        self.cut: set[str] = set()
        """Texts of answers that were interrupted, lost or not completed: the caller may have heard only a part."""
        self.refused: set[str] = set()
        """Texts and calls whose items the upstream in use refused."""
        self.denied: dict[str, int] = {}
        """The generation that refused a text with an error, by text."""
        self.again: set[tuple[int, str]] = set()
        """Each text that a standby upstream refused, with its generation. This upstream gets it after the others."""
        self.own: dict[str, str] = {}
        """The texts of the client's own items that have ids and reached an upstream, by id."""
        self.owned: set[str] = set()
        """The texts of the client's own items that reached an upstream."""
        self.given: dict[int, dict[str, tuple[str, str]]] = {}
        """The role and the text of each message that the session created, by generation and id."""
        self.ids: set[tuple[int, str]] = set()
        """Each id that an upstream assigned or received, with its generation."""

    def tell(self, role: str, text: str) -> None:
        """Record a text that the client received."""
        if not text.startswith("Function call"):
            self.told.append((role, text))

    def sees(self, event: dict[str, Any], generation: int) -> None:
        """Record the ids in an upstream's event."""
        for owner in (event, event.get("item") or {}, event.get("response") or {}):
            for name in ("id", "item_id", "response_id"):
                if owner.get(name) is not None:
                    self.ids.add((generation, str(owner[name])))

    def sent_upstream(self, event: dict[str, Any], generation: int) -> None:
        """Judge the ids in an event of the session, and record the message that the event creates or deletes."""
        kind, given = event["type"], self.given.setdefault(generation, {})
        if kind == "conversation.item.create":
            item = event["item"]
            self.ids.add((generation, str(item.get("id"))))
            if item["type"] == "message":
                text = text_of(item)
                key = str(item.get("id") or text)
                require(key not in given, f"viii {text!r} is given twice under one id")
                given[key] = (item["role"], text)
                self._know_own(item, text)
            return
        if kind == "conversation.item.delete" and str(event["item_id"]) in self.own and event.get("event_id") is None:
            # The client deletes its own item.
            text = self.own[str(event["item_id"])]
            self.told = [it for it in self.told if it[1] != text]
            given.pop(str(event["item_id"]), None)
            return
        for name in ("item_id", "response_id"):
            named = event.get(name)
            is_known = named is None or (generation, str(named)) in self.ids
            require(is_known, f"ix {kind} names {named}, which the upstream does not know")
        if kind == "conversation.item.delete":
            given.pop(str(event["item_id"]), None)

    def _know_own(self, item: dict[str, Any], text: str) -> None:
        is_new = text.startswith(OWN) and text not in self.owned
        if is_new:
            self.owned.add(text)
            self.told.append(("user", text))
            if "id" in item:
                self.own[item["id"]] = text

    def deny(self, event: dict[str, Any], generation: int) -> None:
        """Record that the upstream in use refused an event with an error. No later upstream may receive its item.

        If an upstream only loses an item, the next upstream receives it.
        """
        if event["type"] != "conversation.item.create":
            return
        item = event["item"]
        self.given.get(generation, {}).pop(str(item.get("id")), None)
        if item["type"] == "message":
            self.denied[text_of(item)] = generation
        self.refused.add(text_of(item) if item["type"] == "message" else item["call_id"])

    def lack(self, item: dict[str, Any], generation: int) -> None:
        """Record that a standby upstream lacks an item that the session sent it."""
        self.given.get(generation, {}).pop(str(item.get("id")), None)
        if item["type"] == "message":
            self.again.add((generation, text_of(item)))

    def judge(self, generation: int, must_have: set[str]) -> None:
        """Judge the conversation that an upstream received. `must_have` has the texts of completed answers."""
        whole = list(self.given.get(generation, {}).values())
        given = [it for it in whole if it[1]]
        # Speech without its transcript is given as audio.
        spoken = len(whole) - len(given)
        for role, text in given:
            is_known = any(known.startswith(text) for whose, known in self.told if whose == role)
            require(is_known, f"viii the next upstream has {text!r}, which the client does not know")
            is_denied = role == "user" and self.denied.get(text, generation) < generation
            require(not is_denied, f"viii the next upstream has {text!r}, which an earlier one refused")
            count = sum(it == (role, text) for it in given)
            is_part = any(cut.startswith(text) for cut in self.cut)
            require(count <= self.told.count((role, text)) or is_part, f"viii {text!r} is given twice")
        for role, text in self.told:
            is_needed = text not in self.refused and (role == "user" or text in must_have - self.cut)
            if is_needed and (role, text) not in given and text.startswith("Said ") and spoken:
                spoken -= 1
                continue
            require(not is_needed or (role, text) in given, f"viii the next upstream lacks {text!r} of the {role}")
        ordered = [it for it in self.told if it in given and self._has_place(it[1], generation)]
        found = [it for it in given if it in ordered]
        require(found == ordered, f"viii the next upstream has another order: {found} instead of {ordered}")

    def _has_place(self, text: str, generation: int) -> bool:
        """Whether the position of a text in the conversation is certain. A transcript comes later than its speech."""
        # The heard words of two answers that were cut off may be the same.
        is_part = any(cut.startswith(text) for cut in self.cut)
        return not is_part and (generation, text) not in self.again and not text.startswith(("Said ", OWN))


def text_of(item: dict[str, Any]) -> str:
    """Return the text of a message."""
    return " ".join(part.get("text") or part.get("transcript") or "" for part in item["content"]).strip()

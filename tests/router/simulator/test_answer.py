"""The answer as it grows: texts and calls in their order, and the tokens of a text that may still grow."""

from router.simulator import usage
from router.simulator.answer import Answer, Text, Tokens
from router.simulator.history import Call, Say


def shown(answer):
    return [it.text if isinstance(it, Text) else it.name for it in answer.outputs]


def test_the_pieces_of_a_model_become_one_text_before_each_call():
    answer = Answer()
    for delta in ("\n", "One mo", "ment."):
        answer.add_text(delta)
    answer.add_call(Call("f", "{}"))
    answer.add_text("Done.")
    answer.end(is_cut=True)

    assert shown(answer) == ["One moment.", "f", "Done."]
    assert all(it.is_complete for it in answer.outputs if isinstance(it, Text))
    assert (answer.is_complete, answer.is_cut) == (True, True)


def test_a_whole_answer_is_complete_at_once():
    answer = Answer()
    answer.give([Say("Hi."), Call("f", "{}")])

    assert shown(answer) == ["Hi.", "f"]
    assert answer.is_complete


def test_the_last_token_waits_until_it_cannot_grow():
    text = Text("It is twen")
    tokens = Tokens(text)

    assert [tokens.next(), tokens.next(), tokens.next()] == ["It", " is", None]
    text.text += "ty"
    assert tokens.next() is None
    text.is_complete = True
    assert (tokens.next(), tokens.next()) == (" twenty", None)
    assert tokens.is_over


def test_the_tokens_of_a_growing_text_are_those_of_the_whole():
    whole = 'You said: "I am 21." So what?\n Nothing...'
    text, seen = Text(), []
    tokens = Tokens(text)
    for character in whole:
        text.text += character
        while (token := tokens.next()) is not None:
            seen.append(token)
    text.is_complete = True
    while (token := tokens.next()) is not None:
        seen.append(token)

    assert seen == usage.tokens(whole)

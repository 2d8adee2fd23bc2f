"""The agent's answers."""

from router.simulator.deepgram.answers import answer_to, function_for, sentences_of

WEATHER = {"name": "get_weather"}


def test_a_text_is_restated_and_a_question_is_admitted_not_to_be_known():
    assert answer_to("I like tea", []) == 'You said: "I like tea" I will remember that.'
    assert answer_to("Why?", []).startswith('You asked: "Why?"')


def test_the_texts_before_are_remembered():
    assert answer_to("What do you remember?", ["I like tea", "My name is Ada"]) == (
        "You said before: I like tea; My name is Ada."
    )


def test_a_function_is_called_whose_name_the_question_has():
    assert function_for("How is the weather?", [{"name": "get_time"}, WEATHER]) is WEATHER
    assert function_for("How are you?", [WEATHER]) is None


def test_a_text_has_sentences():
    assert sentences_of("One. Two! Three") == ["One.", "Two!", "Three"]

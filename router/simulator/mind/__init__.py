"""A language model that answers in place of the rules. An OpenAI-compatible chat-completions server runs it.

`model`     the client: it has a thread for each answer, and turns every failure into a sentence
`chat`      the API: requests, and the chunks of a stream
`messages`  the question, and the pieces of its answer
"""

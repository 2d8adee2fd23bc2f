"""A language model that answers in place of the rules. An OpenAI-compatible chat-completions server runs it.

`model`     the client: a thread for each answer, and every failure in words
`chat`      the API: requests, and the chunks of a stream
`messages`  the question, and the pieces of its answer
"""

"""The page of the applications that `hosting` measures."""

TEMPLATE = "<ul>{% for number in numbers %}<li>{{ number }} squared is {{ number * number }}</li>{% endfor %}</ul>"

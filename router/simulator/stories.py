"""Stories, jokes and facts that the brain tells. Each story takes about a minute, so that a caller can interrupt it."""

from __future__ import annotations

from typing import Final


def _texts(paragraphs: str) -> tuple[str, ...]:
    return tuple(" ".join(paragraph.split()) for paragraph in paragraphs.strip().split("\n\n"))


STORIES: Final = _texts(
    """
    Here is a story. There was once a lighthouse on a rock, and its keeper was called Martha. Every evening she
    climbed one hundred steps and lit the lamp. One night a storm took the lamp away. Martha looked down at the
    black water and heard a ship blow its horn. She had no lamp, but she had a loud voice. So she began to sing.
    She sang every song that she knew, and when she knew no more, she made up new ones. The captain heard her and
    turned the ship away from the rock. In the morning the storm was over, and the sailors came to thank her. They
    brought a new lamp and a big cake. Since then, the ships blow their horns when they pass, and Martha sings
    back.

    Here is a story about a robot. A small robot worked in a library. It put the books back on the shelves, and it
    never read any of them, because that was not its job. One day it found a book without a title. The pages were
    empty. The robot looked for the right shelf all day and did not find one. At night, when the people were gone,
    it took a pen and wrote the first sentence. Once there was a small robot, it wrote, who worked in a library.
    It wrote until the sun came up. Then it put the book on the shelf beside the window. The next day a child took
    it home. The child never brought it back, and the robot was very proud.

    Here is a story about a baker. In a village in the mountains lived a baker who could not sleep. So he baked at
    night, and the smell of bread went from house to house. The people had good dreams. One winter the baker fell
    in love, and from then on he slept like a stone. The village had bread in the afternoon, and no more dreams at
    all. The people talked about it for a week. Then each house baked one night of the month. The smell of bread
    was back, and so were the dreams. The baker dreamed that he was awake, and in the morning he laughed about it.
    """
)

JOKES: Final = _texts(
    """
    Why did the telephone wear glasses? It had lost its contacts.

    I wanted to tell you a joke about a slow connection. I am still waiting for the end of it.

    What do you call a robot that takes the long way round? R two detour.

    Why was the computer cold? It had left its windows open.
    """
)

FACTS: Final = _texts(
    """
    An octopus has three hearts, and two of them stop when it swims.

    Honey does not go bad. Pots of it that are three thousand years old can still be eaten.

    The first telephone book had one page, and fifty names on it.

    A day on Venus is longer than a year on Venus.
    """
)

POEMS: Final = _texts(
    """
    The night is long, the line is clear. I cannot see you, but I hear. And if you stop, and if you pause, I wait
    for you, and need no cause.
    """
)

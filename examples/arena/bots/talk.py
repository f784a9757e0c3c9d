"""What bots say, and when they hold their tongues."""

from __future__ import annotations

import math
import random
import re

PAUSE = 50.0
"""Seconds at least between two remarks of one bot; answers may come sooner."""

LINES = {
    "greet": ("Good day, {name}!", "Well met, {name}.", "Hello {name}, any luck?", "Hi {name}!",
              "Ah, {name}. Fine weather.", "{name}! Still walking?", "Come along, {name}?",
              "There is more out there, {name}.", "{name}, how is {team} doing?"),
    "greet rival": ("I see you, {name}.", "Easy, {name}. I carry nothing.",
                    "{team} is far from home, {name}.", "No quarrel today, {name}?",
                    "Peace, {name}.", "After you, {name}.", "Nice hat, {name}.",
                    "We meet again, {name}.", "Mind your own gold, {name}."),
    "return": ("And to you, {name}.", "Good luck, {name}.", "Safe ways, {name}.",
               "You too, {name}!"),
    "gold": ("Gold! {way} of here.", "Some glitters {way} of us.", "I'd try {way}."),
    "no gold": ("All picked clean here.", "Try further out.", "I have seen none for a while."),
    "storm?": ("Go {way}, away from the storm.", "It is calm {way} of here."),
    "took": ("Mine!", "Shiny.", "Finders, keepers.", "That makes {count}."),
    "chest": ("A whole chest!", "Rich!"),
    "brought": ("{count} more for {team}!", "Safe at home: {count}.", "{team} will win this."),
    "hit": ("Drop it, {name}!", "Got you, {name}!", "Not past me, {name}.", "Thank you, {name}."),
    "was hit": ("My gold!", "Thief! {name}!", "Ouch. I'll remember that, {name}.", "Hey!"),
    "storm": ("The storm! Inwards!", "It rips the gold from my hands!", "Out of this storm!"),
    "guard": ("Away from our camp, {name}!", "Halt, {name}!", "This is {team}'s ground."),
    "chase": ("That looks heavy, {name}.", "Let me help you carry, {name}.", "Run, {name}, run!"),
    "full": ("My bag is full. Home!", "Heavy. Time to go home.", "{count}! Now home, quickly."),
    "answer": ("Carry gold to your camp, {name}.", "Dash into rivals: they drop it, {name}.",
               "Mind the hunters, {name}.", "I just walk here, {name}."),
}  # fmt: skip

TOPICS = (
    (re.compile(r"\b(gold|chest|treasure|luck|where)\b", re.IGNORECASE), "gold"),
    (re.compile(r"\b(storm|safe|calm|weather)\b", re.IGNORECASE), "storm?"),
    (re.compile(r"\b(hi|hello|hey|good (day|evening)|well met|moin|hallo)\b", re.IGNORECASE),
     "return"),
    (re.compile(r"\?|\b(how|help|what|why)\b", re.IGNORECASE), "answer"),
)  # fmt: skip


def topic_of(text: str) -> str | None:
    """Return the occasion on which a spoken line is answered; None if it needs no answer."""
    return next((occasion for pattern, occasion in TOPICS if pattern.search(text)), None)


def line_for(occasion: str, dice: random.Random, **words: object) -> str:
    """Return something to say on an occasion.

    Args:
        occasion: a key of `LINES`.
        dice: decide which line.
        words: what its placeholders stand for.
    """
    return dice.choice(LINES[occasion]).format_map({"name": "friend", **words})


def compass(dx: float, dy: float) -> str:
    """Return the name of a direction; y grows to the south."""
    names = ("east", "south-east", "south", "south-west", "west", "north-west", "north",
             "north-east")  # fmt: skip
    return names[round(math.atan2(dy, dx) / (math.pi / 4)) % 8]


class Tongue:
    """Decides whether a bot speaks: not too often.

    Args:
        dice: decide.
    """

    def __init__(self, dice: random.Random) -> None:
        self._dice = dice
        self._silent_until = dice.uniform(0, PAUSE)

    def remark(self, chance: float, now: float, occasion: str, **words: object) -> str:
        """Return a remark, or an empty string.

        Args:
            chance: that it is made, if the last one was long enough ago.
            now: seconds.
            occasion: see `line_for`.
            words: see `line_for`.
        """
        if now < self._silent_until or self._dice.random() >= chance:
            return ""
        self._silent_until = now + PAUSE * self._dice.uniform(1, 3)
        return line_for(occasion, self._dice, **words)

    def answer(self, now: float, occasion: str, **words: object) -> str:
        """Return an answer, which may come soon after a remark."""
        self._silent_until = max(self._silent_until, now + 6)
        return line_for(occasion, self._dice, **words)

"""The rules of the game, as a pure world: commands in, events out; no actor, clock or network.

Time is a number of ticks and everything random comes from a seed, so the same commands at the same
ticks give the same game. `World` joins the modules below it: the land (`terrain`), those who walk
on it (`bodies`, `grid`), what lies on it (`gold`), the course of a round (`rounds`), and what a
client is sent of all that (`views`).
"""

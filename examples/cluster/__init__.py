"""Three nodes of the chat on one machine, and a page that shows where each user is."""

"""Sessions: who is here, who may come, and when they have to go."""

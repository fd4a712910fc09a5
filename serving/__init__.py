"""THE VOICE: one process speaks for one replica, in the profile it was told to, and counts what it promised."""

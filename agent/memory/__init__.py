"""What must outlive the agent's process, in one file that a crash or a full disk cannot spoil."""

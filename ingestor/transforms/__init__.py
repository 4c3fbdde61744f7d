"""What is decided about an event: pure functions and small state, no network, no disk."""

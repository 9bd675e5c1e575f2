"""Scripts that come with the gateway."""

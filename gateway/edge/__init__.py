"""The edge: Kamailio in front of many workers, rendered, checked, started and watched."""

"""One call, whatever carries it: line, media, control and session.  Knows no transport."""

"""Turn taking measured: offline curves, and calls over a corpus."""

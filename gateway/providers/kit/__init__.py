"""What every provider of a vendor needs: one WebSocket loop and the rules that it follows."""

"""The dialplan: which rule takes a call, and what its steps do."""

"""Which alerts a story must lead to, by the documents alone.

This shares no code with the product.
"""

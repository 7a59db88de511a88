"""The alerts that a story must lead to, by the documents alone.

The oracle goes through the life of each job report by report, with its own idea of
slots, runs and downtimes. It shares no code with the product.
"""

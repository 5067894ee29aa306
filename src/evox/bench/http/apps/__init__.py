"""The contestants, each written as its framework's users write it. They are started by path.

All answer the same requests (see ``questions``). Nothing of Evox is imported but by its own.
"""

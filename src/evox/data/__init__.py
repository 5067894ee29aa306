"""Intents: where and how data lives."""

from evox.data.intents import Consistency, Intent, intent_of

__all__ = ["Consistency", "Intent", "intent_of"]

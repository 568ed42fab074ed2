"""The deterministic core: inputs in, facts and commands out. Standard library only.

No I/O, no clock, no randomness, no logging, no asyncio, no pandas. Same inputs, same facts,
byte for byte.
"""

"""The long-lived process: what it needs from the machine it runs on, and what it tells that machine.

Owns folders, locks, secrets, logs, alerts, metrics and the talk with systemd. Decides nothing about
trading, and imports neither pandas nor numpy nor any vendor's library.
"""

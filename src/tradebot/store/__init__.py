"""Keep every fact on disk: the journal, what is derived from it, and its upkeep.

Owns the files of one (venue, account, mode). Refuses decisions: it records what it is given and
says when it cannot.
"""

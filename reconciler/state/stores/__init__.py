"""Where a log lives: places that hold lines and give each position to one writer only.

- interface: what a store is, and what may come of an append
- memory, file (through oscalls and guard; its errors in fileerrors), s3, postgres: the stores
- probe: whether an object store keeps its promises, found out before a log is created there
- urls: opens a store by its URL; what of a URL may be shown
"""
